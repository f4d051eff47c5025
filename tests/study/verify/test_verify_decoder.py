"""`minibert verify` for a decoder: GPT-2, stage by stage against transformers."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from minibert import GPT2Config, GPT2LMHeadModel, Transformer, TransformerConfig
from minibert.commands import main
from minibert.study.verify.comparison import compare, inputs_for
from minibert.study.verify.stages import Reference, config_of, our_stages, their_stages

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


def test_every_stage_agrees(checkpoint: Path) -> None:
    """In float64, to 1e-10: everything that is observed here, except what is biased or masked, is compared."""
    inputs = inputs_for(checkpoint, config_of(checkpoint))
    assert inputs.token_type_ids is None
    assert inputs.attention_mask.tolist()[1] == [1] * 8 + [0] * 8
    found = compare(
        their_stages(checkpoint, inputs, torch.float64),
        our_stages(checkpoint, inputs, torch.float64),
        inputs,
        GPT2LMHeadModel.from_pretrained(checkpoint),
        torch.float64,
    )
    assert found.agrees
    assert found.not_compared == []
    assert len(found.stages) == 2 + 2 * 14 + 2
    assert found.stages[-1].name == "logits"


def transpose(linear: Any) -> None:
    linear.weight.data = linear.weight.data.T.contiguous()


CHANGES: dict[str, tuple[Callable[[Any], None], tuple[str, str]]] = {
    "activation": (
        lambda model: [setattr(layer.mlp, "act", nn.GELU()) for layer in model.transformer.h],
        ("decoder.layers.0.activation", "the activation function: gelu there, gelu_new here"),
    ),
    "eps": (
        lambda model: setattr(model.transformer.h[1].ln_2, "eps", 1e-3),
        ("decoder.layers.1.norm", "the eps of layer normalization: 0.001 there, 1e-05 here"),
    ),
    "eps of the first": (
        lambda model: setattr(model.transformer.h[0].ln_1, "eps", 1e-3),
        ("decoder.layers.0.attention_norm", "the eps of layer normalization: 0.001 there, 1e-05 here"),
    ),
    "eps of the last": (
        lambda model: setattr(model.transformer.ln_f, "eps", 1e-3),
        ("decoder.norm", "the eps of layer normalization: 0.001 there, 1e-05 here"),
    ),
    "transposed output": (
        lambda model: transpose(model.transformer.h[0].attn.c_proj),
        ("decoder.layers.0.attention.output", "the weight is transposed"),
    ),
    "lost bias": (
        lambda model: model.transformer.h[1].mlp.c_fc.bias.data.zero_(),
        ("decoder.layers.1.intermediate", "the bias is left out there"),
    ),
    "keys a little": (
        lambda model: model.transformer.h[1].attn.c_attn.weight.data[:, 8:16].mul_(1 + 1e-6),
        ("decoder.layers.1.attention.key", "the weight or the bias differs a little"),
    ),
    "positions": (
        lambda model: model.transformer.wpe.weight.data.mul_(2),
        ("decoder.embeddings.sum", "the position embeddings, or where positions begin"),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_first_difference_and_its_cause_are_named(checkpoint: Path, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was changed in transformers' model is what is told of it."""
    make, expected = CHANGES[change]
    load = transformers.GPT2LMHeadModel.from_pretrained

    def changed(*arguments: Any, **options: Any) -> Any:
        model = load(*arguments, **options)
        make(model)
        return model

    monkeypatch.setattr(transformers.GPT2LMHeadModel, "from_pretrained", changed)
    inputs = inputs_for(checkpoint, CONFIG)
    theirs, ours = their_stages(checkpoint, inputs, torch.float64), our_stages(checkpoint, inputs, torch.float64)
    found = compare(theirs, ours, inputs, GPT2LMHeadModel.from_pretrained(checkpoint), torch.float64)
    assert found.first_difference is not None
    assert (found.first_difference.name, found.cause) == expected


def test_the_command_and_a_reference(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As for BERT: all agree; what transformers computes can be kept, and compared with where it is not installed."""
    assert main(["verify", str(checkpoint), "--dtype", "float64"]) == 0
    assert "All 32 stages agree" in capsys.readouterr().out
    reference = tmp_path / "reference.safetensors"
    words = ["verify", str(checkpoint), "--ids", "3", "1", "4", "1", "5"]
    assert main([*words, "--save-reference", str(reference)]) == 0
    assert Reference.load(reference).inputs.token_type_ids is None
    assert main(["verify", str(checkpoint), "--reference", str(reference)]) == 0


def test_a_transformer_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever has read that transformers loads it will try."""
    tiny = TransformerConfig(vocab_size=9, hidden_size=8, num_attention_heads=2, intermediate_size=8)
    Transformer(replace(tiny, encoder_layers=1, decoder_layers=1)).save_pretrained(tmp_path)
    assert main(["verify", str(tmp_path)]) == 2
    assert "only BERT and GPT-2 are compared stage by stage" in capsys.readouterr().err


def test_an_attention_of_ones_own(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a decoder too it is looked at."""
    (tmp_path / "own.py").write_text(
        "from minibert.equations import scaled_dot_product_attention\n"
        "def own(q, k, v, keep=None, dropout=0.0):\n    return scaled_dot_product_attention(2 * q, k, v, keep)\n"
    )
    assert main(["verify", str(checkpoint), "--attention-from", f"{tmp_path / 'own.py'}:own"]) == 1
    assert "The first stage that differs" in capsys.readouterr().out
