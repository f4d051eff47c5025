"""An exercise: a function of minibert that a learner writes again, and one recipe for each kind of test input.

All else is read from what exists: the stub from the signature and the docstring, the solution from the source, and the mistakes
from the catalogue.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from torch import Tensor

from minibert.classroom.draws import Draw, RandomDraw
from minibert.classroom.mistakes import MISTAKES, Mistake, variant_of
from minibert.classroom.mistakes.variants import called_functions
from minibert.classroom.running import Arguments as Arguments

Recipe = Callable[[Draw], Arguments]
"""A function that makes arguments from drawn sizes and numbers."""


def without(arguments: Arguments, *names: str) -> Arguments:
    """Return arguments without some that have a default value, for a case in which the default is used."""
    return {name: value for name, value in arguments.items() if name not in names}


class Role(StrEnum):
    """Role of a case. It decides what a difference means."""

    TYPICAL = "typical input"
    EDGE = "edge case"
    LIMIT = "limit of the formula"
    """Numbers that overflow, or inputs for which the paper defines no result. A difference is a warning."""
    AXES = "other axes"
    """Another number of axes, or other sizes, that the annotations allow. Differences there are a warning."""


LARGE_NUMBERS = 1e-4
"""Tolerance for scores of several hundred: their rounding is 100 times that of usual scores, and their exponentials keep it."""


@dataclass(frozen=True)
class Case:
    """One kind of test input."""

    name: str
    recipe: Recipe = field(repr=False)
    role: Role = Role.TYPICAL
    tolerance: float = 1e-5
    """Largest difference that is rounding, relative to the largest expected number."""
    gradients: bool = True
    """If True, the gradients of the floating-point arguments are compared too."""
    summary: Callable[[Tensor], Tensor] | None = field(default=None, repr=False)
    """For random results: the statistic that is compared instead of the output."""


@dataclass(frozen=True)
class Invariant:
    """A property of every correct solution: two calls whose outputs are related.

    The check calls the function with the arguments of a case and with `changed(arguments)`.
    """

    name: str
    """The property in words, such as "masked keys have no influence"."""
    changed: Callable[[Arguments], Arguments | None] = field(repr=False)
    """Returns other arguments, or None if the property says nothing about these arguments."""
    holds: Callable[[Tensor, Tensor, Arguments], bool] = field(repr=False)
    """Returns True if the outputs of both calls are related as they should be."""
    relation: str = ""
    """The difference of the second call and the right results, in words for the learner."""


@dataclass(frozen=True)
class Exercise:
    """An exercise."""

    name: str
    """Name of the function that the learner writes."""
    reference: Callable[..., Any] = field(repr=False)
    """The function of minibert."""
    cases: tuple[Case, ...] = field(repr=False)
    questions: tuple[str, ...] = ()
    """First hints: questions that lead to the solution. The other levels are made from the reference."""
    invariants: tuple[Invariant, ...] = field(default=(), repr=False)
    changes: frozenset[str] = frozenset()
    """Names of arguments that the function changes in place, such as the model of a training step."""
    needs: tuple[str, ...] = ()
    """Names of earlier exercises whose functions the reference calls."""
    other_forms: tuple[Callable[..., Any], ...] = field(default=(), repr=False)
    """Functions that compute the same with other functions of minibert, whose mistakes a learner may make, too."""
    read: Callable[[Any], Any] | None = field(default=None, repr=False)
    """Converts a result to tensors, numbers, or tuples and dataclasses of them, if it is something else."""
    write: Callable[[Tensor, Arguments], str] | None = field(default=None, repr=False)
    """Describes the numbers of `read`, or of a statistic, in words for the learner, if the numbers say nothing."""

    @cached_property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """Parameters of the learner's function: those of the reference that occur in a case."""
        used = {name for case in self.cases for name in case.recipe(RandomDraw(0))}
        signature = inspect.signature(self.reference)
        return {name: parameter for name, parameter in signature.parameters.items() if name in used}

    @cached_property
    def defaults(self) -> Mapping[str, Any]:
        """The default values of `parameters`."""
        return {name: parameter.default for name, parameter in self.parameters.items()}

    @cached_property
    def mistakes(self) -> tuple[Mistake, ...]:
        """Entries of the catalogue for the reference and its other forms, and for the functions that they call."""
        functions = {function for form in self._forms for function in _functions_in(form)}
        return tuple(mistake for mistake in MISTAKES.values() if inspect.unwrap(mistake.function) in functions)

    def with_mistakes(self, *mistakes: Mistake) -> Callable[..., Any]:
        """Return the reference, or another form of it, with mistakes in it or in the functions that it calls.

        Raises: ValueError if the mistakes cannot be combined.
        """
        functions = {inspect.unwrap(mistake.function) for mistake in mistakes}
        form = next((form for form in self._forms if functions <= _functions_in(form)), self.reference)
        return variant_of(form, *mistakes)

    @property
    def _forms(self) -> tuple[Callable[..., Any], ...]:
        return self.reference, *self.other_forms


def _functions_in(form: Callable[..., Any]) -> set[Callable[..., Any]]:
    """Return a function and the functions of minibert that it calls."""
    return {inspect.unwrap(form), *called_functions(form)}
