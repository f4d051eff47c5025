"""`minibert verify` for an architecture that only this file defines: the encoder of BertGeneration."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from minibert.commands import main
from minibert.kernels import AttentionImplementation
from minibert.model import load
from minibert.model.checkpoints.names import NameTable
from minibert.model.config import TextConfig
from minibert.model.inputs import keep_mask
from minibert.model.layers import EncoderLayer, LayerNorm
from minibert.model.pretrained import PretrainedModel
from minibert.model.stacks import LayerStack
from minibert.observe import observe

transformers = pytest.importorskip("transformers")


@dataclass(frozen=True, kw_only=True)
class BertGenerationConfig(TextConfig):
    """Configuration of a BertGeneration (Rothe et al. 2020)."""

    model_types = ("bert-generation",)
    num_hidden_layers: int = 6


class BertGeneration(PretrainedModel):
    """The encoder of BertGeneration: BERT without segments and without a pooler."""

    architecture = "BertGenerationEncoder"
    head = "encoder"
    config_class = BertGenerationConfig
    stacks: ClassVar[Mapping[str, str]] = {"layers": "num_hidden_layers"}
    names = NameTable(
        {
            "words": "embeddings.word_embeddings",
            "positions": "embeddings.position_embeddings",
            "norm": "embeddings.LayerNorm",
            "layers.N.attention.query": "encoder.layer.N.attention.self.query",
            "layers.N.attention.key": "encoder.layer.N.attention.self.key",
            "layers.N.attention.value": "encoder.layer.N.attention.self.value",
            "layers.N.attention.output": "encoder.layer.N.attention.output.dense",
            "layers.N.attention_norm": "encoder.layer.N.attention.output.LayerNorm",
            "layers.N.feed_forward.intermediate": "encoder.layer.N.intermediate.dense",
            "layers.N.feed_forward.output": "encoder.layer.N.output.dense",
            "layers.N.feed_forward_norm": "encoder.layer.N.output.LayerNorm",
        },
        their_prefix="bert.",
    )
    reference_stages: ClassVar[Mapping[str, str]] = {
        "embeddings.words": "embeddings.word_embeddings",
        "embeddings.output": "embeddings.LayerNorm",
        "layers.N.attention.output": "encoder.layer.N.attention.output.dense",
        "layers.N.attention_norm": "encoder.layer.N.attention.output.LayerNorm",
        "layers.N.intermediate": "encoder.layer.N.intermediate.dense",
        "layers.N.feed_forward": "encoder.layer.N.output.dense",
        "layers.N.output": "encoder.layer.N.output.LayerNorm",
    }
    attention_modules: ClassVar[Mapping[str, str]] = {"layers.N.attention": "encoder.layer.N.attention.self"}

    def __init__(self, config: BertGenerationConfig, attention: AttentionImplementation = "auto") -> None:
        super().__init__(config)
        self.words = nn.Embedding(config.vocab_size, config.hidden_size)
        self.positions = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.layers = LayerStack(EncoderLayer(config, attention) for _ in range(config.num_hidden_layers))
        self.initialize(self)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        positions = torch.arange(input_ids.shape[1])
        words = observe("embeddings.words", self.words(input_ids))
        hidden = observe("embeddings.output", self.norm(words + self.positions(positions)))
        return self.layers(hidden, keep_mask(attention_mask, input_ids)[:, None, None, :])


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A BertGeneration of transformers with random weights."""
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12}
    config = transformers.BertGenerationConfig(
        vocab_size=40, max_position_embeddings=32, initializer_range=0.5, bos_token_id=1, **sizes
    )
    torch.manual_seed(0)
    transformers.BertGenerationEncoder(config).save_pretrained(tmp_path / "generation")
    return tmp_path / "generation"


def test_a_new_architecture_is_verified(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The declarations above are all that loading and verification need."""
    assert type(load(checkpoint)) is BertGeneration
    assert main(["verify", str(checkpoint), "--dtype", "float64"]) == 0
    stages = 2 + 2 * (6 + 5)
    assert f"All {stages} stages agree with transformers" in capsys.readouterr().out
    assert main(["verify", str(checkpoint), "--save-reference", str(tmp_path / "reference")]) == 0
    assert main(["verify", str(checkpoint), "--reference", str(tmp_path / "reference")]) == 0


def test_a_difference_in_a_new_architecture_is_diagnosed(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The inputs of a layer are found among the stages, without a word about the architecture."""
    assert main(["verify", str(checkpoint), "--save-reference", str(tmp_path / "reference"), "--dtype", "float64"]) == 0
    model = load(checkpoint)
    with torch.no_grad():
        weight = model.get_parameter("layers.1.attention.output.weight")
        weight.copy_(weight.T.clone())
    model.save_pretrained(checkpoint)
    capsys.readouterr()
    assert main(["verify", str(checkpoint), "--reference", str(tmp_path / "reference"), "--dtype", "float64"]) == 1
    shown = capsys.readouterr().out
    assert "is layers.1.attention.output." in shown
    assert "Likely cause: the weight is transposed." in shown


def test_an_architecture_without_declared_stages_is_refused(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BertGeneration, "reference_stages", {})
    assert main(["verify", str(checkpoint)]) == 2
    assert "BertGeneration declares no reference_stages" in capsys.readouterr().err
