"""`minibert verify` for encoder-decoders: MarianMT checkpoints, and our Transformer saved as one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from minibert import Transformer, TransformerConfig
from minibert.commands import main
from minibert.model import load, read_checkpoint
from minibert.study.verify.comparison import Comparison, compare
from minibert.study.verify.inputs import make_inputs
from minibert.study.verify.stages import minibert_stages, transformers_stages
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer
from minibert.text.tokenizer_loading import load_tokenizer

transformers = pytest.importorskip("transformers")
CONFIG = TransformerConfig(
    vocab_size=40,
    hidden_size=8,
    num_attention_heads=2,
    intermediate_size=12,
    encoder_layers=2,
    decoder_layers=3,
    max_position_embeddings=32,
    hidden_act="gelu",
    positions="learned",
)
ENCODER_LAYER, DECODER_LAYER = 6 + 1 + 1 + 1 + 4, 2 * (6 + 1 + 1 + 1) + 4
"""Stages of a layer: steps of an attention, its output, the sum and its normalization, and the feed-forward network."""


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A Transformer with learned positions, which is saved as a MarianMT."""
    return save(CONFIG, tmp_path / "transformer")


def save(config: TransformerConfig, folder: Path) -> Path:
    torch.manual_seed(0)
    model = Transformer(config)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    model.save_pretrained(folder)
    return folder


def comparison_of(checkpoint: Path) -> Comparison:
    """Compare a checkpoint with transformers, in float64."""
    model = load(checkpoint, dtype=torch.float64)
    inputs = make_inputs(model, checkpoint)
    reference = transformers_stages(read_checkpoint(checkpoint), model, inputs)
    return compare(reference, minibert_stages(model, inputs), inputs, model)


def test_every_stage_of_encoder_and_decoder_agrees(checkpoint: Path) -> None:
    """In float64, to 1e-10, with self-attention, cross-attention, and padding in source and target."""
    comparison = comparison_of(checkpoint)
    assert comparison.agrees
    assert comparison.not_compared == []
    names = [stage.name for stage in comparison.stages]
    assert len(names) == 1 + 2 * ENCODER_LAYER + 1 + 3 * DECODER_LAYER + 1
    assert {"encoder.embeddings.sum", "decoder.layers.2.cross_attention.weights", "logits"} <= set(names)


def test_the_default_text_is_truncated_to_the_positions(tmp_path: Path) -> None:
    """A model trained on short sequences, with a tokenizer of letters, is verified without options."""
    folder = save(replace(CONFIG, max_position_embeddings=6), tmp_path / "short")
    save_tokenizer(build_tokenizer([*SPECIAL_TOKENS, *"abcdefghijklmnopqrstuvwxyz"]), folder)
    inputs = make_inputs(load(folder), folder)
    assert inputs["input_ids"].shape == (2, 6)
    whole = load_tokenizer(folder).encode("What you see is what you get").ids
    assert inputs["input_ids"][0].tolist() == whole[:6]
    assert main(["verify", str(folder), "--dtype", "float64"]) == 0


def test_a_marian_checkpoint_of_transformers_agrees(tmp_path: Path) -> None:
    """Written by transformers, which leaves out the position tables."""
    config = transformers.MarianConfig(
        vocab_size=40,
        d_model=8,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=12,
        decoder_ffn_dim=12,
        max_position_embeddings=32,
        pad_token_id=39,
        decoder_start_token_id=39,
        eos_token_id=0,
        scale_embedding=True,
    )
    torch.manual_seed(0)
    transformers.MarianMTModel(config).save_pretrained(tmp_path)
    comparison = comparison_of(tmp_path)
    assert comparison.agrees
    assert len(comparison.stages) == 1 + 2 * ENCODER_LAYER + 1 + 2 * DECODER_LAYER + 1


def test_the_target_is_shifted_and_has_another_length(checkpoint: Path) -> None:
    """Both libraries derive the decoder input from the labels. Equal lengths would mix up the two masks."""
    model = Transformer(CONFIG)
    inputs = make_inputs(model, checkpoint, ids=[5, 6, 7, 8])
    assert inputs["input_ids"].tolist() == [[5, 6, 7, 8], [5, 6, 0, 0]]
    assert inputs["labels"].tolist() == [[6, 7, 8], [6, 7, 0]]
    assert inputs["decoder_attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    for length in (1, 2, 3):
        inputs = make_inputs(model, checkpoint, ids=[5, 6, 7][:length])
        assert inputs["labels"].shape[1] != length
    assert comparison_of(checkpoint).agrees


def transpose(linear: nn.Linear) -> None:
    """Transpose the weight in place."""
    linear.weight.data = linear.weight.data.T.contiguous()


CHANGES: dict[str, tuple[Callable[[Any], object], tuple[str, str]]] = {
    "transposed query": (
        lambda model: transpose(model.encoder.layers[1].self_attn.q_proj),
        ("encoder.layers.1.attention.query", "the weight is transposed"),
    ),
    "transposed cross-attention key": (
        lambda model: transpose(model.decoder.layers[0].encoder_attn.k_proj),
        ("decoder.layers.0.cross_attention.key", "the weight is transposed"),
    ),
    "transposed cross-attention output": (
        lambda model: transpose(model.decoder.layers[2].encoder_attn.out_proj),
        ("decoder.layers.2.cross_attention.output", "the weight is transposed"),
    ),
    "missing bias": (
        lambda model: model.decoder.layers[1].fc2.bias.data.zero_(),
        ("decoder.layers.1.feed_forward", "the bias is missing in transformers"),
    ),
    "slightly other weight": (
        lambda model: model.encoder.layers[0].fc1.weight.data.mul_(1 + 1e-6),
        ("encoder.layers.0.intermediate", "the weight or the bias differs slightly"),
    ),
    "activation": (
        lambda model: setattr(model.decoder.layers[0], "activation_fn", nn.ReLU()),
        ("decoder.layers.0.activation", "the activation function: relu in transformers, gelu in minibert"),
    ),
    "eps after attention": (
        lambda model: setattr(model.decoder.layers[1].self_attn_layer_norm, "eps", 1e-3),
        ("decoder.layers.1.attention_norm", "the eps of layer normalization: 0.001 in transformers, 1e-05 in minibert"),
    ),
    "eps after cross-attention": (
        lambda model: setattr(model.decoder.layers[1].encoder_attn_layer_norm, "eps", 1e-3),
        ("decoder.layers.1.cross_attention_norm", "the eps of layer normalization: 0.001 in transformers, 1e-05 in minibert"),
    ),
    "eps after the feed-forward network": (
        lambda model: setattr(model.encoder.layers[1].final_layer_norm, "eps", 1e-3),
        ("encoder.layers.1.output", "the eps of layer normalization: 0.001 in transformers, 1e-05 in minibert"),
    ),
    "scale of the scores": (
        lambda model: setattr(model.decoder.layers[0].encoder_attn, "scaling", 1.0),
        ("decoder.layers.0.cross_attention.scores", "the scale: the scores of transformers are 2 times as large"),
    ),
    "scale of the embeddings": (
        lambda model: setattr(model.decoder, "embed_scale", 1.0),
        ("decoder.embeddings.sum", "the position embeddings, the position ids, or the scale of the word embeddings"),
    ),
    "output": (
        lambda model: setattr(model, "lm_head", nn.Linear(8, 40, bias=False, dtype=torch.float64)),
        ("logits", "the output matrix (the word embeddings, if they are tied) or its bias"),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_first_difference_and_its_cause_are_named(checkpoint: Path, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result names the change that was made to transformers' network."""
    change_network, expected = CHANGES[change]
    from_pretrained = transformers.MarianMTModel.from_pretrained

    def changed(*arguments: Any, **options: Any) -> Any:
        model = from_pretrained(*arguments, **options)
        change_network(model if change == "output" else model.model)
        return model

    monkeypatch.setattr(transformers.MarianMTModel, "from_pretrained", changed)
    comparison = comparison_of(checkpoint)
    assert comparison.first_difference is not None
    assert (comparison.first_difference.name, comparison.cause) == expected


def test_the_command_a_reference_and_a_user_attention_function(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All options work for encoder-decoders too."""
    assert main(["verify", str(checkpoint), "--dtype", "float64"]) == 0
    assert "stages agree with transformers" in capsys.readouterr().out
    assert main(["verify", str(checkpoint), "--attention", "fused"]) == 0
    reference = tmp_path / "reference.safetensors"
    assert main(["verify", str(checkpoint), "--ids", "3", "1", "4", "1", "5", "--save-reference", str(reference)]) == 0
    assert main(["verify", str(checkpoint), "--reference", str(reference)]) == 0
    (tmp_path / "user.py").write_text(
        "from minibert.equations import scaled_dot_product_attention\n"
        "def right(q, k, v, keep=None, dropout=0.0):\n    return scaled_dot_product_attention(q, k, v, keep)\n"
        "def wrong(q, k, v, keep=None, dropout=0.0):\n    return scaled_dot_product_attention(2 * q, k, v, keep)\n"
    )
    assert main(["verify", str(checkpoint), "--attention-from", f"{tmp_path / 'user.py'}:right"]) == 0
    capsys.readouterr()
    assert main(["verify", str(checkpoint), "--attention-from", f"{tmp_path / 'user.py'}:wrong"]) == 1
    assert "The first stage that differs" in capsys.readouterr().out


def test_sinusoidal_positions_agree_in_float32(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file has a float32 table of them. minibert computes them, so float64 shows its rounding, as the cause says."""
    folder = save(replace(CONFIG, positions="sinusoidal"), tmp_path)
    assert main(["verify", str(folder)]) == 0
    capsys.readouterr()
    assert main(["verify", str(folder), "--dtype", "float64"]) == 1
    assert "Likely cause: rounding: the checkpoint has a position table in single precision" in capsys.readouterr().out


@pytest.mark.parametrize("change", [{"pre_norm": True}, {"positions": "rotary"}, {"positions": "alibi"}])
def test_a_transformer_without_a_counterpart_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    save(replace(CONFIG, **change), tmp_path)
    assert main(["verify", str(tmp_path)]) == 2
    message = "transformers has no network that computes the same as this Transformer (model_type 'minibert')"
    assert message in capsys.readouterr().err
