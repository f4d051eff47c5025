"""The requirements of an exercise, checked by running it: those of minibert's own exercises and of a teacher's."""

from collections.abc import Callable, Iterator
from itertools import combinations

from minibert.classroom.candidates import Variant, reference, single_mistakes
from minibert.classroom.checking import check, check_function
from minibert.classroom.distance import gradient_distance, value_distance
from minibert.classroom.exercise import Exercise, Role
from minibert.classroom.mistakes import Kind, Mistake, source_with
from minibert.classroom.naming import name_mistakes
from minibert.classroom.probes import expected, probes
from minibert.classroom.report import Report, Verdict
from minibert.classroom.running import LocalRunner
from minibert.classroom.stubs import stub

HIDDEN_SEEDS = range(100, 108)


def problems(exercise: Exercise) -> Iterator[str]:
    """Yield the problems of an exercise as sentences that say what to do. An exercise without problems is ready."""
    try:
        if wrong := list(_basics(exercise)):
            yield from wrong
            return
    except Exception as error:
        yield f"The exercise cannot be run: {type(error).__name__}: {error}"
        return
    for requirement in (_stub, _reference, _equivalents, _mistakes, _distances):
        yield from requirement(exercise)


def _basics(exercise: Exercise) -> Iterator[str]:
    """The cases, the questions, and the edits of the mistakes."""
    if not any(case.role is Role.TYPICAL for case in exercise.cases):
        yield "There is no typical case: add Case(name, recipe)."
    if not exercise.questions:
        yield "There is no question: the first hint is a question, `questions=(…)`."
    for outcome, probe in zip(expected(exercise), probes(exercise), strict=True):
        if outcome.error:
            yield f"The reference fails on the case {probe.case.name!r}: {outcome.error}"
            return
    for mistake in exercise.mistakes:
        try:
            source_with(mistake)
        except ValueError as error:
            yield f"Mistake {error}"
        if mistake.kind is not Kind.EQUIVALENT and not mistake.message:
            yield f'Mistake {mistake.name!r} has no message: write what the learner did, such as "You left out √d_k.".'


def _stub(exercise: Exercise) -> Iterator[str]:
    scope: dict[str, Callable[..., object]] = {}
    exec(compile(stub(exercise), "<stub>", "exec"), scope)
    if (verdict := check(scope[exercise.name], exercise).verdict) is not Verdict.EMPTY:
        yield f"The empty stub is judged {verdict}, expected {Verdict.EMPTY}."


def _reference(exercise: Exercise) -> Iterator[str]:
    report = check_function(exercise, LocalRunner(exercise, exercise.reference), HIDDEN_SEEDS)
    if (report.verdict, report.warnings) != (Verdict.PASSED, []):
        yield f"The reference is judged {report.verdict}: {' '.join([report.reason, *report.warnings])}"


def _equivalents(exercise: Exercise) -> Iterator[str]:
    for mistake in exercise.mistakes:
        if mistake.kind is Kind.EQUIVALENT and (report := _judge(exercise, mistake)).verdict is not Verdict.PASSED:
            yield f"The equivalent form {mistake.name!r} is judged {report.verdict}: {report.reason}"


def _judge(exercise: Exercise, mistake: Mistake) -> Report:
    return check(exercise.with_mistakes(mistake), exercise)


def _mistakes(exercise: Exercise) -> Iterator[str]:
    """Every mistake differs from the reference, in typical cases if it is a bug, and is named."""
    right = reference(exercise)
    for variant in single_mistakes(exercise).variants:
        (mistake,) = variant.mistakes
        if not differ(variant, right):
            yield f"Mistake {mistake.name!r} changes no number: choose inputs that show it, or remove it."
            continue
        serious = differ(variant, right, limits=False)
        if mistake.kind is Kind.BUG and not serious:
            yield f"Mistake {mistake.name!r} shows only at a limit of the formula: add a case that shows it."
        if mistake.kind is Kind.UNSAFE and serious:
            yield f"Mistake {mistake.name!r} has unsafe numerics, but differs on usual inputs too: make it a bug."
        outcomes = [variant.gradients(number) for number in range(len(probes(exercise)))]
        named = [each.name for each in name_mistakes(exercise, outcomes)]
        if named != [mistake.name]:
            yield f"Mistake {mistake.name!r} is not recognized; it is named {named or 'nothing'}."


def _distances(exercise: Exercise) -> Iterator[str]:
    for one, other in combinations(single_mistakes(exercise).variants, 2):
        if not differ(one, other):
            names = f"{one.mistakes[0].name!r} and {other.mistakes[0].name!r}"
            yield f"Mistakes {names} compute the same: add a case that tells them apart, or remove one."


def differ(one: Variant, other: Variant, limits: bool = True) -> bool:
    """Return True if two functions differ by more than rounding, which is 100 times the precision of float32.

    Args:
        limits: if True, cases at the limit of the formula count too.
    """
    exercise = one.exercise
    cases = [
        (number, probe.case) for number, probe in enumerate(probes(exercise)) if limits or probe.case.role is not Role.LIMIT
    ]
    return any(
        value_distance(one.values(number), other.values(number), case, exercise.changes) > case.tolerance
        for number, case in cases
    ) or any(gradient_distance(one.gradients(number), other.gradients(number)) > case.tolerance for number, case in cases)
