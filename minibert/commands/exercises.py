"""Common parts of the commands of the classroom: the folder, the exercise, a check with its entry in the progress file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from minibert.commands.errors import UsageError
from minibert.commands.terminal import report

if TYPE_CHECKING:
    from minibert.classroom.exercise import Exercise
    from minibert.classroom.folder import ExerciseFolder
    from minibert.classroom.progress import Progress
    from minibert.classroom.report import Report

DEFAULT_FOLDER = Path("exercises")
TIME_LIMIT = 10.0
"""Seconds after which a learner's code is stopped."""

SHOWN = "# The function of minibert, without what this exercise does not ask for."
"""Line above a solution. It is a comment, so that the output can be copied."""


def find_folder(given: Path | None) -> "ExerciseFolder":
    """Return the folder of the learner: the given one, else the current folder, else ./exercises.

    Raises: UsageError if there are no exercises.
    """
    from minibert.classroom.folder import ExerciseFolder

    for path in [given] if given else [Path(), DEFAULT_FOLDER]:
        folder = ExerciseFolder(path)
        if folder.files() or folder.progress.exists():
            return folder
    where = f"{given}: has" if given else "this folder has"
    raise UsageError(f"{where} no exercises; `minibert learn` makes the folder {DEFAULT_FOLDER}, or give --folder FOLDER")


def find_exercise(name: str) -> "Exercise":
    """Return an exercise by name, by the name of its file, or by its number. Raises: UsageError that lists similar names."""
    from minibert.classroom import exercises
    from minibert.classroom.folder import NUMBERED

    if name.isdecimal() and 1 <= int(name) <= len(exercises.EXERCISES):
        return list(exercises.EXERCISES.values())[int(name) - 1]
    named = NUMBERED.fullmatch(Path(name).name)
    try:
        return exercises.find_exercise(named[1] if named else name)
    except KeyError as error:
        raise UsageError(f"{error.args[0]}; `minibert progress` lists all exercises") from None


def current_exercise(folder: "ExerciseFolder") -> "Exercise":
    """Return the first exercise that was not passed; the last one if all were."""
    from minibert.classroom.exercises import EXERCISES

    with progress_of(folder) as progress:
        left = [name for name in EXERCISES if not progress[name].passed]
    return EXERCISES[left[0] if left else list(EXERCISES)[-1]]


@contextmanager
def progress_of(folder: "ExerciseFolder") -> Iterator["Progress"]:
    """Open the progress, and save it at the end. A damaged file is renamed, and a folder that cannot be written is reported."""
    from minibert.classroom.folder import backup_name
    from minibert.classroom.progress import DamagedProgress, changed_progress, read_progress
    from minibert.files import describe

    try:
        read_progress(folder.progress)
    except DamagedProgress as error:
        damaged = folder.progress.rename(backup_name(folder.progress))
        report(f"{error}. It is now {damaged.name}, and a new one begins; `minibert check` finds what passes")
    except ValueError as error:
        raise UsageError(error) from None
    is_done = False
    try:
        with changed_progress(folder.progress) as opened:
            yield opened
            is_done = True
    except OSError as error:  # without permission, on a read-only or full disk
        if not is_done:  # an error of the block, such as a closed output
            raise
        report(f"warning: the progress is not saved: {describe(error)}")


def checked(
    folder: "ExerciseFolder", exercise: "Exercise", path: Path, time_limit: float = TIME_LIMIT, example: bool = True
) -> "Report":
    """Check a file, and enter the result into the progress, if the file belongs to the folder."""
    from minibert.classroom.file_check import check_file

    if not folder.is_in_use or path != folder.file(exercise.name):
        return check_file(exercise, path, 0, time_limit, example)
    with progress_of(folder) as progress:
        given = progress[exercise.name].hints
    found = check_file(exercise, path, given, time_limit, example)
    with progress_of(folder) as progress:
        progress.entry(exercise.name).add(found)
    return found
