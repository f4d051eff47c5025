"""The public names of the package, each under the first module that has it."""

import inspect
from functools import cache
from importlib import import_module
from typing import Any

MODULES = (
    "minibert",
    "minibert.equations",
    "minibert.model",
    "minibert.model.adapters",
    "minibert.text",
    "minibert.kernels",
    "minibert.study",
    "minibert.study.plots",
    "minibert.classroom",
    "minibert.classroom.mistakes",
    "minibert.classroom.sandbox",
    "minibert.sandbox",
)
"""The modules with public names, in the order of the reference."""


@cache
def public_names() -> dict[str, Any]:
    """Return the values of all public names, those of each `__all__`, by their full name. Submodules are left out."""
    found: dict[str, Any] = {}
    for module in map(import_module, MODULES):
        for name in module.__all__:
            thing = getattr(module, name)
            if not inspect.ismodule(thing) and not any(known is thing for known in found.values()):
                found[f"{module.__name__}.{name}"] = thing
    return found


@cache
def by_ending() -> dict[str, str]:
    """Return the full names by all of their endings, such as `equations.softmax` and `softmax`."""
    endings: dict[str, str] = {}
    for full in public_names():
        parts = full.split(".")
        for start in range(len(parts)):
            endings.setdefault(".".join(parts[start:]), full)
    return endings
