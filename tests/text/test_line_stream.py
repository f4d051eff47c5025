"""Lines of a stream in blocks."""

import gzip
import io
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path

import pytest

from minibert.text import line_stream
from minibert.text.file_formats import CorpusError
from minibert.text.line_stream import file_blocks, line_blocks, parse_json, split_fields


def lines(content: bytes) -> list[tuple[int, object]]:
    blocks = line_blocks(io.BufferedReader(io.BytesIO(content)), "stream")
    return [(record.line, record.fault or record.values["line"]) for block in blocks for record in block]


class Chunks(io.RawIOBase):
    """A stream whose reads return one chunk each, as a pipe does."""

    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = iter(chunks)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:
        chunk = next(self.chunks, b"")
        buffer[: len(chunk)] = chunk
        return len(chunk)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"\n", [(1, "")]),
        (b"a\nb", [(1, "a"), (2, "b")]),
        (b"a\r\n\r\nb\r\n", [(1, "a"), (2, ""), (3, "b")]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", [(1, "a"), (2, "\ufeffb")]),
        ("中文\n\u2028\x85\x00\n".encode(), [(1, "中文"), (2, "\u2028\x85\x00")]),
    ],
)
def test_lines_end_with_a_newline_only(content: bytes, expected: list[tuple[int, str]]) -> None:
    """Other line separators of Unicode are characters of a line. A byte-order mark is removed from the first line."""
    assert lines(content) == expected


def test_a_line_that_is_not_utf8_does_not_end_the_reading() -> None:
    assert lines(b"good\nbad \xff\ngood") == [(1, "good"), (2, "is not UTF-8 (byte 0xff in column 5); convert it"), (3, "good")]


def test_a_block_has_the_lines_that_are_there() -> None:
    """The second chunk is not read before the lines of the first one are yielded. A line may be split between chunks."""
    blocks = line_blocks(io.BufferedReader(Chunks([b"a\nb\nc", b"d\n", b"e"])), "stream")
    found = [[record.values["line"] for record in block] for block in blocks]
    assert found == [["a", "b"], ["cd"], ["e"]]


def test_a_stream_without_end_is_read_block_by_block() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"line\n"

    stream = Chunks([])
    stream.chunks = endless()
    blocks = line_blocks(io.BufferedReader(stream), "stream")
    assert [next(blocks)[0].line for _ in range(3)] == [1, 2, 3]


def test_a_line_that_is_too_long_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_stream, "MAX_LINE_BYTES", 10)
    with pytest.raises(CorpusError, match="stream, line 2: is longer than 10 bytes; split it"):
        lines(b"a\n" + b"b" * 100_000)


def test_fields_are_separated_by_tabs() -> None:
    (block,) = line_blocks(io.BufferedReader(io.BytesIO(b"a\tb\na\na\tb\tc\n")), "stream")
    two, one, three = (split_fields(record, ("text", "pair")) for record in block)
    assert two.values == {"text": "a", "pair": "b"}
    assert one.values == {"text": "a"}
    assert three.fault == "has 3 fields, separated by tabs, where at most 2 are possible"


def test_json_is_parsed_line_by_line() -> None:
    (block,) = line_blocks(io.BufferedReader(io.BytesIO(b'{"text": "a"}\n[1]\n')), "stream")
    good, bad = map(parse_json, block)
    assert good.values == {"text": "a"}
    assert "is not a JSON object" in bad.fault


@pytest.mark.parametrize(
    ("content", "expected"), [(BOM_UTF8, []), (BOM_UTF8 + b"\n", [""]), (b"a\n" + BOM_UTF8, ["a", "\ufeff"])]
)
def test_a_file_with_a_byte_order_mark_alone_is_empty(content: bytes, expected: list[str]) -> None:
    blocks = line_blocks(io.BufferedReader(io.BytesIO(content)), "stream")
    assert [record.values["line"] for block in blocks for record in block] == expected


def test_a_line_that_cannot_be_read_keeps_its_fault() -> None:
    (record,) = next(line_blocks(io.BufferedReader(io.BytesIO(b"\xff")), "stream"))
    assert "is not UTF-8" in record.fault
    assert parse_json(record) == split_fields(record, ("text",)) == record


class TestFiles:
    def test_a_compressed_file_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "lines.txt.gz").write_bytes(gzip.compress(b"a\nb\n", mtime=0))
        assert [record.values["line"] for block in file_blocks(tmp_path / "lines.txt.gz") for record in block] == ["a", "b"]

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("lines.txt.gz", b"no archive", "cannot be decompressed"),
            ("lines.txt.gz", gzip.compress(b"a\n" * 9, mtime=0)[:-5], "cannot be decompressed"),
            ("lines.txt", b"\x89PNG\r\n\x1a\n\x00\x00\x00", "is not plain text"),
            ("lines.txt", "text".encode("utf-16"), "is not UTF-8 but UTF-16"),
            ("lines.txt", None, "cannot be read"),
        ],
    )
    def test_a_file_that_cannot_be_used_is_named(self, tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(CorpusError, match=f"{name}: {message}"):
            list(file_blocks(tmp_path / name))

    def test_a_folder_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(CorpusError, match="is a folder"):
            list(file_blocks(tmp_path))
