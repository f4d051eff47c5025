"""Text files: their lines. A file may be compressed."""

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

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


class CorpusError(ValueError):
    """Text that cannot be read. The message contains the file, the line and what to do."""


def numbered_lines(path: Path, raw: bool = False) -> Iterator[tuple[int, str]]:
    r"""Yield the lines of a UTF-8 text file with their numbers, starting at 1. A line ends with \n, \r\n or \r.

    Args:
        raw: keep the line ends and a byte-order mark as they are in the file. By default each line ends with \n.

    Raises: CorpusError if the file cannot be opened, is binary, is not UTF-8, is damaged, or has a line of more than
        `MAX_LINE_CHARACTERS`.
    """
    for number, line in _line_parts(path, MAX_LINE_CHARACTERS, raw):
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


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 text file, with one character for each line end. Raises: CorpusError, as `numbered_lines`."""
    return "".join(part for _, part in _line_parts(path, LINE_PART_CHARACTERS))


def _line_parts(path: Path, max_characters: int, raw: bool = False) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line. A longer one is yielded in parts of `max_characters`, without a line end."""
    number = 1
    try:
        packed_size = path.stat().st_size if path.suffix == ".gz" else None
        with open_file(path) as file:
            if problem := describe_binary(file.peek(HEAD_BYTES)[:HEAD_BYTES], path.name):
                raise CorpusError(f"{path}: {problem}")
            text = io.TextIOWrapper(file, encoding="utf-8" if raw else "utf-8-sig", newline="" if raw else None)
            while part := text.readline(max_characters):
                if packed_size and file.tell() > max(MIN_EXPANDED_BYTES, MAX_EXPANSION * packed_size):
                    raise CorpusError(
                        f"{path}: expands to more than {MAX_EXPANSION} times its size, which text does not; if it is "
                        f"text, decompress it: gunzip -k {quote(path.name)}"
                    )
                yield number, part
                number += part.endswith(("\n", "\r"))
    except UnicodeDecodeError:
        raise _encoding_error(path) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CorpusError(f"{path}: cannot be decompressed after line {number - 1} ({error})") from None
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({reason_of(error)})") from None


def _encoding_error(path: Path) -> CorpusError:
    """Describe the first line of a file that is not UTF-8."""
    number = 1
    with open_file(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline=None)
        while not (found := NOT_UTF_8.search(part := text.readline(LINE_PART_CHARACTERS))):
            number += part.endswith("\n")
        start = part.rfind(" ", 0, max(0, found.start() - SAMPLE_CHARACTERS)) + 1
        sample = (part[start : start + 2 * SAMPLE_CHARACTERS] + text.read(SAMPLE_CHARACTERS)).encode("utf-8", "surrogateescape")
    return CorpusError(
        f"{path}, line {number}: is not UTF-8 (byte 0x{ord(found[0]) - 0xDC00:02x} in column {found.start() + 1}). "
        f"{describe_encoding(sample, path.name)}"
    )


TEXT_EXTENSIONS = (".txt", ".text", ".md")
"""Extensions of plain-text files. Folders are searched for these."""


def extension(path: Path) -> str:
    """Return the file extension that determines the format: `.jsonl` for `corpus.jsonl.gz`."""
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()


def check_plain_text(path: Path) -> None:
    """Raise CorpusError for a JSON file, by the end of its name: its lines are no text."""
    if extension(path) == ".json":
        command = f"jq -c '.[]' {quote(path.name)} > {quote(path.with_suffix('.jsonl').name)}"
        raise CorpusError(f"{path}: is JSON, not plain text; write one object per line, for example with {command}")


def open_file(path: Path) -> io.BufferedReader | gzip.GzipFile:
    """Open a file for reading, and decompress it if its name ends in `.gz`."""
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")
