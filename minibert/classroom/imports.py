"""The import statements that a piece of a module needs, read from the module."""

import ast
import inspect
import sys
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

ALWAYS = ("math", "torch")
"""Modules that are imported although the module itself may not import them."""


def names_in(code: str) -> set[str]:
    """Return the names that occur in code."""
    return {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}


def imports(function: Callable[..., Any], names: Iterable[str], packages: frozenset[str] | None = None) -> list[str]:
    """Return import statements for those names that the module of a function has.

    Args:
        packages: if given, only these are imported.
    """
    module = function.__module__
    own = {name: (module, name) for name in vars(sys.modules[module])}
    origins = own | {name: (name, "") for name in ALWAYS} | _imported(module)
    found = {origins[name] for name in names if name in origins and not name.startswith("__")}
    wanted = [(source, what) for source, what in found if packages is None or source.partition(".")[0] in packages]
    lines = [f"import {source}" for source, what in wanted if not what]
    parts: dict[str, list[str]] = {}
    for source, what in sorted(wanted):
        parts.setdefault(source, []).extend([what] if what else [])
    lines += [f"from {source} import {', '.join(names)}" for source, names in parts.items() if names]
    return sorted(lines, key=lambda line: (not _is_standard(line.split()[1]), line.startswith("from"), line))


def _is_standard(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names


@cache
def _imported(module: str) -> dict[str, tuple[str, str]]:
    """Return the module of each name that a module imports, and the part of it that is imported; empty for all of it."""
    found = {}
    for node in ast.parse(inspect.getsource(sys.modules[module])).body:
        for alias in node.names if isinstance(node, ast.Import | ast.ImportFrom) else ():
            name = alias.asname or alias.name
            renamed = f"{alias.name} as {alias.asname}" if alias.asname else alias.name
            found[name] = (str(node.module), renamed) if isinstance(node, ast.ImportFrom) else (renamed, "")
    return found
