"""The experiments that train networks: what they share and change, what they learn, and what counts as a difference."""

from dataclasses import fields
from pathlib import Path

import pytest
import torch

from benchmarks.ideas import distillation, masks, sharing, short_runs
from benchmarks.ideas.common import Row, change
from minibert.model import BertForMaskedLM, BertForSequenceClassification
from minibert.text.examples import PretrainingExamples
from minibert.text.labeled.examples import LabeledBatch
from tests.ideas.sizes import CONFIG
from tests.training.test_pretraining import TOKENIZER, corpus


@pytest.fixture(autouse=True)
def _small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (sharing, short_runs):
        monkeypatch.setattr(module, "short_config", lambda: CONFIG)


def test_a_star_is_for_differences_that_are_not_chance() -> None:
    """The seeds are compared in pairs: what differs between them does not count."""
    base = Row({}, {"loss": [1.0, 2.0, 3.0]})
    assert change(Row({}, {"loss": [1.1, 2.11, 3.1]}), base, "loss") == "+0.103*"
    assert change(Row({}, {"loss": [1.5, 1.9, 3.0]}), base, "loss") == "+0.133"
    assert change(base, base, "loss", "+.1f", 100) == "+0.0"


def test_a_network_is_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time its weights are loaded. Other seeds have other networks."""
    calls = []

    def train(model: BertForMaskedLM, examples: PretrainingExamples, *settings: object) -> None:
        calls.append(examples.seed)
        torch.nn.init.ones_(model.mlm.bias)

    monkeypatch.setattr(short_runs, "MODELS", tmp_path)
    monkeypatch.setattr(short_runs, "train_on_text", train)
    monkeypatch.setattr(short_runs, "data", lambda: type("Data", (), {"train": corpus(), "tokenizer": TOKENIZER}))
    first, again, other = (short_runs.short_run("a", seed, short_runs.new_masked_lm) for seed in (0, 0, 1))
    assert calls == [0, 1]
    assert all(torch.equal(weight, again.state_dict()[name]) for name, weight in first.state_dict().items())
    assert again.mlm.bias.eq(1).all()
    assert not torch.equal(first.mlm.transform.weight, other.mlm.transform.weight)


def test_a_student_that_agrees_learns_nothing() -> None:
    torch.manual_seed(0)
    teacher = BertForSequenceClassification(CONFIG).double()
    ids = torch.tensor([[2, 7, 9, 3], [2, 8, 3, 0]])
    inputs = LabeledBatch(ids, ids != 0, torch.zeros_like(ids), {})
    objective = distillation.SoftClasses(teacher)
    objective.loss_sums(teacher, inputs)["soft"].loss.backward()
    assert all(each.grad is None or each.grad.abs().max() < 1e-12 for each in teacher.parameters())
    assert objective.target_counts(inputs) == {"soft": 2}
    other = BertForSequenceClassification(CONFIG).double()
    objective.loss_sums(other, inputs)["soft"].loss.backward()
    assert other.classifier.weight.grad.abs().max() > 1e-3


def test_only_these_parts_are_shared() -> None:
    model = sharing.shared(sharing.ATTENTION)
    first, *others = model.bert.layers
    assert all(layer.attention is first.attention and layer.attention_norm is first.attention_norm for layer in others)
    assert all(layer.feed_forward is not first.feed_forward for layer in others)
    whole, attention, feed_forward, everything = (
        sharing.parameters(sharing.shared(parts))
        for parts in ((), sharing.ATTENTION, sharing.FEED_FORWARD, sharing.ATTENTION + sharing.FEED_FORWARD)
    )
    assert whole - attention == 2 * (4 * (8 * 8 + 8) + 2 * 8)
    assert whole - feed_forward == 2 * (8 * 12 + 12 + 12 * 8 + 8 + 2 * 8)
    assert everything == attention + feed_forward - whole == sharing.parameters(sharing.shallow())


def test_narrow_embeddings_change_nothing_else() -> None:
    """All tables of embeddings, and the head, have another width. There is a linear map to the layers."""
    model = sharing.narrow(4)
    wide, narrow = ({name: weight.shape for name, weight in each.state_dict().items()} for each in (sharing.shared(()), model))
    changed = {name for name in narrow if narrow[name] != wide.get(name)}
    assert all(name.startswith(("bert.embeddings.", "bert.projection.", "mlm.")) for name in changed)
    assert narrow["bert.embeddings.words.weight"] == (CONFIG.vocab_size, 4)
    assert wide.keys() <= narrow.keys()


def test_masks_differ_from_those_of_bert_in_one_thing() -> None:
    bert, *others = masks.WAYS.values()
    assert len({way.name for way in masks.WAYS.values()}) == len(masks.WAYS)

    def differences(one: object, other: object) -> set[str]:
        return {each.name for each in fields(one) if getattr(one, each.name) != getattr(other, each.name)}

    for way in others:
        base = masks.WAYS["part of the text, dynamic"] if way.examples.dupe_factor else bert
        changed = differences(way.examples, base.examples) | (differences(way, base) - {"name", "examples"})
        assert len(changed) == 1, way.name
