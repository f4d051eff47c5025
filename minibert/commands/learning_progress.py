"""`minibert progress`: the exercises, and which of them are passed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table
from tyro.conf import arg

from minibert.commands.errors import UsageError
from minibert.commands.exercises import find_folder, progress_of
from minibert.commands.terminal import Renderable, say, say_json, say_parts, styled

if TYPE_CHECKING:
    from minibert.classroom.folder import ExerciseFolder
    from minibert.classroom.progress import Attempts, Progress


@dataclass(frozen=True)
class LearningProgress:
    """List the exercises, and which of them are passed.

    The progress is in progress.json in the folder of the exercises. It has no paths: the folder can be moved and copied.
    """

    folder: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Folder with the exercises. Default: this folder, else ./exercises."""
    merge: Annotated[Path | None, arg(metavar="FILE")] = None
    """Add the progress of another file, as of a copy of the folder on another computer."""
    json: bool = False
    """Print JSON instead of a table."""


def run(options: LearningProgress) -> int:
    """Print the progress."""
    from minibert.classroom.progress import read_progress

    folder = find_folder(options.folder)
    with progress_of(folder) as progress:
        if options.merge:
            if not options.merge.is_file():
                raise UsageError(f"{options.merge}: no such file")
            try:
                progress.exercises = progress.merged(read_progress(options.merge)).exercises
            except ValueError as error:
                raise UsageError(error) from None
    if options.json:
        say_json(progress.as_json())
    else:
        say_parts([exercise_table(folder, progress)])
        say(summary(progress))
    return 0


def exercise_table(folder: "ExerciseFolder", progress: "Progress") -> Renderable:
    """Return a table of all exercises."""
    from minibert.classroom.exercises import EXERCISES

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("exercise", overflow="fold")
    table.add_column("state", overflow="fold")
    table.add_column("checks", justify="right")
    table.add_column("hints", justify="right")
    for number, name in enumerate(EXERCISES, start=1):
        entry = progress[name]
        text, style = _state(entry)
        table.add_row(f"{number:2} {name}", styled(text, style), str(entry.checks or ""), str(entry.hints or ""))
    return table


def exercise_list(progress: "Progress", current: str, width: int) -> Iterator[Renderable]:
    """Yield lines with all exercises by topic and the sign of their state. With 80 columns they fit into a small terminal.

    Args:
        current: name of the exercise that is bold.
        width: largest length of a line, if no name is longer.
    """
    from minibert.classroom.exercises import EXERCISES, TOPICS

    numbers = {name: number for number, name in enumerate(EXERCISES, start=1)}
    indent = max(map(len, TOPICS)) + 1
    for topic, exercises in TOPICS.items():
        line = styled("").append(styled(f"{topic:{indent}}", "dim"))
        for name in (exercise.name for exercise in exercises):
            state, style = _state(progress[name])
            entry = f"{state[0]}{numbers[name]:2} {name} "
            if len(line) > indent and len(line) + len(entry.rstrip()) > width:
                yield line
                line = styled(" " * indent)
            line.append(entry[:1], style).append(entry[1:], "bold" if name == current else "")
        yield line


def summary(progress: "Progress") -> str:
    """Return the number of exercises that are passed."""
    from minibert.classroom.exercises import EXERCISES

    return f"{sum(progress[name].passed for name in EXERCISES)} of {len(EXERCISES)} exercises passed"


def _state(entry: "Attempts") -> tuple[str, str]:
    """Return the state of an exercise, and its color."""
    if entry.passed:
        return f"✓ passed{', after the solution was shown' if entry.revealed else ''}", "green"
    return (f"✗ {entry.verdict}", "red") if entry.checks else ("○ not started", "")
