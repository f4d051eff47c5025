"""Tests of the relatives of BERT.

`test_odd_configurations` compares them with transformers: outputs, every stage, gradients, and files in both directions.
"""

import json
import pickle
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from minibert import BertConfig, load, record
from minibert.equations import IGNORE_INDEX
from minibert.model import read_checkpoint
from minibert.model.bert import PretrainedBert
from minibert.model.config import ModelConfig
from minibert.model.families import FAMILIES, NETWORKS, AlbertConfig, DistilBertConfig, ElectraConfig, RobertaConfig
from minibert.model.layers import EncoderLayer
from minibert.model.stacks import LayerStack

SMALL: dict[str, Any] = {
    "vocab_size": 30,
    "hidden_size": 8,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 12,
}
every_network = pytest.mark.parametrize("name", NETWORKS)
every_family = pytest.mark.parametrize("family", FAMILIES)


def small(family: str, **changes: Any) -> BertConfig:
    return FAMILIES[family].config_class(**SMALL | changes)


def network(name: str, **changes: Any) -> PretrainedBert:
    """Make a small network by its name, in evaluation mode."""
    torch.manual_seed(0)
    cls = NETWORKS[name]
    return cls(cls.config_class(**SMALL | changes)).eval()


@every_family
def test_the_defaults_are_those_of_transformers(family: str) -> None:
    transformers = pytest.importorskip("transformers")
    config = FAMILIES[family].config_class()
    ours, theirs = config.hub_fields(), getattr(transformers, type(config).__name__)()
    given = {name: value for name, value in ours.items() if name not in ("id2label", "label2id", "problem_type")}
    assert given == {name: getattr(theirs, name, None) for name in given}


@every_network
def test_a_saved_network_is_loaded_as_itself(name: str, tmp_path: Path) -> None:
    """Its architecture and head are found, also without the name of the architecture, and all weights are the same."""
    model = network(name)
    model.save_pretrained(tmp_path)
    loaded = load(tmp_path)
    assert type(loaded) is NETWORKS[name]
    assert loaded.config == model.config
    assert all(
        torch.equal(one, other) for one, other in zip(loaded.state_dict().values(), model.state_dict().values(), strict=True)
    )
    config = json.loads((tmp_path / "config.json").read_text())
    del config["architectures"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    if not name.startswith("Albert") or not model.has_classes:  # one linear layer may be for sequences or for tokens
        assert load(tmp_path).head == model.head
    assert pickle.loads(pickle.dumps(model)).config == model.config


@every_family
def test_every_head_can_begin_with_the_encoder_of_another(family: str, tmp_path: Path) -> None:
    """The head is initialized, with a warning, and the encoder is that of the checkpoint."""
    names = [*FAMILIES[family].networks.values()]
    model = network(names[1])
    model.save_pretrained(tmp_path)
    for name in names:
        with pytest.warns(UserWarning, match=r"newly initialized|not used") if name != names[1] else nullcontext():
            loaded = load(tmp_path, NETWORKS[name].head)
        assert type(loaded) is NETWORKS[name]
        assert torch.equal(getattr(loaded, "bert", loaded).embeddings.words.weight, model.bert.embeddings.words.weight)


class TestRoberta:
    """Positions that do not count padding."""

    def test_padding_on_the_left_changes_nothing(self) -> None:
        model = network("RobertaModel")
        ids = torch.tensor([[5, 6, 7]])
        padded = torch.tensor([[1, 1, 5, 6, 7]])
        alone, shifted = model(ids).last_hidden_state, model(padded, padded != 1).last_hidden_state
        torch.testing.assert_close(shifted[:, 2:], alone)
        assert not torch.allclose(model(ids, position_ids=torch.arange(3)).last_hidden_state, alone)

    def test_a_table_of_n_rows_holds_two_tokens_less(self) -> None:
        model = network("RobertaModel")
        assert model.config.max_tokens == 10
        model(torch.full((1, 10), 5))
        model(torch.tensor([[1] * 5 + [5] * 10]))
        with pytest.raises(ValueError, match="input_ids has a text of 11 tokens, but at most 10: truncate it"):
            model(torch.full((1, 11), 5))

    def test_the_vector_of_padding_is_not_trained(self) -> None:
        model = network("RobertaModel")
        model(torch.tensor([[5, 6, 1]])).last_hidden_state.sum().backward()
        gradient = model.embeddings.positions.weight.grad
        assert gradient is not None
        assert not gradient[1].any()
        assert gradient[2].any()

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"pad_token_id": None}, "pad_token_id must be a number"),
            ({"max_position_embeddings": 2}, "max_position_embeddings must be at least pad_token_id [+] 2, 3, not 2"),
        ],
    )
    def test_configs_without_positions_are_refused(self, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            small("roberta", **changes)

    def test_the_masked_lm_head_has_gelu_whatever_the_config_says(self) -> None:
        model = network("RobertaForMaskedLM", hidden_act="relu")
        assert model.mlm.activation.__name__ == "gelu"
        assert model.bert.layers[0].feed_forward.activation.__name__ == "relu"


class TestAlbert:
    """Narrow embeddings, and layers that share their parameters."""

    def test_sharing_and_narrow_embeddings_save_parameters(self) -> None:
        shared, own = (network("AlbertModel", embedding_size=4, num_hidden_groups=groups) for groups in (1, 2))
        counts = [sum(each.numel() for each in model.parameters()) for model in (shared, own)]
        layer = sum(each.numel() for each in shared.layers[0].parameters())
        assert counts[1] - counts[0] == layer
        assert shared.embeddings.words.weight.shape == (30, 4)
        assert shared.projection.weight.shape == (8, 4)

    def test_even_embeddings_of_the_same_width_are_projected(self) -> None:
        assert network("AlbertModel", embedding_size=8).projection is not None
        assert network("ElectraModel", embedding_size=8).projection is None
        assert network("ElectraModel", embedding_size=4).projection is not None

    @pytest.mark.parametrize(
        ("depth", "groups", "order"), [(4, 1, [0, 0, 0, 0]), (4, 2, [0, 0, 1, 1]), (5, 2, [0, 0, 0, 1, 1])]
    )
    def test_each_group_runs_several_times_in_a_row(self, depth: int, groups: int, order: list[int]) -> None:
        called: list[int] = []
        layers = [EncoderLayer(small("albert", embedding_size=4)) for _ in range(groups)]
        for number, layer in enumerate(layers):
            layer.register_forward_hook(lambda *_, number=number: called.append(number))
        LayerStack(layers, depth)(torch.randn(1, 3, 8))
        assert called == order

    def test_a_network_may_lose_layers(self) -> None:
        """The others run once, as before."""
        called: list[int] = []
        stack = LayerStack((EncoderLayer(small("roberta")) for _ in range(4)), 4)
        for number, layer in enumerate(stack):
            layer.register_forward_hook(lambda *_, number=number: called.append(number))
        del stack[2:]
        stack(torch.randn(1, 3, 8))
        assert called == [0, 1]

    def test_every_time_is_recorded_under_its_own_number(self) -> None:
        model = network("AlbertModel", embedding_size=4, num_hidden_layers=3)
        ids = torch.tensor([[5, 6, 7]])
        with record(model) as recording:
            output = model(ids).last_hidden_state
        paths = [f"layers.{number}.output" for number in range(3)]
        assert [path for path in recording.paths if path.endswith(".output") and path.count(".") == 2] == paths
        assert torch.equal(recording[paths[2]], output)
        expected = model.layers[0](recording[paths[0]])
        torch.testing.assert_close(recording[paths[1]], expected)

    def test_one_time_can_be_edited(self) -> None:
        """An edit of layer 1 leaves layer 0, which has the same parameters, unchanged."""
        model = network("AlbertModel", embedding_size=4, num_hidden_layers=3)
        ids = torch.tensor([[5, 6, 7]])
        zeros = torch.zeros(1, 3, 8)
        with record(model, edit={"layers.1.output": zeros}) as recording:
            model(ids)
        assert recording["layers.0.output"].any()
        assert not recording["layers.1.output"].any()
        torch.testing.assert_close(recording["layers.2.output"], model.layers[0](zeros))

    def test_more_groups_than_layers_are_refused(self) -> None:
        with pytest.raises(ValueError, match="num_hidden_groups must be at most num_hidden_layers, 2, not 3"):
            small("albert", num_hidden_groups=3)

    def test_its_published_file_has_tensors_twice_and_an_unused_pooler(self, tmp_path: Path) -> None:
        """The decoder is the word embeddings, its bias that of the head; the pooler of a masked LM is named in a warning."""
        model = network("AlbertForMaskedLM", embedding_size=4)
        model.save_pretrained(tmp_path)
        file = tmp_path / "model.safetensors"
        tensors = safetensors.torch.load_file(file)
        tensors["predictions.decoder.weight"] = tensors["albert.embeddings.word_embeddings.weight"].clone()
        tensors["predictions.decoder.bias"] = tensors["predictions.bias"].clone()
        tensors |= {"albert.pooler.weight": torch.zeros(8, 8), "albert.pooler.bias": torch.zeros(8)}
        safetensors.torch.save_file(tensors, file, metadata={"format": "pt"})
        with pytest.warns(UserWarning, match="not used by AlbertForMaskedLM: pooler.bias, pooler.weight"):
            loaded = load(tmp_path)
        ids = torch.tensor([[5, 6, 7]])
        assert torch.equal(loaded(ids).logits, model(ids).logits)
        assert loaded.config.tie_word_embeddings


class TestReplacedTokens:
    """ELECTRA's discriminator."""

    def test_the_loss_is_the_mean_over_the_labels(self) -> None:
        model = network("ElectraForPreTraining", embedding_size=4)
        ids, labels = torch.tensor([[5, 6, 7], [8, 9, 0]]), torch.tensor([[1, 0, 0], [0, 1, IGNORE_INDEX]])
        output = model(ids, ids != 0, labels=labels)
        assert output.logits.shape == (2, 3)
        counted = labels != IGNORE_INDEX
        expected = nn.functional.binary_cross_entropy_with_logits(output.logits[counted], labels[counted].float())
        torch.testing.assert_close(output.loss, expected)
        nothing = model(ids, ids != 0, labels=torch.full_like(ids, IGNORE_INDEX)).loss
        assert nothing == 0

    @pytest.mark.parametrize("wrong", [2, -1])
    def test_a_label_is_zero_or_one(self, wrong: int) -> None:
        with pytest.raises(ValueError, match=f"labels has the value {wrong}, expected 1 for a replaced token"):
            network("ElectraForPreTraining")(torch.tensor([[5, 6]]), labels=torch.tensor([[0, wrong]]))


class TestDistilBert:
    """No segments."""

    def test_segments_change_nothing(self) -> None:
        model, ids = network("DistilBertModel"), torch.tensor([[5, 6, 7]])
        assert torch.equal(model(ids).last_hidden_state, model(ids, token_type_ids=torch.tensor([[0, 1, 1]])).last_hidden_state)
        assert not any("segments" in name for name in model.state_dict())

    def test_dropout_is_in_other_places(self) -> None:
        """Its classifier for sequences, for tokens and for answers each have a probability of their own."""
        config = small("distilbert", classifier_dropout=0.3, hidden_dropout_prob=0.2, span_dropout_prob=0.4)
        found = {name: NETWORKS[f"DistilBertFor{name}"](config) for name in SEQUENCE_HEADS}
        assert [found[name].dropout.p for name in SEQUENCE_HEADS] == [0.3, 0.2, 0.4]
        assert found["SequenceClassification"].hidden_dropout.p == 0


SEQUENCE_HEADS = ("SequenceClassification", "TokenClassification", "QuestionAnswering")


@pytest.mark.parametrize("name", ["RobertaForSequenceClassification", "ElectraForSequenceClassification"])
def test_the_hidden_layer_of_a_classifier_has_dropout_on_both_sides(name: str) -> None:
    model = network(name, classifier_dropout=0.3)
    assert (model.dropout.p, model.hidden_dropout.p) == (0.3, 0.3)


@pytest.mark.parametrize(
    ("family", "field", "value"),
    [
        ("albert", "inner_group_num", 2),
        ("electra", "summary_type", "mean"),
        ("electra", "summary_last_dropout", 0.2),
        ("distilbert", "sinusoidal_pos_embds", True),
        ("roberta", "is_decoder", True),
    ],
)
def test_what_is_not_there_is_refused_by_name(family: str, field: str, value: object, tmp_path: Path) -> None:
    name = next(iter(FAMILIES[family].networks.values()))
    network(name).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {field: value}))
    with pytest.raises(ValueError, match=f"{field} {value!r} is not supported"):
        load(tmp_path)


def test_a_message_has_the_article_of_the_family(tmp_path: Path) -> None:
    network("ElectraForMaskedLM").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(ValueError, match="Is it an ElectraForMaskedLM with the sizes"):
        load(tmp_path)
    with pytest.raises(ValueError, match="an Albert has no classification head"):
        ModelConfig.with_labels(small("albert"), ["good", "bad"])


def test_other_families_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    network("RobertaModel").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "deberta-v2"}))
    with pytest.raises(ValueError, match="model_type 'deberta-v2' is not supported, only 'albert', "):
        load(tmp_path)


@every_family
def test_a_checkpoint_lists_its_heads(family: str, tmp_path: Path) -> None:
    for name in FAMILIES[family].networks.values():
        model = network(name)
        model.save_pretrained(tmp_path)
        assert model.head in read_checkpoint(tmp_path).heads


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NETWORKS if name.endswith(("MaskedLM", "PreTraining"))])
def test_training_losses_agree(name: str, tmp_path: Path) -> None:
    """30 steps of AdamW on the same batches give the same losses as in transformers within 1e-8, in float64."""
    transformers = pytest.importorskip("transformers")
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.0}
    ours = network(name, **no_dropout).double()
    ours.save_pretrained(tmp_path)
    theirs = getattr(transformers, name).from_pretrained(tmp_path, dtype=torch.float64, attn_implementation="eager")
    curves = []
    for model in (ours.train(), theirs.train()):
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        losses = []
        for step in range(30):
            loss = loss_of(model(batch := ids_of(step)), batch, step)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        curves.append(losses)
    assert max(abs(one - other) for one, other in zip(*curves, strict=True)) < 1e-8
    assert curves[0][-1] < curves[0][0]


def ids_of(step: int) -> Tensor:
    return torch.randint(2, 30, (4, 8), generator=torch.Generator().manual_seed(step))


def loss_of(output: Any, ids: Tensor, step: int) -> Tensor:
    """Compute a loss of all outputs: of a masked LM, for the ids themselves."""
    logits = getattr(output, "logits", None)
    if logits is None:
        logits = output.prediction_logits
    if logits.ndim == 2:
        return nn.functional.binary_cross_entropy_with_logits(logits, (ids % 2).to(logits))
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), ids.flatten())
    pair = getattr(output, "sop_logits", getattr(output, "seq_relationship_logits", None))
    return loss if pair is None else loss + nn.functional.cross_entropy(pair, ids[:, 0] % 2)


def test_the_configs_are_those_of_the_families() -> None:
    classes = {family.config_class for family in FAMILIES.values()}
    assert classes == {RobertaConfig, AlbertConfig, ElectraConfig, DistilBertConfig}
    assert all({each.name for each in fields(BertConfig)} <= {each.name for each in fields(kind)} for kind in classes)
    assert [FAMILIES[kind.model_types[0]].config_class is kind for kind in classes] == [True] * 4
