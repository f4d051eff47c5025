"""The name of a mistake: the variants of the reference that compute the same numbers as the learner's function.

A mistake is named only if it explains the numbers and nothing else does.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import combinations

from minibert.classroom.distance import NO_MATCH, gradient_distance, value_distance
from minibert.classroom.exercise import Exercise, Role
from minibert.classroom.mistakes import Kind, Mistake, variant_of
from minibert.classroom.probes import Probe, expected, fingerprint, probes
from minibert.classroom.running import LocalRunner, Outcome

MATCH = 1e-5
"""Largest relative difference between the numbers of a learner and those of a mistake that is named."""
RUNNER_UP = 100
"""Every other mistake must be so many times farther away than the one that is named."""
FAR = RUNNER_UP * MATCH
"""A variant at this relative difference or more is neither a match nor a runner-up."""
NOISE = 1e-7
"""Relative difference that float32 cannot show."""


@dataclass(frozen=True, eq=False)
class Variant:
    """The reference with one or several mistakes, and its outcomes for `probes`."""

    mistakes: tuple[Mistake, ...]
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True)
class Explanation:
    """All that is known about the difference between a learner's numbers and the expected ones."""

    mistakes: tuple[Mistake, ...] = ()
    """One mistake or two that give the learner's numbers. Empty if they are unknown."""
    relation: str = ""
    """A relation between the numbers, such as "Your numbers are 2 times the expected ones.", if no mistake is known."""
    warnings: tuple[str, ...] = ()
    """A sentence for each limit of the formula at which the numbers differ."""


def explain(exercise: Exercise, outcomes: Sequence[Outcome]) -> Explanation:
    """Explain the outcomes of a learner's function for `probes`."""
    found = name_mistakes(exercise, outcomes)
    warnings = limit_warnings(exercise, outcomes, found)
    return Explanation(found, "", warnings)


def name_mistakes(exercise: Exercise, outcomes: Sequence[Outcome]) -> tuple[Mistake, ...]:
    """Return the mistakes that give the same outcomes for `probes`: one mistake, or a pair, or none."""
    rivals: list[Variant] = [Variant((), expected(exercise))]
    for variants in (single_mistakes, pairs_of_mistakes):
        rivals += near(exercise, outcomes, variants(exercise))
        if found := closest(exercise, outcomes, rivals):
            return found.mistakes
    return ()


@cache
def single_mistakes(exercise: Exercise) -> tuple[Variant, ...]:
    """Return the entries of the catalogue for an exercise, with their numbers."""
    mistakes = [mistake for mistake in exercise.mistakes if mistake.kind is not Kind.EQUIVALENT]
    return tuple(variants_with(exercise, [(mistake,) for mistake in mistakes]))


@cache
def pairs_of_mistakes(exercise: Exercise) -> tuple[Variant, ...]:
    """Return the pairs of entries that can be combined, with their numbers."""
    entries = [variant.mistakes[0] for variant in single_mistakes(exercise)]
    return tuple(variants_with(exercise, combinations([each for each in entries if each.kind is not Kind.UNSAFE], 2)))


def variants_with(exercise: Exercise, groups: Iterable[tuple[Mistake, ...]]) -> Iterator[Variant]:
    """Yield the reference with each group of mistakes that can be combined."""
    for mistakes in groups:
        try:
            function = variant_of(exercise.reference, *mistakes)
        except ValueError:  # both edit the same line
            continue
        yield Variant(mistakes, fingerprint(probes(exercise), LocalRunner(exercise, function)))


def near(exercise: Exercise, outcomes: Sequence[Outcome], variants: Iterable[Variant]) -> list[Variant]:
    """Return the variants that are a match or a runner-up. A single probe excludes most of the others."""
    return [each for each in variants if distance_of_values(exercise, outcomes, each) < FAR]


def closest(exercise: Exercise, outcomes: Sequence[Outcome], variants: Sequence[Variant]) -> Variant | None:
    """Return the one variant that computes the same numbers, or None if it is the reference, or if another is near.

    Variants with the same values are told apart by gradients, then by errors, then at the limits of the formula. Those that
    compute the same in everything that the learner's function shows are named together.
    """
    candidates = _nearest(variants, partial(distance_of_values, exercise, outcomes), MATCH)
    for finer in (distance_of_gradients, distance_of_errors, distance_at_limits):
        if len(candidates) > 1:
            candidates = _nearest(candidates, partial(finer, exercise, outcomes), FAR) or candidates
    if not candidates or any(not each.mistakes for each in candidates):
        return None
    return _together(candidates)


def _nearest(variants: Sequence[Variant], distance: Callable[[Variant], float], limit: float) -> list[Variant]:
    """Return the nearest variant, and all that are not `RUNNER_UP` times farther away; none if it is beyond `limit`."""
    distances = [(distance(each), each) for each in variants]
    smallest = max(NOISE, min((far for far, _ in distances), default=NO_MATCH))
    return [each for far, each in distances if far < RUNNER_UP * smallest] if smallest <= limit else []


def _together(variants: Sequence[Variant]) -> Variant | None:
    """Return one variant whose message mentions the mistakes of all of them, which compute the same."""
    first, *others = variants
    if not others:
        return first
    if any(len(each.mistakes) > 1 for each in variants):
        return None
    messages = [sentence(each.mistakes[0]) for each in variants]
    joined = f"{messages[0]} Or: {' Or: '.join(messages[1:])} These compute the same numbers here."
    return replace(first, mistakes=(replace(first.mistakes[0], message=joined),))


def sentence(mistake: Mistake) -> str:
    """Return the mistake in one sentence for the learner."""
    return mistake.message or mistake.description


def _compared(
    exercise: Exercise, outcomes: Sequence[Outcome], others: Sequence[Outcome], limits: bool = False
) -> Iterator[tuple[Probe, Outcome, Outcome]]:
    for probe, one, other in zip(probes(exercise), outcomes, others, strict=True):
        if (probe.case.role is Role.LIMIT) == limits:
            yield probe, one, other


def distance_of_values(exercise: Exercise, outcomes: Sequence[Outcome], variant: Variant) -> float:
    """Return the largest distance over all cases but limits, or a number above `FAR`.

    Inputs on which the learner's function raises an error give no evidence.
    """
    largest = 0.0
    for probe, one, other in _compared(exercise, outcomes, variant.outcomes):
        if not one.error:
            largest = max(largest, scaled(value_distance(one, other, probe.case, exercise.changes), probe))
        if largest > FAR:
            break
    return largest


def scaled(distance: float, probe: Probe) -> float:
    """Convert a distance to multiples of what is rounding in a case, times `MATCH`.

    The statistic of a random result either agrees, or disagrees clearly, or leaves it open.
    """
    if probe.case.summary is None:
        return distance * MATCH / probe.case.tolerance
    return 0.0 if distance <= probe.case.tolerance else 2 * MATCH if distance <= 3 * probe.case.tolerance else NO_MATCH


def distance_of_gradients(exercise: Exercise, outcomes: Sequence[Outcome], variant: Variant) -> float:
    """Return the largest distance of the gradients; 0 for functions without gradients, such as those written with NumPy."""
    compared = _compared(exercise, outcomes, variant.outcomes)
    return max((scaled(gradient_distance(one, other), probe) for probe, one, other in compared), default=0.0)


def distance_of_errors(exercise: Exercise, outcomes: Sequence[Outcome], variant: Variant) -> float:
    """Return 0 if the variant raises an error on the same inputs. An error alone is no evidence against the reference."""
    compared = _compared(exercise, outcomes, variant.outcomes)
    same = not variant.mistakes or all(bool(one.error) == bool(other.error) for _, one, other in compared)
    return 0.0 if same else NO_MATCH


def distance_at_limits(exercise: Exercise, outcomes: Sequence[Outcome], variant: Variant) -> float:
    """Return the largest distance at the limits of the formula."""
    return max(_limits(exercise, outcomes, variant).values(), default=0.0)


def limit_warnings(exercise: Exercise, outcomes: Sequence[Outcome], mistakes: tuple[Mistake, ...]) -> tuple[str, ...]:
    """Return a sentence for each limit of the formula at which the numbers differ from those of the reference with `mistakes`.

    It names the unsafe variants that compute the same there, those first that explain most limits.
    """
    base = next(variants_with(exercise, [mistakes]), None) if mistakes else Variant((), expected(exercise))
    if base is None or (mistakes and all(mistake.kind is Kind.UNSAFE for mistake in mistakes)):
        base = Variant((), expected(exercise))
    differ = [name for name, far in _limits(exercise, outcomes, base).items() if far > MATCH]
    if not differ:
        return ()
    explained = [(each, _limits(exercise, outcomes, each)) for each in _unsafe_variants(exercise, base.mistakes)]
    warnings = []
    for name in differ:
        matching = [(sum(far <= MATCH for far in limits.values()), each) for each, limits in explained if limits[name] <= MATCH]
        most = max((count for count, _ in matching), default=0)
        causes = " Or: ".join(sentence(each.mistakes[-1]) for count, each in matching if count == most)
        warnings.append(f"{name}: {causes or 'the numbers differ.'}")
    return tuple(warnings)


def _limits(exercise: Exercise, outcomes: Sequence[Outcome], variant: Variant) -> dict[str, float]:
    """Return the largest distance at each limit, by the name of the case."""
    limits: dict[str, float] = {}
    for probe, one, other in _compared(exercise, outcomes, variant.outcomes, limits=True):
        far = scaled(value_distance(one, other, probe.case, exercise.changes), probe)
        limits[probe.case.name] = max(limits.get(probe.case.name, 0.0), far)
    return limits


@cache
def _unsafe_variants(exercise: Exercise, mistakes: tuple[Mistake, ...]) -> tuple[Variant, ...]:
    """Return the reference with `mistakes`, and with one more that changes only the limits of the formula."""
    right = Variant((), expected(exercise))
    unsafe = [
        each.mistakes[0]
        for each in single_mistakes(exercise)
        if distance_of_values(exercise, each.outcomes, right) <= MATCH
        and distance_of_gradients(exercise, each.outcomes, right) <= FAR
        and distance_at_limits(exercise, each.outcomes, right) > MATCH
    ]
    return tuple(variants_with(exercise, [(*mistakes, each) for each in unsafe if each not in mistakes]))
