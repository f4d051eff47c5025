"""TSV and CSV files."""

import csv
import io
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from minibert.text import file_formats
from minibert.text.file_formats import CorpusError
from minibert.text.table import INVISIBLE, Record, TextTable


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
                columns = "1 column" if len(cells) == 1 else f"{len(cells)} columns"
                fault = f"has {columns} instead of {len(self.names)}; {self.advice}"
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
