"""The check of a learner's file, and of a function in a notebook: from the code to a report with lines and a hint."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minibert.classroom.checking import check_function
from minibert.classroom.exercise import Exercise
from minibert.classroom.exercises import find_exercise
from minibert.classroom.hints import next_hint
from minibert.classroom.learner_file import BadFile, LearnerFile
from minibert.classroom.report import Report, Stage, Verdict
from minibert.classroom.running import LocalRunner
from minibert.classroom.sandbox import Limits, SandboxRunner


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
    lines: tuple[str, ...] = ()
    try:
        file = LearnerFile.read(path)
        lines = file.lines
        file.require_function(exercise.name)
        with SandboxRunner(exercise, path, limits=Limits(seconds=time_limit)) as runner:
            report = check_function(exercise, runner, example=example)
        report.printed = report.printed or runner.printed
    except BadFile as bad:
        report = Report(exercise.name, Verdict.ERROR, Stage.RUNS, bad.reason, line=bad.line)
    if report.line and not report.line_text and report.line <= len(lines):
        report.line_text = lines[report.line - 1]
    return _with_hint(exercise, report, hints)


def check_own_function(function: Callable[..., Any], name: str | None = None) -> Report:
    """Check a function in this process, as in a notebook; see `minibert.classroom.check`."""
    if not callable(function) or inspect.isclass(function):
        raise TypeError(f"check a function, not {type(function).__name__}")
    wanted = name or str(getattr(function, "__name__", ""))
    try:
        exercise = find_exercise(wanted)
    except KeyError as error:
        raise ValueError(f"{error.args[0]}; check(function, 'softmax') names the exercise") from None
    report = check_function(exercise, LocalRunner(exercise, function))
    return _with_hint(exercise, report, 0)


def _with_hint(exercise: Exercise, report: Report, given: int) -> Report:
    if not report.passed and not report.hint:
        report.hint = str(next_hint(exercise, given, report))
    return report
