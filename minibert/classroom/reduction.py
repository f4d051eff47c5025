"""Code of a function for learners: with constants in place of arguments and settings, and without what has no effect then.

Also left out are the names of steps (`observe`), checks of arguments, and conversions of half precision. The functions of the
same module that a function calls are reduced, too, and methods among them become functions.
"""

import ast
import copy
import inspect
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from minibert.classroom.signatures import definition

KNOWN = "known"
"""Kind of the constants that stand for an argument or a setting."""
TRANSPARENT = {"observe": 1, "at_least_float32": 0}
"""Functions that return one of their arguments, for numbers in single precision."""
PACKAGE = "minibert."


@dataclass
class Reduction:
    """Reduces a function and those that it calls."""

    kept: frozenset[Callable[..., Any]] = frozenset()
    """Functions that are called as they are."""
    module: nn.Module | None = None
    """An example of the argument `self` of methods."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Attributes of `module` that are constants."""
    transparent: Mapping[str, int] = field(default_factory=TRANSPARENT.copy)
    """Functions that return one of their arguments: the position of this argument."""
    functions: dict[str, str] = field(default_factory=dict)
    """The code of the functions by name. Each comes after those that it calls."""
    imported: set[Callable[..., Any]] = field(default_factory=set)
    """Functions of other modules that are the value of an argument or of a setting."""
    _names: dict[tuple[Callable[..., Any], str], str] = field(default_factory=dict)

    def add(self, function: Callable[..., Any], known: Mapping[str, Any], name: str = "") -> str:
        """Reduce a function, and return its name.

        Args:
            known: values of parameters. They are no longer parameters.
            name: its name. Default: its own, with a number if it is there already with other values.
        """
        key = function, repr(known)
        if key not in self._names:
            count = sum(other is function for other, _ in self._names)
            self._names[key] = name or f"{function.__name__}{f'_{count + 1}' if count else ''}"
            self.functions[self._names[key]] = _Reducer(function, known, self).text(self._names[key])
        return self._names[key]


class _Reducer(ast.NodeTransformer):
    """Reduces the statements of one function."""

    def __init__(self, function: Callable[..., Any], known: Mapping[str, Any], reduction: Reduction) -> None:
        self.source = re.sub(r"  # type: ignore.*", "", textwrap.dedent(inspect.getsource(function)))
        self.function, self.reduction = function, reduction
        self.scope = vars(sys.modules[function.__module__])
        tree = ast.parse(self.source).body[0]
        assert isinstance(tree, ast.FunctionDef)
        self.tree = tree
        self.stored = _stored(tree.body)
        self.known = {name: value for name, value in known.items() if not self.stored[name]}
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and _is_known(test := self.visit(copy.deepcopy(node.test))):
                self.stored -= _stored(node.orelse if _value(test) else node.body)

    def text(self, name: str) -> str:
        """Return the code of the reduced function. Statements that do not change keep their lines and comments."""
        signature = inspect.signature(self.function)
        parameters = {each: parameter for each, parameter in signature.parameters.items() if each not in self.known}
        lines = [f"@{code}" for code in map(ast.unparse, self.tree.decorator_list) if code.startswith("torch.")]
        lines.append(definition(name, parameters, signature.return_annotation))
        first = self.tree.body[0]
        end = first.lineno - 1 if ast.get_docstring(self.tree) is None else first.end_lineno
        header, written = len(lines), self.source.split("\n")
        for statement in self.tree.body:
            reduced = self._reduced(statement)
            if reduced == ast.unparse(statement):
                lines += written[end : statement.end_lineno]
            elif reduced:
                lines += [*written[end : statement.lineno - 1], textwrap.indent(reduced, "    ")]
            end = statement.end_lineno
        return "\n".join(lines if len(lines) > header else [*lines, "    pass"])

    def _reduced(self, statement: ast.stmt) -> str:
        result = self.visit(copy.deepcopy(statement))
        nodes = result if isinstance(result, list) else [result] if result else []
        return "\n".join(ast.unparse(_Printable(self.scope, self.reduction).visit(node)) for node in nodes)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return _known(self.known[node.id]) if node.id in self.known else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if ast.unparse(node.value) == "self" and node.attr in self.reduction.settings:
            return _known(self.reduction.settings[node.attr])
        self.generic_visit(node)
        return _known(getattr(_value(node.value), node.attr)) if _is_known(node.value) else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id in self.reduction.transparent:
            argument: ast.AST = self.visit(node.args[self.reduction.transparent[node.func.id]])
            return argument
        self.generic_visit(node)
        node.keywords = [each for each in node.keywords if not (_is_known(each.value) and _value(each.value) is None)]
        function = self._called(node.func)
        if function is None or any(isinstance(each, ast.Starred) for each in node.args):
            return node
        if _is_known(node.func) and _returns_its_argument(function):
            return node.args[0]
        if node.args and all(map(_is_known, node.args)) and not node.keywords:
            return _known(function(*map(_value, node.args)))
        is_method = isinstance(node.func, ast.Attribute)
        parameters = list(inspect.signature(function).parameters.values())[is_method:]
        if self._is_own(node.func, function):
            names = [each.name for each in parameters]
            given = [*zip(names, node.args, strict=False), *((str(each.arg), each.value) for each in node.keywords)]
            known = {name: _value(value) for name, value in given if _is_known(value)}
            node.func = ast.Name(self.reduction.add(function, known))
            node.args = [*([ast.Name("self")] if is_method else []), *(each for each in node.args if not _is_known(each))]
            node.keywords = [each for each in node.keywords if not _is_known(each.value)]
            return node
        while node.args and _is_known(last := node.args[-1]) and parameters[len(node.args) - 1].default == _value(last):
            node.args.pop()
        return node

    def _is_own(self, node: ast.expr, function: Callable[..., Any]) -> bool:
        """Return True for a function of the same module, and for a method of `self`, but not for a part of `self`."""
        is_part = isinstance(node, ast.Attribute) and isinstance(getattr(self.reduction.module, node.attr, None), nn.Module)
        return function.__module__ == self.function.__module__ and function not in self.reduction.kept and not is_part

    def _called(self, node: ast.expr) -> Callable[..., Any] | None:
        """Return the function that is called, or the method of `self`, or of a part of `self`; None if it is unknown."""
        found: Any = None
        if _is_known(node):
            found = _value(node)
        elif isinstance(node, ast.Name) and not self.stored[node.id]:
            found = self.scope.get(node.id)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self":
            found = getattr(self.reduction.module, node.attr, None)
            found = getattr(found, "forward", found)
        found = inspect.unwrap(getattr(found, "__func__", found))
        return found if inspect.isfunction(found) else None

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        parts = [node.left, *node.comparators]
        is_constant = all(isinstance(part, ast.Constant) for part in parts) and any(map(_is_known, parts))
        return _known(eval(ast.unparse(node))) if is_constant else node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        node.test = self.visit(node.test)
        if _is_known(node.test):
            taken: ast.AST = self.visit(node.body if _value(node.test) else node.orelse)
            return taken
        self.generic_visit(node)
        return max(node.body, node.orelse, key=_is_known) if ast.unparse(node.body) == ast.unparse(node.orelse) else node

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt] | None:
        node.test = self.visit(node.test)
        if _is_known(node.test):
            taken = ast.Module(node.body if _value(node.test) else node.orelse, [])
            self.generic_visit(taken)
            return taken.body
        self.generic_visit(node)
        only_raises = len(node.body) == 1 and isinstance(node.body[0], ast.Raise) and not node.orelse
        return None if only_raises else node

    def visit_For(self, node: ast.For) -> ast.AST | None:
        self.generic_visit(node)
        return node if node.body else None

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Remove a check of the arguments: a call of a function of the package whose result is not used."""
        function = node.value.func if isinstance(node.value, ast.Call) else None
        called = self._called(function) if isinstance(function, ast.Name) else None
        if called and called.__module__.startswith(PACKAGE):
            return None
        self.generic_visit(node)
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        """Remember known functions, and remove `x = x`."""
        self.generic_visit(node)
        target = node.targets[0]
        names = [each for each in ast.walk(target) if isinstance(each, ast.Name)]
        if _is_known(node.value) and all(self.stored[each.id] == 1 for each in names):
            values = _value(node.value) if isinstance(target, ast.Tuple) else [_value(node.value)]
            self.known.update(zip((each.id for each in names), values, strict=True))
            return None
        return None if ast.unparse(target) == ast.unparse(node.value) else node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        assigned: ast.AST | None = self.visit(ast.Assign([node.target], node.value, lineno=node.lineno)) if node.value else node
        return assigned


class _Printable(ast.NodeTransformer):
    """Replaces known values that have no notation by their names."""

    def __init__(self, scope: Mapping[str, Any], reduction: Reduction) -> None:
        self.scope, self.reduction = scope, reduction

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if node.kind != KNOWN:
            return node
        value: Any = node.value
        if isinstance(value, bool | int | float | str | None):
            return ast.Constant(value)
        if isinstance(value, tuple):
            return ast.parse(repr(value), mode="eval").body
        if callable(value):
            self.reduction.imported.add(value)
        return ast.Name(next((name for name, other in self.scope.items() if other is value), "") or value.__name__)


def _stored(body: list[ast.stmt]) -> Counter[str]:
    """Return how often statements give a value to each name."""
    nodes = [node for statement in body for node in ast.walk(statement)]
    found = Counter(node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load))
    found.update(node.arg for node in nodes if isinstance(node, ast.arg))
    return found


def _known(value: Any) -> ast.Constant:
    return ast.Constant(value, kind=KNOWN)


def _is_known(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.kind == KNOWN


def _value(node: ast.AST) -> Any:
    assert isinstance(node, ast.Constant)
    return node.value


def _returns_its_argument(function: Callable[..., Any]) -> bool:
    returned = re.search(r"\n    return (\w+)$", textwrap.dedent(inspect.getsource(function)).rstrip())
    return returned is not None and [returned[1]] == list(inspect.signature(function).parameters)
