"""The trap in place of the reference solution, and the lock on the files of minibert, in a learner's process."""

import importlib
import os
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import minibert
import minibert.classroom
from minibert import equations, kernels
from minibert.classroom.mistakes import MISTAKES
from minibert.classroom.report import Report, Verdict
from minibert.model import generation
from minibert.sandbox import guard

PACKAGE = Path(minibert.__file__).parent
PRELOADED = ("equations", "kernels", "model", "text", "classroom.exercises", "classroom.report_parts")
"""Parts of minibert that learners' code may use. Their files cannot be read later."""
OPTIONAL = ("minibert.kernels.triton_attention",)
"""Modules that learners' code may not use. They need a library that is slow to import, and that may not be installed."""
KERNELS = ("fused_attention", "unfused_attention", "flash_attention")
SAME = {
    "scaled_dot_product_attention": ("online_softmax_attention", *KERNELS),
    "online_softmax_attention": ("scaled_dot_product_attention", *KERNELS),
    "greedy_decoding": ("greedy_search",),
}
"""Functions that compute the same as a reference, under other names. Fast ones usually have the name of the equation."""


def preload() -> None:
    """Import all that learners' code may use."""
    for part in PRELOADED:
        package = importlib.import_module(f"minibert.{part}")
        for each in pkgutil.walk_packages(getattr(package, "__path__", ()), f"{package.__name__}."):
            if each.name not in OPTIONAL:
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
    guard.watch([str(folder)], closed)


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
    return guard.violation("The code calls the function of minibert that it should replace.")


def _no_check(*args: Any, **kwargs: Any) -> Report:
    """Do nothing: a check that is part of the learner's code would call the reference."""
    return Report("", Verdict.PASSED)
