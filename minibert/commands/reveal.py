"""`minibert reveal`: the solution of an exercise."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from minibert.commands.errors import UsageError
from minibert.commands.exercises import SHOWN, find_exercise, find_folder, progress_of
from minibert.commands.terminal import say, say_code


@dataclass(frozen=True)
class Reveal:
    """Show the solution of an exercise: the function of minibert. Before you have passed it, you are asked."""

    name: Positional[str]
    """Name or number of an exercise."""
    folder: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Folder with the exercises. Default: this folder, else ./exercises."""
    yes: bool = False
    """Show it without asking."""


def run(options: Reveal) -> int:
    """Print the solution."""
    from minibert.classroom.solution import solution

    folder, exercise = find_folder(options.folder), find_exercise(options.name)
    with progress_of(folder) as progress:
        passed = progress[exercise.name].passed
    if not passed and not options.yes and not _agrees(exercise.name):
        return 1
    if not passed:
        with progress_of(folder) as progress:
            progress.entry(exercise.name).revealed = True
    say(SHOWN, "")
    say_code(solution(exercise))
    return 0


def _agrees(name: str) -> bool:
    """Ask whether the solution is to be shown."""
    if not sys.stdin.isatty():
        raise UsageError(f"{name} is not passed: give --yes to show the solution")
    say(f"{name} is not passed. Show the solution? Type y for yes:")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
