"""The inputs of a check, and the outcomes of functions for them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from minibert.classroom.draws import EqualSizes, RandomDraw
from minibert.classroom.exercise import Arguments, Case, Exercise, Role
from minibert.classroom.running import LocalRunner, Outcome, Runner

SEEDS = (0, 1)
"""Seeds of the inputs on which functions are compared."""


@dataclass(frozen=True)
class Probe:
    """One call of a check: a case with arguments."""

    case: Case
    seed: int
    arguments: Arguments


@cache
def probes(exercise: Exercise) -> tuple[Probe, ...]:
    """Return the inputs on which learners' functions and variants are compared.

    Each case is drawn with all sizes different and with all sizes equal. A transposed matrix raises an error in the first, and
    gives numbers to compare in the second.
    """
    return (*probes_of(exercise, SEEDS), *_probes_of_equal_sizes(exercise))


def probes_of(exercise: Exercise, seeds: Iterable[int]) -> tuple[Probe, ...]:
    """Return inputs of every case for these seeds."""
    return tuple(Probe(case, seed, case.recipe(RandomDraw(seed))) for case in exercise.cases for seed in seeds)


def _probes_of_equal_sizes(exercise: Exercise) -> Iterable[Probe]:
    seed = max(SEEDS) + 1
    for case in exercise.cases:
        if case.role is Role.LIMIT or case.summary is not None:
            continue
        try:
            probe = Probe(case, seed, case.recipe(EqualSizes(seed)))
        except Exception:  # the recipe needs sizes that differ
            continue
        if not LocalRunner(exercise, exercise.reference)(probe.arguments, gradients=False).error:
            yield probe


def fingerprint(probes: Sequence[Probe], runner: Runner) -> tuple[Outcome, ...]:
    """Return the outcomes of a function for some inputs."""
    return tuple(runner(probe.arguments, probe.case.gradients) for probe in probes)


@cache
def expected(exercise: Exercise) -> tuple[Outcome, ...]:
    """Return the outcomes of the reference for `probes`."""
    return fingerprint(probes(exercise), LocalRunner(exercise, exercise.reference))


class Outcomes(Sequence[Outcome]):
    """The outcomes of a function for the probes of an exercise, each computed when it is asked for.

    One or two probes tell most functions apart, and gradients are rarely needed.
    """

    def __init__(self, exercise: Exercise, make: Callable[[], Callable[..., Any]]) -> None:
        self.exercise, self.make = exercise, make
        self._results: dict[tuple[int, bool], Outcome] = {}

    @cached_property
    def runner(self) -> LocalRunner:
        return LocalRunner(self.exercise, self.make())

    def values(self, number: int) -> Outcome:
        """Return the outcome of one probe, perhaps without gradients."""
        return self._results.get((number, True)) or self._outcome(number, gradients=False)

    def __getitem__(self, number: int) -> Outcome:
        return self._outcome(number, gradients=probes(self.exercise)[number].case.gradients)

    def __len__(self) -> int:
        return len(probes(self.exercise))

    def _outcome(self, number: int, gradients: bool) -> Outcome:
        if (number, gradients) not in self._results:
            self._results[number, gradients] = self.runner(probes(self.exercise)[number].arguments, gradients)
        return self._results[number, gradients]
