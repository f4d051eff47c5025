"""Files with columns: rows of TSV, CSV, JSONL and Parquet files. Each may be compressed.

A row that cannot be read does not end the reading: it is returned with a description of its fault.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from minibert.text.delimited_tables import CsvTable, TsvTable
from minibert.text.file_formats import CorpusError, extension
from minibert.text.parquet_files import open_parquet
from minibert.text.table import Record, Table, TextTable, text_in_column

ROWS_FOR_NAMES = 1000
"""Number of rows of a JSONL file from which its columns are found: those that at least half of the rows have."""
ROWS_PER_BATCH = 1000
"""Number of rows of a Parquet file in memory."""


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
