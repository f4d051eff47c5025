"""Files with columns: rows of TSV, CSV, JSONL and Parquet files. Each may be compressed.

A row that cannot be read does not end the reading: it is returned with a description of its fault.
"""

import csv
import io
import json
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal

from minibert.text import file_formats
from minibert.text.file_formats import CorpusError, extension, numbered_lines
from minibert.text.parquet_files import open_parquet

SURROGATE = re.compile(r"[\ud800-\udfff]")
BYTE_ORDER_MARK = "\ufeff"
MARKS = re.compile(f"({BYTE_ORDER_MARK}|{BYTE_ORDER_MARK.encode().decode('cp1252')})+")
"""Byte-order marks at the start of a line, as joined files have them. Some were read as cp1252: \u00ef\u00bb\u00bf."""
INVISIBLE = f" \t\n\r\v\f\xa0\u200b\u200e\u200f{BYTE_ORDER_MARK}"
"""Characters that are removed from the ends of the names of columns: blanks, and characters without a shape."""
ROWS_FOR_NAMES = 1000
"""Number of rows of a JSONL file from which its columns are found: those that at least half of the rows have."""
ROWS_PER_BATCH = 1000
"""Number of rows of a Parquet file in memory."""


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


class _DelimitedTable(TextTable):
    """A table in which each row has the same number of cells. The names of the columns are in the first row, or given."""

    advice: ClassVar[str]

    def __init__(self, path: Path, names: Sequence[str] | None = None) -> None:
        super().__init__(path)
        if names is not None:
            self.names = names
            return
        for line, cells, fault, _ in self.rows():
            if fault:
                raise CorpusError(f"{path}, line {line}: {fault}")
            names = [name.strip(INVISIBLE) for name in cells]
            if any(names):
                self.names, self.header_line = names, line
                break

    @abstractmethod
    def rows(self) -> Iterator[tuple[int, list[str], str, str]]:
        """Yield the line, the cells, the fault and the text of each row."""

    def records(self, columns: Sequence[str] | None = None) -> Iterator[Record]:
        for line, cells, fault, source in self.rows():
            if line == self.header_line:
                continue
            if cells and len(cells) != len(self.names):
                fault = f"has {len(cells)} columns instead of {len(self.names)}; {self.advice}"
            values = dict(zip(self.names, cells, strict=True)) if cells and not fault else {}
            yield Record(line, values, fault, source)

    @abstractmethod
    def write(self, cells: Sequence[str]) -> str:
        """Return a row of cells as text."""

    @abstractmethod
    def cells(self, source: str) -> list[str]:
        """Return the cells of a row."""

    def rewrite(self, record: Record, changes: Mapping[str, str | list[str]]) -> str:
        cells = zip(self.names, self.cells(record.source), strict=True)
        return self.write([str(changes.get(name, cell)) for name, cell in cells])

    def header(self) -> str:
        return "" if self.header_line is None else self.write(self.names)


class TsvTable(_DelimitedTable):
    """A TSV file. Each line is a row, and quotation marks have no special meaning (IANA text/tab-separated-values)."""

    advice = "a TSV has one row per line; save text with tabs or line breaks as CSV or JSONL"

    def rows(self) -> Iterator[tuple[int, list[str], str, str]]:
        for number, line in self.lines():
            yield number, self.cells(line) if line.strip() else [], "", line

    def cells(self, source: str) -> list[str]:
        return source.rstrip("\n").split("\t")

    def write(self, cells: Sequence[str]) -> str:
        return "\t".join(cells) + "\n"


class CsvTable(_DelimitedTable):
    """A CSV file (RFC 4180). A cell in quotation marks may contain line breaks."""

    advice = "put fields that contain commas or line breaks in quotation marks, and write quotation marks in them twice"

    def rows(self) -> Iterator[tuple[int, list[str], str, str]]:
        csv.field_size_limit(file_formats.MAX_LINE_CHARACTERS)
        lines: list[str] = []

        def take_lines() -> Iterator[str]:
            for _, line in self.lines():
                lines.append(line)
                yield line

        rows = csv.reader(take_lines(), strict=True)
        first, cells, fault = 1, [""], ""
        while True:
            try:
                cells, fault = next(rows), ""
            except StopIteration:
                return
            except csv.Error as error:
                cells, fault = [], f"the row that begins here is not CSV ({error}); {self.advice}"
            source = "".join(lines)
            yield first, cells if source.strip() else [], fault, source
            first = rows.line_num + 1
            lines.clear()

    def cells(self, source: str) -> list[str]:
        [cells] = csv.reader([source], strict=True)
        return cells

    def contains_rows(self, cell: str) -> bool:
        """Return True if the lines of a cell look like rows, as when the quotation mark at its end is missing."""
        *lines, _ = cell.split("\n")
        return bool(lines) and all(line.count(",") == len(self.names) - 1 for line in lines)

    def write(self, cells: Sequence[str]) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(cells)
        return text.getvalue()


class JsonlTable(TextTable):
    """A JSONL file: one JSON object per line. Rows may have different columns."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        first = [record.values for record in islice(self.records(), ROWS_FOR_NAMES) if record.values]
        counts = Counter(name for values in first for name in values)
        self.names = [name for name, count in counts.items() if 2 * count >= len(first)]

    def check_column(self, column: str) -> None:
        """Any row may have the column. It is checked when it is read."""

    def records(self, columns: Sequence[str] | None = None) -> Iterator[Record]:
        for number, line in self.lines():
            values, fault = parse_object(line) if line.strip() else ({}, "")
            yield Record(number, values, fault, line)

    def rewrite(self, record: Record, changes: Mapping[str, str | list[str]]) -> str:
        return json.dumps({**record.values, **changes}, ensure_ascii=False) + "\n"


def parse_object(line: str) -> tuple[dict[str, Any], str]:
    """Parse a line of JSONL. Returns: its values and its fault. One of them is empty."""
    try:
        row = json.loads(line, object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError) as error:
        reason = f"{error.msg} in column {error.colno}" if isinstance(error, json.JSONDecodeError) else error
        return {}, f"is not JSON ({reason}); JSONL has one object per line"
    if not isinstance(row, dict):
        return {}, "is not a JSON object; JSONL has one object per line"
    return row, "" if row else "has no columns"


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"an object has the key {next(key for key in keys if keys.count(key) > 1)!r} twice")
    return row


class ParquetTable(Table):
    """A Parquet file."""

    unit = "row"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with open_parquet(path) as file:
            self.names, self.metadata = file.schema_arrow.names, file.schema_arrow.metadata or {}

    def class_names(self, column: str) -> Sequence[str] | None:
        """Return the class names that Hugging Face's datasets stores in the schema."""
        try:
            feature = json.loads(self.metadata[b"huggingface"])["info"]["features"][column]
            return [*(feature.get("feature") or feature)["names"]]
        except (KeyError, ValueError, TypeError, AttributeError):
            return None

    def records(self, columns: Sequence[str] | None = None) -> Iterator[Record]:
        number = 0
        with open_parquet(self.path) as file:
            for batch in file.iter_batches(ROWS_PER_BATCH, columns=columns):
                for row in batch.to_pylist():
                    number += 1
                    yield Record(number, row)


TABLES: dict[str, type[Table]] = {".jsonl": JsonlTable, ".csv": CsvTable, ".tsv": TsvTable, ".parquet": ParquetTable}
"""Files with columns, by file extension."""


def without_mark(line: str) -> str:
    """Return a line without byte-order marks at its start."""
    found = MARKS.match(line)
    return line[found.end() :] if found else line


def read_column(path: Path, column: str) -> Iterator[str]:
    """Yield the texts in one column of a file with columns.

    Raises: CorpusError, with file and line, if there is no such column, or a row cannot be read.
    """
    table = TABLES[extension(path)](path)
    table.check_column(column)
    for record in table.records([column]):
        if record.fault:
            raise CorpusError(f"{table.location(record)}: {record.fault}")
        if record.values:
            yield text_in_column(record.values, column, table.location(record))


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
