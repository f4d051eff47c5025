"""Comparison of tensors and gradients of two libraries, in float64."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

TOLERANCE = 1e-10


class DifferenceError(Exception):
    """A difference between the two libraries."""


def check_equal(name: str, mine: Tensor, theirs: Tensor) -> None:
    """Raise DifferenceError for a difference above 1e-10, or above 1e-10 of the largest value if that is above 1.

    NaN and infinity must be at the same places.
    """
    if mine.shape != theirs.shape:
        raise DifferenceError(f"{name}: shape {tuple(mine.shape)}, not {tuple(theirs.shape)}")
    finite = theirs[theirs.isfinite()]
    scale = finite.abs().max().clamp(min=1).item() if len(finite) else 1.0
    if not torch.allclose(mine, theirs, rtol=0, atol=TOLERANCE * scale, equal_nan=True):
        raise DifferenceError(f"{name}: differs by {(mine - theirs).abs().max().item():.1e} of {scale:.1e}")


def check_all_equal(name: str, mine: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    """Compare tensors by name. A tensor that only one side has must be zero: gradients may be zero or None."""
    for each in sorted(mine.keys() | theirs.keys()):
        one, other = mine.get(each), theirs.get(each)
        check_equal(
            f"{name} {each}",
            torch.zeros_like(other) if one is None else one,
            torch.zeros_like(one) if other is None else other,
        )


def gradients_of(model: nn.Module, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the gradients of a random linear function of all outputs, by parameter."""
    generator = torch.Generator().manual_seed(0)
    total = sum((x * torch.randn(x.shape, generator=generator, dtype=x.dtype)).sum() for x in outputs.values())
    model.zero_grad()
    if isinstance(total, Tensor):
        total.backward()
    return {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
