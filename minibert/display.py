"""Text and HTML of the objects that a notebook shows: tensors in a line, tables, and escaped text.

An object shows itself with `__repr__` (text) and with `_repr_html_` (HTML). The HTML has no scripts, style sheets or links, so
every notebook can show it. Colors are translucent, so that they suit light and dark backgrounds.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape as escape_html
from typing import Any, TypeVar

from torch import Tensor

from minibert.printable import printable

MAX_ROWS = 400
"""Maximum number of rows of a table. Of a longer one, the first and the last rows are shown."""
CELL, HEADING = "padding:1px 6px", "white-space:pre"
"""Styles of all cells, and of headings. Spaces of a token are kept."""
NUMBER = re.compile(r"-?(\d[\d.,e+-]*|inf)|nan")
"""The text of a cell with a number, which is aligned to the right."""
ItemT = TypeVar("ItemT")


class Shown:
    """An object whose text has many lines. Inside of a list, tuple or dictionary, IPython prints its `summary` only."""

    @property
    def summary(self) -> str:
        """The object in one line of text."""
        raise NotImplementedError

    def _text(self) -> str:
        """Return the object as text of several lines."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return self._text()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Print the text with IPython's pretty printer, whose stack has the objects that are being printed."""
        printer.text(self._text() if len(printer.stack) <= 1 else self.summary)


@dataclass(frozen=True)
class Cell:
    """A cell of a table."""

    text: str
    color: str = ""
    """Background color, as in CSS."""


def escape(text: object) -> str:
    """Escape text for HTML, and the characters that are unsafe to print."""
    return escape_html(printable(text))


def table(header: Sequence[str], rows: Sequence[Sequence[str | Cell]], caption: str = "") -> str:
    """Return a table. The first cell of a row is its heading. Numbers are aligned to the right.

    Args:
        header: headings of the columns; empty for a table without them.
        rows: text, or cells with a color. Text is isolated (`bdi`), so that right-to-left text does not move its neighbors.
    """
    first, omitted, last = first_and_last(rows, MAX_ROWS)
    aligned = [_alignment(content) for content in rows[0]] if rows else []
    sides = ["left", *aligned[1:], *["left"] * len(header)]
    columns = (_heading(text, "col", side) if text else "<td></td>" for text, side in zip(header, sides, strict=False))
    head = f"<tr>{''.join(columns)}</tr>\n" if header else ""
    shown = [*first, *([[f"… {omitted} more"]] if omitted else []), *last]
    body = "\n".join(f"<tr>{_heading(_cell(row[0]).text, 'row')}{''.join(map(_data, row[1:]))}</tr>" for row in shown)
    title = f'<caption style="{CELL}">{escape(caption)}</caption>\n' if caption else ""
    return f'<table style="border-collapse:collapse">\n{title}{head}{body}\n</table>'


def _cell(content: str | Cell) -> Cell:
    return content if isinstance(content, Cell) else Cell(content)


def _alignment(content: str | Cell) -> str:
    return "right" if NUMBER.fullmatch(_cell(content).text) else "left"


def _heading(text: str, scope: str, side: str = "left") -> str:
    return f'<th scope="{scope}" style="{CELL};{HEADING};text-align:{side}"><bdi>{escape(text)}</bdi></th>'


def _data(content: str | Cell) -> str:
    cell = _cell(content)
    color = f";background:{cell.color}" if cell.color else ""
    side = _alignment(cell)
    text = cell.text if side == "right" else f"<bdi>{escape(cell.text)}</bdi>"
    return f'<td style="{CELL};text-align:{side}{color}">{text}</td>'


def first_and_last(items: Sequence[ItemT], limit: int) -> tuple[Sequence[ItemT], int, Sequence[ItemT]]:
    """Return the first items, the number of omitted ones, and the last items. Nothing is omitted of up to `limit` items."""
    if len(items) <= limit:
        return items, 0, []
    half = limit // 2
    return items[:half], len(items) - 2 * half, items[-half:]


def number(value: float) -> str:
    """Return a number as text, with four significant digits.

    >>> number(0.123456), number(-2e-7), number(7)
    ('0.1235', '-2e-07', '7')
    """
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def shape(tensor: Tensor) -> str:
    """Return the shape of a tensor as text, such as "2 × 3"; "number" for a tensor without axes.

    >>> import torch
    >>> shape(torch.zeros(2, 3))
    '2 × 3'
    """
    return " × ".join(map(str, tensor.shape)) or "number"


def data_type(tensor: Tensor) -> str:
    """Return the data type of a tensor, such as "float32"."""
    return str(tensor.dtype).removeprefix("torch.")


def first_values(tensor: Tensor, count: int = 4) -> str:
    """Return the first numbers of a tensor as text.

    >>> import torch
    >>> first_values(torch.arange(6).reshape(2, 3) / 2)
    '0, 0.5, 1, …'
    """
    if tensor.is_meta:
        return "not computed"
    row = tensor.detach()
    while row.ndim > 1 and len(row):
        row = row[0]
    values: list[Any] = row.reshape(-1)[:count].tolist()
    return ", ".join([*map(number, values), *(["…"] if tensor.numel() > len(values) else [])])
