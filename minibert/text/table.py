"""The interface of files with columns: tables of rows, each with its line and, if it cannot be read, its fault."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from minibert.text.file_formats import CorpusError, numbered_lines

SURROGATE = re.compile(r"[\ud800-\udfff]")
BYTE_ORDER_MARK = "\ufeff"
MARKS = re.compile(f"({BYTE_ORDER_MARK}|{BYTE_ORDER_MARK.encode().decode('cp1252')})+")
"""Byte-order marks at the start of a line, as joined files have them. Some were read as cp1252: \u00ef\u00bb\u00bf."""
INVISIBLE = f" \t\n\r\v\f\xa0\u200b\u200e\u200f{BYTE_ORDER_MARK}"
"""Characters that are removed from the ends of the names of columns: blanks, and characters without a shape."""


@dataclass(frozen=True)
class Record:
    """A row of a file with columns."""

    line: int
    """Number of its first line, starting at 1. In Parquet, which has no lines, the number of the row."""
    values: Mapping[str, Any]
    """The values by column. Empty for a blank line, and for a row that cannot be read."""
    fault: str = ""
    """Reason why the row cannot be read, and what to do. Empty for a row that was read."""
    source: str = ""
    r"""The row as it is in the file, with \n as line end. Empty in Parquet."""


class Table(ABC):
    """A file with columns. Its rows can be iterated repeatedly."""

    unit: ClassVar[Literal["line", "row"]] = "line"
    """Unit of the numbers of the records."""
    header_line: int | None = None
    """Line with the names of the columns, in a file that has one."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)
        self.names: Sequence[str] = ()

    @abstractmethod
    def records(self, columns: Sequence[str] | None = None) -> Iterator[Record]:
        """Yield all rows, with blank lines and rows that have a fault.

        Args:
            columns: names of the columns that are needed; None for all. Only Parquet can leave out the others.

        Raises: CorpusError if the rest of the file cannot be read.
        """

    def location(self, record: Record | None = None) -> str:
        """Return the file with the line or row of a record, or with the line of the names of the columns."""
        number = self.header_line if record is None else record.line
        return self.name if number is None else f"{self.name}, {self.unit} {number}"

    def class_names(self, column: str) -> Sequence[str] | None:
        """Return the names of the numbers 0, 1, … in a column, if the schema of the file contains them."""
        return None

    def check_column(self, column: str) -> None:
        """Check that there is one column of this name, unless the file is empty. Raises: CorpusError that lists the columns."""
        if not self.names:
            return
        text_in_column(dict.fromkeys(self.names), column, self.location())
        if (count := [*self.names].count(column)) > 1:
            raise CorpusError(f"{self.location()}: has {count} columns {column!r}; rename them")


class TextTable(Table):
    """A file with columns that is text."""

    @abstractmethod
    def rewrite(self, record: Record, changes: Mapping[str, str | list[str]]) -> str:
        """Return a row as text, with other values in some columns."""

    def header(self) -> str:
        """Return the header as text; "" if the file has none."""
        return ""

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield the lines with their numbers, without the byte-order marks that joined files have at the start of lines."""
        return ((number, without_mark(line)) for number, line in numbered_lines(self.path))


def without_mark(line: str) -> str:
    """Return a line without byte-order marks at its start."""
    found = MARKS.match(line)
    return line[found.end() :] if found else line


def text_in_column(row: Mapping[str, Any], column: str, location: str) -> str:
    """Return the text in a column of a row; "" if it is null.

    Raises: CorpusError, starting with `location`, if the row has no such column or its value is not a string.
    """
    if fault := text_fault(row, column):
        raise CorpusError(f"{location}: {fault}")
    return row[column] or ""


def text_fault(row: Mapping[str, Any], column: str) -> str:
    """Return why a column of a row is not text; "" if it is, or is null."""
    if column not in row:
        return f"has no column {column!r}; its columns: {', '.join(map(str, row))[:300]}{separator_hint([*row], {column})}"
    text = row[column]
    if text is not None and not isinstance(text, str):
        return f"column {column!r} does not contain text but {str(text)[:40]!r}"
    half = SURROGATE.search(text or "")
    return f"contains \\u{ord(half[0]):x}, half a surrogate pair, which is no character; remove it" if half else ""


def separator_hint(names: Sequence[str], known: Set[str]) -> str:
    """Describe the separator of the names of columns that were read as a single name, if one of them is known."""
    separator = next(
        (mark for mark in ";\t,|" if len(names) == 1 and mark in names[0] and known & {*names[0].split(mark)}), None
    )
    return f" (they seem to be separated by {separator!r})" if separator else ""
