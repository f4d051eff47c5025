"""The inputs of a check, and the outcomes of functions for them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from minibert.classroom.draws import EqualSizes, RandomDraw
from minibert.classroom.exercise import Arguments, Case, Exercise, Role
from minibert.classroom.other_axes import cases_of_other_axes
from minibert.classroom.running import LocalRunner, Outcome, Runner

SEEDS = (0, 1)
"""Seeds of the inputs on which functions are compared."""


@dataclass(frozen=True)
class Probe:
    """One call of a check: a case with arguments."""

    case: Case
    seed: int
    arguments: Arguments
    hidden: bool = False
    """True if the learner must not see the numbers of this call."""


@cache
def probes(exercise: Exercise) -> tuple[Probe, ...]:
    """Return the inputs on which learners' functions and variants are compared.

    Each case is drawn with all sizes different and with all sizes equal. A transposed matrix raises an error in the first, and
    gives numbers to compare in the second.
    """
    return (
        *probes_of(exercise, SEEDS),
        *_probes_of_equal_sizes(exercise, exercise.cases),
        *_probes_of_other_axes(exercise),
    )


def probes_of(exercise: Exercise, seeds: Iterable[int], hidden: bool = False) -> tuple[Probe, ...]:
    """Return inputs of every case for these seeds."""
    seeds = tuple(seeds)
    return tuple(Probe(case, seed, case.recipe(RandomDraw(seed)), hidden) for case in exercise.cases for seed in seeds)


def _probes_of_other_axes(exercise: Exercise) -> Iterable[Probe]:
    cases = tuple(cases_of_other_axes(exercise))
    yield from (Probe(case, SEEDS[0], case.recipe(RandomDraw(SEEDS[0]))) for case in cases)
    yield from _probes_of_equal_sizes(exercise, cases)


def _probes_of_equal_sizes(exercise: Exercise, cases: Iterable[Case]) -> Iterable[Probe]:
    seed = max(SEEDS) + 1
    for case in cases:
        if case.role is Role.LIMIT or case.summary is not None:
            continue
        try:
            probe = Probe(case, seed, case.recipe(EqualSizes(seed)))
        except Exception:  # the recipe needs sizes that differ
            continue
        if not LocalRunner(exercise, exercise.reference)(probe.arguments, gradients=False).error:
            yield probe


def call_all(probes: Sequence[Probe], runner: Runner) -> tuple[Outcome, ...]:
    """Return the outcomes of a function for some inputs."""
    return tuple(runner(probe.arguments, probe.case.gradients) for probe in probes)


@cache
def expected(exercise: Exercise) -> tuple[Outcome, ...]:
    """Return the outcomes of the reference for `probes`."""
    return call_all(probes(exercise), LocalRunner(exercise, exercise.reference))
