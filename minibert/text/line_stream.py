"""Lines of a stream, in blocks: those that are there, without waiting for more."""

import gzip
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path

from minibert.files import reason_of
from minibert.text.columns import parse_object
from minibert.text.encodings import describe_binary
from minibert.text.file_formats import HEAD_BYTES, CorpusError, open_file
from minibert.text.table import BYTE_ORDER_MARK, Record

BLOCK_BYTES = 2**16
"""Maximum number of bytes that are read at a time."""
MAX_LINE_BYTES = 2**24
"""Maximum length of a line."""


def line_blocks(stream: BufferedIOBase, name: str) -> Iterator[list[Record]]:
    r"""Yield the lines of a stream in blocks, each as soon as it can be read. A line ends with \n or \r\n.

    A line that is not UTF-8 is a record with a fault. The value of any other line is in the column "line".

    Args:
        name: name of the stream, for errors.

    Raises: CorpusError for a line of more than `MAX_LINE_BYTES`.
    """
    number, rest = 1, b""
    while chunk := stream.read1(BLOCK_BYTES):  # what is there, and not more
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            raise CorpusError(f"{name}, line {number + len(lines)}: is longer than {MAX_LINE_BYTES:,} bytes; split it")
        if lines:
            yield [_decode(number + index, line) for index, line in enumerate(lines)]
        number += len(lines)
    if rest and (number, rest) != (1, BOM_UTF8):  # a file with a mark and nothing else is empty
        yield [_decode(number, rest)]


def file_blocks(file: Path) -> Iterator[list[Record]]:
    """Yield the lines of a text file in blocks. Raises: CorpusError, also for a file that is no text, or cannot be read."""
    try:
        with open_file(file) as stream:
            if problem := describe_binary(stream.peek(HEAD_BYTES)[:HEAD_BYTES], file.name):
                raise CorpusError(f"{file}: {problem}")
            yield from line_blocks(stream, str(file))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CorpusError(f"{file}: cannot be decompressed ({error})") from None
    except OSError as error:
        raise CorpusError(f"{file}: cannot be read ({reason_of(error)})") from None


def _decode(number: int, line: bytes) -> Record:
    try:
        text = line.removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError as error:
        return Record(number, {}, f"is not UTF-8 (byte 0x{line[error.start]:02x} in column {error.start + 1}); convert it")
    return Record(number, {"line": text.removeprefix(BYTE_ORDER_MARK) if number == 1 else text})


def split_fields(record: Record, names: tuple[str, ...]) -> Record:
    """Split a line at its tabs, into fields with these names. The last ones may be missing."""
    if record.fault:
        return record
    fields = record.values["line"].split("\t")
    if len(fields) > len(names):
        return Record(record.line, {}, f"has {len(fields)} fields, separated by tabs, where at most {len(names)} are possible")
    return Record(record.line, dict(zip(names, fields, strict=False)))


def parse_json(record: Record) -> Record:
    """Parse a line of JSONL."""
    if record.fault:
        return record
    return Record(record.line, *parse_object(record.values["line"]))
