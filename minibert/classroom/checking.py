"""The check of a learner's function: one question after the other, until one has the answer no."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from minibert.classroom.binding import REQUIRED
from minibert.classroom.candidates import Variant
from minibert.classroom.comparison import comparison_of
from minibert.classroom.counterexample import Search
from minibert.classroom.distance import value_distance
from minibert.classroom.draws import EqualSizes
from minibert.classroom.exercise import Exercise, Role
from minibert.classroom.location import Trails
from minibert.classroom.mistakes import Kind, Mistake
from minibert.classroom.naming import explain, sentence
from minibert.classroom.probes import Probe, call_all, expected, probes, probes_of
from minibert.classroom.questions import Answered, Problem, aligned, changed_inputs, input_of, problem_of
from minibert.classroom.report import Named, Report, Stage, Verdict
from minibert.classroom.running import Arguments, LocalRunner, Outcome, Runner, Stopped, same_numbers, watched
from minibert.classroom.stubs import known_names
from minibert.classroom.trail import Entry
from minibert.classroom.usual_errors import explanation
from minibert.classroom.wording import value_as_code

OUTSIDE = "The function computes with NumPy or with Python's numbers, so its gradients were not checked."
SAME_SHAPES = (10, 11)
"""Seeds of two calls with the same shapes."""
ONLY_HIDDEN = "The visible inputs pass, but hidden inputs of the same kinds do not."
LIST = "The function returns a list, the stub a tensor, which other functions need: `torch.tensor(…)` makes one."
OTHER_AXES = "In the stub, `*` means any number of axes, and `#` means this size or 1."
STATE = Problem(
    Stage.VALUES,
    "The function returns other numbers when the same call is repeated later. "
    "Does it keep something from an earlier call, such as a global variable or a default argument that it changes?",
    explains=True,
)


Finder = Callable[[Answered, Problem], tuple[Answered, Problem]]
"""Returns a small input on which a function has a problem of the same kind as in a call."""


def smallest_example(call: Answered, problem: Problem) -> tuple[Answered, Problem]:
    """Search for the smallest failing input, which may take two seconds."""
    return Search(call, problem).run()


def check_function(
    exercise: Exercise,
    runner: Runner,
    hidden_seeds: Iterable[int] = (),
    find: Finder | None = smallest_example,
) -> Report:
    """Check a function.

    Args:
        runner: calls the function.
        hidden_seeds: seeds of more inputs, which the learner does not know. The report has no numbers of them.
        find: finds the smallest failing input; None for a report without it.
    """
    hidden = probes_of(exercise, hidden_seeds, hidden=True)
    right = [*expected(exercise), *call_all(hidden, LocalRunner(exercise, exercise.reference))]
    calls: list[Answered] = []
    for probe, other in zip([*probes(exercise), *hidden], right, strict=True):
        own = aligned(runner(probe.arguments, probe.case.gradients), other)
        if own.stopped:
            return _stopped(exercise, probe, own)
        calls.append(Answered(exercise, probe, own, other, watched(runner)))
    if all((call.own.error or "").startswith("NotImplementedError") for call in calls):
        return Report(exercise.name, Verdict.EMPTY, reason="The function is still the empty stub.")
    try:
        problems = [(call, problem) for call in calls if (problem := problem_of(call))]
        if not problems and _keeps_state(calls[0]):
            problems = [(calls[0], STATE)]
    except Stopped as stopped:  # in a call for an invariant, or in a repeated one
        return _stopped(exercise, calls[0].probe, stopped.outcome)
    return _report(calls, problems, find)


def _stopped(exercise: Exercise, probe: Probe, own: Outcome) -> Report:
    report = Report(exercise.name, Verdict.STOPPED, Stage.RUNS, own.stopped, line=own.line, printed=own.printed)
    return replace(report, reason=ONLY_HIDDEN, printed="", only_hidden=True) if probe.hidden else report


def _keeps_state(first: Answered) -> bool:
    """Return True if an earlier call changes a result: of the same call, or of one with other numbers of the same shapes."""
    case, runner = first.probe.case, first.runner
    if case.summary is not None:
        return False
    again = aligned(runner(first.probe.arguments, gradients=False), first.other)
    reference = LocalRunner(first.exercise, first.exercise.reference)
    shape_only = False
    for seed in SAME_SHAPES:
        with suppress(Exception):  # some recipes need sizes that differ
            arguments = case.recipe(EqualSizes(seed))
            own, other = runner(arguments, gradients=False), reference(arguments, gradients=False)
            shape_only = not other.error and not same_numbers(aligned(own, other).outputs, other.outputs)
    return shape_only or not same_numbers(again.outputs, first.own.outputs)


def _report(calls: Sequence[Answered], problems: Sequence[tuple[Answered, Problem]], find: Finder | None) -> Report:
    """Return the report of all calls."""
    exercise = calls[0].exercise
    serious = [(call, problem) for call, problem in problems if _counts(call)]
    report = Report(exercise.name, Verdict.PASSED, credit=_credit(calls, serious))
    report.printed = next((call.own.printed for call in calls if call.own.printed and not call.probe.hidden), "")
    report.notes = [OUTSIDE] if any(call.own.leaves_torch and call.other.gradients for call in calls) else []
    is_list = any(call.own.is_list and not call.other.is_list and "output" in call.other.outputs for call in calls)
    lists = [LIST] if is_list else []
    if not problems:
        return replace(report, verdict=Verdict.WARNING, warnings=lists) if lists else report
    explanation = explain(exercise, [call.own for call in calls[: len(probes(exercise))]])
    report.mistakes = [Named.of(mistake) for mistake in explanation.mistakes]
    report.relation = explanation.relation
    report.warnings = list(explanation.warnings)
    if not serious:
        report.verdict = Verdict.WARNING
        limits = [(call, problem) for call, problem in problems if call.probe.case.role is Role.LIMIT]
        report.warnings = report.warnings or list(dict.fromkeys(_at_limit(call.probe, problem) for call, problem in limits))
        report.warnings += [*_at_other_axes(problems, Variant(exercise, explanation.mistakes)), *lists]
        return report
    order = list(Stage)
    visible = [(call, problem) for call, problem in serious if not call.probe.hidden]
    call, problem = min(visible or serious, key=lambda found: order.index(found[1].stage))
    report.failed, report.reason, report.explained = problem.stage, problem.text, problem.explains
    report.only_hidden = not visible
    if report.only_hidden:
        report.verdict, report.reason, report.warnings = Verdict.WRONG, ONLY_HIDDEN, []
        return report
    if problem.stage in (Stage.RUNS, Stage.SHAPE, Stage.DTYPE):  # nothing is known about limits then
        report.warnings = [sentence(mistake) for mistake in explanation.unsafe]
    is_convention = bool(report.mistakes) and all(mistake.kind == Kind.CONVENTION for mistake in report.mistakes)
    report.verdict = Verdict.CONVENTION if is_convention else Verdict.WRONG
    if problem.stage is Stage.RUNS:
        report.verdict, report.line, report.line_text = Verdict.ERROR, call.own.line, call.own.line_text
        report.reason, report.explained = _described_error(call, calls)
    with suppress(Stopped):  # a recorded call takes longer
        _locate(report, call, (*explanation.mistakes, *explanation.unsafe))
    if find and problem is not STATE:
        report.example = comparison_of(*find(call, problem))
    return report


def _described_error(call: Answered, calls: Sequence[Answered]) -> tuple[str, bool]:
    """Return the error of a call, what it means and where it happens, and whether this names the fault."""
    error = call.own.error or ""
    if names := _missing_where_it_fails(calls):
        return f"{error.removesuffix('.')}. {_not_given(call.exercise, names)}", True
    meaning = explanation(error, call.own.line_text)
    place = input_of(call) if any(not other.own.error for other in calls) else ""
    more = " ".join(filter(None, [meaning, place]))
    return f"{error.removesuffix('.')}. {more}" if more else error, bool(meaning)


def _not_given(exercise: Exercise, names: Sequence[str]) -> str:
    """Return a sentence about an error that happens only without some optional arguments."""
    values = " and ".join(f"{name} = {value_as_code(exercise.defaults[name])}" for name in names)
    none = next((name for name in names if exercise.defaults[name] is None), "")
    advice = f" Use `{none}` only `if {none} is not None`." if none else ""
    return f"This happens only where the default {values} is used.{advice}"


def _missing_where_it_fails(calls: Sequence[Answered]) -> list[str]:
    """Return the optional arguments with their default value in every call with an error, and another one in all others."""
    counted = [*filter(_counts, calls)]
    defaults = {name: value for name, value in counted[0].exercise.defaults.items() if value is not REQUIRED}
    return [
        name
        for name, default in defaults.items()
        if all((call.probe.arguments.get(name, default) is default) == bool(call.own.error) for call in counted)
    ]


def _counts(call: Answered) -> bool:
    """Return False for a problem that is a warning: at a limit of the formula, or for a rare number of axes."""
    return call.probe.case.role not in (Role.LIMIT, Role.AXES)


def _at_other_axes(problems: Sequence[tuple[Answered, Problem]], known: Variant) -> list[str]:
    """Return one sentence about all inputs with other axes for which a function differs from what is known about it."""
    found = [
        (call, problem)
        for call, problem in problems
        if call.probe.case.role is Role.AXES and not _computes(known, call.probe, call.own)
    ]
    if not found:
        return []
    names = ", ".join(dict.fromkeys(call.probe.case.name for call, _ in found))
    call, problem = max(found, key=lambda each: [*Stage].index(each[1].stage))  # wrong numbers are worse than an error
    return [
        f"The function does not work for all axes that the stub allows ({names}). {problem.text.removesuffix('.')}. "
        f"{input_of(call)} {OTHER_AXES}"
    ]


def _computes(variant: Variant, probe: Probe, outcome: Outcome) -> bool:
    """Return True if a variant has the same outcome for a probe."""
    other = variant.called_with(probe.arguments)
    return value_distance(outcome, other, probe.case, variant.exercise.changes) <= probe.case.tolerance


def _at_limit(probe: Probe, problem: Problem) -> str:
    return f"{probe.case.name}: {'the result differs.' if probe.hidden else problem.text}"


def _credit(calls: Sequence[Answered], problems: Sequence[tuple[Answered, Problem]]) -> dict[str, bool]:
    """Return which parts are correct, for partial credit. An exercise without edge cases has them if its values are correct."""
    has_edges = any(call.probe.case.role is Role.EDGE for call in calls)
    stages = {problem.stage for call, problem in problems if call.probe.case.role is Role.TYPICAL}
    edges = any(call.probe.case.role is not Role.TYPICAL for call, _ in problems)
    shape = not stages & {Stage.RUNS, Stage.SHAPE}
    forward = shape and not stages & {Stage.DTYPE, Stage.FINITE, Stage.INPUTS, Stage.INVARIANTS, Stage.VALUES}
    return {
        "shape": shape,
        "forward": forward,
        "gradient": forward and Stage.GRADIENTS not in stages,
        "edge cases": shape and not edges and (has_edges or forward),
    }


def _locate(report: Report, call: Answered, mistakes: Sequence[Mistake]) -> None:
    """Add the line that probably causes the mistake, and the first intermediate result that differs."""
    exercise, arguments = call.exercise, call.probe.arguments
    trail = call.runner(arguments, gradients=False, trail=True).trail
    is_comparable = report.failed not in (Stage.RUNS, Stage.SHAPE) or mistakes  # values of another shape may be right
    if not trail or report.failed is Stage.GRADIENTS or not is_comparable:
        return
    variant = _trail(exercise, exercise.with_mistakes(*mistakes), arguments) if mistakes else ()
    edits = tuple(edit for mistake in mistakes for edit in mistake.edits)
    right = _trail(exercise, exercise.reference, arguments)
    trails = Trails(trail, right, arguments, variant, edits, _harmless(call, mistakes), known_names(exercise))
    if report.failed is Stage.INPUTS:
        found = trails.first_of(changed_inputs(call).values())
    else:
        report.first_difference = trails.first_difference()
        report.agreement = "" if report.first_difference or report.relation else trails.last_agreement()
        found = trails.suspect()
    if found is not None and report.line is None:
        report.line, report.line_text = found.line, found.text


def _harmless(call: Answered, mistakes: Sequence[Mistake]) -> list[Entry]:
    """Return the values of the reference with those parts of the mistakes that do not change the result of a call."""
    parts = [replace(mistake, edits=(edit,)) for mistake in mistakes for edit in mistake.edits]
    harmless: list[Entry] = []
    for part in parts if len(parts) > 1 else ():
        with suppress(Exception):  # a part of an edit need not run
            outcome = LocalRunner(call.exercise, call.exercise.with_mistakes(part))(call.probe.arguments, False, trail=True)
            if value_distance(outcome, call.other, call.probe.case, call.exercise.changes) <= call.probe.case.tolerance:
                harmless += outcome.trail
    return harmless


def _trail(exercise: Exercise, function: Callable[..., Any], arguments: Arguments) -> list[Entry]:
    return LocalRunner(exercise, function)(arguments, gradients=False, trail=True).trail


def check(function: Callable[..., Any], exercise: Exercise) -> Report:
    """Check a function in this process."""
    return check_function(exercise, LocalRunner(exercise, function))
