"""The cache folder, and atomic writing of files."""

import os
import tempfile
from pathlib import Path


def cache_directory() -> Path:
    """Return `$MINIBERT_CACHE`, else `$XDG_CACHE_HOME/minibert`, else `~/.cache/minibert`.

    The folder may be deleted at any time: its files can be computed again.
    """
    if chosen := os.environ.get("MINIBERT_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minibert"


def write_atomically(path: Path, content: bytes | memoryview | str) -> None:
    """Write a file so that a reader finds either the old content or the new content, and never a part of it.

    The content is written to a temporary file in the same folder, flushed to the disk, and renamed.

    Raises: OSError as `open` does (disk full, read-only folder); the old content is then unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    """Return the file mode mask of the process. It can only be read by setting it; `mkstemp` ignores it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
