"""The shape of a BERT, in Hugging Face's field names."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from minibert.files import write_atomically

ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu")
POSITIONS = ("sinusoidal", "learned", "rotary", "alibi")
"""How a token's place can be told: `model.positions` has one class for each."""
MOST_LABELS, LARGEST = 100_000, 1e6
"""More than anybody means: of classes, and of the fields that are no whole numbers."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What every network here has: pieces, their width, and layers of attention and feed-forward networks."""

    vocab_size: int = 30522
    """Number of word pieces, special tokens included."""
    hidden_size: int = 768
    """Width of every token's vector."""
    num_attention_heads: int = 12
    """Heads in every layer, A in Devlin et al.; each is hidden_size / num_attention_heads wide."""
    intermediate_size: int = 3072
    """Width inside the feed-forward network, 4 times hidden_size in the papers."""
    hidden_act: str = "gelu"
    """What bends the feed-forward network and the masked-LM transform: one of `ACTIVATIONS`."""
    hidden_dropout_prob: float = 0.1
    """Probability with which an element of a sublayer's output is dropped in training."""
    attention_probs_dropout_prob: float = 0.1
    """Probability with which an attention weight is dropped in training."""
    max_position_embeddings: int = 512
    """Longest sequence, in tokens."""
    initializer_range: float = 0.02
    """Standard deviation of the initial weights."""
    layer_norm_eps: float = 1e-12
    """What layer normalization adds to the variance."""
    pad_token_id: int = 0
    """Id of the piece that fills up short sequences."""
    tie_word_embeddings: bool = True
    """Whether the masked-LM head compares with the word embeddings themselves; else it has a table of its own."""

    def __post_init__(self) -> None:
        for name, kind in ((some.name, some.type) for some in fields(self)):
            value = getattr(self, name)
            if kind in (int, "int"):
                if not isinstance(value, int) or isinstance(value, bool):
                    raise TypeError(f"{name} must be a whole number, not {value!r}")
                least = 0 if name.endswith("_token_id") else 1
                if value < least:
                    raise ValueError(f"{name} must be at least {least}, not {value}")
            elif kind in (float, "float"):
                if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= LARGEST:
                    raise ValueError(f"{name} must be a number from 0 to {LARGEST:g}, not {str(value)[:20]!r}")
                if name.endswith("_prob") and not value < 1:
                    raise ValueError(f"{name} must be at least 0 and below 1, not {value}")
            elif kind in (bool, "bool") and not isinstance(value, bool):
                raise TypeError(f"{name} must be true or false, not {value!r}")
            if name.endswith("_token_id") and value >= self.vocab_size:
                raise ValueError(f"{name} {value} is outside the vocabulary of {self.vocab_size} pieces")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not divisible by num_attention_heads {self.num_attention_heads}"
            )
        if self.hidden_act not in ACTIVATIONS:
            raise ValueError(f"hidden_act {self.hidden_act!r} is unknown; there are {', '.join(ACTIVATIONS)}")

    def save_json(self, path: Path, architecture: str) -> None:
        """Writes a `config.json` as Hugging Face reads it; `architecture` is the name of the model's class there."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class BertConfig(ModelConfig):
    """Everything that decides which tensors a BERT has and how they are combined. The defaults are those of BERT-base.

    Raises: ValueError for values that do not fit each other, TypeError for values of the wrong type.

    >>> BertConfig(hidden_size=130)
    Traceback (most recent call last):
    ValueError: hidden_size 130 is not divisible by num_attention_heads 12
    """

    num_hidden_layers: int = 12
    """Number of encoder layers, L in the paper."""
    type_vocab_size: int = 2
    """Number of segments: sentence A and sentence B."""
    id2label: dict[int, str] = field(default_factory=lambda: {0: "LABEL_0", 1: "LABEL_1"})
    """Names of the classes of a classification head."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if sorted(self.id2label) != list(range(len(self.id2label))) or not self.id2label:
            raise ValueError(f"id2label must name the classes 0, 1, 2, … without a gap, not {list(self.id2label)[:8]}")

    @property
    def num_labels(self) -> int:
        """Number of classes of a classification head."""
        return len(self.id2label)

    def with_labels(self, names: list[str]) -> "BertConfig":
        """The same BERT, for a classification head with these classes."""
        return replace(self, id2label=dict(enumerate(names)))

    def save_json(self, path: Path, architecture: str) -> None:
        """Writes a `config.json` as Hugging Face reads it; `architecture` is the name of the model's class there."""
        stored = {
            "model_type": "bert",
            "architectures": [architecture],
            **asdict(self),
            "id2label": {str(number): name for number, name in self.id2label.items()},
            "label2id": {name: number for number, name in self.id2label.items()},
        }
        write_atomically(path, json.dumps(stored, indent=2) + "\n")

    @classmethod
    def load_json(cls, path: Path) -> "BertConfig":
        """Reads a `config.json` of Hugging Face. Fields that do not shape the model are passed over.

        Raises: ValueError that names the file, if it is not the configuration of a BERT that can be run here.
        """
        stored = read_json(path, SUPPORTED)
        known = {name: stored[name] for name in (field.name for field in fields(cls)) if name in stored}
        if known.get("pad_token_id", 0) is None:
            del known["pad_token_id"]
        try:
            known |= _classes(stored)
            return cls(**known)
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ValueError(f"{path}: {error}") from error


SUPPORTED: dict[str, object] = {
    "model_type": "bert",
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
    "is_encoder_decoder": False,
    "quantization_config": None,
}
"""Fields of a config.json that decide what is computed, and the one value that is computed here."""


def read_json(path: Path, supported: Mapping[str, object]) -> dict[str, Any]:
    """The fields of a config.json. Raises: ValueError that names the file, if one of them is not as it is supported here."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: is not JSON ({error})") from error
    if not isinstance(stored, dict):
        raise ValueError(f"{path}: must hold one JSON object")
    for name, value in supported.items():
        if stored.get(name, value) != value:
            raise ValueError(f"{path}: {name} {stored[name]!r} is not supported, only {value!r}")
    return stored


def _classes(stored: dict[str, Any]) -> dict[str, dict[int, str]]:
    """The classes by name, or by number alone, as older files have them."""
    if not isinstance(stored.get("id2label") or {}, dict):
        raise ValueError("id2label must be an object: a name for each number")
    if stored.get("id2label"):
        return {"id2label": {int(number): str(name) for number, name in stored["id2label"].items()}}
    count = stored.get("num_labels", 2)
    if not isinstance(count, int) or not 1 <= count <= MOST_LABELS:
        raise ValueError(f"num_labels must be from 1 to {MOST_LABELS}, not {count!r}")
    return {"id2label": {number: f"LABEL_{number}" for number in range(count)}}


def _preset(layers: int, width: int) -> BertConfig:
    """The sizes of Turc et al. 2019: heads of 64, a feed-forward network four times as wide."""
    return BertConfig(num_hidden_layers=layers, hidden_size=width, num_attention_heads=width // 64, intermediate_size=4 * width)


PRESETS = {
    "tiny": _preset(layers=2, width=128),
    "mini": _preset(layers=4, width=256),
    "small": _preset(layers=4, width=512),
    "medium": _preset(layers=8, width=512),
    "base": _preset(layers=12, width=768),
    "large": _preset(layers=24, width=1024),
}
"""BERT in the sizes that Google has published: base and large of Devlin et al. 2019, the others of Turc et al. 2019."""
