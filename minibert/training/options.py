"""Options of training runs. Importing this module loads no library, so that the command line starts fast."""

import json
import math
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from minibert.text.options import ExampleConfig, InvalidOption
from minibert.training.adapter_options import AdapterConfig
from minibert.training.transfer_options import TransferConfig

Sharding = Literal["ddp", "fsdp"]
"""ddp: every process has the whole model. fsdp: each has a part of every weight, gradient and optimizer state (FSDP2)."""
Preset = Literal["tiny", "mini", "small", "medium", "base", "large"]
FamilyName = Literal["bert", "roberta", "albert", "electra", "distilbert", "gpt2", "t5"]
"""Families with a pretraining; see `pretraining_tasks`."""
Precision = Literal["float32", "bfloat16", "float64"]
Schedule = Literal["linear", "constant"]
LEARNING_RATES: dict[str, float] = {"tiny": 1e-3, "mini": 5e-4, "small": 5e-4, "medium": 3e-4, "base": 1e-4, "large": 1e-4}
"""Peak learning rate of each preset. Devlin et al. 2019, section A.2, for base and large; small models need more."""
CONTINUED_LEARNING_RATE = 2e-5
"""Peak learning rate of a run that begins with trained weights, as recommended in the README of Google's BERT code."""
FINE_TUNING_LEARNING_RATES = (5e-5, 1e-3)
"""Peak learning rate of fine-tuning: the highest of Devlin et al. 2019, section A.3; and for a hidden size below 256."""
ADAPTER_LEARNING_RATES = (1e-3, 3e-3)
"""The same with an adapter, whose few parameters have to move further."""
DEFAULT_PRESET: Preset = "tiny"
MAX_EMBEDDING_SIZE = 2**14
"""Largest width of embeddings that are not as wide as the layers. A vocabulary of 30,000 pieces then has 2 GB."""
FAMILY_FIELDS = ("embedding_size", "num_hidden_groups")
"""Options of pretraining that are fields of the model's config in some families."""


@dataclass(frozen=True)
class PretrainingConfig:
    """Hyperparameters of a pretraining run. Two runs with the same hyperparameters on the same text give the same weights."""

    family: FamilyName | None = None
    """Family of the model. None: bert, or the family of the given checkpoint."""
    preset: Preset | None = None
    """Size of the model, as in Turc et al. 2019 and Devlin et al. 2019. None: tiny, or the size of the given checkpoint.
    distilbert has half of the layers."""
    embedding_size: int | None = None
    """albert, electra: width of the embeddings. None: 128, as in the papers; that of the layers in large ELECTRAs."""
    num_hidden_groups: int | None = None
    """albert: number of layers with parameters of their own. None: 1, all layers share their parameters."""
    steps: int = 1000
    """Number of optimizer updates."""
    batch_size: int = 64
    """Examples per step, over all processes."""
    learning_rate: float | None = None
    """Peak learning rate. None: the preset's own, from 1e-3 (tiny) to 1e-4 (base); 2e-5 for a given checkpoint."""
    warmup_fraction: float = 0.1
    """Share of the steps used for linear warm-up. Linear decay to zero follows."""
    weight_decay: float = 0.01
    """Weight decay of matrices and embeddings."""
    dropout: float = 0.1
    """Dropout of hidden states and attention weights. 0 trains faster if each document is seen only once or twice."""
    max_grad_norm: float = 1.0
    """Maximum gradient norm; longer gradients are scaled down to it."""
    seed: int = 0
    """Seed of initial weights, sentence pairs, masks, order and dropout."""
    precision: Precision = "float32"
    """float32; bfloat16: float32 weights, matrix products in bfloat16 (autocast); float64: for comparisons."""
    examples: ExampleConfig = field(default_factory=ExampleConfig)

    def __post_init__(self) -> None:
        _at_least_one(self, "steps", "batch_size", *FAMILY_FIELDS)
        if self.embedding_size is not None and self.embedding_size > MAX_EMBEDDING_SIZE:
            raise InvalidOption(f"embedding_size {self.embedding_size}: must be at most {MAX_EMBEDDING_SIZE:,}")
        _positive(self, "learning_rate", "max_grad_norm")
        _fraction(self, "warmup_fraction", "dropout")
        _not_negative(self, "weight_decay", "seed")

    @property
    def family_fields(self) -> dict[str, int]:
        """The given options that are fields of the model's config in some families."""
        return {name: value for name in FAMILY_FIELDS if (value := getattr(self, name)) is not None}

    @property
    def peak_learning_rate(self) -> float:
        """Learning rate at the end of warm-up."""
        return self.learning_rate or LEARNING_RATES[self.preset or DEFAULT_PRESET]


@dataclass(frozen=True)
class TranslationConfig:
    """Hyperparameters of training the Transformer of 2017 to turn one sequence into another."""

    preset: Literal["tiny", "small", "base", "big"] = "tiny"
    """Size of the model. base and big are those of Vaswani et al. 2017."""
    steps: int = 3000
    """Number of optimizer updates."""
    batch_tokens: int = 4096
    """Tokens per step, of sources and targets together, including padding. Vaswani et al.: 50,000."""
    warmup_steps: int = 800
    """Steps of linear warm-up. Vaswani et al.: 4,000."""
    decay: Literal["inverse-sqrt", "linear"] = "inverse-sqrt"
    """Decay after warm-up: inverse square root of the step (Vaswani et al.), or linear to zero at the last step."""
    learning_rate_factor: float = 1.0
    """Factor on the learning rate of Vaswani et al., equation 3."""
    dropout: float = 0.1
    """Dropout of the output of each sublayer and of the sums of embeddings and positions."""
    label_smoothing: float = 0.1
    """Share of the target probability that is spread over the whole vocabulary."""
    max_grad_norm: float = 1.0
    """Maximum gradient norm; longer gradients are scaled down to it."""
    pre_norm: bool = False
    """Apply layer normalization to the input of each sublayer, not to the residual sum."""
    positions: Literal["sinusoidal", "learned", "rotary", "alibi"] = "sinusoidal"
    """Kind of position encoding."""
    seed: int = 0
    """Seed of initial weights, order and dropout."""
    precision: Precision = "float32"
    """float32; bfloat16: float32 weights, matrix products in bfloat16 (autocast); float64: for comparisons."""

    def __post_init__(self) -> None:
        _at_least_one(self, "steps", "batch_tokens", "warmup_steps")
        _positive(self, "learning_rate_factor", "max_grad_norm")
        _fraction(self, "dropout", "label_smoothing")
        _not_negative(self, "seed")


@dataclass(frozen=True)
class LettersConfig(TranslationConfig):
    """Hyperparameters of training the Transformer of 2017 on sequences of letters.

    New examples are drawn in every epoch, so there is no overfitting to prevent: no dropout, no label smoothing.
    """

    steps: int = 1400
    """Number of optimizer updates."""
    batch_tokens: int = 1024
    """Tokens per step, of sources and targets together, including padding."""
    warmup_steps: int = 100
    """Steps of linear warm-up."""
    decay: Literal["inverse-sqrt", "linear"] = "linear"
    """Decay after warm-up: inverse square root of the step (Vaswani et al.), or linear to zero at the last step."""
    learning_rate_factor: float = 0.12
    """Factor on the learning rate of Vaswani et al., equation 3."""
    dropout: float = 0.0
    """Dropout of the output of each sublayer and of the sums of embeddings and positions."""
    label_smoothing: float = 0.0
    """Share of the target probability that is spread over the whole vocabulary."""


@dataclass(frozen=True)
class FineTuningConfig:
    """Hyperparameters of fine-tuning. The defaults follow Devlin et al. 2019, section A.3."""

    epochs: float = 3
    """Passes over the training data."""
    steps: int | None = None
    """Number of optimizer updates, instead of --epochs."""
    batch_size: int = 32
    """Examples per step, over all processes. With --micro-batch-size, a step is computed in parts, with the same result."""
    learning_rate: float | None = None
    """Peak learning rate. None: 5e-5, or 1e-3 with an adapter; for models with a hidden size below 256, 1e-3 or 3e-3."""
    warmup_fraction: float = 0.1
    """Share of the steps used for linear warm-up."""
    schedule: Schedule = "linear"
    """Learning rate after the warm-up: linear decay to zero, or constant."""
    weight_decay: float = 0.01
    """Weight decay of matrices and embeddings."""
    dropout: float | None = None
    """Dropout of hidden states, attention weights and the head. None: as in the config of the checkpoint."""
    classifier_dropout: float | None = None
    """Dropout before the classifier of the head (not for `answer`). None: that of --dropout, or as in the config."""
    balanced_classes: bool = False
    """Weight the loss of each class by n / (K n_k) for n texts in K classes, n_k of them in this one. Rare classes then count
    as much as frequent ones. For tasks with one class per text or word."""
    transfer: TransferConfig = field(default_factory=TransferConfig)
    adapter: AdapterConfig = field(default_factory=AdapterConfig)
    max_grad_norm: float = 1.0
    """Maximum gradient norm; longer gradients are scaled down to it."""
    seed: int = 0
    """Seed of the new head, order and dropout."""
    precision: Precision = "float32"
    """float32; bfloat16: float32 weights, matrix products in bfloat16 (autocast); float64: for comparisons."""

    def __post_init__(self) -> None:
        _at_least_one(self, "batch_size", "steps")
        _positive(self, "epochs", "learning_rate", "max_grad_norm")
        _fraction(self, "warmup_fraction", "dropout", "classifier_dropout")
        _not_negative(self, "weight_decay", "seed")

    def peak_learning_rate(self, hidden_size: int) -> float:
        """Learning rate at the end of warm-up, for a model of this size."""
        rates = FINE_TUNING_LEARNING_RATES if self.adapter.adapter == "none" else ADAPTER_LEARNING_RATES
        return self.learning_rate or rates[hidden_size < 256]


@dataclass(frozen=True)
class DeviceOptions:
    """Device and parallelism options. They may change on resume: without dropout the results are equal up to rounding."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA if it is available, else the CPU."""
    micro_batch_size: int | None = None
    """Maximum number of examples that a process computes at a time. Small micro-batches need less memory and less padding,
    because their examples have similar lengths. None: 16 on a CPU, and no limit on a GPU."""
    sharding: Sharding = "ddp"
    """With several processes: the whole model in each of them (ddp), or a part of every weight (fsdp)."""
    compile: bool = False
    """Compile the encoder with torch.compile: one or two minutes at the start, faster steps on a GPU."""
    recompute: bool = False
    """Recompute activations in the backward pass instead of storing them: less memory, one third more computation."""

    def __post_init__(self) -> None:
        _at_least_one(self, "micro_batch_size")


@dataclass(frozen=True)
class OutputOptions:
    """Output and checkpoint options of a run."""

    out: Path = Path("runs/run")
    """Folder to write to: checkpoints, metrics.jsonl, loss.png, and at the end the model."""
    resume: bool = False
    """Resume from the last checkpoint in the folder, with the options that the run began with; more --steps extend the run.
    Start from the beginning if there is none."""
    checkpoint_every: int = 200
    """Steps between checkpoints."""
    keep: int = 2
    """Number of checkpoints to keep; older ones are deleted."""
    evaluate_every: int | None = 100
    """Steps between evaluations on validation data. None: at the end of every epoch."""
    patience: int | None = None
    """Early stopping: end the run after this many evaluations in a row that are not better than the best one, and export the
    model of the best one. Evaluations are compared by the main metric of the task. None: run all steps."""
    restore_best: bool = False
    """Export the model of the best evaluation, not that of the last step. --patience does this, too."""
    show: int = 0
    """Number of examples of the first step to print before training."""

    def __post_init__(self) -> None:
        _at_least_one(self, "checkpoint_every", "keep", "evaluate_every", "patience")
        if self.show < 0:
            raise InvalidOption(f"show {self.show}: must be at least 0")

    @property
    def keeps_best(self) -> bool:
        """True if the model of the best evaluation is exported."""
        return self.restore_best or self.patience is not None


OptionsT = TypeVar("OptionsT", bound=OutputOptions)

OPTIONS_FILE = "options.json"
"""File with the options of a command that makes several runs, for resuming. A single run has them in run.json."""


def options_to_json(options: OutputOptions) -> dict[str, Any]:
    """Convert the options of a command to JSON values, under the name of their class. Paths become absolute."""
    fields = json.loads(json.dumps(asdict(options), default=lambda path: str(path.absolute())))
    return {type(options).__name__: fields}


def options_from_json(kind: type[OptionsT], stored: dict[str, Any]) -> OptionsT | None:
    """Convert the result of `options_to_json` back; None if it holds no options of this class.

    Fields that the class does not have are left out. Raises: TypeError or InvalidOption for values that cannot be used.
    """
    if kind.__name__ not in stored:
        return None
    if not isinstance(stored[kind.__name__], dict):
        raise TypeError(f"{kind.__name__} must be an object")
    options: OptionsT = _from_json(kind, stored[kind.__name__])
    return options


def _from_json(kind: Any, value: Any) -> Any:
    """Convert a JSON value to the type of an option."""
    if isinstance(kind, type) and is_dataclass(kind) and isinstance(value, dict):
        kinds = get_type_hints(kind)
        return kind(**{name: _from_json(kinds[name], each) for name, each in value.items() if name in kinds})
    kinds_of_items = next((get_args(each) for each in (kind, *get_args(kind)) if get_origin(each) is tuple), ())
    if isinstance(value, list) and kinds_of_items:
        return tuple(_from_json(kinds_of_items[0], each) for each in value)
    if isinstance(value, list) or (get_origin(kind) is tuple):
        raise TypeError(f"{str(value)[:50]!r} has the wrong type")
    return Path(value) if isinstance(value, str) and Path in (kind, *get_args(kind)) else value


def _number(options: object, name: str) -> Any:
    """Return the value of an option. Raises: InvalidOption if it is neither a number nor None."""
    value = getattr(options, name)
    if isinstance(value, int | float | None):
        return value
    raise InvalidOption(f"{name} {value!r}: must be a number")


def _at_least_one(options: object, *names: str) -> None:
    for name in names:
        if (value := _number(options, name)) is not None and not 1 <= value < 2**63:
            raise InvalidOption(f"{name} {value}: must be at least 1{' and below 2^63' * (value > 1)}")


def _positive(options: object, *names: str) -> None:
    for name in names:
        if (value := _number(options, name)) is not None and not 0 < value < math.inf:
            raise InvalidOption(f"{name} {value:g}: must be a number above 0")


def _fraction(options: object, *names: str) -> None:
    for name in names:
        if (value := _number(options, name)) is not None and not 0 <= value < 1:
            raise InvalidOption(f"{name} {value:g}: must be at least 0 and below 1")


def _not_negative(options: object, *names: str) -> None:
    for name in names:
        if not 0 <= (value := _number(options, name)) < 2**63:
            shown = value if isinstance(value, int) else f"{value:g}"  # an int can be too large for a float
            raise InvalidOption(f"{name} {shown}: must be at least 0 and below 2^63")
