"""The name of a mistake: the variants of the reference that compute the same numbers as the learner's function.

A mistake is named only if it explains the numbers and nothing else does.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any

from minibert.classroom.distance import distance
from minibert.classroom.draws import RandomDraw
from minibert.classroom.exercise import Arguments, Case, Exercise, Role
from minibert.classroom.mistakes import Kind, Mistake, variant_of
from minibert.classroom.running import LocalRunner, Outcome, Runner

MATCH = 1e-5
"""Largest relative difference between the numbers of a learner and those of a mistake that is named."""
RUNNER_UP = 100
"""Every other mistake must be so many times farther away than the one that is named."""
NOISE = 1e-7
"""Relative difference that float32 cannot show."""
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
    """Return the inputs on which learners' functions and variants are compared."""
    return probes_of(exercise, SEEDS)


def probes_of(exercise: Exercise, seeds: Iterable[int]) -> tuple[Probe, ...]:
    """Return inputs of every case for these seeds."""
    return tuple(Probe(case, seed, case.recipe(RandomDraw(seed))) for case in exercise.cases for seed in seeds)


def fingerprint(probes: Sequence[Probe], runner: Runner) -> tuple[Outcome, ...]:
    """Return the outcomes of a function for some inputs."""
    return tuple(runner(probe.arguments, probe.case.gradients) for probe in probes)


@cache
def expected(exercise: Exercise) -> tuple[Outcome, ...]:
    """Return the outcomes of the reference for `probes`."""
    return fingerprint(probes(exercise), LocalRunner(exercise, exercise.reference))


@dataclass(frozen=True)
class Variant:
    """The reference with one or several mistakes, and its outcomes for `probes`."""

    mistakes: tuple[Mistake, ...]
    function: Callable[..., Any]
    outcomes: tuple[Outcome, ...]


@cache
def single_mistakes(exercise: Exercise) -> tuple[Variant, ...]:
    """Return the entries of the catalogue for an exercise, with their numbers."""
    mistakes = [mistake for mistake in exercise.mistakes if mistake.kind is not Kind.EQUIVALENT]
    return tuple(_variants(exercise, [(mistake,) for mistake in mistakes]))


@cache
def pairs_of_mistakes(exercise: Exercise) -> tuple[Variant, ...]:
    """Return the pairs of entries that can be combined, with their numbers."""
    return tuple(_variants(exercise, combinations([variant.mistakes[0] for variant in single_mistakes(exercise)], 2)))


def _variants(exercise: Exercise, groups: Iterable[tuple[Mistake, ...]]) -> Iterator[Variant]:
    for mistakes in groups:
        try:
            function = variant_of(exercise.reference, *mistakes)
        except ValueError:  # both edit the same line
            continue
        yield Variant(mistakes, function, fingerprint(probes(exercise), LocalRunner(exercise, function)))


def distance_to(exercise: Exercise, outcomes: Sequence[Outcome], others: Sequence[Outcome], limits: bool) -> float:
    """Return the largest distance over all cases.

    Args:
        limits: if True, cases at the limit of the formula are compared too.
    """
    return max(
        (
            distance(one, other, probe.case, with_gradients=True) * MATCH / probe.case.tolerance
            for probe, one, other in zip(probes(exercise), outcomes, others, strict=True)
            if limits or probe.case.role is not Role.LIMIT
        ),
        default=0.0,
    )


def closest(exercise: Exercise, outcomes: Sequence[Outcome], variants: Iterable[Variant]) -> Variant | None:
    """Return the one variant that computes the same numbers, or None if there is none, or if another is near.

    Variants that differ only at the limits of the formula, such as different numbers for minus infinity, are told apart there.
    """
    candidates = list(variants)
    for limits in (False, True):
        distances = sorted(
            ((distance_to(exercise, outcomes, each.outcomes, limits), number) for number, each in enumerate(candidates))
        )
        near = [(far, number) for far, number in distances if far <= MATCH]
        if not near:
            return None
        smallest = max(near[0][0], NOISE)
        rivals = [number for far, number in distances if far < RUNNER_UP * smallest]
        if len(rivals) == 1:
            return candidates[rivals[0]]
        candidates = [candidates[number] for number in rivals]
    return None


def name_mistakes(exercise: Exercise, outcomes: Sequence[Outcome]) -> tuple[Mistake, ...]:
    """Return the mistakes that give the same outcomes for `probes`: one mistake, or a pair, or none."""
    for variants in (single_mistakes, pairs_of_mistakes):
        if found := closest(exercise, outcomes, variants(exercise)):
            return found.mistakes
    return ()
