"""The check of a learner's file, and of a function in a notebook: from the code to a report with lines and a hint."""

import inspect
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from minibert.classroom.checking import check_function, smallest_example
from minibert.classroom.exercise import Exercise
from minibert.classroom.exercises import EXERCISES, find_exercise
from minibert.classroom.hints import next_hint
from minibert.classroom.learner_file import BadFile, LearnerFile
from minibert.classroom.report import Report, Stage, Verdict
from minibert.classroom.running import LocalRunner, Runner
from minibert.classroom.sandbox import SandboxRunner
from minibert.sandbox import Limits


def check_file(
    exercise: Exercise, path: Path, hints: int = 0, time_limit: float = Limits.seconds, example: bool = True
) -> Report:
    """Check the function of a learner's file. Its code runs in a sandbox.

    Args:
        hints: number of hints that the learner has seen; the report has the next one.
        time_limit: seconds after which the code is stopped.
        example: if True, search for the smallest failing input.

    Raises: OSError if the file cannot be read.
    """
    file = None
    try:
        file = LearnerFile.read(path)
        file.require_function(exercise.name)
    except BadFile as bad:
        return report_of_bad_file(exercise, bad, file)
    sandbox = SandboxRunner(exercise, path, limits=Limits(seconds=time_limit))
    report = check_code(exercise, file, sandbox, hints, find=smallest_example if example else None)
    report.printed = report.printed or sandbox.printed
    return report


def check_code(
    exercise: Exercise, file: LearnerFile, sandbox: AbstractContextManager[Runner], hints: int = 0, **options: Any
) -> Report:
    """Check the function of a learner's file, of which the code to run is in a sandbox.

    Args:
        hints: number of hints that the learner has seen.
        options: arguments of `check_function`.
    """
    with sandbox as runner:
        report = check_function(exercise, runner, **options)
    return _with_hint(exercise, _with_place(report, file), hints)


def report_of_bad_file(exercise: Exercise, bad: BadFile, file: LearnerFile | None) -> Report:
    """Return the report of a file that cannot be checked. It has no hint: those are about the exercise.

    Args:
        file: the file, if at least a part of it could be read.
    """
    report = Report(exercise.name, Verdict.ERROR, Stage.RUNS, bad.reason, line=bad.line)
    report.line_text, report.column = bad.line_text, bad.column
    return _with_place(report, file)


def _with_place(report: Report, file: LearnerFile | None) -> Report:
    """Add the text of the line, and its place in a notebook."""
    if file and report.line:
        report.line_text = report.line_text or file.line(report.line)
        report.cell, report.line = file.place(report.line)
    return report


def check_own_function(function: Any, name: str | None = None) -> Report:
    """Check a function in this process, as in a notebook; see `minibert.classroom.check`."""
    own_name = str(getattr(function, "__name__", type(function).__name__))
    if not callable(function) or inspect.isclass(function):
        kind = f"the class {own_name}" if inspect.isclass(function) else f"a {own_name}"
        return Report(
            own_name, Verdict.UNKNOWN, reason=f"This is {kind}, not a function: write `def softmax(…)`, then `check(softmax)`."
        )
    wanted = str(name or own_name)
    try:
        exercise = find_exercise(wanted)
    except KeyError as error:
        return Report(wanted, Verdict.UNKNOWN, reason=_how_to_name(own_name, wanted, str(error.args[0])))
    report = check_function(exercise, LocalRunner(exercise, function))
    return _with_hint(exercise, report, 0)


def _how_to_name(function: str, wanted: str, problem: str) -> str:
    """Return the error for an unknown name as sentences, with a call to copy."""
    argument = function if function.isidentifier() else "function"
    near = [*EXERCISES.similar(wanted), "softmax"]
    return f'{problem[:1].upper()}{problem[1:]}. Name the exercise: `check({argument}, "{near[0]}")`.'


def _with_hint(exercise: Exercise, report: Report, given: int) -> Report:
    if not report.passed and not report.hint:
        report.hint = str(next_hint(exercise, given, report))
    return report
