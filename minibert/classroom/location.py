"""The line of the learner's code that probably causes a mistake, and the first intermediate result that differs.

Both come from the trails of three functions for the same input: the learner's function, the reference, and the reference with
the mistake.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from minibert.classroom.distance import differences, relative_difference
from minibert.classroom.mistakes.mistake import Edits
from minibert.classroom.results import tensors_in
from minibert.classroom.running import Arguments
from minibert.classroom.trail import Entry
from minibert.classroom.wording import shown

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
            reshaped
            and any(_close(value.flatten(), tensor.flatten()) for tensor in same_size)
            and not self._has_shuffled(value)
        )

    def _has_shuffled(self, value: Tensor) -> bool:
        """Return True if a tensor of the same shape has the same numbers in another order."""
        ordered = value.flatten().sort().values
        return any(
            tensor.shape == value.shape and _close(ordered, tensor.flatten().sort().values) and not _close(value, tensor)
            for tensor in self.tensors
        )


def _plain(tensor: Tensor) -> Tensor:
    tensor = torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
    return tensor.squeeze().double()


def _close(one: Tensor, other: Tensor) -> bool:
    """Return True if two tensors are equal up to rounding, relative to the largest number."""
    return relative_difference(one, other) <= ROUNDING


def _equal_up_to_axes(one: Tensor, other: Tensor) -> bool:
    if one.ndim != other.ndim or one.ndim > MAX_AXES or sorted(one.shape) != sorted(other.shape):
        return _close(one, other)
    return any(_close(one.permute(order), other) for order in itertools.permutations(range(one.ndim)))


class Trails:
    """The trails of the learner's function, of the reference, and of that with the named mistake, for the same arguments.

    A line is shown only if the values leave no doubt. Those of a loop do: only its last ones are known.

    Args:
        arguments: those of the call.
        variant: empty if the mistake is unknown.
        edits: the right code and the wrong one, for each part of the mistake.
        harmless: values of the reference with the parts of the mistake that do not change this result.
        names: names of the reference that the learner knows.
    """

    def __init__(
        self,
        own: Sequence[Entry],
        reference: Sequence[Entry],
        arguments: Arguments,
        variant: Sequence[Entry] = (),
        edits: Edits = (),
        harmless: Sequence[Entry] = (),
        names: Set[str] = frozenset(),
    ) -> None:
        self.names = names
        inputs = [tensor for _, tensor in tensors_in(arguments)]
        self.has_numbers = any(is_number(entry.value) for entry in reference)
        self.own, self.reference, self.variant, self.harmless = (
            [entry for entry in trail if self._counts(entry.value)] for trail in (own, reference, variant, harmless)
        )
        self.arguments, self.edits = arguments, edits
        self.omission = all(len(new) < len(old) for old, new in edits)
        self.inputs = Values.of(inputs)
        self.results = Values.of(entry.value for entry in self.reference if entry.label == "return")
        self.right = Values.of([*(entry.value for entry in (*self.reference, *self.harmless)), *inputs])

    def _counts(self, value: Tensor) -> bool:
        """Return False for values that are no evidence, such as `torch.zeros(…)`, all of whose numbers are equal."""
        if not value.numel() or (is_number(value) and not self.has_numbers):
            return False
        return value.numel() == 1 or bool((value != value.flatten()[0]).any())

    def suspect(self) -> Entry | None:
        """Return the value of the line that causes the mistake, or None if it is not sure."""
        first = self._first_wrong()
        if first is None:
            return None
        if not self.variant:
            return first if self._none_is_right_after(first) else None
        if missing := self._missing_after():
            return missing if self.omission else None
        if self._is_spread() or self._replaces_a_value(first):
            return None
        same = self._like_variant()
        if same and same.line == first.line:
            return same
        return first if first.line == self.own[-1].line else None

    def _is_spread(self) -> bool:
        """Return True if the mistake moves a part of the formula, such as eps out of the root, from one line to another."""
        if not any(sorted(_words(old)) == sorted(_words(new)) for old, new in self.edits):
            return False
        new = [entry for entry in self.variant if not self.right.has(entry.value)]
        moved = Values.of(entry.value for entry in new if entry.line == new[0].line)
        return len({entry.line for entry in self.own if entry.label != "return" and moved.has(entry.value)}) > 1

    def _replaces_a_value(self, wrong: Entry) -> bool:
        """Return True if the mistake replaces a value that the learner does not have, so that any line may be the wrong one.

        It is an argument that has got another value, as in `x = dropout(x)`, or a value that is computed nowhere.
        """
        replaced = {name for old, new in self.edits for name in Counter(_words(old)) - Counter(_words(new))}
        earlier = self.own[: self.own.index(wrong)]
        if any(entry.label in replaced & self.arguments.keys() for entry in earlier):
            return True
        variant, own = (Values.of(entry.value for entry in trail) for trail in (self.variant, self.own))
        values = [entry.value for entry in self._named if entry.label in replaced]
        return any(variant.has(value) and not own.has(value, reshaped=True) for value in values)

    def _is_right(self, entry: Entry) -> bool:
        """Return True for a value that the reference computes, too. A result is compared with results only."""
        if entry.label != "return":
            return self.right.has(entry.value, reshaped=True)
        return self.results.has(entry.value)

    def _first_wrong(self) -> Entry | None:
        """Return the last value of the first line whose last value is not right."""
        last = {entry.line: entry for entry in self.own}.values()
        wrong = [entry for entry in self.own if entry in last and not self._is_right(entry)]
        return None if any(entry.repeated for entry in wrong) else next(iter(wrong), None)

    def _none_is_right_after(self, wrong: Entry) -> bool:
        return not any(self._is_right(entry) for entry in self.own[self.own.index(wrong) + 1 :] if entry.line != wrong.line)

    def _first_new(self) -> int:
        """Return the index of the first value that the named mistake has too, and the reference has not."""
        new = Values.of(entry.value for entry in self.variant if not self.right.has(entry.value))
        return next((number for number, entry in enumerate(self.own) if new.has(entry.value)), len(self.own))

    def _missing_after(self) -> Entry | None:
        """Return the value after which an operation is missing, as the division in `scores = query @ key.mT`.

        Every value up to there is right, but it has the name of the next one in the variant.
        """
        early = [entry for entry in self.own[: self._first_new()] if entry.label and self._is_early(entry)]
        return early[-1] if early else None

    def _like_variant(self) -> Entry | None:
        """Return the first value that the named mistake has too, and the reference has not.

        The result itself is no evidence: it is always that of the named mistake.
        """
        result = Values.of(entry.value for entry in self.own if entry.label == "return")
        found = next(iter(self.own[self._first_new() :]), None)
        return found if found and not found.repeated and not result.has(found.value) else None

    def _is_early(self, own: Entry) -> bool:
        """Return True if the variant has this value under a name under which the reference has others."""
        names = [
            entry.label
            for entry in self.variant
            if entry.label not in ("", "return") and Values.of([entry.value]).has(own.value)
        ]
        right = [*self.reference, *self.harmless]
        known = [Values.of(entry.value for entry in right if entry.label == name) for name in names]
        return any(values.tensors and not values.has(own.value) for values in known)

    def first_of(self, tensors: Iterable[Tensor]) -> Entry | None:
        """Return the first value of the learner's function that is among these."""
        searched = Values.of(tensors)
        return next((entry for entry in self.own if searched.has(entry.value)), None)

    def first_difference(self) -> str:
        """Describe the first intermediate result that differs.

        If the named mistake has a value of the learner's function under a name of the reference, the value takes the place of
        that of the reference. If the mistake is unknown, the text says which value is the first that the reference does not
        have.

        Returns: an empty text if the place is not sure.
        """
        own = self.suspect()
        if own is None:
            return ""
        place = self._place_of(own)
        equal = self._last_equal(self.own[: self.own.index(own)], before=place)
        known = self._agreeing(*equal) if equal else ""
        if own.label == "return":
            return known and f"{known}The result is the first value that differs."
        numbers = _numbers(own.value)
        if place and equal and self.omission and Values.of([equal[0].value]).has(own.value):
            return f"{known}A step is missing after it: {self._name(place, 'its result')} is {_numbers(place.value)}."
        if place:
            start = _first_wrong_number(own.value, place.value)
            where = f" from {list(_unravelled(start, own.value))} on" if start else ""
            first = f"The first that differs is {self._name(place, 'the next value')}{where}"
            return (
                f"{known}{first}: {_numbers(place.value, start)}. Your value (line {own.line}): {_numbers(own.value, start)}."
            )
        if known and not self.variant:
            first = f"Line {own.line} computes the first value that the reference does not have: {numbers}."
            return f"{known}{first} The mistake is there or after it."
        return ""

    def last_agreement(self) -> str:
        """Describe the last intermediate result that is equal; empty if there is none, or if the mistake is known."""
        equal = None if self.variant else self._last_equal(self.own)
        return f"Your line {equal[1].line} computes {self._name(equal[0], 'a value')} as the reference does." if equal else ""

    def _name(self, entry: Entry, words: str) -> str:
        """Return the name of a value of the reference, or else words for it."""
        return f"`{entry.label}`" if entry.label in self.names else words

    def _agreeing(self, right: Entry, own: Entry) -> str:
        """Say up to where the numbers agree."""
        place = f"`{right.label}` (your line {own.line})" if right.label in self.names else f"your line {own.line}"
        return f"Up to {place} your numbers agree with the reference. "

    @cached_property
    def _named(self) -> list[Entry]:
        """The values of the reference that have a name. Those of a loop are left out: only the last ones are known."""
        return [
            entry
            for entry in self.reference
            if entry.label not in ("", "return") and not entry.repeated and not self.inputs.has(entry.value)
        ]

    def _last_equal(self, own: Sequence[Entry], before: Entry | None = None) -> tuple[Entry, Entry] | None:
        """Return the last named value of the reference, before another, that is among some of the learner's, and the learner's.

        Values inside of a line do not count: that a square equals a later mean, as in a first step, is a coincidence.
        """
        last = {entry.line: entry for entry in own}.values()
        named = self._named[: self._named.index(before)] if before else self._named
        for entry in reversed(named):
            searched = Values.of([entry.value])
            if found := next((each for each in own if (each.label or each in last) and searched.has(each.value)), None):
                return entry, found
        return None

    def _place_of(self, own: Entry) -> Entry | None:
        """Return the value of the reference whose place a value takes in the named mistake."""
        labels = [entry.label for entry in self.variant if Values.of([entry.value]).has(own.value)]
        places = [entry for entry in self._named if entry.label in labels and entry.value.shape == own.value.shape]
        return next((entry for entry in places if not Values.of([entry.value]).has(own.value)), None)


def _words(code: str) -> list[str]:
    """Return the names, numbers and operators of code, without parentheses, and without names whose shape alone is used."""
    return re.findall(r"\w+|[^\w\s()]", re.sub(r"\w+\.shape", "", code))


def is_number(value: Tensor) -> bool:
    """Return True for a number of Python, which a trail records as a float64 tensor without axes."""
    return value.ndim == 0 and value.dtype == torch.float64


def _first_wrong_number(own: Tensor, right: Tensor) -> int:
    """Return the place of the first number that differs by more than rounding, among all numbers in a row."""
    far = differences(own, right).abs().flatten()
    finite = right[right.isfinite()].double().abs()
    wrong = far > ROUNDING * (finite.max().item() if finite.numel() else 1.0)
    return int(wrong.int().argmax())


def _unravelled(place: int, value: Tensor) -> tuple[int, ...]:
    """Return the index of a number in a tensor from its place among all numbers in a row."""
    return tuple(int(index) for index in torch.unravel_index(torch.tensor(place), value.shape))


def _numbers(value: Tensor, start: int = 0) -> str:
    """Return a few numbers of a tensor, from a place on."""
    numbers = [shown(number) for number in value.flatten()[start : start + NUMBERS_SHOWN].tolist()]
    return ", ".join(numbers) + (", …" if value.numel() > start + NUMBERS_SHOWN else "")
