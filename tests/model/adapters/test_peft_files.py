"""LoRA in the format of peft: peft loads what minibert writes, and the other way round, with equal logits."""

import json
import math
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import peft
import pytest
import torch

from minibert import Bert, load
from minibert.model.adapters import LoRA, load_adapter
from minibert.model.adapters.files import StoredAdapter
from minibert.model.adapters.peft_files import PREFIX, read_peft
from minibert.model.checkpoints.weights import write_weights
from tests.model.adapters.networks import HEADS, base_checkpoint, move, new_network, outputs, their_network

pytestmark = pytest.mark.filterwarnings("ignore")


def check_equal(one: Any, other: Any) -> None:
    for mine, theirs in zip(outputs(one), outputs(other), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-12, rtol=0)


OURS = {
    "default": LoRA(),
    "one layer": LoRA(layers=(1,), targets=("query",)),
    "all linear": LoRA(targets=("all-linear",), rank=2, alpha=3, rank_stabilized=True),
    "biases of the targets": LoRA(targets=("intermediate", "attention.output"), bias="lora_only"),
    "all biases": LoRA(targets=("key",), bias="all"),
    "patterns": LoRA(rank_pattern={"layers.1": 3, "value": 2}, alpha_pattern={"layers.2.attention.query": 5.5}),
    "a module more": LoRA(train=("head", "embeddings.norm", "layers.2.feed_forward")),
}


def with_heads(cases: dict[str, Any]) -> list[Any]:
    """Return the first case with every head, and each other case with one of them in turn."""
    name, first = next(iter(cases.items()))
    all_heads = [pytest.param(first, head, id=f"{name}-{head}") for head in HEADS]
    others = list(cases.items())[1:]
    return all_heads + [pytest.param(case, head, id=name) for (name, case), head in zip(others, cycle(HEADS))]


@pytest.mark.parametrize(("lora", "head"), with_heads(OURS))
def test_peft_loads_what_minibert_writes(lora: LoRA, head: str, tmp_path: Path) -> None:
    """With equal logits to 1e-12; and minibert loads it again, merged or not, in the same way."""
    base = base_checkpoint(tmp_path)
    model = new_network(base, head)
    lora.apply(model)
    move(model)
    model.save_pretrained(tmp_path / "run")
    check_equal(model, peft.PeftModel.from_pretrained(their_network(base, head), str(tmp_path / "run/adapter")).eval())
    check_equal(model, load(tmp_path / "run/adapter"))
    check_equal(model, load(tmp_path / "run"))
    again = load(tmp_path / "run/adapter")
    again.save_pretrained(tmp_path / "again")
    names = ("adapter/adapter_config.json", "adapter/adapter_model.safetensors", "model.safetensors")
    for name in names:
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()


THEIRS: dict[str, dict[str, Any]] = {
    "default": {"target_modules": ["query", "value"]},
    "pattern": {"target_modules": r".*layer\.[02]\.attention\.self\.(query|key)", "rank_pattern": {"0.attention.self.key": 2}},
    "rsLoRA": {
        "target_modules": ["dense"],
        "use_rslora": True,
        "alpha_pattern": {"output.dense": 3},
        "modules_to_save": ["pooler"],
    },
    "layers": {"target_modules": ["value"], "layers_to_transform": [0, 2]},
    "one layer": {"target_modules": ["value"], "layers_to_transform": 1, "layers_pattern": "layer"},
    "without": {"target_modules": ["query", "key"], "exclude_modules": ["layer.1.attention.self.key"]},
    "bias": {"target_modules": ["query"], "bias": "lora_only", "init_lora_weights": "gaussian"},
    "biases": {"target_modules": ["query"], "bias": "all"},
    "modules": {"target_modules": ["query"], "modules_to_save": ["LayerNorm", "token_type_embeddings"]},
    "fan in": {"target_modules": ["query"], "fan_in_fan_out": True},
}
TASKS = {"sequence-classification": "SEQ_CLS", "token-classification": "TOKEN_CLS", "question-answering": "QUESTION_ANS"}


@pytest.mark.parametrize(("settings", "head"), with_heads(THEIRS))
def test_minibert_loads_what_peft_writes(settings: dict[str, Any], head: str, tmp_path: Path) -> None:
    """With equal logits to 1e-12, together with the base model that is named, or onto a network with another head."""
    base = base_checkpoint(tmp_path, pooler=True)
    theirs = peft.get_peft_model(their_network(base, head), peft.LoraConfig(r=4, task_type=TASKS[head], **settings))
    move(theirs)
    theirs.eval().save_pretrained(tmp_path / "adapter")
    model = load(tmp_path / "adapter")
    check_equal(model, theirs)
    other = new_network(base, head)
    load_adapter(other, tmp_path / "adapter")
    check_equal(other, theirs)
    trained = {name for name, parameter in theirs.named_parameters() if parameter.requires_grad}
    assert sum(parameter.requires_grad for parameter in model.parameters()) == len(trained)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("on_head", [False, True], ids=["head of the base", "LoRA for the head"])
def test_an_adapter_without_a_trained_head(head: str, on_head: bool, tmp_path: Path) -> None:
    """Then the head is that of the base model, with or without an update, and peft must not look for it in the file."""
    base = tmp_path / "with a head"
    new_network(base_checkpoint(tmp_path), head).save_pretrained(base)
    output_layer = "qa_outputs" if head == "question-answering" else "classifier"
    targets = ["query", output_layer] if on_head else ["query"]
    theirs = peft.get_peft_model(their_network(base, head), peft.LoraConfig(r=4, target_modules=targets))
    move(theirs)
    theirs.eval().save_pretrained(tmp_path / "adapter")
    model = load(tmp_path / "adapter")
    check_equal(model, theirs)
    model.save_pretrained(tmp_path / "again")
    check_equal(model, peft.PeftModel.from_pretrained(their_network(base, head), str(tmp_path / "again/adapter")).eval())


QUERY = "bert.encoder.layer.1.attention.self.query"
SMALL = {
    f"{PREFIX}{QUERY}.lora_A.weight": torch.ones(2, 8),
    f"{PREFIX}{QUERY}.lora_B.weight": torch.ones(8, 2),
    f"{PREFIX}bert.embeddings.LayerNorm.bias": torch.ones(8),
}


def small(folder: Path, tensors: dict[str, torch.Tensor], **settings: Any) -> StoredAdapter:
    """Write an adapter with few settings and read it."""
    fields = {"peft_type": "LORA", "r": 2, "target_modules": ["query"], **settings}
    (folder / "adapter_config.json").write_text(json.dumps(fields))
    if tensors:
        write_weights(tensors, folder / "adapter_model.safetensors")
    return read_peft(folder, Bert.names)


def test_settings_that_are_missing_have_the_defaults_of_peft(tmp_path: Path) -> None:
    read = small(tmp_path, SMALL)
    expected = LoRA(rank=2, alpha=8, targets=("layers.1.attention.query",), train=("embeddings.norm",))
    assert read.adapter == replace(expected, dropout=0.0, rank_stabilized=False, bias="none")
    assert read.whole.keys() == {"bert.embeddings.LayerNorm.bias"}


@pytest.mark.parametrize(("bias", "train"), [("none", ("embeddings.norm",)), ("all", ())])
def test_a_module_of_which_only_the_bias_is_stored_is_trained_whole_unless_biases_are_trained(
    bias: str, train: tuple[str, ...], tmp_path: Path
) -> None:
    assert small(tmp_path, SMALL, bias=bias).adapter.train == train


@pytest.mark.parametrize(
    ("tensors", "settings", "message"),
    [
        ({}, {}, "has adapter_config.json, but no adapter_model.safetensors"),
        (SMALL | {f"{PREFIX}bert.pooler.dense.bias": torch.tensor([math.inf])}, {}, "pooler.dense.bias has infinite or NaN"),
        (SMALL | {f"{PREFIX}bert.other.bias": torch.ones(8)}, {}, "tensor base_model.model.bert.other.bias is not supported"),
        (SMALL, {"target_modules": ["key"]}, f"has LoRA for {QUERY}, which the target_modules of .* do not name"),
    ],
)
def test_files_that_cannot_be_used(
    tensors: dict[str, torch.Tensor], settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        small(tmp_path, tensors, **settings)
