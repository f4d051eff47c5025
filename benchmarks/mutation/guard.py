"""A mutant can delete anything that its user can delete. This keeps it in its folder."""

import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.mutation.mutants import ROOT

DELETING = {"os.remove": 1, "os.rmdir": 1, "os.rename": 2, "shutil.rmtree": 1}
"""Events that change files, and how many paths they have."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
ELSEWHERE = ("/dev/", "/proc/")


def stay_in(folder: Path) -> None:
    """From now on, this process and its copies cannot delete or move files outside a folder, or write to the repository.

    Raises, in the code that tries: PermissionError.
    """
    inside, repository = os.path.realpath(folder), os.path.realpath(ROOT)

    def check(event: str, arguments: tuple[Any, ...]) -> None:
        if event in DELETING:
            paths = arguments[: DELETING[event]]
            is_relative_to_a_folder = any(isinstance(each, int) and each >= 0 for each in arguments[DELETING[event] :])
            allowed = is_relative_to_a_folder or all(_is_in(path, (inside, *ELSEWHERE)) for path in paths)
        elif event == "open":
            path, _, flags = arguments
            allowed = not flags & WRITING or not _is_in(path, (repository,)) or _is_in(path, (inside,))
        else:
            return
        if not allowed:
            raise PermissionError(f"{event} {arguments}: a mutant may not change files outside of its folder {folder}")

    sys.addaudithook(check)


def _is_in(path: object, folders: tuple[str, ...]) -> bool:
    """Return True for a path in one of some folders, and for an open file."""
    if isinstance(path, int) or path is None:
        return True
    real = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]
    return any(real == folder or real.startswith(folder.rstrip("/") + "/") for folder in folders)
