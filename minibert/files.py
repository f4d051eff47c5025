"""Where files go: a cache that may be deleted at any time, and writing that never leaves half a file behind."""

import os
import tempfile
from pathlib import Path


def cache_directory() -> Path:
    """`$MINIBERT_CACHE`, else `$XDG_CACHE_HOME/minibert`, else `~/.cache/minibert`; what lies there can be made again."""
    if chosen := os.environ.get("MINIBERT_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minibert"


def write_atomically(path: Path, content: bytes | memoryview | str) -> None:
    """Writes beside, flushes to the disk, renames: whoever reads `path` finds the old content or the new, never a part.

    Raises: OSError as `open` does (a full disk, a folder that is read-only); the old content is then still there.
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
    """The process's file mode mask, which can only be read by setting it; mkstemp ignores it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
