"""`minibert verify` for ViT, whose input is images."""

from pathlib import Path

import pytest
import torch
from torch import nn

from minibert import ViTConfig, ViTForImageClassification, ViTModel
from minibert.commands import main
from minibert.model import load
from minibert.study.verify.inputs import make_inputs

pytest.importorskip("transformers")
CONFIG = ViTConfig(
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=12,
    image_size=(4, 6),
    patch_size=2,
    num_channels=2,
    qkv_bias=False,
)


def saved(folder: Path, kind: type[ViTModel | ViTForImageClassification] = ViTModel, seed: int = 0) -> str:
    """Save a network with random weights."""
    torch.manual_seed(seed)
    model = kind(CONFIG)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    model.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("kind", [ViTModel, ViTForImageClassification])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_stage_agrees(kind: type[ViTModel], dtype: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In float64 to 1e-10, although transformers computes the softmax of a ViT in float32."""
    assert main(["verify", saved(tmp_path, kind), "--dtype", dtype]) == 0
    printed = capsys.readouterr().out
    assert "All 32 stages agree" in printed
    assert "The tokenizers are not compared: the checkpoint has none." in printed


def test_the_input_is_two_random_images(tmp_path: Path) -> None:
    """The same ones every time."""
    model = load(saved(tmp_path))
    inputs = make_inputs(model, tmp_path)
    assert {name: tuple(tensor.shape) for name, tensor in inputs.items()} == {"pixel_values": (2, 2, 4, 6)}
    assert torch.equal(inputs["pixel_values"], make_inputs(model, tmp_path)["pixel_values"])


@pytest.mark.parametrize("arguments", [["--text", "a"], ["--ids", "3"]])
def test_an_image_is_no_text(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", saved(tmp_path), *arguments]) == 2
    assert "a ViTModel reads pixel_values, not texts: leave out --text and --ids" in capsys.readouterr().err


def test_two_checkpoints_and_a_reference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = saved(tmp_path / "one"), saved(tmp_path / "other", seed=1)
    assert main(["verify", one, "--against", one]) == 0
    assert main(["verify", one, "--against", other]) == 1
    assert "embeddings.projection" in capsys.readouterr().out
    reference = str(tmp_path / "reference.safetensors")
    assert main(["verify", one, "--save-reference", reference]) == 0
    assert main(["verify", one, "--reference", reference]) == 0
