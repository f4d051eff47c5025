"""The name of a mistake: the variants of the reference that compute the same numbers as the learner's function.

A mistake is named only if it explains the numbers and nothing else does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import islice

from minibert.classroom.candidates import (
    Family,
    Variant,
    compared,
    edits_of_called_functions,
    edits_of_reference,
    mistakes_with_unsafe_numerics,
    most_variants,
    pairs_of_mistakes,
    parts_left_out,
    reference,
    single_mistakes,
    single_mistakes_with_zeros,
)
from minibert.classroom.distance import NO_MATCH, gradient_distance, value_distance
from minibert.classroom.edits import edits_of
from minibert.classroom.exercise import Exercise, Role
from minibert.classroom.mistakes import Kind, Mistake
from minibert.classroom.probes import expected, probes
from minibert.classroom.relations import find_relation
from minibert.classroom.running import Outcome

MATCH = 1e-5
"""Largest relative difference between the numbers of a learner and those of a mistake that is named."""
RUNNER_UP = 100
"""Every other mistake must be so many times farther away than the one that is named."""
FAR = RUNNER_UP * MATCH
"""A variant at this relative difference or more is neither a match nor a runner-up."""
NOISE = 1e-7
"""Relative difference that float32 cannot show."""


@dataclass(frozen=True)
class Explanation:
    """All that is known about the difference between a learner's numbers and the expected ones."""

    mistakes: tuple[Mistake, ...] = ()
    """One mistake, two or three that give the learner's numbers. Empty if they are unknown."""
    unsafe: tuple[Mistake, ...] = ()
    """Unsafe numerics that the function has besides its mistakes, such as a mask of -1e9 that is also transposed."""
    relation: str = ""
    """A relation between the numbers, such as "Your numbers are 2 times the expected ones.", if no mistake is known."""
    warnings: tuple[str, ...] = ()
    """A sentence for each limit of the formula at which the numbers differ."""


def explain(exercise: Exercise, outcomes: Sequence[Outcome]) -> Explanation:
    """Explain the outcomes of a learner's function for `probes`: a known mistake, an edit of the formula, two mistakes.

    The relation of the numbers to the expected ones is found only if no mistake is.
    """
    found = name_mistakes(exercise, outcomes)
    serious = serious_mistakes(found)
    unsafe = tuple(each for each in found if each not in serious)
    relation = "" if found else find_relation(exercise, outcomes)
    warnings = limit_warnings(exercise, outcomes, serious)
    warnings += tuple(sentence(each) for each in unsafe if not any(sentence(each) in warning for warning in warnings))
    return Explanation(serious, unsafe, relation, warnings)


def serious_mistakes(mistakes: tuple[Mistake, ...]) -> tuple[Mistake, ...]:
    """Return the mistakes without unsafe numerics, unless there is nothing else."""
    return tuple(each for each in mistakes if each.kind is not Kind.UNSAFE) or mistakes


def name_mistakes(exercise: Exercise, outcomes: Sequence[Outcome]) -> tuple[Mistake, ...]:
    """Return the mistakes that give the same outcomes for `probes`: one mistake, or several together, or none."""
    families = (
        single_mistakes,
        single_mistakes_with_zeros,
        mistakes_with_unsafe_numerics,
        edits_of_reference,
        edits_without_guards,
        edits_of_called_functions,
        pairs_of_mistakes,
        parts_left_out,
    )
    return _explained_by(families, exercise, outcomes) or _explained_by(
        (single_mistakes, edits_of_reference), exercise, without_correct_edges(exercise, outcomes)
    )


def _explained_by(
    families: Sequence[Callable[[Exercise], Family]], exercise: Exercise, outcomes: Sequence[Outcome]
) -> tuple[Mistake, ...]:
    """Return the mistakes of the first family that explains the outcomes."""
    rivals = [reference(exercise)]
    for family in families:
        if family is not single_mistakes and not has_numbers_that_differ(exercise, outcomes):
            break
        rivals += near(exercise, outcomes, family(exercise))
        if found := closest(exercise, outcomes, rivals):
            return found.mistakes
    return ()


def without_correct_edges(exercise: Exercise, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes without the correct ones of edge cases, for which a wrong function may have a line of its own."""
    roles = [probe.case.role for probe in probes(exercise)]
    return [
        Outcome(error="left out")
        if roles[number] is Role.EDGE and distance_in(exercise, number, outcome, reference(exercise)) <= MATCH
        else outcome
        for number, outcome in enumerate(outcomes)
    ]


def near(exercise: Exercise, outcomes: Sequence[Outcome], family: Family) -> list[Variant]:
    """Return the variants that are a match or a runner-up. One probe in which the numbers are wrong excludes most others."""
    numbers = [number for number, outcome in compared(exercise, outcomes) if not outcome.error]
    if not numbers:
        return []
    wrong = [number for number in numbers if distance_in(exercise, number, outcomes[number], reference(exercise)) > MATCH]
    first = (wrong or numbers)[0]
    case = probes(exercise)[first].case
    limit = 3 * case.tolerance if case.summary else RUNNER_UP * case.tolerance
    candidates = family.near(first, outcomes[first], limit)
    return [each for each in candidates if distance_of_values(exercise, outcomes, each) < FAR]


def has_numbers_that_differ(exercise: Exercise, outcomes: Sequence[Outcome]) -> bool:
    """Return True if values or gradients differ in numbers that are neither NaN nor zero, which many mistakes give."""
    right = reference(exercise)
    for number, outcome in compared(exercise, outcomes):
        informative = any((output.isfinite() & (output != 0)).any() for output in outcome.outputs.values())
        if informative and not outcome.error and distance_in(exercise, number, outcome, right) > MATCH:
            return True
    return MATCH < distance_of_gradients(exercise, outcomes, right) < NO_MATCH


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
    if any(distance_of_values(exercise, outcomes, each) > MATCH for each in candidates):
        return None
    return _together(candidates)


def _nearest(variants: Sequence[Variant], distance: Callable[[Variant], float], limit: float) -> list[Variant]:
    """Return the nearest variant, and all that are not `RUNNER_UP` times farther away; none if it is beyond `limit`."""
    distances = [(distance(each), each) for each in variants]
    smallest = max(NOISE, min((far for far, _ in distances), default=NO_MATCH))
    return [each for far, each in distances if far < RUNNER_UP * smallest] if smallest <= limit else []


def _together(variants: Sequence[Variant]) -> Variant | None:
    """Return one variant for several that compute the same.

    Entries of the catalogue are all mentioned. An edit of the formula only says what the numbers are, so the first is enough.
    Of two pairs of mistakes neither is certain, unless they differ in unsafe numerics only.
    """
    first = variants[0]
    if not first.mistakes[0].seen_in or len({serious_mistakes(each.mistakes) for each in variants}) == 1:
        return first
    if any(len(each.mistakes) > 1 for each in variants):
        return None
    messages = " Or: ".join(sentence(each.mistakes[0]) for each in variants)
    mistake = replace(first.mistakes[0], message=f"{messages} These compute the same numbers here.")
    return replace(first, mistakes=(mistake,))


def sentence(mistake: Mistake) -> str:
    """Return the mistake in one sentence for the learner."""
    return mistake.message or mistake.description


def distance_in(exercise: Exercise, number: int, outcome: Outcome, variant: Variant) -> float:
    """Return the distance of the values in one probe, in which `MATCH` is rounding.

    The statistic of a random result either agrees, or disagrees clearly, or leaves it open.
    """
    case = probes(exercise)[number].case
    far = value_distance(outcome, variant.values(number), case, exercise.changes)
    if case.summary is None:
        return far * MATCH / case.tolerance
    return 0.0 if far <= case.tolerance else 2 * MATCH if far <= 3 * case.tolerance else NO_MATCH


def gradient_distance_in(exercise: Exercise, number: int, outcome: Outcome, variant: Variant) -> float:
    """Return the distance of the gradients in one probe, in which `MATCH` is rounding; 0 if the outcome has none.

    A variant that cuts the graph has none either: it does not match an outcome with gradients.
    """
    if not outcome.gradients:
        return 0.0
    other = variant.gradients(number)
    if not other.gradients and reference(exercise).gradients(number).gradients:
        return NO_MATCH
    case = probes(exercise)[number].case
    return gradient_distance(outcome, other, case) * MATCH / case.tolerance


def distance_of_values(exercise: Exercise, outcomes: Sequence[Outcome], variant: Variant) -> float:
    """Return the largest distance over all cases but limits, or a number above `FAR`.

    Inputs on which the learner's function raises an error give no evidence.
    """
    largest = 0.0
    for number, outcome in compared(exercise, outcomes):
        if not outcome.error:
            largest = max(largest, distance_in(exercise, number, outcome, variant))
        if largest > FAR:
            break
    return largest


def distance_of_gradients(exercise: Exercise, outcomes: Sequence[Outcome], variant: Variant) -> float:
    """Return the largest distance of the gradients; 0 for functions without gradients, such as those written with NumPy."""
    pairs = compared(exercise, outcomes)
    return max((gradient_distance_in(exercise, number, outcome, variant) for number, outcome in pairs), default=0.0)


def distance_of_errors(exercise: Exercise, outcomes: Sequence[Outcome], variant: Variant) -> float:
    """Return 0 if the variant raises an error on the same inputs. An error alone is no evidence against the reference."""
    pairs = [(outcome.error, variant.values(number).error) for number, outcome in compared(exercise, outcomes)]
    return 0.0 if not variant.mistakes or all(bool(one) == bool(other) for one, other in pairs) else NO_MATCH


def distance_at_limits(exercise: Exercise, outcomes: Sequence[Outcome], variant: Variant) -> float:
    """Return the largest distance at the limits of the formula."""
    return max(_limits(exercise, outcomes, variant).values(), default=0.0)


def limit_warnings(exercise: Exercise, outcomes: Sequence[Outcome], mistakes: tuple[Mistake, ...]) -> tuple[str, ...]:
    """Return a sentence for each limit of the formula at which the numbers differ from those of the reference with `mistakes`.

    It names the unsafe variants that compute the same there, those first that explain most limits. A limit at which none does
    has no sentence.
    """
    unsafe = [each for each in mistakes if each.kind is Kind.UNSAFE]
    base = Variant(exercise, () if unsafe else mistakes)
    differ = [name for name, far in _limits(exercise, outcomes, base).items() if far > MATCH]
    if not differ:
        return ()
    explained = [(each, _limits(exercise, outcomes, each)) for each in _unsafe_variants(exercise, base.mistakes)]
    warnings = []
    for name in differ:
        matching = {each: sum(far <= MATCH for far in limits.values()) for each, limits in explained if limits[name] <= MATCH}
        causes = [sentence(each.mistakes[-1]) for each, count in matching.items() if count == max(matching.values())]
        warnings += [f"{name}: {' Or: '.join(causes)}"] if causes else []
    return tuple(warnings)


def _limits(exercise: Exercise, outcomes: Sequence[Outcome], variant: Variant) -> dict[str, float]:
    """Return the largest distance at each limit, by the name of the case."""
    limits: dict[str, float] = {}
    for number, outcome in compared(exercise, outcomes, limits=True):
        name = probes(exercise)[number].case.name
        far = max(distance_in(exercise, number, outcome, variant), gradient_distance_in(exercise, number, outcome, variant))
        limits[name] = max(limits.get(name, 0.0), far)
    return limits


@cache
def _unsafe_variants(exercise: Exercise, mistakes: tuple[Mistake, ...]) -> tuple[Variant, ...]:
    """Return the reference with `mistakes`, and with one more that changes only the limits of the formula."""
    unsafe = _changes_of_limits(exercise, single_mistakes(exercise))
    return tuple(Variant(exercise, (*mistakes, each)) for each in unsafe if each not in mistakes)


@cache
def edits_without_guards(exercise: Exercise) -> Family:
    """Return the small edits of the reference without a part that only matters at limits, such as the zeros for empty rows.

    Learners do not write such parts, and with them an edit computes something else than without.
    """
    small_edits = [*edits_of_reference(exercise).variants, *edits_of_called_functions(exercise).variants]
    left_out = [each for each in small_edits if each.mistakes[0].name.startswith("left out")]
    guards = _changes_of_limits(exercise, Family(left_out))
    edits = (edit for guard in guards for edit in edits_of(guard.function, exercise.reference, guard.edits[0][1]))
    return Family(Variant(exercise, (edit,)) for edit in islice(edits, most_variants(exercise)))


def _changes_of_limits(exercise: Exercise, family: Family) -> list[Mistake]:
    """Return the mistakes that change only the numbers at the limits of the formula."""
    outcomes = expected(exercise)
    if all(case.role is not Role.LIMIT for case in exercise.cases):
        return []
    return [
        each.mistakes[0]
        for each in near(exercise, outcomes, family)
        if distance_of_values(exercise, outcomes, each) <= MATCH
        and distance_at_limits(exercise, outcomes, each) > MATCH
        and distance_of_gradients(exercise, outcomes, each) <= FAR
    ]
