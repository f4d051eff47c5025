"""Options of parameter-efficient fine-tuning. Importing this module loads no library, so that the command line starts fast."""

from dataclasses import dataclass
from typing import Literal

from minibert.text.options import InvalidOption

AdapterKind = Literal["none", "lora", "bitfit", "bottleneck"]
OPTIONS_OF: dict[AdapterKind, tuple[str, ...]] = {
    "none": (),
    "lora": ("rank", "alpha", "rank_stabilized", "lora_dropout", "targets", "target_layers", "also_train"),
    "bitfit": ("targets", "also_train"),
    "bottleneck": ("bottleneck_size", "targets", "also_train"),
}
"""Options that each adapter has."""


@dataclass(frozen=True)
class AdapterConfig:
    """Parameter-efficient fine-tuning: an adapter and the head are trained, and the rest of the model is frozen."""

    adapter: AdapterKind = "none"
    """lora: updates of low rank (Hu et al. 2021). bitfit: only biases (Ben Zaken et al. 2022). bottleneck: small networks after
    each sublayer (Houlsby et al. 2019)."""
    rank: int = 8
    """lora: rank of the updates."""
    alpha: float = 16
    """lora: the updates are multiplied by alpha / rank."""
    rank_stabilized: bool = False
    """lora: multiply by alpha / √rank instead (rsLoRA)."""
    lora_dropout: float = 0.0
    """lora: dropout for the input of the updates."""
    bottleneck_size: int = 64
    """bottleneck: number of features."""
    targets: tuple[str, ...] = ()
    """Modules that the adapter is for, with the names of minibert or of transformers, such as query, attention.output, layers.3
    or all-linear. Default: query and value for lora, all for bitfit, both sublayers for bottleneck."""
    target_layers: tuple[int, ...] = ()
    """lora: numbers of the layers. Default: all."""
    also_train: tuple[str, ...] = ()
    """Other modules to train as a whole, such as pooler. New modules are always trained."""

    def __post_init__(self) -> None:
        defaults = {name: AdapterConfig.__dataclass_fields__[name].default for name in self.__dict__ if name != "adapter"}
        for name, default in defaults.items():
            if getattr(self, name) != default and name not in OPTIONS_OF[self.adapter]:
                kinds = " or ".join(kind for kind, names in OPTIONS_OF.items() if name in names)
                raise InvalidOption(f"--{name.replace('_', '-')}: is for --adapter {kinds}, not {self.adapter}")
        for name in ("rank", "bottleneck_size"):
            if (value := getattr(self, name)) < 1:
                raise InvalidOption(f"{name} {value}: must be at least 1")
        if not 0 <= self.lora_dropout < 1:
            raise InvalidOption(f"lora_dropout {self.lora_dropout:g}: must be at least 0 and below 1")
        if not 0 < self.alpha < float("inf"):
            raise InvalidOption(f"alpha {self.alpha:g}: must be a number above 0")
