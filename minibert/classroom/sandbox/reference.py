"""The trap in place of the reference solution, and the lock on the files of minibert, in a learner's process."""

import importlib
import os
import pkgutil
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import minibert
import minibert.classroom
from minibert import equations, kernels
from minibert.classroom.mistakes import MISTAKES
from minibert.classroom.report import Report, Verdict
from minibert.model import generation

PACKAGE = Path(minibert.__file__).parent
PRELOADED = ("equations", "kernels", "model", "text", "classroom.exercises", "classroom.report_parts")
"""Parts of minibert that learners' code may use. Their files cannot be read later."""
SAME = {
    "scaled_dot_product_attention": ("online_softmax_attention", "fused_attention"),
    "online_softmax_attention": ("scaled_dot_product_attention", "fused_attention"),
    "greedy_decoding": ("greedy_search",),
}
"""Functions that compute the same as a reference, under other names. Fast ones usually have the name of the equation."""
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


def preload() -> None:
    """Import all that learners' code may use."""
    for part in PRELOADED:
        package = importlib.import_module(f"minibert.{part}")
        for each in pkgutil.walk_packages(getattr(package, "__path__", ()), f"{package.__name__}."):
            importlib.import_module(each.name)
    for name in minibert.__all__:
        getattr(minibert, name)


def protect(reference: Callable[..., Any], folder: Path) -> None:
    """Set the trap for the reference, and refuse to open the files of minibert, in this process, for good.

    Args:
        folder: the folder of the learner's code.
    """
    functions = list(_implementations(reference))
    closed = {os.path.realpath(path) for path in (str(PACKAGE), *(function.__code__.co_filename for function in functions))}
    for function in functions:
        _set_trap(function)
    MISTAKES.clear()  # the edits contain lines of the reference
    vars(minibert.classroom)["check"] = _no_check
    sys.addaudithook(_guard(tuple(closed), str(folder)))


def _implementations(reference: Callable[..., Any]) -> Iterator[FunctionType]:
    """Yield the reference and the functions that compute the same, with the functions inside their decorators."""
    name = reference.__name__
    same = [getattr(module, other, None) for module in (equations, kernels, generation) for other in SAME.get(name, (name,))]
    for function in (reference, *same):
        while function is not None:
            if isinstance(function, FunctionType):
                yield function
            function = getattr(function, "__wrapped__", None)


def _set_trap(function: FunctionType) -> None:
    """Replace the code of a function, wherever the function is used."""
    code: CodeType = _trap.__code__
    function.__code__ = code.replace(co_freevars=function.__code__.co_freevars, co_name=function.__name__)
    function.__defaults__ = function.__kwdefaults__ = None


def _trap(*args: Any, **kwargs: Any) -> Any:
    from minibert.classroom.sandbox.reference import caught

    raise caught()


def caught() -> Exception:
    """Record a call of the reference."""
    return _violation("The code calls the function of minibert that it should replace.")


def _no_check(*args: Any, **kwargs: Any) -> Report:
    """Do nothing: a check that is part of the learner's code would call the reference."""
    return Report("", Verdict.PASSED)


def _violation(sentence: str) -> Exception:
    violations.append(sentence)
    return PermissionError(sentence)


def _guard(closed: tuple[str, ...], folder: str) -> Callable[[str, tuple[Any, ...]], None]:
    """Return an audit hook. It refuses to open `closed`, and some actions of the learner's own code, not of libraries."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in REFUSED:
            if _asked_by_learner(folder):
                raise _violation(REFUSED[event])
        elif event == "open" or (event.startswith(("os.", "shutil.")) and event != "os.symlink"):
            for path in arguments:
                if isinstance(path, str | bytes | os.PathLike) and _is_inside(path, closed):
                    sentence = "The code uses a file of minibert."
                    raise _violation(sentence) if _asked_by_learner(folder) else PermissionError(sentence)

    return hook


def _is_inside(path: Any, closed: tuple[str, ...]) -> bool:
    real = os.path.realpath(os.fsdecode(path))
    return any(real == each or real.startswith(each + os.sep) for each in closed)


def _asked_by_learner(folder: str) -> bool:
    """Return True if the innermost code that is not part of the standard library is the learner's."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(("<frozen", STANDARD_LIBRARY)) or file.startswith(INSTALLED):
            return file.startswith((folder, "<"))  # "<string>" is code of exec
        if any(part in file for part in SHOWS_LINES):
            return False
        frame = frame.f_back
    return True
