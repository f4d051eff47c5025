"""Atomic writing, and errors of the file system: they name the file and say what to do."""

import errno
import fcntl
import os
import pwd
import resource
import stat
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

import pytest

from minibert.files import (
    atomic_file,
    cache_directory,
    cached,
    describe,
    locked,
    make_folder,
    naming,
    read_json,
    write_atomically,
)


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


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files and folders that are flushed to the disk, in order."""
    names, fsync = [], os.fsync

    def record(handle: int) -> None:
        names.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", record)
    return names


def test_new_names_are_on_the_disk(tmp_path: Path, flushed: list[str]) -> None:
    """Of a file, after its content, and of the folders above it that are new. A power failure loses other names."""
    write_atomically(tmp_path / "a/b/file", "text")
    assert flushed[:2] == ["a", tmp_path.name]
    assert flushed[2].startswith(".file.")
    assert flushed[3:] == ["b"]
    flushed.clear()
    make_folder(tmp_path / "a/b")
    assert flushed == []


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EIO])
def test_a_file_system_may_lack_flushing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """An error of the disk is another case."""

    def fsync(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="/file'") if number == errno.EIO else nullcontext():
        write_atomically(tmp_path / "file", "text")
        assert (tmp_path / "file").read_text() == "text"


def test_a_user_without_a_home_folder_has_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user has no name."""

    def unknown(user: int) -> None:
        raise KeyError(user)

    for name in ("MINIBERT_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert cache_directory().parent == Path(tempfile.gettempdir())


class TestCached:
    """A folder in the cache."""

    def load(self, folder: Path) -> str:
        return (folder / "parts/file").read_text()

    def write(self, folder: Path) -> None:
        write_atomically(folder / "parts/file", "text")

    def test_it_is_written_once_and_again_when_it_is_damaged(self, tmp_path: Path) -> None:
        written = []
        for damaged in (False, False, True):
            if damaged:
                (tmp_path / "folder/parts/file").unlink()
            assert cached(tmp_path / "folder", lambda folder: written.append(self.write(folder)), self.load) == "text"
        assert len(written) == 2
        assert [path.name for path in tmp_path.iterdir()] == ["folder"]

    def test_its_files_are_on_the_disk_before_it_has_its_name(self, tmp_path: Path, flushed: list[str]) -> None:
        cached(tmp_path / "folder", lambda folder: (folder / "file").write_text("text"), lambda folder: None)
        assert flushed == ["complete", "file", tmp_path.name]

    def test_a_folder_that_cannot_be_renamed_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def rename(old: object, new: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted", str(old), None, str(new))

        monkeypatch.setattr(os, "rename", rename)
        with pytest.raises(OSError, match=r"folder: Operation not permitted .*set MINIBERT_CACHE"):
            cached(tmp_path / "folder", self.write, self.load)
        assert not any(tmp_path.iterdir())

    def test_after_an_error_it_is_absent(self, tmp_path: Path) -> None:
        def fail(folder: Path) -> None:
            self.write(folder)
            raise OSError(errno.ENOSPC, "No space left on device")

        with pytest.raises(OSError, match=r"folder: no space left .*set MINIBERT_CACHE"):
            cached(tmp_path / "folder", fail, self.load)
        assert not any(tmp_path.iterdir())


def test_a_lock_is_for_one_process_and_ends_with_it(tmp_path: Path) -> None:
    """Also if the process is killed. The file is deleted in the end."""
    code = f"from minibert.files import *\nwith locked(Path({str(tmp_path / 'lock')!r})): print(1, flush=True); input()"
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    other.stdout.readline()
    with pytest.raises(BlockingIOError), locked(tmp_path / "lock"):
        pass
    other.kill()
    other.communicate()
    with locked(tmp_path / "lock"):
        assert subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL).returncode == 1
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EPERM, errno.EINVAL])
def test_a_file_system_may_lack_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def lockf(file: object, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "lockf", lockf)
    with locked(tmp_path / "lock"):
        assert (tmp_path / "lock").exists()


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


def test_json_in_another_encoding_is_described(tmp_path: Path) -> None:
    """As Windows PowerShell writes the output of a command."""
    (tmp_path / "config.json").write_text("{}", encoding="utf-16")
    with pytest.raises(ValueError, match=r"config\.json: is not JSON \(it is not UTF-8; save it as UTF-8\)"):
        read_json(tmp_path / "config.json")


def test_a_pipe_is_not_read_as_json(tmp_path: Path) -> None:
    """Reading it would never end."""
    os.mkfifo(tmp_path / "run.json")
    with pytest.raises(ValueError, match=r"run\.json: is not a regular file"):
        read_json(tmp_path / "run.json")
