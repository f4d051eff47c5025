"""`minibert runs`: compare training runs."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from minibert.commands.errors import UsageError, check_figure
from minibert.commands.terminal import report, say, say_json, say_table, styled
from minibert.printable import printable

if TYPE_CHECKING:
    from minibert.training.records import RunRecord


@dataclass(frozen=True)
class Runs:
    """Compare training runs in a table for each task, and in one figure of their validation losses."""

    directories: Positional[tuple[Path, ...]]
    """Folders of runs (--out of a training command), or folders that contain such folders."""
    figure: Path | None = None
    """File to write the figure to; its extension is the format: .png, .svg or .pdf."""
    json: bool = False
    """Print JSON instead of a table."""


def run(options: Runs) -> int:
    """Print the table, and write the figure if a file is given. Return 1 if a folder that was named is left out."""
    from minibert.study.drawing import save
    from minibert.study.run_figures import comparison_figure
    from minibert.training.records import compare_runs

    if not options.directories:
        raise UsageError("give at least one folder of a training run, such as runs/quickstart")
    if options.figure is not None:
        check_figure(options.figure)
    runs: list[tuple[Path, RunRecord]] = []
    problems: list[UsageError] = []
    for directory in options.directories:
        try:
            runs += _read_runs(directory)
        except UsageError as error:
            problems.append(error)
    if not runs:
        raise problems[0] if problems else UsageError("none of these runs can be read")
    for problem in problems:
        report(f"left out: {problem}")
    records = [record for _, record in runs]
    if len({record.name for record in records}) < len(records):
        records = [replace(record, name=str(folder)) for folder, record in runs]
    if options.json:
        say_json(compare_runs(records))
    else:
        _print_tables(records)
    if options.figure is not None:
        save(comparison_figure(records), options.figure)
        say(f"written: {printable(options.figure)}")
    return 1 if problems else 0


def _print_tables(records: "list[RunRecord]") -> None:
    """Print a table for each kind of task, and the settings in which its runs differ."""
    from minibert.training.records import compare_runs, different_settings

    kinds = dict.fromkeys(record.kind for record in records)
    for number, kind in enumerate(kinds):
        if len(kinds) > 1:
            say(*[""] * (number > 0), styled(kind, "bold"))
        same = [record for record in records if record.kind == kind]
        _print_table(compare_runs(same))
        if different := different_settings(same):
            say("\nDifferent settings, in the order of the runs:", *(f"  {printable(line)}" for line in different))


def _print_table(rows: list[dict[str, str]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        justify: Literal["left", "right"] = "left" if name in ("run", "preset") else "right"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=name != "run")
    for row in rows:
        table.add_row(*row.values())
    say_table(table, whole=True)  # truncated headings and numbers cannot be read


def _read_runs(directory: Path) -> "list[tuple[Path, RunRecord]]":
    """Read the run in a folder, or else the runs in its subfolders; a note is printed for those that cannot be read.

    Raises: UsageError if the folder itself is no run and contains none.
    """
    from minibert.training.records import SETTINGS_FILE, RunRecord

    inside = [] if (directory / SETTINGS_FILE).exists() else sorted(directory.glob(f"*/{SETTINGS_FILE}"))
    runs = []
    for folder in [file.parent for file in inside] or [directory]:
        try:
            record = RunRecord.read(folder)
            _ = record.task_metrics  # raises for a task that is not known
        except (OSError, ValueError) as error:
            if not inside:
                raise UsageError(error) from error
            report(f"left out: {error}")
            continue
        if record.lost_steps:
            report(f"{folder}: {record.lost_steps:,} steps have no entry in metrics.jsonl")
        runs.append((folder, record))
    return runs
