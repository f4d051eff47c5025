"""File formats: lines of text files, and the text column of JSONL, CSV, TSV and Parquet files. Each may be compressed."""

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import Any


class CorpusError(ValueError):
    """Text that cannot be read. The message contains the file, the line and what to do."""


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a UTF-8 text file with their numbers, starting at 1.

    Raises: CorpusError if the file does not exist, is not UTF-8, or is a damaged .gz file.
    """
    number = 0
    try:
        with _open(path) as file:
            for number, line in enumerate(file, start=1):
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        encoding = "utf-16" if number == 1 and error.object.startswith((b"\xff\xfe", b"\xfe\xff")) else "latin1"
        raise CorpusError(
            f"{path}, line {number}: is not UTF-8 (byte 0x{error.object[error.start]:02x} in column {error.start + 1}); "
            f"convert it, for example: iconv -f {encoding} -t utf-8 {path.name}"
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CorpusError(f"{path}: cannot be decompressed after line {number} ({error})") from None
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise CorpusError(f"{path}: {error.strerror}; give a text file") from None


def _read_jsonl(path: Path, column: str) -> Iterator[str]:
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CorpusError(f"{path}, line {number}: is not JSON ({error})") from None
        if not isinstance(row, dict):
            raise CorpusError(f"{path}, line {number}: is not a JSON object")
        yield text_in_column(row, column, f"{path}, line {number}")


def _read_csv(path: Path, column: str) -> Iterator[str]:
    csv.field_size_limit(2**31 - 1)
    delimiter = "\t" if extension(path) == ".tsv" else ","
    rows = csv.DictReader((line for _, line in numbered_lines(path)), delimiter=delimiter)
    try:
        for row in rows:
            yield text_in_column(row, column, f"{path}, line {rows.line_num}")
    except csv.Error as error:
        raise CorpusError(f"{path}, line {rows.line_num}: {error}") from None


def _read_parquet(path: Path, column: str) -> Iterator[str]:
    import pyarrow
    from pyarrow import parquet

    try:
        with _open(path) as file:
            table = parquet.ParquetFile(file)
            if column not in table.schema_arrow.names:
                raise CorpusError(f"{path}: has no column {column!r}; its columns: {', '.join(table.schema_arrow.names)}")
            for batch in table.iter_batches(1000, columns=[column]):
                for row in batch.to_pylist():
                    yield text_in_column(row, column, str(path))
    except pyarrow.ArrowException as error:
        raise CorpusError(f"{path}: is not Parquet, or damaged ({' '.join(str(error).split())[:200]})") from None


COLUMN_READERS: dict[str, Callable[[Path, str], Iterator[str]]] = {
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
}
"""Readers of files with columns, by file extension: functions of the path and the column name that yield texts."""
TEXT_EXTENSIONS = (".txt", ".text", ".md")
"""Extensions of plain-text files. Folders are searched for these."""


def extension(path: Path) -> str:
    """Return the file extension that determines the format: `.jsonl` for `corpus.jsonl.gz`."""
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()


def text_in_column(row: dict[str, Any], column: str, location: str) -> str:
    """Return the text in a column of a row; "" if it is null.

    Raises: CorpusError, starting with `location`, if the row has no such column or its value is not a string.
    """
    if column not in row:
        raise CorpusError(f"{location}: has no column {column!r}; its columns: {', '.join(map(str, row))}")
    text = row[column]
    if text is not None and not isinstance(text, str):
        raise CorpusError(f"{location}: column {column!r} does not contain text but {str(text)[:40]!r}")
    return text or ""


def _open(path: Path) -> BufferedIOBase:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")
