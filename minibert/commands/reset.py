"""`minibert reset`: the empty file of an exercise again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from minibert.commands.exercises import find_exercise, find_folder
from minibert.commands.terminal import say
from minibert.printable import printable


@dataclass(frozen=True)
class Reset:
    """Write the empty file of an exercise again. Your file is kept under another name, if you have changed it."""

    name: Positional[str]
    """Name or number of an exercise."""
    folder: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Folder with the exercises. Default: this folder, else ./exercises."""


def run(options: Reset) -> int:
    """Rename the learner's file, and write the stub."""
    folder, exercise = find_folder(options.folder), find_exercise(options.name)
    path = folder.file(exercise.name)
    if folder.is_empty(exercise.name):
        say(printable(f"{path}: you have not changed it; there is nothing to reset"))
        return 0
    backup = folder.reset(exercise.name)
    say(printable(f"{path}: empty again; your file is now {backup.name}" if backup else f"{path}: a new empty file"))
    return 0
