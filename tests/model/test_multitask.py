"""One encoder with several heads: the same numbers as the networks that it was made of, in memory and in files."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from minibert import BertForQuestionAnswering, BertForSequenceClassification, BertForTokenClassification, load
from minibert.model.heads import BertWithHead
from minibert.model.multitask import MultiTaskBert, OneTask
from tests.model.adapters.networks import CONFIG, inputs, outputs

LABELED = CONFIG.with_labels(["a", "b", "c"])


def networks() -> dict[str, BertWithHead]:
    """Return networks with one encoder. Only that for sequences has a pooler."""
    torch.manual_seed(0)
    made = {
        "tags": BertForTokenClassification(LABELED).eval(),
        "texts": BertForSequenceClassification(LABELED).eval(),
        "answers": BertForQuestionAnswering(CONFIG).eval(),
    }
    for network in made.values():
        network.bert.load_state_dict(made["tags"].bert.state_dict(), strict=False)
    return made


def test_each_task_computes_what_its_network_computes() -> None:
    """The pooler is that of the network that has one."""
    alone = copy.deepcopy(networks())
    model = MultiTaskBert(networks()).eval()
    assert not [name for name in model.state_dict() if name.startswith("heads.") and ".bert." in name]
    for task, network in alone.items():
        one = OneTask(model, task)
        arguments = (inputs()["input_ids"], inputs()["attention_mask"])
        expected, computed = network(*arguments), one(*arguments)
        assert type(computed) is type(expected)
        for name in ("logits", "start_logits", "end_logits"):
            if getattr(expected, name, None) is not None:
                assert torch.equal(getattr(computed, name), getattr(expected, name))


def test_the_encoder_is_that_of_the_first_network() -> None:
    made = networks()
    with torch.no_grad():
        made["texts"].bert.embeddings.words.weight += 1
    first = made["tags"].bert.embeddings.words.weight.clone()
    assert torch.equal(MultiTaskBert(made).bert.embeddings.words.weight, first)


def test_without_a_pooler_there_is_a_new_one() -> None:
    made = networks()
    del made["texts"]
    encoder = made["tags"].bert.state_dict()
    model = MultiTaskBert(made)
    assert model.bert.pooler.dense.weight.any()
    assert all(torch.equal(model.bert.state_dict()[name], tensor) for name, tensor in encoder.items())


def test_new_parameters_of_the_encoder_are_named_once() -> None:
    """Those of the heads are new in every task."""
    made = networks()
    made["tags"].initialized = ("pooler.dense.weight", "classifier.weight")
    made["answers"].initialized = ("pooler.dense.weight", "pooler.dense.bias")
    assert MultiTaskBert(made).initialized == ("pooler.dense.weight", "pooler.dense.bias")


@contextmanager
def unchanged_random_numbers() -> Iterator[None]:
    before = torch.get_rng_state()
    yield
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("given", [False, True])
def test_each_task_is_saved_as_a_network_of_its_own(given: bool, tmp_path: Path) -> None:
    """With its own weights or with those that are given, such as an average. No random numbers are taken from the training."""
    model = MultiTaskBert(networks()).eval()
    weights = {name: 2 * tensor for name, tensor in model.state_dict().items()} if given else None
    with unchanged_random_numbers():
        model.save_pretrained(tmp_path, weights)
    if weights is not None:
        model.load_state_dict(weights)
    for task in model.heads:
        one, alone = OneTask(model, task), load(tmp_path / task)
        expected = one(inputs()["input_ids"], inputs()["attention_mask"])
        names = [name for name in ("logits", "start_logits", "end_logits") if getattr(expected, name, None) is not None]
        for name, computed in zip(names, outputs(alone), strict=True):
            torch.testing.assert_close(computed, getattr(expected, name))
