"""Configuration of T5 and mT5, with the field names of transformers in config.json."""

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from minibert.model.config import BertConfig, TextConfig

GATED = "gated"
"""First part of `feed_forward_proj` for a feed-forward network with a gate."""


@dataclass(frozen=True, kw_only=True)
class T5Config(TextConfig):
    """Configuration of a T5 (Raffel et al. 2020). The defaults are those of transformers: the first T5-small.

    Raises: ValueError for values that do not fit each other, TypeError for values of the wrong type.
    """

    model_types = ("t5",)
    splits_width: ClassVar[bool] = False
    positions: ClassVar[str] = "buckets"
    """Kind of the positions; see `t5_layers.BucketPositions`. They do not limit the length of a text."""
    hub_names: ClassVar[Mapping[str, str]] = {
        "hidden_size": "d_model",
        "num_attention_heads": "num_heads",
        "head_width": "d_kv",
        "intermediate_size": "d_ff",
        "encoder_layers": "num_layers",
        "decoder_layers": "num_decoder_layers",
        "hidden_dropout_prob": "dropout_rate",
        "layer_norm_eps": "layer_norm_epsilon",
        "initializer_range": "initializer_factor",
        "max_position_embeddings": "n_positions",
    }
    supported: ClassVar[Mapping[str, object]] = {"is_decoder": False, "is_encoder_decoder": True, "quantization_config": None}
    default_feed_forward: ClassVar[str] = "relu"
    """`feed_forward_proj` of a config.json without this field."""

    vocab_size: int = 32128
    """Number of pieces."""
    hidden_size: int = 512
    """Size of the token vectors, d_model in the paper."""
    num_attention_heads: int = 8
    """Number of attention heads per layer."""
    head_width: int = 64
    """Size of each head, d_kv in the paper. All heads together may be wider or narrower than the token vectors."""
    intermediate_size: int = 2048
    """Inner size of the feed-forward network, d_ff in the paper."""
    hidden_act: str = "relu"
    """Activation function of the feed-forward network."""
    is_gated: bool = False
    """True for a feed-forward network with a gate (Shazeer 2020), as in T5 1.1."""
    attention_probs_dropout_prob: float = 0.1
    """Dropout probability of attention weights: the same as `hidden_dropout_prob`."""
    layer_norm_eps: float = 1e-6
    """Epsilon added to the mean square in RMS normalization."""
    initializer_range: float = 1.0
    """Factor of the standard deviations of the initial weights."""
    encoder_layers: int = 6
    """Number of encoder layers."""
    decoder_layers: int = 6
    """Number of decoder layers."""
    relative_attention_num_buckets: int = 32
    """Number of buckets of distances."""
    relative_attention_max_distance: int = 128
    """Distance from which on all tokens have the same bucket."""
    scale_decoder_outputs: bool = True
    """True if the output of the decoder is divided by √d_model before the output matrix, as in the first T5 with its tied
    embeddings; False in T5 1.1."""
    pad_token_id: int = 0
    """Id of the padding piece."""
    decoder_start_token_id: int = 0
    """First token of the decoder input: the padding piece."""
    eos_token_id: int = 1
    """Last token of a source and of a target, </s>."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.attention_probs_dropout_prob != self.hidden_dropout_prob:
            raise ValueError("attention_probs_dropout_prob and hidden_dropout_prob differ: a T5 has one probability for both")
        exact, decoder_exact = self.relative_attention_num_buckets // 4, self.relative_attention_num_buckets // 2
        if exact < 1 or self.relative_attention_max_distance <= decoder_exact:
            raise ValueError(
                "relative_attention_num_buckets must be at least 4, and relative_attention_max_distance larger than half of "
                f"it, not {self.relative_attention_num_buckets} and {self.relative_attention_max_distance}"
            )

    @classmethod
    def of_size(cls, size: BertConfig, **others: Any) -> "T5Config":
        """As in `ModelConfig`; encoder and decoder have as many layers each."""
        sizes = {name: getattr(size, name) for name in ("hidden_size", "num_attention_heads", "intermediate_size")}
        layers = dict.fromkeys(("encoder_layers", "decoder_layers"), size.num_hidden_layers)
        return cls(**{**sizes, **layers, "head_width": size.hidden_size // size.num_attention_heads} | others)

    @classmethod
    def read_fields(cls, stored: Mapping[str, Any]) -> dict[str, Any]:
        known = {name: value for name, value in super().read_fields(stored).items() if value is not None}
        kind, _, activation = str(stored.get("feed_forward_proj", cls.default_feed_forward)).rpartition("-")
        if kind not in ("", GATED):
            raise ValueError(f"feed_forward_proj {reprlib.repr(stored['feed_forward_proj'])} is not supported")
        known["is_gated"] = kind == GATED
        known["hidden_act"] = "gelu_new" if kind == GATED and activation == "gelu" else activation
        if "hidden_dropout_prob" in known:
            known["attention_probs_dropout_prob"] = known["hidden_dropout_prob"]
        if "encoder_layers" in known:
            known.setdefault("decoder_layers", known["encoder_layers"])
        if "pad_token_id" in known:
            known.setdefault("decoder_start_token_id", known["pad_token_id"])
        known["scale_decoder_outputs"] = cls.read_scale(stored)
        return known | {"tie_word_embeddings": True}  # the weights show if they are another matrix

    @classmethod
    def read_scale(cls, stored: Mapping[str, Any]) -> bool:
        """Return `scale_decoder_outputs`. Files of older versions of transformers tell it by `tie_word_embeddings`."""
        scale: bool = stored.get("scale_decoder_outputs", stored.get("tie_word_embeddings") is not False)
        return scale

    def hub_fields(self) -> dict[str, Any]:
        known = super().hub_fields()
        for name in ("hidden_act", "is_gated", "attention_probs_dropout_prob"):
            del known[name]
        # "gated-gelu" has always meant gelu_new there.
        names = {"gelu_new": "gelu", "gelu": "gelu_python"} if self.is_gated else {}
        activation = names.get(self.hidden_act, self.hidden_act)
        known["feed_forward_proj"] = f"{GATED}-{activation}" if self.is_gated else activation
        return known | {"tie_word_embeddings": self.scale_decoder_outputs, "is_encoder_decoder": True}


@dataclass(frozen=True, kw_only=True)
class MT5Config(T5Config):
    """Configuration of an mT5 (Xue et al. 2021): T5 1.1 for many languages. The defaults are those of transformers."""

    model_types = ("mt5",)
    default_feed_forward: ClassVar[str] = "gated-gelu"

    vocab_size: int = 250112
    """Number of pieces."""
    num_attention_heads: int = 6
    """Number of attention heads per layer."""
    intermediate_size: int = 1024
    """Inner size of the feed-forward network."""
    hidden_act: str = "gelu_new"
    """Activation function of the feed-forward network."""
    is_gated: bool = True
    """True for a feed-forward network with a gate."""
    encoder_layers: int = 8
    """Number of encoder layers."""
    decoder_layers: int = 8
    """Number of decoder layers."""
    scale_decoder_outputs: bool = False
    """The output of the decoder is not scaled."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale_decoder_outputs:
            raise ValueError("scale_decoder_outputs must be false: an mT5 does not scale the output of its decoder")

    @classmethod
    def read_scale(cls, stored: Mapping[str, Any]) -> bool:
        return False
