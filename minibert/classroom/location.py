"""The line of the learner's code that probably causes a mistake, and the first intermediate result that differs.

Both come from the trails of three functions for the same input: the learner's function, the reference, and the reference with
the mistake.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from minibert.classroom.questions import kind_of, shown
from minibert.classroom.trail import Entry

ROUNDING = 1e-5
"""Largest relative difference of equal intermediate results."""
MAX_AXES = 4
"""Tensors with more axes are compared without transposing them."""
NUMBERS_SHOWN = 3


@dataclass
class Values:
    """A collection of tensors in which others are looked up. Axes of size 1 do not count."""

    tensors: list[Tensor] = field(default_factory=list)

    @classmethod
    def of(cls, tensors: Iterable[Tensor]) -> "Values":
        return cls([_plain(tensor) for tensor in tensors])

    def has(self, value: Tensor, reshaped: bool = False) -> bool:
        """Return True if a value is among them, up to the order of its axes.

        Args:
            reshaped: also accept a value with another shape, unless the same numbers should be in another order in its shape.
        """
        value = _plain(value)
        same_size = [tensor for tensor in self.tensors if tensor.numel() == value.numel()]
        if any(_equal_up_to_axes(value, tensor) for tensor in same_size):
            return True
        return (
            reshaped and any(_close(value.flatten(), tensor.flatten()) for tensor in same_size) and not self.has_shuffled(value)
        )

    def has_shuffled(self, value: Tensor) -> bool:
        """Return True if a tensor of the same shape has the same numbers in another order."""
        ordered = value.flatten().sort().values
        return any(
            tensor.shape == value.shape and _close(ordered, tensor.flatten().sort().values) and not _close(value, tensor)
            for tensor in self.tensors
        )


def _plain(tensor: Tensor) -> Tensor:
    return tensor.squeeze().double()


def _close(one: Tensor, other: Tensor) -> bool:
    """Return True if two tensors are equal up to rounding, relative to the largest number."""
    if one.shape != other.shape:
        return False
    finite = other.isfinite()
    if not torch.equal(one[~finite].nan_to_num(), other[~finite].nan_to_num()):
        return False
    far, size = (one[finite] - other[finite]).abs(), other[finite].abs()
    return not far.numel() or bool(far.max() <= ROUNDING * size.max())


def _equal_up_to_axes(one: Tensor, other: Tensor) -> bool:
    if one.ndim != other.ndim or one.ndim > MAX_AXES or sorted(one.shape) != sorted(other.shape):
        return _close(one, other)
    return any(_close(one.permute(order), other) for order in itertools.permutations(range(one.ndim)))


class Trails:
    """The trails of the learner's function and of the reference for the same arguments.

    Args:
        inputs: the tensors in the arguments.
        kinds: kinds of numbers in the result. Values of other kinds, such as masks in attention, are not compared.
    """

    def __init__(self, own: Sequence[Entry], reference: Sequence[Entry], inputs: Iterable[Tensor], kinds: set[str]) -> None:
        inputs = list(inputs)
        self.kinds = kinds
        self.has_numbers = any(is_number(entry.value) for entry in reference)
        self.reference = [entry for entry in reference if self._counts(entry.value)]
        self.own = [entry for entry in own if self._counts(entry.value)]
        self.inputs = Values.of(inputs)
        self.right = Values.of([*(entry.value for entry in self.reference), *inputs])

    def _counts(self, value: Tensor) -> bool:
        """Return False for values that are no evidence: of another kind, or constant, such as `torch.zeros(…)`."""
        if kind_of(value.dtype) not in self.kinds or not value.numel() or (is_number(value) and not self.has_numbers):
            return False
        return value.numel() == 1 or bool((value != value.flatten()[0]).any())

    def line_like(self, variant: Sequence[Entry]) -> Entry | None:
        """Return the first value that the named mistake has too, and the reference has not.

        If an operation is missing, as the division in `scores = query @ key.mT`, every value up to there is right. It is then
        missing after the value that has the name of the next one in the variant.
        """
        names = {entry.label for entry in self.reference} - {"", "return"}
        known = {name: Values.of(entry.value for entry in self.reference if entry.label == name) for name in names}
        wrong = [entry for entry in variant if self._counts(entry.value)]
        new = Values.of(entry.value for entry in wrong if not self.right.has(entry.value))
        early = Values.of(entry.value for entry in wrong if entry.label in known and not known[entry.label].has(entry.value))
        first = next((number for number, entry in enumerate(self.own) if new.has(entry.value)), len(self.own))
        before = [entry for entry in self.own[:first] if entry.label and early.has(entry.value)]
        return next(iter([*before[-1:], *self.own[first:]]), None)

    def suspect(self) -> Entry | None:
        """Return the first value after the last right one, or the last value if all are right."""
        right = [self.right.has(entry.value, reshaped=True) for entry in self.own]
        last = max((number for number, is_right in enumerate(right) if is_right), default=-1)
        return next(iter([*self.own[last + 1 :], *self.own[-1:]]), None)

    def first_of(self, tensors: Iterable[Tensor]) -> Entry | None:
        """Return the first value of the learner's function that is among these."""
        searched = Values.of(tensors)
        return next((entry for entry in self.own if searched.has(entry.value)), None)

    def first_difference(self) -> str:
        """Describe the first intermediate result of the reference that the learner's function does not compute.

        Returns: an empty text if it computes the last one, the result, or if there is no other one.
        """
        named = [entry for entry in self.reference if entry.label not in ("", "return") and not self.inputs.has(entry.value)]
        named += [replace(self.reference[-1], label="the result")] if self.reference else []
        found = [next((own for own in self.own if Values.of([own.value]).has(entry.value)), None) for entry in named]
        last = max((number for number, own in enumerate(found) if own is not None), default=-1)
        if last + 1 == len(named) or len(named) == 1:
            return ""
        wrong, agrees = named[last + 1], found[last] if last >= 0 else None
        expected = f"{_quoted(wrong.label)}: {_first_numbers(wrong.value)}."
        later = self.own[self.own.index(agrees) + 1 :] if agrees else self.own
        if last + 2 == len(named):
            later = self.own[-1:]
        same_shape = [entry for entry in later if entry.value.shape == wrong.value.shape]
        own = next(iter(sorted(same_shape, key=lambda entry: self.right.has(entry.value))), None)
        mine = f" Your value after that (line {own.line}): {_first_numbers(own.value)}." if own else ""
        if agrees is None:
            mine = mine.replace(" after that", " of this shape")
            return f"No intermediate result of the reference occurs in your code. The first one is {expected}{mine}"
        known = f"Up to {_quoted(named[last].label)} (your line {agrees.line}) your numbers agree with the reference."
        return f"{known} The first that differs is {expected}{mine}"


def _quoted(label: str) -> str:
    return label if label == "the result" else f"`{label}`"


def is_number(value: Tensor) -> bool:
    """Return True for a number of Python, which a trail records as a float64 tensor without axes."""
    return value.ndim == 0 and value.dtype == torch.float64


def _first_numbers(value: Tensor) -> str:
    numbers = [shown(number) for number in value.flatten()[:NUMBERS_SHOWN].tolist()]
    return ", ".join(numbers) + (", …" if value.numel() > NUMBERS_SHOWN else "")
