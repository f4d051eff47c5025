"""Comparison of tensors and gradients of two libraries, in float64."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

TOLERANCE = 1e-10
TRAINING_STEPS, TRAINING_TOLERANCE = 30, 1e-8


class DifferenceError(Exception):
    """A difference between the two libraries."""


def check_equal(name: str, mine: Tensor, theirs: Tensor, scale: float | None = None, tolerance: float = TOLERANCE) -> None:
    """Raise DifferenceError for a difference above the tolerance, or above that part of the scale if the scale is above 1.

    NaN and infinity must be at the same places.

    Args:
        scale: default: the largest value of `theirs`.
    """
    if mine.shape != theirs.shape:
        raise DifferenceError(f"{name}: shape {tuple(mine.shape)}, not {tuple(theirs.shape)}")
    scale = largest(theirs) if scale is None else scale
    if not torch.allclose(mine, theirs, rtol=0, atol=tolerance * max(1.0, scale), equal_nan=True):
        raise DifferenceError(f"{name}: differs by {(mine - theirs).abs().max().item():.1e} of {scale:.1e}")


def largest(tensor: Tensor) -> float:
    """Return the largest absolute value that is finite."""
    finite = tensor[tensor.isfinite()]
    return finite.abs().max().item() if len(finite) else 0.0


def check_all_equal(name: str, mine: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    """Compare tensors by name, on the scale of the largest value of all, because rounding is on this scale.

    A tensor that only one side has must be zero: gradients may be zero or None.
    """
    scale = max(map(largest, theirs.values()), default=0.0)
    for each in sorted(mine.keys() | theirs.keys()):
        one, other = mine.get(each), theirs.get(each)
        one = torch.zeros_like(other) if one is None else one
        check_equal(f"{name} {each}", one, torch.zeros_like(one) if other is None else other, scale)


def gradients_of(model: nn.Module, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the gradients of a random linear function of all outputs, by parameter."""
    generator = torch.Generator().manual_seed(0)
    total = sum((x * torch.randn(x.shape, generator=generator, dtype=x.dtype)).sum() for x in outputs.values())
    model.zero_grad()
    if isinstance(total, Tensor):
        total.backward()
    return {name: each.grad for name, each in model.named_parameters() if each.grad is not None}


def train(model: nn.Module, loss: Callable[[], Tensor]) -> Tensor:
    """Train a network with AdamW, without dropout, on one batch. Return the loss before each step."""
    optimizer = torch.optim.AdamW(model.eval().parameters(), lr=1e-3)
    losses = []
    for _ in range(TRAINING_STEPS):
        optimizer.zero_grad()
        losses.append(loss())
        losses[-1].backward()
        optimizer.step()
    return torch.stack(losses).detach()
