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
    from minibert.classroom.report_parts import is_marked, side_by_side

    if part.kind == "columns":
        yield _columns(part.lines) if _fits(part.lines, width) else styled("\n".join(side_by_side(part.lines, width)))
    elif is_marked(part):
        yield styled(part.lines[0].lstrip(), "underline")
    else:
        yield from (styled(line) for line in part.lines)


def _fits(texts: tuple[str, ...], width: int) -> bool:
    from minibert.classroom.report_parts import side_by_side

    return len(side_by_side(texts, width)) <= 1 + max(text.count("\n") + 1 for text in texts)


def _columns(texts: tuple[str, ...]) -> Table:
    from minibert.classroom.report_parts import COLUMNS

    table = Table(box=None, padding=(0, 3, 0, 0), pad_edge=False, show_edge=False)
    for title, style in zip(COLUMNS, ("red", "green", ""), strict=True):
        table.add_column(title, style=style, no_wrap=True)
    table.add_row(*map(styled, texts))
    return table
