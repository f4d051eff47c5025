"""A disk that fails. `Disk` runs inside a command, before minibert starts; `power_failure` runs after the command was killed.

Only operations below one folder count: opening for writing, writing, flushing, renaming, creating and deleting.
"""

import builtins
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from signal import SIGKILL
from typing import Any

FILES, CONTENTS, FOLDERS = "files", "contents", "folders"
"""Parts of the record: links that keep the inodes in use, the flushed contents, and the flushed names in each folder."""
OPERATIONS = ("fsync", "rename", "replace", "mkdir", "unlink", "rmdir")
MODES = ("unflushed is lost", "names are kept", "mixed")
"""States of a disk after a power failure. The contents that were not flushed are always in doubt."""


class Disk:
    """Counts the operations of this process below a folder, records what is flushed, and fails or kills at a given one.

    Args:
        root: folder whose operations count.
        record: folder for the record that `power_failure` needs; None for no record.
        fail: a function that is called before each operation, with its number and name. It may raise an OSError, or kill the
        process.
    """

    def __init__(
        self, root: str, record: str | None = None, fail: Callable[[int, str], None] = lambda number, name: None
    ) -> None:
        self.root, self.record, self.fail, self.count = root, record and Path(record), fail, 0
        self.original = {name: getattr(os, name) for name in (*OPERATIONS, "open", "link")}
        for part in (FILES, CONTENTS, FOLDERS) if self.record else ():
            (self.record / part).mkdir(parents=True, exist_ok=True)
        for name in OPERATIONS:
            setattr(os, name, self._counted(name))
        os.open = self._open
        builtins.open = io.open = self._open_file

    def operation(self, name: str, path: object, folder: int | None = None) -> bool:
        """Count an operation, unless it is elsewhere. Return True if it counts."""
        place = _place(path) if folder is None else f"{_place(folder)}/{os.fspath(path)}"
        if not str(Path(place).absolute()).startswith(self.root):
            return False
        self.count += 1
        self.fail(self.count, name)
        return True

    def _counted(self, name: str) -> Callable[..., Any]:
        original = self.original[name]

        def counted(path: Any, *arguments: Any, **options: Any) -> Any:
            exists = name == "mkdir" and Path(_place(path)).exists()  # an error, which is no operation on the disk
            is_counted = not exists and self.operation(name, path, options.get("dir_fd"))
            if is_counted and self.record is not None:
                self._keep(name, path, arguments, options.get("dir_fd"))
            result = original(path, *arguments, **options)
            if is_counted and self.record is not None and name in ("fsync", "mkdir"):
                self._record(path)
            return result

        return counted

    def _keep(self, name: str, path: Any, arguments: tuple[Any, ...], folder: int | None) -> None:
        """Open what is deleted or replaced now, so that no new file gets its inode."""
        lost = path if name in ("unlink", "rmdir") else arguments[0] if name in ("rename", "replace") else None
        if lost is not None and (folder is not None or Path(lost).exists()):
            self.original["open"](lost, os.O_RDONLY, dir_fd=folder)

    def _record(self, path: str | int) -> None:
        """Record what is on the disk: the names in a folder, or the content of a file."""
        place = Path(_place(path))
        inode = place.stat().st_ino
        if place.is_dir():
            names = {entry.name: entry.inode() for entry in os.scandir(place)}
            target, content = self.record / FOLDERS / str(inode), json.dumps(names).encode()
        else:
            target, content = self.record / CONTENTS / str(inode), _content(place)
            if not (self.record / FILES / str(inode)).exists():
                os.link(place, self.record / FILES / str(inode))
        handle = self.original["open"](target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.write(handle, content)
        os.close(handle)

    def _open(self, path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if flags & os.O_CREAT:
            self.operation("open", path)
        return self.original["open"](path, flags, *arguments, **options)

    def _open_file(self, file: Any, mode: str = "r", *more: Any, **options: Any) -> Any:
        if not {*mode} & {*"wax+"}:
            return _open(file, mode, *more, **options)
        is_counted = _place(file).startswith(self.root) if isinstance(file, int) else self.operation("open", file)
        if is_counted:
            raw = _CountedFile(file, mode.replace("b", "").replace("t", ""))
            raw.disk = self
            buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            return buffered if "b" in mode else io.TextIOWrapper(buffered, "utf-8")
        return _open(file, mode, *more, **options)


_open = io.open


def _place(path: Any) -> str:
    """Return the path of an open file, or a path as a string."""
    return str(Path(f"/proc/self/fd/{path}").readlink()) if isinstance(path, int) else os.fspath(path)


class _CountedFile(io.FileIO):
    """A file whose writes count. At a failure, half of the content is written."""

    disk: Disk

    def write(self, content: Any) -> int:
        try:
            self.disk.operation("write", self.fileno())
        except OSError:
            super().write(memoryview(content)[: len(content) // 2])
            raise
        return super().write(content)


def log_to(file: str) -> Callable[[int, str], None]:
    """Write the names of all operations of the first process to a file, one per line."""

    def log(count: int, name: str) -> None:
        if os.environ.get("RANK", "0") == "0":
            with _open(file, "a") as lines:
                lines.write(f"{name}\n")

    return log


def kill_at(number: int) -> Callable[[int, str], None]:
    """Kill this process in front of the operation with a number."""

    def fail(count: int, name: str) -> None:
        if count == number:
            os.kill(os.getpid(), SIGKILL)

    return fail


def fail_at(number: int, error: int, names: tuple[str, ...], forever: bool = False) -> Callable[[int, str], None]:
    """Fail with an error of the operating system at the operation of these names with a number, or from there on."""
    seen = 0

    def fail(count: int, name: str) -> None:
        nonlocal seen
        seen += name in names
        if name in names and (seen == number or (forever and seen > number)):
            raise OSError(error, os.strerror(error))

    return fail


def power_failure(root: Path, record: Path, generator: Random) -> str:
    """Replace a folder by what the disk may hold after a power failure. Return the state that was chosen.

    A name is there, and a content, for certain only if it was flushed. Without flushing, the old one, the new one or a
    damaged one may be found.
    """
    mode, after = generator.choice(MODES), root.with_name(f"{root.name}.after")
    places = {path.stat().st_ino: path for path in [root, *root.rglob("*")]}
    after.mkdir()
    _restore(root.stat().st_ino, after, places, record, generator, mode)
    shutil.rmtree(root)
    after.rename(root)
    return mode


def _restore(inode: int, target: Path, places: dict[int, Path], record: Path, generator: Random, mode: str) -> None:
    """Restore one folder, with what is in it."""
    flushed, current = _names(record / FOLDERS / str(inode)), {}
    if inode in places:
        current = {path.name: path.stat().st_ino for path in places[inode].iterdir()}
    for name in sorted({*flushed, *current}):
        states = {MODES[0]: [flushed], MODES[1]: [current], MODES[2]: [flushed, current]}[mode]
        chosen = generator.choice(states).get(name)
        if chosen is None:
            continue
        if (record / FOLDERS / str(chosen)).is_file():
            (target / name).mkdir()
            _restore(chosen, target / name, places, record, generator, mode)
        else:
            (target / name).write_bytes(_damaged(chosen, places, record, generator))


def _damaged(inode: int, places: dict[int, Path], record: Path, generator: Random) -> bytes:
    """Return a content that a file may have: the flushed one; if it was changed since, also a newer or a damaged one."""
    flushed = _content(record / CONTENTS / str(inode)) if (record / CONTENTS / str(inode)).is_file() else b""
    if inode not in places or (current := places[inode].read_bytes()) == flushed:
        return flushed
    kept = generator.randrange(len(current) + 1)
    zeros = flushed + b"\0" * (len(current) - len(flushed))
    return generator.choice([flushed, current, flushed + current[len(flushed) : kept], zeros])


def _names(file: Path) -> dict[str, int]:
    return json.loads(file.read_text()) if file.is_file() else {}


def _content(path: str | Path) -> bytes:
    with _open(path, "rb") as file:
        return file.read()
