"""Invariants that many exercises share: which parts of the input change which parts of the output."""

from collections.abc import Iterable, Mapping
from functools import partial

import torch
from torch import Tensor

from minibert.classroom.exercise import Arguments, Invariant

EQUAL = "Both results must be equal."
HEADS_REVERSED = f"Here, the heads are in reverse order in all four projections. {EQUAL}"
FIRST_ROW = "Here, the batch has its first row only. The second result must be the first row of the first result."


def equal(one: Tensor, other: Tensor, arguments: Arguments | None = None) -> bool:
    """Return True if two outputs are equal up to rounding."""
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-4, atol=1e-4, equal_nan=True)


def first_rows_equal(one: Tensor, other: Tensor, arguments: Arguments) -> bool:
    """Return True if the second output is the first row of a batch."""
    return other.shape[1:] == one.shape[1:] and equal(one[:1], other)


def independent(what: str, names: Iterable[str], axis: int) -> Invariant:
    """The parts along an axis do not influence each other: another last part changes the last part of the output only.

    Args:
        what: the parts in the plural, such as "tokens".
        names: the arguments that have this axis.
    """

    def changed(arguments: Arguments) -> Arguments:
        present = {name: arguments[name] for name in names if name in arguments}
        return {**arguments, **{name: _with_another_last_part(tensor, axis) for name, tensor in present.items()}}

    def holds(one: Tensor, other: Tensor, arguments: Arguments) -> bool:
        rest = one.shape[axis] - 1
        return one.shape == other.shape and equal(one.narrow(axis, 0, rest), other.narrow(axis, 0, rest))

    relation = f"Here, the last of the {what} (axis {axis}) is another one. Only its result may be another one."
    return Invariant(f"{what} are independent of each other", changed, holds, relation)


def _with_another_last_part(tensor: Tensor, axis: int) -> Tensor:
    rest, last = tensor.narrow(axis, 0, tensor.shape[axis] - 1), tensor.narrow(axis, -1, 1)
    # Whole numbers are lengths or rows of a table, and zero is one of both.
    other = 1 - 2 * last if tensor.is_floating_point() else torch.where(last == 0, 1, 0)
    return torch.cat([rest, other], dim=axis)


def reordered(name: str, what: str, axes: Mapping[str, int], output_axis: int | None = None) -> Invariant:
    """A reversed axis of some arguments reverses an axis of the output, or changes nothing.

    Args:
        what: the parts along the axis in the plural, such as "heads".
        axes: the axis of each argument that is reversed.
        output_axis: the axis of the output that is reversed then.
    """

    def changed(arguments: Arguments) -> Arguments:
        present = {name: arguments[name].flip(axis) for name, axis in axes.items() if name in arguments}
        return {**arguments, **present}

    def holds(one: Tensor, other: Tensor, arguments: Arguments) -> bool:
        return equal(one if output_axis is None else one.flip(output_axis), other)

    right = EQUAL if output_axis is None else f"The second result must be the first in reverse order along axis {output_axis}."
    return Invariant(name, changed, holds, f"Here, the {what} are in reverse order. {right}")


def _shift(arguments: Arguments, name: str) -> Arguments | None:
    tensor = arguments[name]
    return {**arguments, name: tensor + 1} if tensor.abs().max() < 100 else None


def unchanged_by_shift(name: str, argument: str) -> Invariant:
    """Adding a constant to an argument changes nothing."""
    return Invariant(name, partial(_shift, name=argument), equal, f"Here, 1 is added to `{argument}`. {EQUAL}")
