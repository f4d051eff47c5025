"""LoRA: frozen linear layers with trained updates of low rank (Hu et al. 2021)."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from minibert import kernels
from minibert.equations import lora, lora_merged_weight, lora_scale
from minibert.model.adapters.adapter import Adapter, replace_module
from minibert.model.adapters.targets import find_modules
from minibert.model.linear import LINEAR, Linear

if TYPE_CHECKING:
    from minibert.model.pretrained import PretrainedModel

Biases = Literal["none", "lora_only", "all"]
ValueT = TypeVar("ValueT")


class LoRALinear(Linear):
    """A frozen linear layer with a trained update of low rank. The formula is `equations.lora`.

    Source: Hu et al. 2021, section 4.1.
    Differs: A begins as the weights of a linear layer in PyTorch, as in the authors' code (loralib) and in peft; the paper says
        normally distributed.
    Tests: tests/model/adapters/test_lora.py::TestLoRALinear
    """

    merged_weight: Tensor | None

    def __init__(self, linear: nn.Linear, rank: int, alpha: float, dropout: float = 0.0, rank_stabilized: bool = False) -> None:
        super().__init__(linear.in_features, linear.out_features, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self.rank, self.alpha, self.scale = rank, alpha, lora_scale(alpha, rank, rank_stabilized)
        self.dropout = nn.Dropout(dropout)
        self.lora_a = nn.Parameter(linear.weight.new_empty(rank, linear.in_features))
        self.lora_b = nn.Parameter(linear.weight.new_empty(linear.out_features, rank))
        self.register_buffer("merged_weight", None, persistent=False)
        self.initialize_update()

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, rank={self.rank}, alpha={self.alpha:g}, merged={self.merged_weight is not None}"

    def initialize_update(self) -> None:
        """Initialize A with random numbers and B with zeros, so that the update is zero, but its gradient is not."""
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))
        nn.init.zeros_(self.lora_b)

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch output"]:
        if self.merged_weight is None:
            return lora(x, super().forward, self.lora_a, self.lora_b, self.scale, self.dropout)
        if self.training:
            raise RuntimeError("LoRA is merged, so its matrices cannot be trained: call `unmerge(model)` first")
        return kernels.linear(x, self.merged_weight, self.bias)

    @torch.no_grad()
    def merge(self) -> None:
        """Compute the merged weight, which `forward` uses from now on. The frozen weight and the update stay as they are."""
        self.merged_weight = lora_merged_weight(self.weight, self.lora_a, self.lora_b, self.scale)


def merge(model: nn.Module) -> None:
    """Merge every LoRA update of a network into its weight, for use without the costs of LoRA. `unmerge` is exact."""
    for module in lora_modules(model).values():
        module.merge()


def unmerge(model: nn.Module) -> None:
    """Undo `merge`, so that training can go on."""
    for module in lora_modules(model).values():
        module.merged_weight = None


@dataclass(frozen=True, kw_only=True)
class LoRA(Adapter):
    """Add a trained update of low rank to linear layers, by default to the query and value projections as in the paper.

    Raises: ValueError for settings outside their range.
    """

    kind = "lora"
    inserted = ("lora_a", "lora_b")

    rank: int = 8
    """r: rank of the updates."""
    alpha: float = 16
    """α: the updates are multiplied by α/r."""
    targets: Sequence[str] = ("query", "value")
    """Names of the linear layers, as in `find_modules`."""
    layers: Sequence[int] | None = None
    """Numbers of the layers; None for all."""
    dropout: float = 0.0
    """Dropout probability for the input of the updates."""
    rank_stabilized: bool = False
    """Multiply by α/√r instead (`use_rslora` of peft)."""
    bias: Biases = "none"
    """Biases to train too: none, those of the targets, or all."""
    rank_pattern: Mapping[str, int] = field(default_factory=dict)
    """Other ranks, by target. Of two patterns for one module the first is used."""
    alpha_pattern: Mapping[str, float] = field(default_factory=dict)
    """Other values of α, by target."""

    def __post_init__(self) -> None:
        for rank in (self.rank, *self.rank_pattern.values()):
            if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
                raise ValueError(f"rank must be a whole number of at least 1, not {rank!r}")
        for alpha in (self.alpha, *self.alpha_pattern.values()):
            if not isinstance(alpha, int | float) or isinstance(alpha, bool) or not math.isfinite(alpha) or alpha == 0:
                raise ValueError(f"alpha must be a finite number other than 0, not {alpha!r}")
        if not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be from 0 to below 1, not {self.dropout!r}")
        if self.bias not in get_args(Biases):
            raise ValueError(f"bias must be one of {', '.join(get_args(Biases))}, not {self.bias!r}")

    def insert(self, model: "PretrainedModel", whole: Collection[str]) -> list[str]:
        targets = find_modules(model, self.targets, lambda module: type(module) in LINEAR, self.layers, whole)
        ranks = _by_module(model, targets, self.rank, self.rank_pattern)
        alphas = _by_module(model, targets, self.alpha, self.alpha_pattern)
        for name in targets:
            linear = model.get_submodule(name)
            assert isinstance(linear, nn.Linear)
            replace_module(model, name, LoRALinear(linear, ranks[name], alphas[name], self.dropout, self.rank_stabilized))
        own = [f"{name}.{part}" for name in targets for part in self.inserted]
        if self.bias == "lora_only":
            own += [f"{name}.bias" for name in targets]
        if self.bias == "all":
            own += [name for name, _ in model.named_parameters() if name.endswith("bias")]
        return own

    def merged(self, model: "PretrainedModel", weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        merged = {name: tensor for name, tensor in weights.items() if not self.is_inserted(name)}
        for name, module in lora_modules(model).items():
            weight, a, b = (weights[f"{name}.{leaf}"] for leaf in ("weight", *self.inserted))
            merged[f"{name}.weight"] = lora_merged_weight(weight, a, b, module.scale)
        return merged

    def write(self, model: "PretrainedModel", weights: Mapping[str, Tensor], folder: Path) -> None:
        """Write the adapter in the format of peft."""
        from minibert.model.adapters.peft_files import write_peft

        write_peft(model, weights, folder)


def _by_module(
    model: "PretrainedModel", targets: list[str], default: ValueT, patterns: Mapping[str, ValueT]
) -> dict[str, ValueT]:
    """Return the setting of each module: that of the first pattern that matches it, or the default."""
    chosen = dict.fromkeys(targets, default)
    for pattern, value in reversed([*patterns.items()]):
        matched = [name for name in find_modules(model, [pattern]) if name in chosen]
        if not matched:
            raise ValueError(f"pattern {pattern!r} matches none of the targets: {', '.join(targets[:8])}")
        chosen.update(dict.fromkeys(matched, value))
    return chosen


def lora_modules(model: nn.Module) -> dict[str, LoRALinear]:
    """Return the layers with a low-rank update, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LoRALinear)}
