"""Tables of labeled texts in every format, for tests."""

import csv
import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from minibert.text.labeled.findings import LabeledData
from minibert.text.labeled.options import LabeledSource, TableColumns
from minibert.text.labeled.tables import read_table
from minibert.text.labeled.text_rows import TextRow

FORMATS = (".tsv", ".csv", ".jsonl", ".parquet")
TEXT_FORMATS = FORMATS[:3]
NAMES = ("text", "label")
ROWS: list[list[Any]] = [["a good film", "pos"], ["a bad film", "neg"], ["good, and long", "pos"], ['so "bad"', "neg"]]
"""Rows without faults."""


def content_of(kind: str, rows: Sequence[Sequence[Any]], names: Sequence[str] = NAMES) -> bytes:
    """Return the contents of a file with these rows."""
    if kind == ".parquet":
        stream = io.BytesIO()
        columns = [*zip(*rows, strict=True)] or [()] * len(names)
        parquet.write_table(pyarrow.Table.from_arrays([pyarrow.array([*column]) for column in columns], [*names]), stream)
        return stream.getvalue()
    if kind == ".jsonl":
        return "".join(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n" for row in rows).encode()
    cells = [["" if value is None else str(value) for value in row] for row in (names, *rows)]
    if kind == ".tsv":
        return "".join("\t".join(row) + "\n" for row in cells).encode()
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(cells)
    return text.getvalue().encode()


def write(folder: Path, kind: str, rows: Sequence[Sequence[Any]], names: Sequence[str] = NAMES, name: str = "data") -> Path:
    """Write a file with these rows. A kind that ends in .gz is compressed."""
    path = folder / f"{name}{kind}"
    content = content_of(kind.removesuffix(".gz"), rows, names)
    path.write_bytes(gzip.compress(content, mtime=0) if kind.endswith(".gz") else content)
    return path


def read(path: Path, multi_label: bool = False, is_labeled: bool = True, **options: Any) -> LabeledData[TextRow]:
    """Read a file, with options for its columns."""
    return read_table(LabeledSource((path,)), TableColumns(**options), multi_label, is_labeled)


def cells(data: LabeledData[TextRow]) -> list[list[Any]]:
    """Return the texts and labels of rows."""
    return [[row.text, *([] if row.pair is None else [row.pair]), row.label] for row in data.rows]


def first_line(kind: str) -> int:
    """Return the line or row of the first text of a file."""
    return 2 if kind.removesuffix(".gz") in (".tsv", ".csv") else 1
