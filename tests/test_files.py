"""Atomic writing, and errors of the file system: they name the file and say what to do."""

import errno
import os
import resource
import stat
from pathlib import Path

import pytest

from minibert.files import atomic_file, describe, naming, read_json, write_atomically


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "no space left on this disk"),
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EEXIST, "there is a file with this name, where a folder is needed"),
        (errno.EISDIR, "is a folder, where a file is needed"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_errors_have_a_reason(number: int, reason: str) -> None:
    assert describe(OSError(number, os.strerror(number), "a/b")).startswith(f"a/b: {reason}")
    assert describe(OSError(number, os.strerror(number))).startswith(reason)


def test_other_errors_keep_their_message() -> None:
    assert describe(FileNotFoundError("a: has no tokenizer")) == "a: has no tokenizer"
    assert describe(ValueError("a: is not JSON")) == "a: is not JSON"


def test_errors_without_a_file_get_one(tmp_path: Path) -> None:
    """Also those that name a temporary file, which no longer exists. The name of another file is kept."""
    (tmp_path / "other").touch()
    for filename, expected in ((None, "here"), (str(tmp_path / ".here.x1"), "here"), (str(tmp_path / "other"), "other")):
        with pytest.raises(PermissionError) as caught, naming(tmp_path / "here"):
            raise OSError(errno.EACCES, "Permission denied", filename)
        assert caught.value.filename == str(tmp_path / expected)
    with pytest.raises(OSError, match="here: disk full"), naming(tmp_path / "here"):
        raise OSError("disk full")


def test_a_file_that_cannot_be_written_is_named_and_unchanged(tmp_path: Path) -> None:
    """The limit of the size of a file stands for a full disk."""
    file = tmp_path / "file"
    write_atomically(file, "old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write_atomically(file, b"a" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == str(file)
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as caught:
        write_atomically(tmp_path, "a")
    assert caught.value.filename == str(tmp_path)


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """So are devices, such as /dev/stdout and /dev/null, which root could replace."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(pipe, "text")
    assert os.read(reader, 100) == b"text"
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    os.close(reader)


class TestReadJson:
    def test_byte_order_mark_is_ignored(self, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_text('{"a": 1}', encoding="utf-8-sig")
        assert read_json(tmp_path / "a.json") == {"a": 1}

    @pytest.mark.parametrize(
        ("contents", "message"),
        [
            (b"", r"a\.json: is not JSON \(it is empty\)"),
            (b"<html></html>", r"a\.json: is not JSON \(it is an HTML page\)"),
            (b"[" * 100_000, r"a\.json: is not JSON"),
            (b"\xff", r"a\.json: is not JSON"),
            (b"[1]", r"a\.json: must contain one JSON object, not list"),
            (b"null", r"a\.json: must contain one JSON object, not NoneType"),
        ],
    )
    def test_other_contents_are_refused(self, contents: bytes, message: str, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_bytes(contents)
        with pytest.raises(ValueError, match=message):
            read_json(tmp_path / "a.json")


def test_a_file_in_parts_gets_its_name_at_the_end(tmp_path: Path) -> None:
    """After an error the old file is unchanged, and no other file is left."""
    path = tmp_path / "a" / "file"
    with atomic_file(path) as file:
        file.write(b"one ")
        assert not path.exists()
        file.write(b"two")
    assert path.read_bytes() == b"one two"
    with pytest.raises(ValueError, match="closed"), atomic_file(path) as file:
        file.close()
    assert path.read_bytes() == b"one two"
    assert list(path.parent.iterdir()) == [path]
