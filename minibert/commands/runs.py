"""`minibert runs`: compare training runs."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from minibert.commands.errors import UsageError


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
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        _print_table(rows)
        if different := different_settings(records):
            print("\nDifferent settings, in the order of the runs:", *different, sep="\n  ")
    if options.figure is not None:
        save_png(comparison_figure(records), options.figure)
        print(f"written: {options.figure}")
    return 0


MAX_TABLE_WIDTH = 1000


def _print_table(rows: list[dict[str, str]]) -> None:
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        justify: Literal["left", "right"] = "left" if name in ("run", "preset") else "right"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=name != "run")
    for row in rows:
        table.add_row(*row.values())
    console = Console(highlight=False)
    # A table wider than the terminal is printed in full: truncated headings and numbers cannot be read.
    needed = Measurement.get(console, console.options.update(max_width=MAX_TABLE_WIDTH), table).maximum
    Console(highlight=False, width=max(console.width, needed)).print(table)


def _run_folders(folder: Path, settings_file: str) -> list[Path]:
    """Return the folder itself if it holds a run, else the runs in it."""
    inside = sorted(path.parent for path in folder.glob(f"*/{settings_file}"))
    return inside if inside and not (folder / settings_file).is_file() else [folder]
