"""A learner's file: its text, and the functions in it, found by name in the syntax tree. Nothing of the file runs here."""

import ast
import importlib.util
from dataclasses import dataclass
from pathlib import Path

MAX_BYTES = 1_000_000
"""Largest file that is read."""


@dataclass
class BadFile(Exception):
    """A file that cannot be checked."""

    reason: str
    """What is wrong, and what to do about it, in a sentence."""
    line: int | None = None

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True)
class LearnerFile:
    """The text of a file, and its syntax tree."""

    path: Path
    lines: tuple[str, ...]
    tree: ast.Module

    @classmethod
    def read(cls, path: Path) -> "LearnerFile":
        """Read a file as Python reads it: UTF-8 or the encoding that the file declares, with any line ends.

        Raises: BadFile if it is not Python, OSError if it cannot be read.
        """
        if (size := path.stat().st_size) > MAX_BYTES:
            raise BadFile(f"The file has {size:,} bytes, more than {MAX_BYTES:,}: is it the right file?")
        text = _decoded(path.read_bytes())
        try:
            return cls(path, tuple(text.split("\n")), ast.parse(text))
        except SyntaxError as error:
            raise BadFile(f"{type(error).__name__}: {error.msg}", error.lineno) from None
        except (ValueError, RecursionError, MemoryError) as error:  # null characters, or brackets inside of brackets
            raise BadFile(f"Python cannot read the file: {error or type(error).__name__}") from None

    def require_function(self, name: str) -> None:
        """Raise `BadFile` if the file does not define a function of this name. What is imported is not the learner's."""
        found = self._definition(name)
        if isinstance(found, ast.FunctionDef | ast.Assign | ast.AnnAssign):
            return
        line = found.lineno if found else None
        if isinstance(found, ast.ClassDef):
            raise BadFile(f"{name} is a class: write a function, `def {name}(…)`.", line)
        if isinstance(found, ast.AsyncFunctionDef):
            raise BadFile(f"{name} is a coroutine: write `def {name}(…)` without async.", line)
        if found:
            raise BadFile(f"{name} is imported: write the function in this file.", line)
        others = ", ".join(self.functions()) or "no function"
        raise BadFile(f"The file has no function {name} at its top level; it has {others}. Do not rename it.")

    def functions(self) -> list[str]:
        """Return the names of the functions at the top level."""
        return list(dict.fromkeys(node.name for node in self.tree.body if isinstance(node, ast.FunctionDef)))

    def _definition(self, name: str) -> ast.stmt | None:
        """Return the last statement at the top level, or inside `if` and `try`, that gives the name a meaning."""
        statements = [node for node in _statements(self.tree.body) if name in _defined(node)]
        return statements[-1] if statements else None

    def line(self, number: int | None) -> str:
        """Return the text of a line; empty if there is no such line."""
        return self.lines[number - 1] if number and number <= len(self.lines) else ""


def _decoded(content: bytes) -> str:
    """Decode a file as Python does. Raises: BadFile with the first line that is not in its encoding."""
    try:
        return importlib.util.decode_source(content)
    except (UnicodeDecodeError, SyntaxError) as error:
        try:
            content.decode()
        except UnicodeDecodeError as wrong:
            line = content.count(b"\n", 0, wrong.start) + 1
            raise BadFile("The file is not in UTF-8: save it as UTF-8.", line) from None
        raise BadFile(f"The text is not in the encoding that the file declares ({error}): save it as UTF-8.") from None


def _statements(body: list[ast.stmt]) -> list[ast.stmt]:
    found = []
    for node in body:
        found.append(node)
        if isinstance(node, ast.If | ast.Try | ast.With):
            for part in ("body", "handlers", "orelse", "finalbody"):
                inner = getattr(node, part, [])
                found += _statements([each for each in inner if isinstance(each, ast.stmt)])
                found += _statements([stmt for each in inner if isinstance(each, ast.ExceptHandler) for stmt in each.body])
    return found


def _defined(node: ast.stmt) -> list[str]:
    """Return the names that a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)]
