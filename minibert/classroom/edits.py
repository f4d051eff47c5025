"""Small edits of a correct function, made from its syntax tree: what a learner may have written instead.

The catalogue describes the mistakes that are known. These edits cover the others: a term left out, another operator, another
axis, another constant, two names exchanged, two operations in the other order.
"""

import ast
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from itertools import combinations, pairwise
from typing import Any

from minibert.classroom.changes import changes_in
from minibert.classroom.edit_wording import LONGEST_QUOTE, Wording, names_exchanged
from minibert.classroom.mistakes import Mistake
from minibert.classroom.mistakes.variants import source_of
from minibert.classroom.syntax import Function

CHECKS = ("check_", "_check_")
"""Beginnings of the names of functions that raise an error for wrong arguments."""


def edits_of(
    function: Callable[..., Any], caller: Callable[..., Any] | None = None, source: str | None = None
) -> Iterator[Mistake]:
    """Yield all small edits of a function.

    Args:
        caller: the function of the exercise, if it calls `function`.
        source: an edited source of the function, which is edited again. The default is the source of the function.
    """
    function = inspect.unwrap(function)
    is_part = caller is not None and inspect.unwrap(caller) is not function
    source = source or _plain(function)
    tree = ast.parse(source)
    sources = {source}
    for edited, words in _edited_sources(tree, source):
        if edited not in sources:
            sources.add(edited)
            words = words.inside(function.__name__) if is_part else words
            edits = ((source_of(function), edited),)
            yield Mistake(words.title, function, edits, words.message, "", "", message=words.message)


def _edited_sources(tree: ast.Module, source: str) -> Iterator[tuple[str, Wording]]:
    """Yield the edited sources, and the edit in words."""
    function = Function(tree)
    for first, second in (*combinations(function.parameters, 2), *combinations(function.submodules, 2)):
        if exchanged := _exchanged(tree, first, second):
            yield exchanged, names_exchanged(first, second)
    for one, other in combinations(_numbers_in(tree), 2):
        yield _with_numbers_exchanged(tree, one, other), names_exchanged(str(one), str(other))
    groups: dict[Wording, dict[tuple[int, int, str], str]] = defaultdict(dict)
    seen: set[tuple[tuple[int, int], str]] = set()
    for node, new, words in changes_in(tree):
        place = _span(node, source)
        old, changed = _quotes(node, new, tree, source)
        if (old or not words.is_template) and (place, changed or new) not in seen:
            seen.add((place, changed or new))
            groups[words.filled(old, changed)].setdefault((*place, new), old)
    for words, changes in groups.items():
        if edited := _applied(source, [*changes]):
            yield edited, words
        if len(changes) > 1:
            for change, old in changes.items():
                if edited := _applied(source, [change]):
                    yield edited, words.at(old)


@cache
def _plain(function: Callable[..., Any]) -> str:
    """Return the source of a function without docstring, comments, annotations and observed names."""
    tree = ast.parse(source_of(function))
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef)
    if ast.get_docstring(definition) is not None:
        del definition.body[0]
    definition.returns = None
    arguments = definition.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
        if argument is not None:
            argument.annotation = None
    simplified = _Simplified().visit(tree)
    for node in ast.walk(simplified):
        if isinstance(node, ast.FunctionDef | ast.If | ast.For | ast.With) and not node.body:
            node.body = [ast.Pass()]
    return ast.unparse(ast.fix_missing_locations(simplified))


class _Simplified(ast.NodeTransformer):
    """Removes `observe` and checks of arguments, and limits the rounds of `while` loops, which an edit could make endless."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        self.generic_visit(node)
        checks = not node.body or isinstance(node.body[-1], ast.Raise)
        return None if checks and not node.orelse else node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        self.generic_visit(node)
        checks = isinstance(node.value, ast.Call) and ast.unparse(node.value.func).startswith(CHECKS)
        return None if checks else node

    def visit_While(self, node: ast.While) -> ast.AST:
        self.generic_visit(node)
        rounds, stop = ast.parse("for _ in range(1000): pass").body[0], ast.parse("if not x: break").body[0]
        assert isinstance(rounds, ast.For)
        assert isinstance(stop, ast.If)
        stop.test = ast.UnaryOp(ast.Not(), node.test)
        rounds.body = [stop, *node.body]
        return rounds

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        return node.args[1] if isinstance(node.func, ast.Name) and node.func.id == "observe" else node


def _exchanged(tree: ast.Module, first: str, second: str) -> str | None:
    """Return the source with two names exchanged in the body of the function, such as `a` and `b`, or `self.a` and `self.b`."""
    names = {first: second, second: first}

    class Exchange(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.AST:
            return ast.copy_location(ast.Name(names.get(node.id, node.id), node.ctx), node)

        def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
            code = ast.unparse(node)
            return ast.parse(names[code], mode="eval").body if code in names else self.generic_visit(node)

    used = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Name | ast.Attribute)}
    if not {first, second} <= used:
        return None
    copied = ast.parse(ast.unparse(tree))
    definition = copied.body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.body = [Exchange().visit(statement) for statement in definition.body]
    return ast.unparse(copied)


def _numbers_in(tree: ast.Module) -> list[int | float]:
    """Return the different numbers in a module."""
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    numbers = (value for value in constants if isinstance(value, int | float) and not isinstance(value, bool))
    return list(dict.fromkeys(numbers))


def _with_numbers_exchanged(tree: ast.Module, one: float, other: float) -> str:
    """Return the source with two numbers exchanged, such as (6 + x) / 5 for (5 + x) / 6."""
    numbers = {one: other, other: one}
    copied = ast.parse(ast.unparse(tree))
    for node in ast.walk(copied):
        match node:
            case ast.Constant(int(value) | float(value)) if not isinstance(value, bool):
                node.value = numbers.get(value, value)
    return ast.unparse(copied)


def _span(node: ast.AST, source: str) -> tuple[int, int]:
    """Return the positions of the first character of a node, and of the one behind the last."""
    lines = source.splitlines(keepends=True)
    ends = [(node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)]  # type: ignore[attr-defined]
    start, end = (sum(map(len, lines[: row - 1])) + len(lines[row - 1].encode()[:column].decode()) for row, column in ends)
    return start, end


def _applied(source: str, changes: list[tuple[int, int, str]]) -> str | None:
    """Return the source with the changes, or None if they overlap, do not compile, or change nothing."""
    before = source
    changes = sorted(changes)
    if any(one[1] > other[0] for one, other in pairwise(changes)):
        return None
    for start, end, new in reversed(changes):
        source = source[:start] + new + source[end:]
    try:
        ast.parse(source)
    except SyntaxError:
        return None
    return source if source != before else None


def _quotes(node: ast.AST, new: str, tree: ast.Module, source: str) -> tuple[str, str]:
    """Return the old and the new code, or twice nothing. A short piece is quoted with the expression around it."""
    quotes = ("", "")
    for around in _expressions_around(node, tree):
        start, end = _span(node, source)
        first, last = _span(around, source)
        wider = _quote(source[first:last]), _quote(source[first:start] + new + source[end:last])
        if quotes[0] and max(map(len, wider)) > LONGEST_QUOTE:
            break
        quotes = wider
        if quotes[0] and not isinstance(around, ast.Constant | ast.Name | ast.UnaryOp | ast.Attribute):
            break
    old, changed = quotes
    return quotes if old and changed and old != changed else ("", "")


def _expressions_around(node: ast.AST, tree: ast.Module) -> list[ast.expr]:
    """Return a node and the expressions that contain it, from the smallest."""
    start, end = _position(node)
    around = [each for each in ast.walk(tree) if isinstance(each, ast.expr) and _position(each)[0] <= start]
    return sorted((each for each in around if _position(each)[1] >= end), key=lambda each: len(ast.unparse(each)))


def _position(node: ast.AST) -> tuple[tuple[int, int], tuple[int, int]]:
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]


def _quote(code: str) -> str:
    """Return code in its normal form, or nothing if it is no expression."""
    try:
        return ast.unparse(ast.parse(code.strip(), mode="eval"))
    except SyntaxError:
        return ""
