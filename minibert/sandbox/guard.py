"""Acts that no learner's function needs: they are refused and noticed, in the process of the learner's code."""

import os
import sys
import sysconfig
from collections.abc import Iterable
from types import FrameType
from typing import Any

PROCESS, SIGNAL, MEMORY = (
    "The code starts a process.",
    "The code sends a signal to a process.",
    "The code uses memory directly, with ctypes.",
)
REFUSED = {
    **dict.fromkeys(("os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.system"), PROCESS),
    **dict.fromkeys(("subprocess.Popen", "pty.spawn"), PROCESS),
    **dict.fromkeys(("os.kill", "os.killpg"), SIGNAL),
    **dict.fromkeys(("ctypes.dlopen", "ctypes.dlsym", "ctypes.dlsym/handle"), MEMORY),
    **dict.fromkeys(("ctypes.string_at", "ctypes.wstring_at", "ctypes.cdata"), MEMORY),
}
"""Audit events that no exercise needs, if the learner's own code causes them. Libraries may."""
SHOWS_LINES = {"traceback.py", "warnings.py", "logging"}
"""Parts of the standard library that open a source file to show a line of it."""
STANDARD_LIBRARY = sysconfig.get_paths()["stdlib"]
INSTALLED = tuple({sysconfig.get_paths()["purelib"], sysconfig.get_paths()["platlib"]})

violations: list[str] = []
"""Sentences about forbidden acts of the learner's code."""


def violation(sentence: str) -> Exception:
    """Record a forbidden act, and return the exception for it."""
    violations.append(sentence)
    return PermissionError(sentence)


def watch(folders: Iterable[str], closed: Iterable[str] = ()) -> None:
    """Refuse some acts of the learner's own code, not of libraries, and all that opens closed files, in this process, for good.

    Args:
        folders: the folders of the learner's code.
        closed: files and folders of minibert.
    """
    own, kept = tuple(folders), tuple(closed)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in REFUSED:
            if _asked_by_learner(own):
                raise violation(REFUSED[event])
        elif event == "open" or (event.startswith(("os.", "shutil.")) and event != "os.symlink"):
            for path in arguments:
                if kept and isinstance(path, str | bytes | os.PathLike) and _is_inside(path, kept):
                    sentence = "The code uses a file of minibert."
                    raise violation(sentence) if _asked_by_learner(own) else PermissionError(sentence)

    sys.addaudithook(hook)


def _is_inside(path: Any, closed: tuple[str, ...]) -> bool:
    real = os.path.realpath(os.fsdecode(path))
    return any(real == each or real.startswith(each + os.sep) for each in closed)


def _asked_by_learner(folders: tuple[str, ...]) -> bool:
    """Return True if the innermost code that is not part of the standard library is the learner's."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(("<frozen", STANDARD_LIBRARY)) or file.startswith(INSTALLED):
            return file.startswith((*folders, "<"))  # "<string>" is code of exec
        if any(part in file for part in SHOWS_LINES):
            return False
        frame = frame.f_back
    return True
