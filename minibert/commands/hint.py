"""`minibert hint`: the next hint for an exercise."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from minibert.commands.exercises import current_exercise, find_exercise, find_folder, progress_of
from minibert.commands.terminal import say, say_code


@dataclass(frozen=True)
class Hint:
    """Show the next hint for an exercise: questions, then the place, then the line with a blank.

    The place and the line are those of your mistake, if the check can name it.
    """

    name: Annotated[Positional[str | None], arg(metavar="[NAME]")] = None
    """Name or number of an exercise. Default: the first that is not passed."""
    folder: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Folder with the exercises. Default: this folder, else ./exercises."""
    all: bool = False
    """Show the hints that you have seen, too."""


def run(options: Hint) -> int:
    """Print a hint, and count it."""
    from minibert.classroom.file_check import check_file
    from minibert.classroom.hints import hints

    folder = find_folder(options.folder)
    exercise = find_exercise(options.name) if options.name else current_exercise(folder)
    report = check_file(exercise, folder.file(exercise.name), example=False) if folder.is_started(exercise.name) else None
    found = hints(exercise, report)
    with progress_of(folder) as progress:
        entry = progress.entry(exercise.name)
        last = min(entry.hints, len(found) - 1)
        entry.hints = max(entry.hints, last + 1)
    for number in range(0 if options.all else last, last + 1):
        say(f"{exercise.name}, hint {number + 1} of {len(found)} ({found[number].level}): {found[number].text}")
        if found[number].code:
            say_code(f"    {found[number].code}")
    if last == len(found) - 1:
        say(f"This is the last hint. `minibert reveal {exercise.name}` shows the solution.")
    return 0
