"""The shape of an encoder-decoder, in the names of all of minibert; and as a MarianMT of Hugging Face has it."""

import json
from dataclasses import dataclass
from pathlib import Path

from minibert.files import write_atomically
from minibert.model.config import POSITIONS, ModelConfig, read_json


@dataclass(frozen=True, kw_only=True)
class TransformerConfig(ModelConfig):
    """Everything that decides which tensors a Transformer has and how they are combined. The defaults are the paper's base.

    Raises: ValueError for values that do not fit each other, TypeError for values of the wrong type.
    """

    vocab_size: int = 37000
    """Number of pieces; source and target share them (Vaswani et al., section 5.1)."""
    hidden_size: int = 512
    """Width of every token's vector, d_model in the paper."""
    num_attention_heads: int = 8
    """Heads in every attention, h in the paper."""
    intermediate_size: int = 2048
    """Width inside the feed-forward network, d_ff in the paper."""
    hidden_act: str = "relu"
    """What bends the feed-forward network."""
    attention_probs_dropout_prob: float = 0.0
    """Probability with which an attention weight is dropped in training; the paper drops none."""
    layer_norm_eps: float = 1e-5
    """What layer normalization adds to the variance: PyTorch's and Marian's, the paper does not say."""
    encoder_layers: int = 6
    """Number of encoder layers, N in the paper."""
    decoder_layers: int = 6
    """Number of decoder layers."""
    pre_norm: bool = False
    """Whether to normalize what goes into a sublayer, not the sum that comes out."""
    positions: str = "sinusoidal"
    """How a token's place is told: one of `POSITIONS`."""
    decoder_start_token_id: int = 2
    """What the target begins with for the decoder: [CLS] in a vocabulary of BERT's kind."""
    eos_token_id: int = 3
    """With what a target ends: [SEP] there."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.positions not in POSITIONS:
            raise ValueError(f"positions {self.positions!r} is unknown; there are {', '.join(POSITIONS)}")
        turned = {"sinusoidal": self.hidden_size, "rotary": self.hidden_size // self.num_attention_heads}
        if turned.get(self.positions, 0) % 2:
            raise ValueError(f"positions {self.positions!r} need an even width, not {turned[self.positions]}")

    @property
    def is_marian(self) -> bool:
        """Whether transformers has a class that computes the same: its MarianMT."""
        return not self.pre_norm and self.positions in ("sinusoidal", "learned") and self.layer_norm_eps == MARIAN_EPS

    def save_json(self, path: Path, architecture: str) -> None:
        """Writes a `config.json`, as transformers reads it where it has such a model (`is_marian`)."""
        stored = {
            "model_type": "marian" if self.is_marian else "minibert",
            "architectures": [architecture if self.is_marian else "Transformer"],
            **{theirs: getattr(self, ours) for ours, theirs in FIELDS.items()},
            **{f"{side}_{theirs}": getattr(self, ours) for ours, theirs in ON_BOTH_SIDES.items() for side in SIDES},
            **(MARIAN if self.is_marian else {}),
            "decoder_vocab_size": self.vocab_size,
            "forced_eos_token_id": None,
        }
        write_atomically(path, json.dumps(stored, indent=2) + "\n")

    @classmethod
    def load_json(cls, path: Path) -> "TransformerConfig":
        """Reads a `config.json`, ours or a MarianMT's. Raises: ValueError that names the file, if it cannot be run here."""
        kind = read_json(path, {}).get("model_type")
        if kind not in ("marian", "minibert"):
            raise ValueError(f"{path}: model_type {kind!r} is not supported, only 'marian' and 'minibert'")
        stored = read_json(path, {"quantization_config": None, **(MARIAN if kind == "marian" else {})})
        known = {ours: stored[theirs] for ours, theirs in FIELDS.items() if theirs in stored}
        for ours, theirs in ON_BOTH_SIDES.items():
            one, other = (stored.get(f"{side}_{theirs}") for side in SIDES)
            if one != other or one is None:
                raise ValueError(
                    f"{path}: {theirs} of encoder and decoder are {one} and {other}, only equal ones are supported"
                )
            known[ours] = one
        if kind == "marian":
            known.setdefault("positions", "learned")
        try:
            return cls(**known)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"{path}: {error}") from error


MARIAN_EPS = 1e-5
FIELDS = {
    "vocab_size": "vocab_size",
    "hidden_size": "d_model",
    "hidden_act": "activation_function",
    "hidden_dropout_prob": "dropout",
    "attention_probs_dropout_prob": "attention_dropout",
    "max_position_embeddings": "max_position_embeddings",
    "initializer_range": "init_std",
    "layer_norm_eps": "layer_norm_eps",
    "pad_token_id": "pad_token_id",
    "encoder_layers": "encoder_layers",
    "decoder_layers": "decoder_layers",
    "pre_norm": "pre_norm",
    "positions": "positions",
    "decoder_start_token_id": "decoder_start_token_id",
    "eos_token_id": "eos_token_id",
}
"""Our names of the fields, and those in a config.json."""
SIDES = ("encoder", "decoder")
ON_BOTH_SIDES = {"num_attention_heads": "attention_heads", "intermediate_size": "ffn_dim"}
"""The same, for what a config.json has twice: as `encoder_ffn_dim` and `decoder_ffn_dim`."""
MARIAN: dict[str, object] = {
    "is_encoder_decoder": True,
    "scale_embedding": True,
    "share_encoder_decoder_embeddings": True,
    "tie_word_embeddings": True,
}
"""Fields that decide what a MarianMT computes, and the one value that is computed here."""

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
"""base and big: Vaswani et al. 2017, table 3. They have 63 and 214 million parameters at 37,000 pieces; it says 65 and 213."""
