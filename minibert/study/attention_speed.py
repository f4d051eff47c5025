"""The time that each way to compute attention takes on this machine, next to the choice of `attention="auto"`."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from torch import Tensor

from minibert.equations import scaled_dot_product_attention
from minibert.kernels import AttentionFunction, choose_attention, flash_attention, fused_attention, unfused_attention
from minibert.kernels.flash import triton_kernels
from minibert.timing import time_in_turn

HEADS, HEAD_WIDTH = 4, 64
LENGTHS = (32, 128, 512)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
USES = {"inference": None, "training": 0.0, "training, dropout": 0.1}
"""The dropout of each use; None without a backward pass."""


@dataclass(frozen=True)
class AttentionTimes:
    """The times of one kind of attention."""

    dtype: str
    use: str
    length: int
    seconds: dict[str, float]
    """Median of each way."""
    chosen: str
    """The way that "auto" picks."""
    reason: str

    @property
    def fastest(self) -> str:
        """The fastest way."""
        return min(self.seconds, key=self.seconds.__getitem__)

    @property
    def loss(self) -> float:
        """Time of the choice, divided by that of the fastest way."""
        return self.seconds[self.chosen] / self.seconds[self.fastest]


def ways_on(device: torch.device) -> dict[str, AttentionFunction]:
    """Return the ways to compute attention on a device by their names."""
    ways = {"fused": fused_attention, "unfused": unfused_attention, "explicit": scaled_dot_product_attention}
    if device.type == "cuda":
        with suppress(ImportError):
            triton_kernels()
            ways["triton"] = flash_attention
    return ways


def measure_attention(device: torch.device, tokens: int = 4096, rounds: int = 5) -> Iterator[AttentionTimes]:
    """Time all ways for some lengths, types and uses.

    Args:
        tokens: tokens of a batch, whatever their length.
        rounds: number of times that each way is timed, in turn with the others.
    """
    ways = ways_on(device)
    for dtype in DTYPES:
        for use, dropout in USES.items():
            for length in LENGTHS:
                shape = (max(1, tokens // length), HEADS, length, HEAD_WIDTH)
                is_training = dropout is not None
                heads = [torch.randn(shape, device=device).to(DTYPES[dtype]).requires_grad_(is_training) for _ in range(3)]
                calls = {name: partial(_run, attend, heads, dropout) for name, attend in ways.items()}
                with torch.set_grad_enabled(is_training):
                    seconds = {name: median(times) for name, times in time_in_turn(calls, rounds).items()}
                    chosen, reason = choose_attention("auto", heads[0], dropout or 0.0)
                name = next(name for name, attend in ways.items() if attend is chosen)
                yield AttentionTimes(dtype, use, length, seconds, name, reason)


def _run(attend: Callable[..., Tensor], heads: list[Tensor], dropout: float | None) -> None:
    context = attend(*heads, None, dropout or 0.0)
    if dropout is not None:
        torch.autograd.grad(context.float().sum(), heads)
