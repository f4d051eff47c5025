"""`minibert verify` for GPT-2."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from minibert import GPT2Config, GPT2LMHeadModel
from minibert.commands import main
from minibert.model import load, read_checkpoint
from minibert.study.verify.comparison import Comparison, compare
from minibert.study.verify.inputs import make_inputs
from minibert.study.verify.stages import ReferenceStages, minibert_stages, transformers_stages

transformers = pytest.importorskip("transformers")
CONFIG = GPT2Config(
    vocab_size=40,
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=12,
    max_position_embeddings=32,
)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = GPT2LMHeadModel(CONFIG)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    model.save_pretrained(tmp_path / "gpt2")
    return tmp_path / "gpt2"


def comparison_of(checkpoint: Path) -> Comparison:
    """Compare a checkpoint with transformers, in float64."""
    model = load(checkpoint, dtype=torch.float64)
    inputs = make_inputs(model, checkpoint)
    reference = transformers_stages(read_checkpoint(checkpoint), model, inputs)
    return compare(reference, minibert_stages(model, inputs), inputs, model)


def test_every_stage_agrees(checkpoint: Path) -> None:
    """In float64, to 1e-10. Every recorded stage is compared, except masked scores."""
    inputs = make_inputs(GPT2LMHeadModel(CONFIG), checkpoint)
    assert set(inputs) == {"input_ids", "attention_mask"}
    assert inputs["attention_mask"].tolist()[1] == [1] * 8 + [0] * 8
    comparison = comparison_of(checkpoint)
    assert comparison.agrees
    assert comparison.not_compared == []
    assert len(comparison.stages) == 2 + 2 * 14 + 2
    assert comparison.stages[-1].name == "logits"


def transpose(linear: Any) -> None:
    linear.weight.data = linear.weight.data.T.contiguous()


CHANGES: dict[str, tuple[Callable[[Any], None], tuple[str, str]]] = {
    "activation": (
        lambda model: [setattr(layer.mlp, "act", nn.GELU()) for layer in model.transformer.h],
        ("decoder.layers.0.activation", "the activation function: gelu in transformers, gelu_new in minibert"),
    ),
    "eps": (
        lambda model: setattr(model.transformer.h[1].ln_2, "eps", 1e-3),
        ("decoder.layers.1.feed_forward_norm", "the eps of layer normalization: 0.001 in transformers, 1e-05 in minibert"),
    ),
    "eps of the first normalization": (
        lambda model: setattr(model.transformer.h[0].ln_1, "eps", 1e-3),
        ("decoder.layers.0.attention_norm", "the eps of layer normalization: 0.001 in transformers, 1e-05 in minibert"),
    ),
    "eps of the last normalization": (
        lambda model: setattr(model.transformer.ln_f, "eps", 1e-3),
        ("decoder.norm", "the eps of layer normalization: 0.001 in transformers, 1e-05 in minibert"),
    ),
    "transposed output": (
        lambda model: transpose(model.transformer.h[0].attn.c_proj),
        ("decoder.layers.0.attention.output", "the weight is transposed"),
    ),
    "missing bias": (
        lambda model: model.transformer.h[1].mlp.c_fc.bias.data.zero_(),
        ("decoder.layers.1.intermediate", "the bias is missing in transformers"),
    ),
    "slightly other keys": (
        lambda model: model.transformer.h[1].attn.c_attn.weight.data[:, 8:16].mul_(1 + 1e-6),
        ("decoder.layers.1.attention.key", "the weight or the bias differs slightly"),
    ),
    "positions": (
        lambda model: model.transformer.wpe.weight.data.mul_(2),
        ("decoder.embeddings.sum", "the position embeddings, the position ids, or the scale of the word embeddings"),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_first_difference_and_its_cause_are_named(checkpoint: Path, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result names the change that was made to transformers' network."""
    change_network, expected = CHANGES[change]
    from_pretrained = transformers.GPT2LMHeadModel.from_pretrained

    def changed(*arguments: Any, **options: Any) -> Any:
        model = from_pretrained(*arguments, **options)
        change_network(model)
        return model

    monkeypatch.setattr(transformers.GPT2LMHeadModel, "from_pretrained", changed)
    comparison = comparison_of(checkpoint)
    assert comparison.first_difference is not None
    assert (comparison.first_difference.name, comparison.cause) == expected


def test_the_command_and_a_reference(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All stages agree, and saved stages can be compared later."""
    assert main(["verify", str(checkpoint), "--dtype", "float64"]) == 0
    assert "All 32 stages agree" in capsys.readouterr().out
    reference = tmp_path / "reference.safetensors"
    arguments = ["verify", str(checkpoint), "--ids", "3", "1", "4", "1", "5"]
    assert main([*arguments, "--save-reference", str(reference)]) == 0
    assert "token_type_ids" not in ReferenceStages.load(reference).inputs
    assert main(["verify", str(checkpoint), "--reference", str(reference)]) == 0


def test_a_wrong_user_attention_function_is_found(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "user.py").write_text(
        "from minibert.equations import scaled_dot_product_attention\n"
        "def doubled(q, k, v, keep=None, dropout=0.0):\n    return scaled_dot_product_attention(2 * q, k, v, keep)\n"
    )
    assert main(["verify", str(checkpoint), "--attention-from", f"{tmp_path / 'user.py'}:doubled"]) == 1
    assert "The first stage that differs" in capsys.readouterr().out
