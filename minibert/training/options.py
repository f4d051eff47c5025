"""What a run is told about training. Importing this loads no library, so that a command line of it is quick."""

from dataclasses import dataclass, field
from typing import Literal

from minibert.text.options import ExampleConfig, InvalidOption

Sharding = Literal["ddp", "fsdp"]
"""ddp: every process has the whole model. fsdp: each has a part of every weight, gradient and optimizer state (FSDP2)."""
Preset = Literal["tiny", "mini", "small", "medium", "base", "large"]
LEARNING_RATES: dict[str, float] = {"tiny": 1e-3, "mini": 5e-4, "small": 5e-4, "medium": 3e-4, "base": 1e-4, "large": 1e-4}
"""Devlin et al. 2019, section A.2, for base and large; smaller models bear, and need, longer steps."""


@dataclass(frozen=True)
class PretrainingConfig:
    """What decides the numbers: the same recipe on the same text gives the same model."""

    preset: Preset = "tiny"
    """The size of the model, as in Turc et al. 2019 and Devlin et al. 2019."""
    steps: int = 1000
    """Updates of the weights."""
    batch_size: int = 64
    """Examples in a step, over all processes."""
    learning_rate: float | None = None
    """At its highest. None: what suits the preset, from 1e-3 (tiny) to 1e-4 (base)."""
    warmup: float = 0.1
    """Share of the steps in which the learning rate rises; then it falls to zero in a straight line."""
    weight_decay: float = 0.01
    """How fast matrices and embeddings shrink."""
    dropout: float = 0.1
    """Of hidden states and attention weights. 0 learns faster from text that is read once or twice."""
    max_grad_norm: float = 1.0
    """Longest gradient."""
    seed: int = 0
    """Of the first weights, pairs, masks, order and dropout."""
    precision: Literal["float32", "bfloat16", "float64"] = "float32"
    """bfloat16: weights stay float32, products of matrices are rounded (autocast). float64: for comparisons."""
    examples: ExampleConfig = field(default_factory=ExampleConfig)

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size"):
            if getattr(self, name) < 1:
                raise InvalidOption(f"{name} {getattr(self, name)}: must be at least 1")
        for name in ("learning_rate", "max_grad_norm"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise InvalidOption(f"{name} {getattr(self, name):g}: must be more than 0")
        if not 0 <= self.warmup < 1:
            raise InvalidOption(f"warmup {self.warmup:g}: must be at least 0 and below 1")
        if not 0 <= self.dropout < 1:
            raise InvalidOption(f"dropout {self.dropout:g}: must be at least 0 and below 1")
        if self.weight_decay < 0 or self.seed < 0:
            raise InvalidOption("weight_decay and seed: must be at least 0")

    @property
    def rate(self) -> float:
        """The learning rate at its highest."""
        return self.learning_rate or LEARNING_RATES[self.preset]


@dataclass(frozen=True)
class TranslationConfig:
    """What decides the numbers of a Transformer that learns to turn one sequence into another."""

    preset: Literal["tiny", "small", "base", "big"] = "tiny"
    """The size of the model: base and big are those of Vaswani et al. 2017."""
    steps: int = 3000
    """Updates of the weights."""
    batch_tokens: int = 4096
    """Tokens in a step, of sources and targets together, padding included. The paper had 50,000."""
    warmup: int = 800
    """Steps in which the learning rate rises. The paper had 4,000."""
    decay: Literal["root", "linear"] = "root"
    """How it falls then: with the root of the step, as in the paper, or in a straight line to zero at the last step."""
    rate: float = 1.0
    """How many times the paper's learning rate (Vaswani et al., equation 3)."""
    dropout: float = 0.1
    """Of what sublayers find, and of the sums of embeddings and positions."""
    label_smoothing: float = 0.1
    """Share of the label that is spread over the whole vocabulary."""
    max_grad_norm: float = 1.0
    """Longest gradient."""
    pre_norm: bool = False
    """Normalize what goes into a sublayer, not the sum that comes out."""
    positions: Literal["sinusoidal", "learned", "rotary", "alibi"] = "sinusoidal"
    """How a token's place is told."""
    seed: int = 0
    """Of the first weights, order and dropout."""
    precision: Literal["float32", "bfloat16", "float64"] = "float32"
    """bfloat16: weights stay float32, products of matrices are rounded (autocast). float64: for comparisons."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_tokens", "warmup"):
            if getattr(self, name) < 1:
                raise InvalidOption(f"{name} {getattr(self, name)}: must be at least 1")
        for name in ("rate", "max_grad_norm"):
            if not getattr(self, name) > 0:
                raise InvalidOption(f"{name} {getattr(self, name):g}: must be more than 0")
        for name in ("dropout", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise InvalidOption(f"{name} {getattr(self, name):g}: must be at least 0 and below 1")
        if self.seed < 0:
            raise InvalidOption("seed: must be at least 0")


@dataclass(frozen=True)
class LettersConfig(TranslationConfig):
    """What decides the numbers of a Transformer that learns what to do with letters.

    New examples can always be drawn, so nothing has to keep it from learning them by heart: no dropout, no smoothing.
    """

    steps: int = 1400
    """Updates of the weights."""
    batch_tokens: int = 1024
    """Tokens in a step, of sources and targets together, padding included."""
    warmup: int = 100
    """Steps in which the learning rate rises."""
    decay: Literal["root", "linear"] = "linear"
    """How it falls then: with the root of the step, as in the paper, or in a straight line to zero at the last step."""
    rate: float = 0.12
    """How many times the paper's learning rate (Vaswani et al., equation 3)."""
    dropout: float = 0.0
    """Of what sublayers find, and of the sums of embeddings and positions."""
    label_smoothing: float = 0.0
    """Share of the label that is spread over the whole vocabulary."""


@dataclass(frozen=True)
class DeviceOptions:
    """How the work is done. It may change when a run goes on: without dropout the numbers are the same to rounding."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA where there is one."""
    micro_batch_size: int | None = None
    """Examples that a process works on at a time, at most: fewer need less memory, and less padding, as those of like length
    come together. None: 16 on a CPU, and on a GPU all of its step."""
    sharding: Sharding = "ddp"
    """With several processes: the whole model in each (ddp), or a part of every weight (fsdp)."""
    compile: bool = False
    """Compile the encoder (torch.compile): a minute or two at the start, quicker steps on a GPU."""
    recompute: bool = False
    """Keep no activations inside the layers, compute them anew on the way back: less memory, a third more work."""

    def __post_init__(self) -> None:
        if self.micro_batch_size is not None and self.micro_batch_size < 1:
            raise InvalidOption(f"micro_batch_size {self.micro_batch_size}: must be at least 1")
