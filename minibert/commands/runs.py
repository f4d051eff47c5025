"""`minibert runs`: runs of training side by side."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from tyro.conf import Positional

from minibert.commands.errors import UsageError


@dataclass(frozen=True)
class Runs:
    """Compares runs of training: one table, and one figure of their validation losses."""

    directories: Positional[tuple[Path, ...]]
    """The folders that training has written (--out), or folders with such folders in them."""
    figure: Path | None = None
    """Write the figure to this PNG file."""
    json: bool = False
    """Print JSON, not a table."""


def run(options: Runs) -> int:
    """Prints the table, and draws the figure if one is asked for."""
    from minibert.study import figures as plots
    from minibert.training.records import ABOUT, RunRecord, compare_figure, side_by_side, what_differs

    folders = [run for folder in options.directories for run in _runs_in(folder, ABOUT)]
    try:
        records = [RunRecord.read(folder) for folder in folders]
    except (FileNotFoundError, ValueError) as error:
        raise UsageError(str(error)) from error
    if not records:
        raise UsageError("name at least one folder that `minibert pretrain`, `train-letters` or `train-translator` has written")
    if len({record.name for record in records}) < len(records):
        records = [replace(record, name=str(folder)) for record, folder in zip(records, folders, strict=True)]
    rows = side_by_side(records)
    if options.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        for name in rows[0]:
            text = name in ("run", "preset")
            table.add_column(name, justify="left" if text else "right", overflow="fold", no_wrap=name != "run")
        for row in rows:
            table.add_row(*row.values())
        Console(highlight=False).print(table)
        if differing := what_differs(records):
            print("\nWhere they differ, run by run:", *differing, sep="\n  ")
    if options.figure is not None:
        plots.save_png(compare_figure(records), options.figure)
        print(f"written: {options.figure}")
    return 0


def _runs_in(folder: Path, about: str) -> list[Path]:
    """The folder itself, or the runs in it."""
    inside = sorted(path.parent for path in folder.glob(f"*/{about}"))
    return inside if inside and not (folder / about).is_file() else [folder]
