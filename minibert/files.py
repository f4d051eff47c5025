"""The cache folder, atomic writing of files, reading of JSON, errors of the file system, and kinds of files."""

import errno
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

Loaded = TypeVar("Loaded")


def cache_directory() -> Path:
    """Return `$MINIBERT_CACHE`, else `$XDG_CACHE_HOME/minibert`, else `~/.cache/minibert`.

    A user without a home folder, as in a container, gets one in the folder for temporary files. The folder may be deleted at
    any time: its files can be computed again.
    """
    if chosen := os.environ.get("MINIBERT_CACHE"):
        return Path(chosen)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minibert"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"minibert-cache-{os.getuid()}"


REASONS = {
    errno.EEXIST: "there is a file with this name, where a folder is needed",
    errno.ENOTDIR: "a part of this path is a file, where a folder is needed",
    errno.EISDIR: "is a folder, where a file is needed",
    errno.EACCES: "permission denied: change the permissions, or choose another path",
    errno.EROFS: "the file system is read-only: choose another path",
    errno.ENOSPC: "no space left on this disk: delete files, or choose another path",
    errno.EDQUOT: "the disk quota is exceeded: delete files, or choose another path",
}
"""Messages for errors of the operating system, where its own are short."""


def reason_of(error: OSError) -> str:
    """Return the reason of an error of the operating system, without the file."""
    return REASONS.get(error.errno or 0) or error.strerror or str(error)


def describe(error: Exception) -> str:
    """Return the message of an error: for an error of the operating system, the file and the reason."""
    if isinstance(error, OSError) and error.errno is not None:
        return ": ".join([*([str(error.filename)] if error.filename is not None else []), reason_of(error)])
    return str(error)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name `path` in errors of the operating system that name no file, as that of a full disk, or a temporary one."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and os.path.lexists(error.filename):
            raise
        if error.errno is None:
            raise OSError(f"{path}: {error}") from error
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_atomically(path: Path, content: bytes | memoryview | str) -> None:
    """Write a file so that a reader finds either the old content or the new content, and never a part of it.

    The content is written to a temporary file in the same folder, flushed to the disk, and renamed. Then the new name is
    flushed, so that a power failure does not bring the old content back. What is not a file, such as /dev/stdout, is not
    replaced but written to.

    Raises: OSError that names `path` (disk full, read-only folder); the old content is then unchanged.
    """
    data = content.encode() if isinstance(content, str) else content
    with atomic_file(path) as file:
        file.write(data)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing in the way of `write_atomically`, for content that is written in parts.

    The file gets its name at the end of the `with` block. After an error in the block nothing has changed.
    """
    with naming(path):
        if path.exists() and not path.is_file():
            with path.open("wb") as special:
                yield special
            return
        make_folder(path.parent)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:200]}.")
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                flush_to_disk(file.fileno())
            Path(temporary).chmod(0o666 & ~_umask())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        flush_folder(path.parent)


def make_folder(path: Path) -> None:
    """Create a folder, with the folders above it, and flush their names to the disk."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        flush_folder(folder.parent)


def cached(folder: Path, write: Callable[[Path], object], load: Callable[[Path], Loaded]) -> Loaded:
    """Load the files of a folder in the cache. If there is no such folder, or a damaged one, it is written first.

    A folder in the cache is complete or absent: `write` puts the files into a temporary folder, which is flushed to the disk
    and renamed. If another process has meanwhile written the same folder, that one is loaded.

    Raises: OSError that names the folder and $MINIBERT_CACHE (disk full, read-only cache), and the errors of `write`.
    """
    if folder.is_dir():
        try:
            return load(folder)
        except Exception:  # damaged in any way
            shutil.rmtree(folder, ignore_errors=True)
    try:
        with naming(folder):
            _write_complete(folder, write)
    except OSError as error:
        if folder.parent not in Path(error.filename or "").parents:  # an error of reading a text
            raise
        raise OSError(f"{describe(error)} (for another folder of the cache, set MINIBERT_CACHE)") from error
    return load(folder)


def _write_complete(folder: Path, write: Callable[[Path], object]) -> None:
    """Write a temporary folder, flush it to the disk and rename it, unless another process has written the same folder."""
    make_folder(folder.parent)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        complete = Path(temporary) / "complete"
        complete.mkdir()
        write(complete)
        for path in [complete, *complete.rglob("*")]:
            flush_folder(path) if path.is_dir() else flush_file(path)
        try:
            complete.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    flush_folder(folder.parent)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock a file against other processes. It is created, and deleted at the end of the block.

    The lock ends with the process, however it ends. Windows and some file systems have no such locks.

    Raises: BlockingIOError if another process has locked it.
    """
    with ExitStack() as stack:
        with naming(path):
            file = stack.enter_context(path.open("a"))
        try:
            if sys.platform != "win32":
                import fcntl

                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):  # other errors: no locks here
                raise BlockingIOError(errno.EAGAIN, "locked by another process", str(path)) from None
        stack.callback(path.unlink, missing_ok=True)
        yield


def flush_file(path: Path) -> None:
    """Flush a file to the disk that was written before."""
    with naming(path), path.open("rb") as file:
        flush_to_disk(file.fileno())


def flush_folder(folder: Path) -> None:
    """Flush the names of the files in a folder to the disk. Flushing the files does not do this."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:  # files can be written to a folder that cannot be read
        return
    try:
        flush_to_disk(handle)
    finally:
        os.close(handle)


def flush_to_disk(handle: int) -> None:
    """Flush an open file or folder to the disk, so that a power failure does not lose it. Some file systems cannot do this."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise


def _umask() -> int:
    """Return the file mode mask of the process. It can only be read by setting it; `mkstemp` ignores it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def read_json(path: Path) -> dict[str, Any]:
    """Read a file with a JSON object. A byte-order mark is ignored. Raises: ValueError that names the file."""
    if path.exists() and not path.is_file() and not path.is_dir():  # the read of a pipe would not end
        raise ValueError(f"{path}: is not a regular file")
    try:
        fields = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        kind = file_kind(path)
        reason = "it is not UTF-8; save it as UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        reason = f"it is {kind}" if kind not in (None, "JSON", "a text file") else reason
        raise ValueError(f"{path}: is not JSON ({reason})") from error
    if not isinstance(fields, dict):
        raise ValueError(f"{path}: must contain one JSON object, not {type(fields).__name__}")
    return fields


SIGNATURES = {
    b"%PDF": "a PDF document",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"\x1f\x8b": "a gzip archive",
    b"\x89HDF": "an HDF5 file",
    b"GGUF\x03": "a GGUF file",
    b"\x7fELF": "a program",
    b"SQLite format 3\x00": "a database",
    b"version https://git-lfs": "a pointer of Git LFS (`git lfs pull` fetches the file)",
}
"""First bytes of files of other kinds."""


def file_kind(path: Path) -> str | None:
    """Return what a file is ("an HTML page", "a PNG image", "a text file", "empty"), or None for other binary files."""
    with path.open("rb") as file:
        start = file.read(1000)
    if not start:
        return "empty"
    if known := [kind for signature, kind in SIGNATURES.items() if start.startswith(signature)]:
        return known[0]
    try:
        text = start.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3:  # not a character that is cut off at the end
            return None
        text = start[: error.start].decode("utf-8-sig")
    if any(ord(character) < 32 and not character.isspace() for character in text):
        return None
    if re.match(r"\s*<(!doctype|html|\?xml|!--|head|body|svg)", text, re.IGNORECASE):
        return "an HTML page"
    return "JSON" if re.match(r'\s*(\{|\[\s*[\[{"\d\]-])', text) else "a text file"
