"""`minibert runs`: compare training runs."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from minibert.commands.errors import UsageError
from minibert.commands.terminal import say, say_json, say_table
from minibert.printable import printable


@dataclass(frozen=True)
class Runs:
    """Compare training runs in one table, and in one figure of their validation losses."""

    directories: Positional[tuple[Path, ...]]
    """Folders of runs (--out of a training command), or folders that contain such folders."""
    figure: Path | None = None
    """PNG file to write the figure to."""
    json: bool = False
    """Print JSON instead of a table."""


def run(options: Runs) -> int:
    """Print the table, and write the figure if a file is given."""
    from minibert.study.figures import save_png
    from minibert.study.run_figures import comparison_figure
    from minibert.training.records import SETTINGS_FILE, RunRecord, compare_runs, different_settings

    folders = [run for folder in options.directories for run in _run_folders(folder, SETTINGS_FILE)]
    try:
        records = [RunRecord.read(folder) for folder in folders]
    except (FileNotFoundError, ValueError) as error:
        raise UsageError(str(error)) from error
    if not records:
        raise UsageError("give at least one folder written by `minibert pretrain`, `train-letters` or `train-translator`")
    if len({record.name for record in records}) < len(records):
        records = [replace(record, name=str(folder)) for record, folder in zip(records, folders, strict=True)]
    rows = compare_runs(records)
    if options.json:
        say_json(rows)
    else:
        _print_table(rows)
        if different := different_settings(records):
            say("\nDifferent settings, in the order of the runs:", *(f"  {printable(line)}" for line in different))
    if options.figure is not None:
        save_png(comparison_figure(records), options.figure)
        say(f"written: {options.figure}")
    return 0


def _print_table(rows: list[dict[str, str]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        justify: Literal["left", "right"] = "left" if name in ("run", "preset") else "right"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=name != "run")
    for row in rows:
        table.add_row(*row.values())
    say_table(table, whole=True)  # truncated headings and numbers cannot be read


def _run_folders(folder: Path, settings_file: str) -> list[Path]:
    """Return the folder itself if it holds a run, else the runs in it."""
    inside = sorted(path.parent for path in folder.glob(f"*/{settings_file}"))
    return inside if inside and not (folder / settings_file).is_file() else [folder]
