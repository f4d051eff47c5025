"""`minibert verify` for an architecture that only this file defines: DistilBERT."""

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
from minibert.model.config import ModelConfig
from minibert.model.inputs import keep_mask
from minibert.model.layers import EncoderLayer, LayerNorm
from minibert.model.pretrained import PretrainedModel
from minibert.model.stacks import LayerStack
from minibert.observe import observe

transformers = pytest.importorskip("transformers")


@dataclass(frozen=True, kw_only=True)
class DistilBertConfig(ModelConfig):
    """Configuration of a DistilBERT (Sanh et al. 2019)."""

    model_types = ("distilbert",)
    hub_names: ClassVar[Mapping[str, str]] = {
        "hidden_size": "dim",
        "num_attention_heads": "n_heads",
        "num_hidden_layers": "n_layers",
        "intermediate_size": "hidden_dim",
        "hidden_act": "activation",
    }
    num_hidden_layers: int = 6


class DistilBert(PretrainedModel):
    """The encoder of DistilBERT: BERT without segments and without a pooler."""

    architecture = "DistilBertModel"
    head = "encoder"
    config_class = DistilBertConfig
    stacks: ClassVar[Mapping[str, str]] = {"layers": "num_hidden_layers"}
    names = NameTable(
        {
            "words": "embeddings.word_embeddings",
            "positions": "embeddings.position_embeddings",
            "norm": "embeddings.LayerNorm",
            "layers.N.attention.query": "transformer.layer.N.attention.q_lin",
            "layers.N.attention.key": "transformer.layer.N.attention.k_lin",
            "layers.N.attention.value": "transformer.layer.N.attention.v_lin",
            "layers.N.attention.output": "transformer.layer.N.attention.out_lin",
            "layers.N.attention_norm": "transformer.layer.N.sa_layer_norm",
            "layers.N.feed_forward.intermediate": "transformer.layer.N.ffn.lin1",
            "layers.N.feed_forward.output": "transformer.layer.N.ffn.lin2",
            "layers.N.feed_forward_norm": "transformer.layer.N.output_layer_norm",
        },
        their_prefix="distilbert.",
    )
    reference_stages: ClassVar[Mapping[str, str]] = {
        "embeddings.words": "embeddings.word_embeddings",
        "embeddings.output": "embeddings.LayerNorm",
        "layers.N.attention.output": "transformer.layer.N.attention.out_lin",
        "layers.N.attention_norm": "transformer.layer.N.sa_layer_norm",
        "layers.N.intermediate": "transformer.layer.N.ffn.lin1",
        "layers.N.feed_forward": "transformer.layer.N.ffn.lin2",
        "layers.N.output": "transformer.layer.N.output_layer_norm",
    }
    attention_modules: ClassVar[Mapping[str, str]] = {"layers.N.attention": "transformer.layer.N.attention"}

    def __init__(self, config: DistilBertConfig, attention: AttentionImplementation = "auto") -> None:
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
    """A DistilBERT of transformers with random weights."""
    config = transformers.DistilBertConfig(
        vocab_size=40, dim=8, n_layers=2, n_heads=2, hidden_dim=12, max_position_embeddings=32, initializer_range=0.5
    )
    torch.manual_seed(0)
    transformers.DistilBertModel(config).save_pretrained(tmp_path / "distilbert")
    return tmp_path / "distilbert"


def test_a_new_architecture_is_verified(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The declarations above are all that loading and verification need."""
    assert type(load(checkpoint)) is DistilBert
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
    monkeypatch.setattr(DistilBert, "reference_stages", {})
    assert main(["verify", str(checkpoint)]) == 2
    assert "DistilBert declares no reference_stages" in capsys.readouterr().err
