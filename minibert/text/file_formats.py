"""File formats: lines of text files, and the text column of JSONL, CSV, TSV and Parquet files. Each may be compressed."""

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from shlex import quote
from typing import Any

from minibert.files import reason_of
from minibert.text.encodings import describe_binary, describe_encoding

MAX_LINE_CHARACTERS = 2**26
"""Maximum length of a line that is not split into parts, such as a row of JSONL."""
LINE_PART_CHARACTERS = 2**20
"""Length of the parts of a longer line of plain text."""
MAX_EXPANSION, MIN_EXPANDED_BYTES = 100, 2**24
"""Maximum ratio of the sizes of decompressed and compressed text, for files that expand to more than this size."""
HEAD_BYTES = 8192
"""Bytes at the beginning of a file from which it is recognized as binary, or as UTF-16."""
SAMPLE_CHARACTERS = 2000
"""Characters before and after the first byte that is not UTF-8, from which the encoding is estimated."""
NOT_UTF_8 = re.compile(r"[\udc80-\udcff]")
"""Bytes that are not UTF-8, as Python represents them with `errors="surrogateescape"`."""
SURROGATE = re.compile(r"[\ud800-\udfff]")


class CorpusError(ValueError):
    """Text that cannot be read. The message contains the file, the line and what to do."""


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Yield the lines of a UTF-8 text file with their numbers, starting at 1. A line ends with \n, \r\n or \r.

    Raises: CorpusError if the file cannot be opened, is binary, is not UTF-8, is damaged, or has a line of more than
        `MAX_LINE_CHARACTERS`.
    """
    for number, line in _line_parts(path, MAX_LINE_CHARACTERS):
        if len(line) == MAX_LINE_CHARACTERS:
            raise CorpusError(f"{path}, line {number}: is longer than {MAX_LINE_CHARACTERS:,} characters; split it")
        yield number, line


def text_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 text file. Very long ones are yielded in parts, which end with a space if possible.

    Raises: CorpusError, as `numbered_lines`.
    """
    rest = ""
    for _, part in _line_parts(path, LINE_PART_CHARACTERS):
        line, rest = rest + part, ""
        if len(part) == LINE_PART_CHARACTERS and not part.endswith("\n"):
            end = line.rfind(" ") + 1 or len(line)
            line, rest = line[:end], line[end:]
        yield line
    if rest:
        yield rest


def _line_parts(path: Path, max_characters: int) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line. A longer one is yielded in parts of `max_characters`, without a line end."""
    number = 1
    try:
        packed_size = path.stat().st_size if path.suffix == ".gz" else None
        with _open(path) as file:
            if problem := describe_binary(file.peek(HEAD_BYTES)[:HEAD_BYTES], path.name):
                raise CorpusError(f"{path}: {problem}")
            text = io.TextIOWrapper(file, encoding="utf-8-sig", newline=None)
            while part := text.readline(max_characters):
                if packed_size and file.tell() > max(MIN_EXPANDED_BYTES, MAX_EXPANSION * packed_size):
                    raise CorpusError(
                        f"{path}: expands to more than {MAX_EXPANSION} times its size, which text does not; if it is "
                        f"text, decompress it: gunzip -k {quote(path.name)}"
                    )
                yield number, part
                number += part.endswith("\n")
    except UnicodeDecodeError:
        raise _encoding_error(path) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CorpusError(f"{path}: cannot be decompressed after line {number - 1} ({error})") from None
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({reason_of(error)})") from None


def _encoding_error(path: Path) -> CorpusError:
    """Describe the first line of a file that is not UTF-8."""
    number = 1
    with _open(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline=None)
        while not (found := NOT_UTF_8.search(part := text.readline(LINE_PART_CHARACTERS))):
            number += part.endswith("\n")
        start = part.rfind(" ", 0, max(0, found.start() - SAMPLE_CHARACTERS)) + 1
        sample = (part[start : start + 2 * SAMPLE_CHARACTERS] + text.read(SAMPLE_CHARACTERS)).encode("utf-8", "surrogateescape")
    return CorpusError(
        f"{path}, line {number}: is not UTF-8 (byte 0x{ord(found[0]) - 0xDC00:02x} in column {found.start() + 1}). "
        f"{describe_encoding(sample, path.name)}"
    )


def _read_jsonl(path: Path, column: str) -> Iterator[str]:
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = f"{error.msg} in column {error.colno}" if isinstance(error, json.JSONDecodeError) else error
            raise CorpusError(f"{path}, line {number}: is not JSON ({reason})") from None
        if not isinstance(row, dict):
            raise CorpusError(f"{path}, line {number}: is not a JSON object")
        yield text_in_column(row, column, f"{path}, line {number}")


def _read_csv(path: Path, column: str) -> Iterator[str]:
    csv.field_size_limit(MAX_LINE_CHARACTERS)
    rows = csv.reader((line for _, line in numbered_lines(path)), strict=True)
    advice = "put fields that contain commas or line breaks in quotation marks, and write quotation marks in them twice"
    first_line = 1

    def records() -> Iterator[tuple[int, list[str]]]:
        nonlocal first_line
        for fields in rows:
            yield first_line, fields
            first_line = rows.line_num + 1

    try:
        yield from _read_table(path, column, records(), advice)
    except csv.Error as error:
        raise CorpusError(f"{path}, line {first_line}: the row that begins here is not CSV ({error}); {advice}") from None


def _read_tsv(path: Path, column: str) -> Iterator[str]:
    """Read a TSV file. Each line is a row, and quotation marks have no special meaning (IANA text/tab-separated-values)."""
    records = ((number, line.rstrip("\n").split("\t") if line.strip() else []) for number, line in numbered_lines(path))
    return _read_table(path, column, records, "a TSV has one row per line; save text with tabs or line breaks as CSV or JSONL")


def _read_table(path: Path, column: str, records: Iterator[tuple[int, list[str]]], advice: str) -> Iterator[str]:
    """Yield the texts in a column of a table. The first record, its line number and fields, names the columns."""
    header: list[str] = []
    for number, fields in records:
        if not any(fields):
            continue
        if not header:
            header = [name.strip() for name in fields]
            text_in_column(dict.fromkeys(header), column, f"{path}, line {number}")
            _check_unique(column, header, f"{path}, line {number}")
        elif len(fields) != len(header):
            raise CorpusError(f"{path}, line {number}: has {len(fields)} columns instead of {len(header)}; {advice}")
        else:
            yield fields[header.index(column)]


def _check_unique(column: str, names: list[str], location: str) -> None:
    if (count := names.count(column)) > 1:
        raise CorpusError(f"{location}: has {count} columns {column!r}; rename them")


def _read_parquet(path: Path, column: str) -> Iterator[str]:
    import pyarrow
    from pyarrow import parquet

    try:
        with _open(path) as file:
            table = parquet.ParquetFile(file)
            names = table.schema_arrow.names
            if column not in names:
                raise CorpusError(f"{path}: has no column {column!r}; its columns: {', '.join(names)}")
            _check_unique(column, names, str(path))
            for batch in table.iter_batches(1000, columns=[column]):
                for row in batch.to_pylist():
                    yield text_in_column(row, column, str(path))
    except pyarrow.ArrowException as error:
        raise CorpusError(f"{path}: is not Parquet, or damaged ({' '.join(str(error).split())[:200]})") from None


COLUMN_READERS: dict[str, Callable[[Path, str], Iterator[str]]] = {
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
    ".tsv": _read_tsv,
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
        columns = ", ".join(map(str, row))
        separator = next((mark for mark in ";\t,|" if len(row) == 1 and column in columns.split(mark)), None)
        hint = f" (they seem to be separated by {separator!r})" if separator else ""
        raise CorpusError(f"{location}: has no column {column!r}; its columns: {columns[:300]}{hint}")
    text = row[column]
    if text is not None and not isinstance(text, str):
        raise CorpusError(f"{location}: column {column!r} does not contain text but {str(text)[:40]!r}")
    if text and (half := SURROGATE.search(text)):
        raise CorpusError(f"{location}: contains \\u{ord(half[0]):x}, half a surrogate pair, which is no character; remove it")
    return text or ""


def _open(path: Path) -> io.BufferedReader | gzip.GzipFile:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")
