"""`minibert check`: what is wrong with a solution."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from minibert.commands.errors import UsageError
from minibert.commands.exercises import TIME_LIMIT, checked, find_exercise, find_folder
from minibert.commands.report_view import show_report
from minibert.commands.terminal import say, say_json

if TYPE_CHECKING:
    from minibert.classroom.exercise import Exercise
    from minibert.classroom.folder import ExerciseFolder

MAX_SECONDS = 3600


@dataclass(frozen=True)
class Check:
    """Check your solution of an exercise, and say which mistake it has.

    Without a name, all exercises that you began are checked. The exit code is 0 if they are passed, and 1 if not.
    """

    name: Annotated[Positional[str | None], arg(metavar="[NAME|FILE.py]")] = None
    """Name or number of an exercise, or a Python file with a solution."""
    exercise: Annotated[str | None, arg(metavar="NAME")] = None
    """Name of the exercise, for a file whose name and functions are of several exercises. Default: those that it has."""
    folder: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Folder with the exercises. Default: this folder, else ./exercises."""
    time_limit: float = TIME_LIMIT
    """Seconds after which your code is stopped."""
    example: bool = True
    """Search for the smallest failing input, which takes up to two seconds."""
    json: bool = False
    """Print JSON instead of text."""
    plain: bool = False
    """Plain text without colors and columns, for screen readers. It is the default if the output is not a terminal."""


def run(options: Check) -> int:
    """Check the files and print a report for each."""
    if not 0 < options.time_limit <= MAX_SECONDS:
        raise UsageError(f"--time-limit {options.time_limit:g}: must be above 0 and at most {MAX_SECONDS}")
    from minibert.classroom.folder import ExerciseFolder

    if options.name and options.name.endswith(".py") and Path(options.name).exists():
        path = Path(options.name)
        folder = ExerciseFolder(path.parent)
        chosen = [(exercise, path) for exercise in _exercises_in(path, options.exercise)]
    else:
        folder = find_folder(options.folder)
        chosen = [(exercise, folder.file(exercise.name)) for exercise in _chosen(folder, options)]
    reports = [checked(folder, exercise, path, options.time_limit, options.example) for exercise, path in chosen]
    passed = all(report.passed for report in reports)
    if options.json:
        say_json({"passed": passed, "exercises": [report.as_json() for report in reports]})
    else:
        for report in reports:
            show_report(report, options.plain)
        if len(reports) > 1:
            say(f"{sum(report.passed for report in reports)} of {len(reports)} passed")
    return 0 if passed else 1


def _chosen(folder: "ExerciseFolder", options: Check) -> list["Exercise"]:
    """Return the exercise that is asked for, or all that were begun."""
    if options.name and options.exercise is not None:
        raise UsageError(f"--exercise {options.exercise}: is for a FILE.py, and there is no file {options.name}")
    if options.name or options.exercise:
        exercise = find_exercise(options.name or options.exercise or "")
        if exercise.name not in folder.files():
            raise UsageError(f"{folder.file(exercise.name)}: not found; `minibert reset {exercise.name}` writes the empty file")
        return [exercise]
    begun = [find_exercise(name) for name in folder.files() if folder.is_started(name)]
    if not begun:
        raise UsageError("no file was changed yet: write a solution and save it, or give the NAME of an exercise")
    return begun


def _exercises_in(path: Path, name: str | None) -> list["Exercise"]:
    """Return the exercises that a file is for: the given one, that of its name, or those that its functions are named after."""
    from minibert.classroom.exercises import EXERCISES
    from minibert.classroom.folder import NUMBERED
    from minibert.classroom.learner_file import BadFile, LearnerFile

    if name:
        return [find_exercise(name)]
    named = NUMBERED.fullmatch(path.name)
    if named and named[1] in EXERCISES:
        return [EXERCISES[named[1]]]
    try:
        functions = LearnerFile.read(path).functions()
    except BadFile as bad:
        raise UsageError(f"{path}{f', line {bad.line}' if bad.line else ''}: {bad}") from None
    if not (found := [EXERCISES[function] for function in functions if function in EXERCISES]):
        has = ", ".join(functions) or "no functions"
        raise UsageError(
            f"{path}: no function has the name of an exercise; it has {has}. `minibert progress` lists all exercises"
        )
    return found
