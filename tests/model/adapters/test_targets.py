"""Targets of adapters: names of minibert and of transformers, layers, and errors with similar names."""

from dataclasses import replace

import pytest
from torch import nn

from minibert import Bert, BertForSequenceClassification
from minibert.model.adapters import BitFit, Bottleneck, LoRA
from minibert.model.adapters.targets import find_modules, their_name
from minibert.model.linear import LINEAR
from tests.model.adapters.networks import CONFIG

PARTS = [f"attention.{part}" for part in ("query", "key", "value", "output")] + [
    f"feed_forward.{part}" for part in ("intermediate", "output")
]
MODEL = BertForSequenceClassification(CONFIG)


def linear(module: nn.Module) -> bool:
    return type(module) in LINEAR


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("query", "self.query"),
        ("attention.output", "attention.output.dense"),
        ("layers.1", "layer.1"),
        ("feed_forward.intermediate", "intermediate"),
        ("bert.layers.2.attention.key", "bert.encoder.layer.2.attention.self.key"),
        ("pooler", "pooler.dense"),
        ("all", "all-linear"),
    ],
)
def test_names_of_minibert_and_of_transformers(one: str, other: str) -> None:
    """Both name the same linear layers."""
    assert find_modules(MODEL, [one], linear) == find_modules(MODEL, [other], linear)


def test_parts_of_names_end_at_dots() -> None:
    """The layers 1 and 11 are different ones."""
    model = BertForSequenceClassification(replace(CONFIG, num_hidden_layers=12))
    assert find_modules(model, ["layers.1"], linear) == [f"bert.layers.1.{part}" for part in PARTS]


def test_names_in_transformers() -> None:
    """With the prefix of a network with a head, and without it in the encoder alone."""
    assert their_name(MODEL, "bert.layers.2.attention.query") == "bert.encoder.layer.2.attention.self.query"
    assert their_name(MODEL, "classifier") == "classifier"
    assert their_name(Bert(CONFIG), "layers.2.attention.query") == "encoder.layer.2.attention.self.query"


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        (LoRA(targets=("quary",)), r"target 'quary' matches no module; similar names: .*\bquery\b"),
        (LoRA(targets=("query", "q_proj")), r"target 'q_proj' matches no module; similar names: "),
        (LoRA(targets=()), "targets must be names of modules"),
        (LoRA(targets="query"), "targets must be names of modules, such as"),
        (LoRA(targets=("words",)), r"target 'words' matches bert.embeddings.words, which cannot have this adapter .Embedding"),
        (LoRA(targets=("norm",)), "which cannot have this adapter .LayerNorm"),
        (LoRA(targets=("classifier",)), "matches classifier, which is trained as a whole: leave it out"),
        (LoRA(layers=(3,)), "there is no layer 3: the layers are 0 to 2"),
        (LoRA(layers=(-1,)), "there is no layer -1: the layers are 0 to 2"),
        (LoRA(layers=(1,), targets=("pooler",)), "target 'pooler' matches no module in the layers 1"),
        (LoRA(rank_pattern={"key": 2}), "pattern 'key' matches none of the targets"),
        (LoRA(alpha_pattern={"qery": 2}), "target 'qery' matches no module; similar names: query"),
        (LoRA(train=("poller",)), r"target 'poller' matches no module; similar names: .*pooler"),
        (BitFit(targets=("bias",)), "target 'bias' matches no module"),
        (BitFit(targets=("words",)), "target 'words' matches bert.embeddings.words, which cannot have this adapter .Embedding"),
        (Bottleneck(targets=("output.dense", "intermedate")), "similar names: .*intermediate"),
    ],
)
def test_targets_without_a_module_are_an_error(adapter: LoRA, message: str) -> None:
    """The error names the target, and the network is unchanged."""
    model = BertForSequenceClassification(CONFIG)
    before = [(name, type(module)) for name, module in model.named_modules()]
    with pytest.raises(ValueError, match=message):
        adapter.apply(model)
    assert [(name, type(module)) for name, module in model.named_modules()] == before
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert model.adapter is None


def test_train_is_not_one_name() -> None:
    with pytest.raises(TypeError, match=r"train must be names of modules, such as \['pooler'\]"):
        LoRA(train="pooler").apply(BertForSequenceClassification(CONFIG))
