"""Configuration of the 2017 Transformer, with minibert's field names, and of a MarianMT of transformers."""

import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from minibert.files import write_atomically
from minibert.model.config import POSITIONS, TextConfig

MARIAN_EPS = 1e-5
SIDES = ("encoder", "decoder")
REQUIRED = (
    *("vocab_size", "d_model", "encoder_layers", "decoder_layers", "activation_function", "scale_embedding"),
    *("max_position_embeddings", "pad_token_id", "eos_token_id", "decoder_start_token_id"),
)
"""Fields that a MarianMT's config.json must have: for a missing field transformers has another default than minibert."""
ON_BOTH_SIDES = {"num_attention_heads": "attention_heads", "intermediate_size": "ffn_dim"}
"""Our fields that a MarianMT's config.json has twice, such as `encoder_ffn_dim` and `decoder_ffn_dim`."""


@dataclass(frozen=True, kw_only=True)
class TransformerConfig(TextConfig):
    """Configuration of a `Transformer`. The defaults are those of the base model in the paper.

    Raises: ValueError for values that do not fit each other, TypeError for values of the wrong type.
    """

    model_types = ("marian", "minibert")
    hub_names: ClassVar[Mapping[str, str]] = {
        "hidden_size": "d_model",
        "hidden_act": "activation_function",
        "hidden_dropout_prob": "dropout",
        "attention_probs_dropout_prob": "attention_dropout",
        "initializer_range": "init_std",
    }
    supported: ClassVar[Mapping[str, object]] = {
        "is_encoder_decoder": True,
        "scale_embedding": True,
        "share_encoder_decoder_embeddings": True,
        "tie_word_embeddings": True,
    }

    vocab_size: int = 37000
    """Number of pieces; source and target share them (Vaswani et al., section 5.1)."""
    hidden_size: int = 512
    """Size of the token vectors, d_model in the paper."""
    num_attention_heads: int = 8
    """Number of attention heads, h in the paper."""
    intermediate_size: int = 2048
    """Inner size of the feed-forward network, d_ff in the paper."""
    hidden_act: str = "relu"
    """Activation function of the feed-forward network."""
    attention_probs_dropout_prob: float = 0.0
    """Dropout probability of attention weights; the paper has none."""
    layer_norm_eps: float = MARIAN_EPS
    """Epsilon added to the variance in layer normalization; PyTorch's and MarianMT's value. The paper gives none."""
    encoder_layers: int = 6
    """Number of encoder layers, N in the paper."""
    decoder_layers: int = 6
    """Number of decoder layers."""
    pre_norm: bool = False
    """Normalize the input of each sublayer instead of the sum after it."""
    positions: str = "sinusoidal"
    """Position encoding: one of `POSITIONS`."""
    pad_token_id: int = 0
    """Id of the padding piece, which the decoder also gets in place of ignored labels."""
    decoder_start_token_id: int = 2
    """First token of the decoder input: [CLS] in a BERT vocabulary."""
    eos_token_id: int = 3
    """Last token of a target: [SEP] in a BERT vocabulary."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.tie_word_embeddings:
            raise ValueError("tie_word_embeddings False is not supported: source, target and output share one matrix")
        if self.positions not in POSITIONS:
            raise ValueError(f"positions {reprlib.repr(self.positions)} is unknown; choose one of {', '.join(POSITIONS)}")
        even = {"sinusoidal": self.hidden_size, "rotary": self.hidden_size // self.num_attention_heads}
        if even.get(self.positions, 0) % 2:
            raise ValueError(f"positions {self.positions!r} need an even width, not {even[self.positions]}")

    @property
    def is_marian(self) -> bool:
        """True if MarianMT of transformers computes the same."""
        return not self.pre_norm and self.positions in ("sinusoidal", "learned") and self.layer_norm_eps == MARIAN_EPS

    @classmethod
    def supported_fields(cls, model_type: str) -> Mapping[str, object]:
        """Return `supported` for a MarianMT. The fields of a Transformer of minibert have one meaning only."""
        return {"quantization_config": None, **(cls.supported if model_type == "marian" else {})}

    @classmethod
    def read_fields(cls, stored: Mapping[str, Any]) -> dict[str, Any]:
        known = super().read_fields(stored)
        if stored.get("model_type") == "marian" and (missing := [name for name in REQUIRED if name not in stored]):
            raise ValueError(f"has no {', '.join(missing)}")
        for ours, theirs in ON_BOTH_SIDES.items():
            encoder, decoder = (stored.get(f"{side}_{theirs}") for side in SIDES)
            if encoder != decoder or encoder is None:
                values = f"{reprlib.repr(encoder)} and {reprlib.repr(decoder)}"
                raise ValueError(f"{theirs} of encoder and decoder are {values}; only equal values are supported")
            known[ours] = encoder
        if stored.get("model_type") == "marian":
            known.setdefault("positions", "learned")
        return known

    def hub_fields(self) -> dict[str, Any]:
        known = super().hub_fields()
        for ours, theirs in ON_BOTH_SIDES.items():
            known |= {f"{side}_{theirs}": known[ours] for side in SIDES}
            del known[ours]
        return {"forced_eos_token_id": None, **known, "decoder_vocab_size": self.vocab_size}

    def save_json(self, path: Path, architecture: str) -> None:
        """Write a `config.json`: of a MarianMT for transformers if `is_marian`, otherwise for minibert only."""
        kind = {"model_type": "marian", "architectures": [architecture], **self.supported}
        if not self.is_marian:
            kind = {"model_type": "minibert", "architectures": ["Transformer"]}
        write_atomically(path, json.dumps(self.hub_fields() | kind, indent=2) + "\n")


TRANSFORMERS = {
    "tiny": TransformerConfig(
        hidden_size=128, num_attention_heads=4, intermediate_size=512, encoder_layers=2, decoder_layers=2
    ),
    "small": TransformerConfig(
        hidden_size=256, num_attention_heads=4, intermediate_size=1024, encoder_layers=3, decoder_layers=3
    ),
    "base": TransformerConfig(),
    "big": TransformerConfig(hidden_size=1024, num_attention_heads=16, intermediate_size=4096, hidden_dropout_prob=0.3),
}
"""Sizes: base and big are those of Vaswani et al. 2017, table 3. With 37,000 pieces they have 63 and 214 million parameters;
the paper says 65 and 213."""
