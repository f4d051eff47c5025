"""Model configurations, with Hugging Face's field names."""

import json
import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from minibert.files import read_json, write_atomically
from minibert.model.structure import Structure
from minibert.printable import with_article

ConfigT = TypeVar("ConfigT", bound="ModelConfig")
ClassifierConfigT = TypeVar("ClassifierConfigT", bound="ClassifierConfig")

ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "quick_gelu")
"""Activation functions, by the names of transformers; `model.layers.ACTIVATION_FUNCTIONS` has a function for each."""
ACTIVATION_ALIASES = {
    "gelu_python": "gelu",
    "gelu_fast": "gelu_new",  # it rounds √(2/π) to ten digits
    "gelu_accurate": "gelu_new",
    "gelu_python_tanh": "gelu_pytorch_tanh",
    "swish": "silu",
}
"""Other names of transformers for the same functions."""
POSITIONS = ("sinusoidal", "learned", "rotary", "alibi")
"""Position encodings; `model.positions` has a class for each."""
PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")
"""Values of `problem_type`: a number, one class, or any number of classes for each text."""
COMMON_NAMES = ("hidden_size", "num_attention_heads", "num_hidden_layers", "max_position_embeddings")
"""Fields that transformers reads under these names too, where an architecture has names of its own."""
SIZES = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size")
"""Fields that a preset gives to a config of any family."""
TOKEN_ID = "_token_id"
"""End of the names of fields with the id of a special token."""
MAX_LABELS, MAX_NUMBER = 100_000, 1e6
"""Limits against absurd values in a file: for the number of classes and for floating-point fields."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Fields of every network, and reading and writing of `config.json`.

    A subclass adds its fields and declares its names and limits in `config.json` in the class variables below.
    """

    model_types: ClassVar[tuple[str, ...]] = ()
    """Values of `model_type` in config.json that this class reads; it writes the first."""
    hub_names: ClassVar[Mapping[str, str]] = {}
    """Names of fields in config.json, where they differ from ours."""
    supported: ClassVar[Mapping[str, object]] = {}
    """Fields of config.json that change the computation, with the only value supported here."""
    splits_width: ClassVar[bool] = True
    """True if the heads divide the width of the token vectors between them; False if they have a width of their own."""

    hidden_size: int = 768
    """Size of the token vectors."""
    num_attention_heads: int = 12
    """Number of attention heads per layer, each of size hidden_size / num_attention_heads. "A" in Devlin et al."""
    intermediate_size: int = 3072
    """Inner size of the feed-forward network; 4 times hidden_size in the papers."""
    hidden_act: str = "gelu"
    """Activation function of the feed-forward network and of the masked-LM head: one of `ACTIVATIONS`. An alias, such as
    "swish", is replaced by that name."""
    hidden_dropout_prob: float = 0.1
    """Dropout probability of embeddings and sublayer outputs."""
    attention_probs_dropout_prob: float = 0.1
    """Dropout probability of attention weights."""
    initializer_range: float = 0.02
    """Standard deviation of the initial weights."""
    layer_norm_eps: float = 1e-12
    """Epsilon added to the variance in layer normalization."""
    other_token_ids: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """Special tokens of a loaded config.json that no field has, such as `bos_token_id`. They are saved again: the network does
    not use them, but other programs do."""

    def __post_init__(self) -> None:
        for name, kind in ((each.name, each.type) for each in fields(self)):
            value = getattr(self, name)
            if value is None and kind == int | None:
                continue
            if kind in (int, "int", int | None):
                if not isinstance(value, int) or isinstance(value, bool):
                    raise TypeError(f"{name} must be a whole number, not {reprlib.repr(value)}")
                least = 0 if name.endswith(TOKEN_ID) else 1
                if value < least:
                    raise ValueError(f"{name} must be at least {least}, not {reprlib.repr(value)}")
            elif kind in (float, "float"):
                if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= MAX_NUMBER:
                    raise ValueError(f"{name} must be a number from 0 to {MAX_NUMBER:g}, not {reprlib.repr(value)}")
                if name.endswith("_prob") and not value < 1:
                    raise ValueError(f"{name} must be at least 0 and below 1, not {value}")
            elif kind in (bool, "bool") and not isinstance(value, bool):
                raise TypeError(f"{name} must be true or false, not {reprlib.repr(value)}")
        if self.splits_width and self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not divisible by num_attention_heads {self.num_attention_heads}"
            )
        if self.hidden_act in tuple(ACTIVATION_ALIASES):
            object.__setattr__(self, "hidden_act", ACTIVATION_ALIASES[self.hidden_act])
        if self.hidden_act not in ACTIVATIONS:
            raise ValueError(f"hidden_act {reprlib.repr(self.hidden_act)} is unknown; choose one of {', '.join(ACTIVATIONS)}")

    @property
    def qkv_bias(self) -> bool:
        """True if the linear maps to queries, keys and values have a bias."""
        return True

    def with_labels(self: ConfigT, names: Sequence[str]) -> ConfigT:
        """Return the config of the same model with these classes. Raises: ValueError if it has no classification head."""
        raise ValueError(f"labels: {with_article(type(self).__name__.removesuffix('Config'))} has no classification head")

    @classmethod
    def of_size(cls: type[ConfigT], size: "BertConfig", **others: Any) -> ConfigT:
        """Return the config of a new model with the sizes of another one, such as a preset, and with `others`."""
        return cls(**{name: getattr(size, name) for name in SIZES} | others)

    @classmethod
    def load_json(cls: type[ConfigT], path: Path) -> ConfigT:
        """Read a `config.json`. Raises: ValueError that names the file, if it cannot be used."""
        return cls.from_fields(read_json(path), path)

    @classmethod
    def from_fields(cls: type[ConfigT], stored: Mapping[str, Any], path: Path) -> ConfigT:
        """Make a config of the fields of the `config.json` at `path`. Fields that do not define the model are ignored.

        Raises: ValueError that names the file, if it describes a model that is not supported.
        """
        model_type = cls.model_types[0] if stored.get("model_type") is None else str(stored["model_type"])[:40]
        if model_type not in cls.model_types:
            raise ValueError(
                f"{path}: model_type {model_type!r} is not supported, only {' and '.join(map(repr, cls.model_types))}"
            )
        try:
            for name, value in cls.supported_fields(model_type).items():
                if stored.get(name, value) != value:
                    raise ValueError(f"{name} {reprlib.repr(stored[name])} is not supported, only {value!r}")
            return cls(**cls.read_fields(stored))
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ValueError(f"{path}: {error}") from error

    @classmethod
    def supported_fields(cls, model_type: str) -> Mapping[str, object]:
        """Return `supported` for one of the model types."""
        return cls.supported

    @classmethod
    def read_fields(cls, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Convert the fields of a config.json to ours. Missing fields keep their defaults."""
        names = cls.stored_names()
        known = {name: stored[name] for name in COMMON_NAMES if name in names and name in stored}
        known |= {ours: stored[theirs] for ours, theirs in names.items() if theirs in stored}
        others = {name: value for name, value in stored.items() if name.endswith(TOKEN_ID) and name not in known}
        return known | {"other_token_ids": others}

    @classmethod
    def stored_names(cls) -> dict[str, str]:
        """Return the name in config.json of each field."""
        return {each.name: cls.hub_names.get(each.name, each.name) for each in fields(cls) if each.name != "other_token_ids"}

    def save_json(self, path: Path, architecture: str) -> None:
        """Write a `config.json` for transformers; `architecture` is the name of its class."""
        stored = {"model_type": self.model_types[0], "architectures": [architecture], **self.hub_fields()}
        write_atomically(path, json.dumps(stored, indent=2) + "\n")

    def hub_fields(self) -> dict[str, Any]:
        """Return the fields of `config.json`: the inverse of `read_fields`."""
        known = {theirs: getattr(self, ours) for ours, theirs in self.stored_names().items()}
        return known | {name: value for name, value in self.other_token_ids.items() if known.get(name) is None}


@dataclass(frozen=True, kw_only=True)
class TextConfig(ModelConfig):
    """Fields of a network whose input is token ids."""

    vocab_size: int = 30522
    """Number of word pieces, special tokens included."""
    max_position_embeddings: int = 512
    """Maximum length of a sequence, in tokens."""
    pad_token_id: int | None = 0
    """Id of the padding piece, whose embedding is not trained; None for no such piece."""
    tie_word_embeddings: bool = True
    """True if the output layer uses the word embeddings; otherwise it has a matrix of its own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in vars(self).items():
            if name.endswith(TOKEN_ID) and value is not None and value >= self.vocab_size:
                raise ValueError(f"{name} {value} is outside the vocabulary of {self.vocab_size} pieces")

    @property
    def max_tokens(self) -> int:
        """Number of tokens of the longest text, without padding."""
        return self.max_position_embeddings


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig(ModelConfig):
    """Fields of a network that may have a classification head."""

    id2label: dict[int, str] = field(default_factory=lambda: {0: "LABEL_0", 1: "LABEL_1"})
    """Names of the classes of a classification head."""
    problem_type: str | None = None
    """Loss of the classification head: one of `PROBLEM_TYPES`. None: chosen by the labels, as in transformers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.problem_type not in (None, *PROBLEM_TYPES):
            known = ", ".join(PROBLEM_TYPES)
            raise ValueError(f"problem_type {reprlib.repr(self.problem_type)} is unknown; choose one of {known}")
        if self.problem_type == "single_label_classification" and self.num_labels == 1:
            raise ValueError("problem_type 'single_label_classification' needs at least two classes, id2label has one")
        if sorted(self.id2label) != list(range(len(self.id2label))) or not self.id2label:
            raise ValueError(f"id2label must name the classes 0, 1, 2, … without a gap, not {list(self.id2label)[:8]}")

    @property
    def num_labels(self) -> int:
        """Number of classes of a classification head."""
        return len(self.id2label)

    def with_labels(self: ClassifierConfigT, names: Sequence[str]) -> ClassifierConfigT:
        """Return the config of the same model with these classes. Raises: ValueError if they are not different names."""
        are_names = not isinstance(names, str) and len(names) > 0 and all(isinstance(name, str) for name in names)
        if not are_names or len({*names}) < len(names):
            raise ValueError(f'labels must be different names, such as ["bad", "good"], not {reprlib.repr(names)}')
        return replace(self, id2label=dict(enumerate(names)))

    @classmethod
    def read_fields(cls, stored: Mapping[str, Any]) -> dict[str, Any]:
        return super().read_fields(stored) | {"id2label": _read_labels(stored)}

    def hub_fields(self) -> dict[str, Any]:
        names = {str(number): name for number, name in self.id2label.items()}
        return super().hub_fields() | {"id2label": names, "label2id": {name: int(number) for number, name in names.items()}}


@dataclass(frozen=True, kw_only=True)
class BertConfig(Structure, ClassifierConfig, TextConfig):
    """Configuration of a BERT. The defaults are those of BERT-base.

    Raises: ValueError for values that do not fit each other, TypeError for values of the wrong type.

    >>> BertConfig(hidden_size=130)
    Traceback (most recent call last):
    ValueError: hidden_size 130 is not divisible by num_attention_heads 12
    """

    model_types = ("bert",)
    supported: ClassVar[Mapping[str, object]] = {
        "position_embedding_type": "absolute",
        "is_decoder": False,
        "add_cross_attention": False,
        "is_encoder_decoder": False,
        "quantization_config": None,
    }

    num_hidden_layers: int = 12
    """Number of encoder layers, "L" in the paper."""
    type_vocab_size: int = 2
    """Number of segments: sentence A and sentence B."""
    classifier_dropout: float | None = None
    """Dropout probability before a classification head. None: `hidden_dropout_prob`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        dropout = self.classifier_dropout
        if dropout is not None and (not isinstance(dropout, int | float) or isinstance(dropout, bool) or not 0 <= dropout < 1):
            raise ValueError(f"classifier_dropout must be null or a number from 0 to below 1, not {reprlib.repr(dropout)}")


def _read_labels(stored: Mapping[str, Any]) -> dict[int, str]:
    """Return the class names, or LABEL_0, LABEL_1, … if the file has none, or not as many as its `num_labels`.

    transformers does the same: `num_labels` is only written by hand or by older versions, and then the names may be stale.
    """
    names = stored.get("id2label") or {}
    if not isinstance(names, dict) or not all(re.fullmatch(r"0|[1-9][0-9]{0,8}", number) for number in names):
        raise ValueError("id2label must be an object: a name for each number")
    count = stored.get("num_labels")
    if count is None:
        count = len(names) or 2
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MAX_LABELS:
        raise ValueError(f"num_labels must be from 1 to {MAX_LABELS}, not {reprlib.repr(count)}")
    if len(names) == count:
        return {int(number): str(name) for number, name in names.items()}
    return {number: f"LABEL_{number}" for number in range(count)}


def _preset(layers: int, width: int) -> BertConfig:
    """Return a size of Turc et al. 2019: heads of size 64, a feed-forward network four times as wide."""
    return BertConfig(num_hidden_layers=layers, hidden_size=width, num_attention_heads=width // 64, intermediate_size=4 * width)


PRESETS = {
    "tiny": _preset(layers=2, width=128),
    "mini": _preset(layers=4, width=256),
    "small": _preset(layers=4, width=512),
    "medium": _preset(layers=8, width=512),
    "base": _preset(layers=12, width=768),
    "large": _preset(layers=24, width=1024),
}
"""Sizes of the published BERTs: base and large of Devlin et al. 2019, the others of Turc et al. 2019."""
