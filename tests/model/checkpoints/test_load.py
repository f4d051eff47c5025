"""Tests of `load` with every architecture, head, list of labels, and dtype."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar
from unittest import mock

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from minibert import (
    TRANSFORMERS,
    Bert,
    BertConfig,
    BertForMaskedLM,
    BertForNextSentencePrediction,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    GPT2Config,
    GPT2LMHeadModel,
    Transformer,
)
from minibert.model import load, read_checkpoint
from minibert.model.checkpoints import loading, weights
from minibert.model.checkpoints.names import NameTable
from minibert.model.config import TextConfig
from minibert.model.pretrained import PretrainedModel
from tests.model.random_checkpoints import CLASSES

CONFIG = BertConfig(
    vocab_size=40, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12, max_position_embeddings=9
)
GPT2_CONFIG = GPT2Config(vocab_size=40, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12)
TRANSFORMER_CONFIG = replace(TRANSFORMERS["tiny"], vocab_size=40, hidden_size=8, intermediate_size=12, num_attention_heads=2)
NETWORKS: list[PretrainedModel] = [
    *(network(CONFIG) for network in CLASSES),
    GPT2LMHeadModel(GPT2_CONFIG),
    Transformer(TRANSFORMER_CONFIG),
    Transformer(replace(TRANSFORMER_CONFIG, pre_norm=True)),
    Transformer(replace(TRANSFORMER_CONFIG, positions="rotary")),
]


@pytest.mark.parametrize("model", NETWORKS, ids=lambda model: type(model).__name__)
def test_saved_network_is_loaded_unchanged(tmp_path: Path, model: PretrainedModel) -> None:
    """Without a head argument, the class, the config and all weights are those saved. Nothing is newly initialized."""
    model.save_pretrained(tmp_path)
    loaded = load(tmp_path)
    assert type(loaded) is type(model)
    assert loaded.config == model.config
    assert loaded.initialized == ()
    assert not loaded.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_every_file_is_read_once(tmp_path: Path) -> None:
    """The files are config.json and the weights."""
    BertForPreTraining(CONFIG).save_pretrained(tmp_path)
    with (
        mock.patch.object(weights, "_read_safetensors", wraps=weights._read_safetensors) as read_weights,
        mock.patch.object(loading, "read_json", wraps=loading.read_json) as read_json,
    ):
        load(tmp_path)
    assert read_weights.call_count == read_json.call_count == 1


@pytest.mark.parametrize("network", CLASSES)
def test_head_is_selected_by_name_or_by_class(tmp_path: Path, network: type[PretrainedModel]) -> None:
    network(CONFIG).save_pretrained(tmp_path)
    assert type(load(tmp_path, network.head)) is type(load(tmp_path, network)) is network


def test_unknown_head_is_rejected_with_the_known_ones(tmp_path: Path) -> None:
    Bert(CONFIG).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"no head 'ner' .* only encoder, pretraining, mlm, nsp, sequence-classification"):
        load(tmp_path, "ner")


def test_class_of_another_architecture_is_rejected(tmp_path: Path) -> None:
    GPT2LMHeadModel(GPT2_CONFIG).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"config.json: model_type 'gpt2' is not supported here, only 'bert'"):
        Bert.from_pretrained(tmp_path)


def test_subclass_of_a_network_is_loaded_as_itself(tmp_path: Path) -> None:
    class Subclass(BertForPreTraining):
        """A user-defined network with the parameters of its base class."""

    BertForPreTraining(CONFIG).save_pretrained(tmp_path)
    assert type(Subclass.from_pretrained(tmp_path)) is Subclass
    assert type(load(tmp_path)) is BertForPreTraining


def test_missing_head_is_initialized_or_rejected(tmp_path: Path) -> None:
    """A warning lists the new parameters. With `new_head=False`, an error lists the heads found."""
    BertForPreTraining(CONFIG).save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match=r"newly initialized \(train them before use\): qa_outputs\.weight, qa_outputs\.bias"):
        model = load(tmp_path, "question-answering")
    assert model.initialized == ("span.weight", "span.bias")
    with pytest.raises(ValueError, match=r"has no question-answering head; heads found: encoder, pretraining, mlm, nsp"):
        load(tmp_path, "question-answering", new_head=False)


def test_incomplete_head_is_rejected_by_name(tmp_path: Path) -> None:
    BertForPreTraining(CONFIG).save_pretrained(tmp_path)
    tensors = safetensors.torch.load_file(tmp_path / "model.safetensors")
    del tensors["cls.predictions.bias"]
    safetensors.torch.save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"model\.safetensors: its mlm head has no cls\.predictions\.bias$"):
        load(tmp_path, "mlm", new_head=False)


@pytest.mark.filterwarnings("ignore:.*not used by")
def test_labels_replace_a_classifier_of_another_size(tmp_path: Path) -> None:
    """The new classifier is initialized, with a warning. A classifier of the same size is kept."""
    saved = BertForSequenceClassification(CONFIG.with_labels(["a", "b"]))
    saved.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match=r"newly initialized.*classifier\.weight"):
        model = load(tmp_path, "sequence-classification", labels=["x", "y", "z"])
    assert model.config.id2label == {0: "x", 1: "y", 2: "z"}
    assert model.classifier.weight.shape == (3, 8)
    assert torch.equal(model.bert.pooler.dense.weight, saved.bert.pooler.dense.weight)
    same_size = load(tmp_path, labels=["x", "y"])
    assert same_size.config.id2label == {0: "x", 1: "y"}
    assert torch.equal(same_size.classifier.weight, saved.classifier.weight)


def test_labels_without_a_classifier_are_rejected(tmp_path: Path) -> None:
    GPT2LMHeadModel(GPT2_CONFIG).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="has no classification head"):
        load(tmp_path, labels=["a", "b"])


@pytest.mark.parametrize("network", [BertForMaskedLM, BertForQuestionAnswering, BertForNextSentencePrediction, Bert])
def test_labels_for_a_head_without_classes_are_rejected(tmp_path: Path, network: type[PretrainedModel]) -> None:
    network(CONFIG).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=f"labels: a {network.__name__} has no classification head; leave labels out"):
        network.from_pretrained(tmp_path, labels=["a", "b"])


@pytest.mark.parametrize("labels", ["ab", ["a", "a"], []])
def test_labels_are_different_names(tmp_path: Path, labels: Sequence[str]) -> None:
    BertForSequenceClassification(CONFIG).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r'labels must be different names, such as \["bad", "good"\]'):
        BertForSequenceClassification.from_pretrained(tmp_path, labels=labels)


@pytest.mark.parametrize("network", [BertForSequenceClassification, BertForTokenClassification])
def test_labels_in_another_order_reorder_the_classes(tmp_path: Path, network: type[PretrainedModel]) -> None:
    """Every class keeps its logit under its name. Classes with other names keep their place."""
    saved = network(CONFIG.with_labels(["no", "yes", "maybe"])).eval()
    saved.save_pretrained(tmp_path)
    ids = torch.tensor([[1, 2, 3]])
    expected = saved(ids).logits
    other = network.from_pretrained(tmp_path, labels=["maybe", "no", "yes"])
    assert other.config.id2label == {0: "maybe", 1: "no", 2: "yes"}
    assert torch.equal(other(ids).logits, expected[..., [2, 0, 1]])
    renamed = network.from_pretrained(tmp_path, labels=["maybe", "no", "ja"])
    assert torch.equal(renamed(ids).logits, expected)


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_loading_loses_no_precision(tmp_path: Path, stored: torch.dtype) -> None:
    """The parameters are float32, or float64 for a float64 file. Their values are exactly those of the file."""
    model = BertForPreTraining(CONFIG).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    model.to(stored).save_pretrained(tmp_path)
    loaded = load(tmp_path)
    for name, tensor in model.state_dict().items():
        loaded_tensor = loaded.state_dict()[name]
        assert loaded_tensor.dtype == torch.promote_types(stored, torch.float32)
        assert torch.equal(loaded_tensor, tensor.to(loaded_tensor.dtype)), name


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtype_applies_to_all_parameters(tmp_path: Path, dtype: torch.dtype) -> None:
    model = BertForPreTraining(CONFIG)
    model.save_pretrained(tmp_path)
    loaded = load(tmp_path, dtype=dtype)
    assert {parameter.dtype for parameter in loaded.parameters()} == {dtype}
    assert torch.equal(loaded.bert.pooler.dense.weight, model.bert.pooler.dense.weight.to(dtype))


def test_unknown_architecture_is_rejected_with_the_known_ones(tmp_path: Path) -> None:
    Bert(CONFIG).save_pretrained(tmp_path)
    stored = json.loads((tmp_path / "config.json").read_text()) | {"model_type": "longt5"}
    (tmp_path / "config.json").write_text(json.dumps(stored))
    with pytest.raises(
        ValueError, match=r"config.json: model_type 'longt5' is not supported, only .*'bert', .*'gpt2', 'marian'.*: give"
    ):
        load(tmp_path)


def test_config_without_model_type_is_bert(tmp_path: Path) -> None:
    Bert(CONFIG).save_pretrained(tmp_path)
    stored = json.loads((tmp_path / "config.json").read_text())
    del stored["model_type"], stored["architectures"]
    (tmp_path / "config.json").write_text(json.dumps(stored))
    assert type(load(tmp_path)) is Bert


def test_checkpoint_lists_its_heads(tmp_path: Path) -> None:
    BertForSequenceClassification(CONFIG).save_pretrained(tmp_path)
    assert read_checkpoint(tmp_path).heads == ["encoder", "sequence-classification", "token-classification"]


@dataclass(frozen=True, kw_only=True)
class BagOfWordsConfig(TextConfig):
    """Configuration of an architecture that is defined in this test only."""

    model_types = ("bag-of-words",)
    hub_names: ClassVar[Mapping[str, str]] = {"hidden_size": "dim"}


class BagOfWords(PretrainedModel):
    """A score for each piece from the mean of the word embeddings, with all declarations that a new architecture needs."""

    architecture = "BagOfWordsModel"
    head = "mean"
    config_class = BagOfWordsConfig
    names = NameTable({"words": "embedding", "norm": "norm", "output": "projection"}, their_prefix="bag.")
    tied: ClassVar[Mapping[str, str]] = {"output.weight": "words.weight"}

    def __init__(self, config: BagOfWordsConfig) -> None:
        super().__init__(config)
        self.words = nn.Embedding(config.vocab_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size)
        self.output = None if config.tie_word_embeddings else nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.initialize(self)

    def forward(self, input_ids: Tensor) -> Tensor:
        matrix = self.words.weight if self.output is None else self.output.weight
        return nn.functional.linear(self.norm(self.words(input_ids).mean(dim=1)), matrix)


@pytest.mark.parametrize("tied", [True, False])
def test_new_architecture_needs_no_other_change(tmp_path: Path, tied: bool) -> None:
    """A config class and a network class are enough for saving and loading, with tied weights too."""
    model = BagOfWords(BagOfWordsConfig(vocab_size=20, hidden_size=6, num_attention_heads=1, tie_word_embeddings=tied))
    model.save_pretrained(tmp_path)
    stored = json.loads((tmp_path / "config.json").read_text())
    assert (stored["model_type"], stored["dim"]) == ("bag-of-words", 6)
    file = safetensors.torch.load_file(tmp_path / "model.safetensors")
    expected = ["bag.embedding.weight", "bag.norm.bias", "bag.norm.weight"]
    assert sorted(file) == (expected if tied else [*expected, "bag.projection.weight"])
    ids = torch.tensor([[1, 2, 3]])
    if tied:  # the file may have the other name of the tied tensor
        file["projection.weight"] = file.pop("bag.embedding.weight")
    else:  # the values differ, whatever config.json says
        (tmp_path / "config.json").write_text(json.dumps(stored | {"tie_word_embeddings": True}))
    safetensors.torch.save_file(file, tmp_path / "model.safetensors")
    loaded = load(tmp_path)
    assert type(loaded) is BagOfWords
    assert loaded.config.tie_word_embeddings == tied
    assert torch.equal(loaded(ids), model(ids))
    with pytest.raises(ValueError, match="there is no head 'mlm' for this architecture, only mean"):
        load(tmp_path, "mlm")
