"""A learner's file or notebook: its text, and the functions in its syntax tree, by name. Nothing of it runs here."""

import ast
import importlib.util
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from minibert.classroom.needed_code import IMPORT, defined_names, needed_code
from minibert.classroom.notebook_code import Cell, code_cells

MAX_BYTES = 1_000_000
"""Largest file that is read."""
MAX_NOTEBOOK_BYTES = 30_000_000
"""Largest notebook that is read. Its outputs may have figures."""
NOTEBOOK = ".ipynb"


@dataclass
class BadFile(Exception):
    """A file that cannot be checked."""

    reason: str
    """The problem and its solution, in a sentence."""
    line: int | None = None
    line_text: str = ""
    column: int | None = None
    """Place of a syntax error in the line, from 1."""

    def __str__(self) -> str:
        return self.reason

    @classmethod
    def of(cls, error: SyntaxError, first: int = 1) -> "BadFile":
        """Describe code that is no Python, with the line as Python shows it.

        Args:
            first: line of the file in which the code begins.
        """
        line = error.lineno and first + error.lineno - 1
        return cls(f"{type(error).__name__}: {error.msg}", line, (error.text or "").rstrip(), error.offset)


@dataclass(frozen=True)
class LearnerFile:
    """The text of a file, and its syntax tree."""

    path: Path
    lines: tuple[str, ...]
    tree: ast.Module
    cells: tuple[int, ...] = ()
    """For a notebook: the first line of each code cell, and the line after the last one."""
    broken: tuple[Cell, ...] = ()
    """For a notebook: the code cells that are no Python. They are empty in `lines`."""

    @classmethod
    def read(cls, path: Path) -> "LearnerFile":
        """Read a file as Python reads it: UTF-8 or the encoding that the file declares, with any line ends.

        The code cells of a notebook (.ipynb) are one text, in their order.

        Raises: BadFile if it is not Python, OSError if it cannot be read.
        """
        is_notebook = path.suffix.lower() == NOTEBOOK
        if (size := path.stat().st_size) > (most := MAX_NOTEBOOK_BYTES if is_notebook else MAX_BYTES):
            raise BadFile(f"The file has {size:,} bytes, more than {most:,}: is it the right file?")
        content = path.read_bytes()
        return cls._read_notebook(path, content) if is_notebook else cls._parsed(path, _decoded(content))

    @classmethod
    def _read_notebook(cls, path: Path, content: bytes) -> "LearnerFile":
        try:
            cells = list(code_cells(content))
        except ValueError as error:
            raise BadFile(str(error)) from None
        lines: list[str] = []
        firsts = []
        for cell in cells:
            firsts.append(len(lines) + 1)
            lines += [""] * (cell.text.count("\n") + 1) if cell.error else cell.text.split("\n")
        file = cls._parsed(path, "\n".join(lines))
        return replace(file, cells=(*firsts, len(lines) + 1), broken=tuple(cell for cell in cells if cell.error))

    @classmethod
    def _parsed(cls, path: Path, text: str) -> "LearnerFile":
        try:
            return cls(path, tuple(text.split("\n")), ast.parse(text))
        except SyntaxError as error:
            raise BadFile.of(error) from None
        except (ValueError, RecursionError, MemoryError) as error:  # null characters, or brackets inside of brackets
            raise BadFile(f"Python cannot read the file: {str(error) or type(error).__name__}") from None

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
        statements = [node for node in _statements(self.tree.body) if name in defined_names(node)]
        return statements[-1] if statements else None

    def only_imports(self, name: str) -> bool:
        """Return True if the file imports the name and does not define it."""
        return isinstance(self._definition(name), IMPORT)

    def needed(self, name: str) -> str:
        """Return the text with empty lines in place of all that a function does not need. Raises: BadFile."""
        try:
            return needed_code(self.tree, self.lines, name)
        except (SyntaxError, RecursionError) as error:
            raise BadFile(f"Python cannot read the code: {error}", getattr(error, "lineno", None)) from None

    def is_stub(self, name: str) -> bool:
        """Return True if the function of this name only raises `NotImplementedError`."""
        found = self._definition(name)
        body = found.body if isinstance(found, ast.FunctionDef) else []
        own = [node for node in body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
        return len(own) == 1 and isinstance(own[0], ast.Raise) and "NotImplementedError" in ast.unparse(own[0])

    def place(self, number: int) -> tuple[int | None, int]:
        """Return the code cell and the line in it, for a line of a notebook; None and the line for another file."""
        cell = bisect_right(self.cells, number)
        return (cell, number - self.cells[cell - 1] + 1) if 0 < cell < len(self.cells) else (None, number)

    def line(self, number: int | None) -> str:
        """Return the text of a line; empty if there is no such line."""
        return self.lines[number - 1] if number and number <= len(self.lines) else ""


def _decoded(content: bytes) -> str:
    """Decode a file as Python does. Raises: BadFile with the first line that is not in its encoding."""
    try:
        return importlib.util.decode_source(content)
    except (UnicodeError, SyntaxError, LookupError) as error:
        try:
            content.decode()
        except UnicodeDecodeError as wrong:
            line = content.count(b"\n", 0, wrong.start) + 1
            raise BadFile("The file is not in UTF-8: save it as UTF-8.", line) from None
        raise BadFile(f"The text is not in the encoding that the file declares ({error}): save it as UTF-8.") from None


def _statements(nodes: Iterable[ast.AST]) -> Iterator[ast.stmt]:
    for node in nodes:
        if isinstance(node, ast.stmt):
            yield node
        if isinstance(node, ast.If | ast.Try | ast.With | ast.ExceptHandler):
            yield from _statements(ast.iter_child_nodes(node))
