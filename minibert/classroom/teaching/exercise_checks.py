"""The requirements of an exercise, checked by running it: those of minibert's own exercises and of a teacher's."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations

from minibert.classroom.candidates import Variant, reference, single_mistakes
from minibert.classroom.checking import check, check_function
from minibert.classroom.distance import gradient_distance, value_distance
from minibert.classroom.exercise import Exercise, Role
from minibert.classroom.mistakes import Kind, source_with
from minibert.classroom.naming import name_mistakes
from minibert.classroom.probes import expected, probes
from minibert.classroom.report import Verdict
from minibert.classroom.running import LocalRunner
from minibert.classroom.stubs import stub

HIDDEN_SEEDS = range(100, 108)
SENTENCE = re.compile(r"[A-Z].*[.]", re.DOTALL)


def problems(exercise: Exercise) -> Iterator[str]:
    """Yield the problems of an exercise, each with a solution, as sentences. An exercise without problems is ready."""
    try:
        if wrong := list(problems_of_parts(exercise)):
            yield from wrong
            return
    except Exception as error:
        yield f"The exercise cannot be run: {type(error).__name__}: {error}"
        return
    yield from problems_of_stub(exercise)
    yield from problems_of_reference(exercise)
    yield from problems_of_equivalents(exercise)
    mistakes = single_mistakes(exercise).variants
    yield from problems_of_seriousness(mistakes)
    yield from problems_of_names(mistakes)
    yield from problems_of_distances(mistakes)


def problems_of_parts(exercise: Exercise) -> Iterator[str]:
    """The cases, the questions, and the edits and messages of the mistakes."""
    if not any(case.role is Role.TYPICAL for case in exercise.cases):
        yield "There is no typical case: add Case(name, recipe)."
    if not exercise.questions:
        yield "There is no question: the first hint is a question, `questions=(…)`."
    for question in exercise.questions:
        if not question.endswith((".", "?")):
            yield f"Question {question!r}: it must end with a question mark or a period."
    for outcome, probe in zip(expected(exercise), probes(exercise), strict=True):
        if outcome.error:
            yield f"The reference fails on the case {probe.case.name!r}: {outcome.error}"
            return
    for mistake in exercise.mistakes:
        try:
            source_with(mistake)
        except ValueError as error:
            yield f"Mistake {error}"
        if mistake.kind is not Kind.EQUIVALENT and not SENTENCE.fullmatch(mistake.message):
            what = f"its message {mistake.message!r} is no sentence" if mistake.message else "it has no message"
            yield f'Mistake {mistake.name!r}: {what}: write what the learner did, such as "You left out √d_k.".'


def problems_of_stub(exercise: Exercise) -> Iterator[str]:
    """The empty stub is not started."""
    scope: dict[str, Callable[..., object]] = {}
    exec(compile(stub(exercise), "<stub>", "exec"), scope)
    if (verdict := check(scope[exercise.name], exercise).verdict) is not Verdict.EMPTY:
        yield f"The empty stub is judged {verdict}, expected {Verdict.EMPTY}."


def problems_of_reference(exercise: Exercise, seeds: Sequence[int] = HIDDEN_SEEDS) -> Iterator[str]:
    """The reference passes, also for hidden inputs."""
    report = check_function(exercise, LocalRunner(exercise, exercise.reference), seeds)
    if (report.verdict, report.reason, report.warnings) != (Verdict.PASSED, "", []):
        yield f"The reference is judged {report.verdict}: {' '.join([report.reason, *report.warnings])}"


def problems_of_equivalents(exercise: Exercise) -> Iterator[str]:
    """Equivalent forms pass without a warning."""
    for mistake in exercise.mistakes:
        if mistake.kind is Kind.EQUIVALENT:
            report = check(exercise.with_mistakes(mistake), exercise)
            if (report.verdict, report.reason) != (Verdict.PASSED, ""):
                yield f"The equivalent form {mistake.name!r} is judged {report.verdict}: {report.reason}"


def problems_of_seriousness(mistakes: Iterable[Variant]) -> Iterator[str]:
    """A bug differs from the reference in usual cases. Unsafe numerics differ at a limit of the formula only."""
    for variant in mistakes:
        name, kind, right = variant.mistakes[0].name, variant.mistakes[0].kind, reference(variant.exercise)
        serious = differ(variant, right, limits=False)
        if not differ(variant, right):
            yield f"Mistake {name!r} changes no number: choose inputs that show it, or remove it."
        elif kind is Kind.BUG and not serious:
            yield f"Mistake {name!r} shows only at a limit of the formula: add a case that shows it."
        elif kind is Kind.UNSAFE and serious:
            yield f"Mistake {name!r} has unsafe numerics, but differs on usual inputs too: make it a bug."


def problems_of_names(mistakes: Iterable[Variant]) -> Iterator[str]:
    """The name of a mistake is found from its numbers alone."""
    for variant in mistakes:
        exercise, name = variant.exercise, variant.mistakes[0].name
        outcomes = [variant.gradients(number) for number in range(len(probes(exercise)))]
        if (named := [each.name for each in name_mistakes(exercise, outcomes)]) != [name]:
            yield f"Mistake {name!r} is not recognized; it is named {named or 'nothing'}."


def problems_of_distances(mistakes: Iterable[Variant]) -> Iterator[str]:
    """No two mistakes compute the same."""
    for one, other in combinations(mistakes, 2):
        if not differ(one, other):
            names = f"{one.mistakes[0].name!r} and {other.mistakes[0].name!r}"
            yield f"Mistakes {names} compute the same: add a case that tells them apart, or remove one."


def differ(one: Variant, other: Variant, limits: bool = True) -> bool:
    """Return True if two functions differ by more than rounding, which is 100 times the precision of float32.

    Args:
        limits: if True, cases at the limit of the formula count too.
    """
    exercise = one.exercise
    left_out = {Role.AXES} if limits else {Role.AXES, Role.LIMIT}
    cases = [(number, probe.case) for number, probe in enumerate(probes(exercise)) if probe.case.role not in left_out]
    return any(
        value_distance(one.values(number), other.values(number), case, exercise.changes) > case.tolerance
        for number, case in cases
    ) or any(gradient_distance(one.gradients(number), other.gradients(number), case) > case.tolerance for number, case in cases)
