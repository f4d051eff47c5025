"""The functions of a submission: found by name in the syntax tree of Python files and notebooks, never by the place of a cell.

Only what a function needs is run: its imports, the functions and classes it calls, and the constants it uses.
"""

import ast
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

MAX_BYTES = 5_000_000
"""Maximum size of a file of a submission."""
SUFFIXES = (".py", ".ipynb")
MAGIC = re.compile(r"^\s*(?:[%!?]|.*\?\s*$)")
"""Lines of a notebook that are not Python: magics, shell commands and questions."""


@dataclass(frozen=True)
class Source:
    """The Python code of a file. Cells of a notebook that are no valid Python are left out."""

    path: Path
    text: str
    problems: tuple[str, ...] = ()
    """Parts that could not be read, with their line."""


@dataclass(frozen=True)
class Submission:
    """The files of one student."""

    student: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class FoundFunction:
    """A function of a submission, as a file in which all other lines are empty."""

    path: Path
    text: str
    problems: tuple[str, ...] = field(default=(), repr=False)


def find_submissions(folder: Path) -> list[Submission]:
    """Return the submissions in a folder, by name: each folder and each Python file or notebook in it is one student.

    Raises: FileNotFoundError if there is no such folder; ValueError if it has no submissions.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: folder of submissions not found")
    found: dict[str, list[Path]] = {}
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            found.setdefault(entry.name, []).extend(_files(entry))
        elif entry.suffix in SUFFIXES:
            found.setdefault(entry.stem, []).append(entry)
    if not found:
        raise ValueError(f"{folder}: has no submissions; expected a folder, a Python file or a notebook for each student")
    return [Submission(student, tuple(files)) for student, files in found.items()]


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith((".", "__")) for part in path.relative_to(folder).parts)
        if path.suffix in SUFFIXES and path.is_file() and not hidden:
            yield path


def read_source(path: Path) -> Source:
    """Read the Python code of a file or notebook.

    Raises: ValueError for a file that is too large or no text; SyntaxError for a Python file that is no valid Python.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path.name}: is larger than {MAX_BYTES // 1_000_000} MB")
    data = path.read_bytes()
    if path.suffix == ".ipynb":
        return _read_notebook(path, data)
    try:
        text = _decoded(data)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name}: is not UTF-8 text") from error
    compiled(text, path.name)
    return Source(path, text)


def _decoded(data: bytes) -> str:
    """Decode Python code. A line `# coding:` is respected."""
    import io
    import tokenize

    encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def compiled(text: str, name: str) -> ast.Module:
    """Parse Python code. Raises: SyntaxError, also for what the parser refuses in other ways."""
    try:
        return ast.parse(text, name)
    except (ValueError, RecursionError, MemoryError) as error:
        raise SyntaxError(f"{name}: {error or type(error).__name__}") from error


def _read_notebook(path: Path, data: bytes) -> Source:
    try:
        cells = json.loads(data)["cells"]
        codes = [_text(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path.name}: is not a notebook") from error
    lines: list[str] = []
    problems = []
    for number, code in enumerate(codes, start=1):
        plain = ["" if MAGIC.match(line) else line for line in code.splitlines()]
        try:
            compiled("\n".join(plain), path.name)
        except SyntaxError as error:
            problems.append(f"{path.name}, code cell {number}, line {error.lineno}: {error.msg}")
            plain = [""] * len(plain)
        lines += plain
    return Source(path, "\n".join(lines) + "\n", tuple(problems))


def _text(source: object) -> str:
    return "".join(map(str, source)) if isinstance(source, list) else str(source)


def find_function(sources: Iterable[Source], name: str) -> FoundFunction | None:
    """Return a function and what it needs. Of several with this name, the last one counts, as in Python.

    Args:
        sources: the files of a student, in order.
    """
    found = None
    for source in sources:
        tree = compiled(source.text, source.path.name)
        if any(name in _bound_names(node) for node in tree.body):
            found = FoundFunction(source.path, _only(source.text, _needed(tree, name)), source.problems)
    return found


def _needed(tree: ast.Module, name: str) -> list[ast.stmt]:
    """Return the top-level statements that a name needs: those that bind it, and those that bind the names in them."""
    needed: set[int] = set()
    waiting, seen = [name], {name}
    while waiting:
        wanted = waiting.pop()
        for number, node in enumerate(tree.body):
            if number not in needed and wanted in _bound_names(node):
                needed.add(number)
                used = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
                waiting += used - seen
                seen |= used
    return [node for number, node in enumerate(tree.body) if number in needed or _is_future(node)]


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _bound_names(node: ast.stmt) -> set[str]:
    """Return the names that a top-level statement defines: functions, classes, imports and assignments."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign | ast.AugAssign):
        targets = [node.target]
    elif isinstance(node, ast.If | ast.Try | ast.With):
        return {name for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt) for name in _bound_names(child)}
    return {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}


def _only(text: str, nodes: Iterable[ast.stmt]) -> str:
    """Return the text with all lines empty but those of some statements, so that line numbers stay as they are."""
    lines = text.split("\n")
    kept = [""] * len(lines)
    for node in nodes:
        first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
        for number in range(first - 1, node.end_lineno or node.lineno):
            kept[number] = lines[number]
    return "\n".join(kept)
