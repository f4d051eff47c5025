"""The report of a check in a terminal, with colors and symbols, or as plain text."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table

from minibert.commands.terminal import Renderable, say, say_parts, screen_size, styled

if TYPE_CHECKING:
    from minibert.classroom.report import Report
    from minibert.classroom.report_parts import Part

PLAIN_WIDTH = 80
COLUMN_COLORS = {"expected": "green", "difference": ""}
"""Colors of columns by title; all others are red."""


def show_report(report: "Report", plain: bool) -> None:
    """Print a report. Without a terminal it is plain text."""
    from minibert.classroom.report_parts import plain_text

    if plain or not sys.stdout.isatty():
        say(plain_text(report, screen_size()[0] if sys.stdout.isatty() else PLAIN_WIDTH), "")
    else:
        say_parts(report_parts(report, screen_size()[0]))


def report_parts(report: "Report", width: int) -> Iterator[Renderable]:
    """Return a report as texts and tables for a terminal."""
    from minibert.classroom.report_parts import COLORS, parts, symbol

    color = COLORS.get(symbol(report), "red")
    for number, part in enumerate(parts(report)):
        if part.title:
            yield styled(part.title, f"bold {color}" if number == 0 else "bold")
        yield from (Padding(each, (0, 0, 0, 2)) for each in _body(part, width - 2))
        yield ""


def _body(part: "Part", width: int) -> Iterator[Renderable]:
    from minibert.classroom.report_parts import is_marked, marked_text, side_by_side

    if part.kind == "columns":
        yield _columns(part) if _fits(part, width) else styled("\n".join(side_by_side(part, width)))
    elif is_marked(part):
        before, marked, after = marked_text(part)
        yield styled(before.lstrip(), "") + styled(marked, "underline") + styled(after, "")
    else:
        yield from (styled(line) for line in part.lines)


def _fits(part: "Part", width: int) -> bool:
    from minibert.classroom.report_parts import side_by_side

    return len(side_by_side(part, width)) <= 1 + max(text.count("\n") + 1 for text in part.lines)


def _columns(part: "Part") -> Table:
    table = Table(box=None, padding=(0, 3, 0, 0), pad_edge=False, show_edge=False)
    for title in part.columns:
        table.add_column(title, style=COLUMN_COLORS.get(title, "red"), no_wrap=True)
    table.add_row(*map(styled, part.lines))
    return table
