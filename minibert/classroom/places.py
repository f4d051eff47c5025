"""The places at which a learner's numbers are wrong: along one axis, or by the sign of the expected numbers."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

ENOUGH = 4
"""Fewest places along an axis that tell the first half from the first place, and even places from odd ones."""
ALONG_AN_AXIS: dict[str, Callable[[int], range]] = {
    "at the first place": lambda size: range(1),
    "at the last place": lambda size: range(size - 1, size),
    "after the first place": lambda size: range(1, size),
    "before the last place": lambda size: range(size - 1),
    "at the places 0, 2, 4, …": lambda size: range(0, size, 2),
    "at the places 1, 3, 5, …": lambda size: range(1, size, 2),
    "in the first half": lambda size: range(size // 2),
    "in the second half": lambda size: range(size - size // 2, size),
}
"""Places along an axis of a size."""
BY_SIGN: dict[str, Callable[[Tensor], Tensor]] = {
    "zero": lambda expected: expected == 0,
    "positive": lambda expected: expected > 0,
    "negative": lambda expected: expected < 0,
}


def wrong_places(pairs: Sequence[tuple[Tensor, Tensor]], tolerance: float, name_of_axis: Callable[[int, int], str]) -> str:
    """Return where numbers are wrong, in one sentence that holds for all pairs; the empty string if they are wrong elsewhere.

    Args:
        pairs: numbers of the learner, and the expected ones.
        tolerance: largest difference that is rounding, relative to the largest expected number.
        name_of_axis: the name of an axis in words, for its number and the number of axes.
    """
    if any(mine.shape != expected.shape or mine.dim() != pairs[0][0].dim() for mine, expected in pairs):
        return ""
    wrong = [_wrong(mine, expected, tolerance) for mine, expected in pairs]
    known = [(each, expected) for each, (_, expected) in zip(wrong, pairs, strict=True) if each.any()]
    axes = pairs[0][0].dim()
    for axis in reversed(range(axes)):
        sizes = [each.shape[axis] for each, _ in known]
        found = [{number for number, part in enumerate(each.unbind(axis)) if part.any()} for each, _ in known]
        for words, places in ALONG_AN_AXIS.items():
            if max(sizes, default=0) >= ENOUGH and all(
                one == {*places(size)} and len(one) < size for one, size in zip(found, sizes, strict=True)
            ):
                return f"Your numbers are wrong only {words} along {name_of_axis(axis, axes)}."
    for sign, is_of_sign in BY_SIGN.items():
        if known and all(torch.equal(each, is_of_sign(expected)) and not each.all() for each, expected in known):
            return f"Your numbers are wrong only where the expected ones are {sign}."
    return ""


def _wrong(mine: Tensor, expected: Tensor, tolerance: float) -> Tensor:
    finite = expected[expected.isfinite()].abs()
    scale = finite.max().item() if finite.numel() else 1.0
    return ~torch.isclose(mine, expected, rtol=0.0, atol=tolerance * scale, equal_nan=True)
