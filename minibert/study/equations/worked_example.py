"""A worked example: an equation computed on a tiny input, with every number that turns up on the way.

Nothing is typed in: the equation's own code runs, and each computation in it, down to the smallest, tells its value.
"""

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minibert import equations
from minibert.study.equations.registry import Equation

COMPUTATIONS = (ast.BinOp, ast.UnaryOp, ast.Call)


@dataclass(frozen=True)
class Computed:
    """One computation and what came out."""

    code: str
    value: Tensor | float

    @property
    def numbers(self) -> str:
        """The value to four places, a line for every row."""
        if not isinstance(self.value, Tensor):
            return str(self.value) if self.value == round(self.value) else f"{self.value:.6g}"
        return np.array2string(self.value.detach().numpy(), precision=4, suppress_small=True, separator=" ")


@dataclass(frozen=True)
class Call:
    """A call of an equation: what went in, defaults included, and every step to what came out."""

    inputs: list[Computed]
    steps: list[Computed]


@dataclass(frozen=True)
class WorkedExample:
    """The example, and every call of the equation in it."""

    example: str
    calls: list[Call]


def work(equation: Equation) -> WorkedExample:
    """Runs the example of the docstring and tells every step of the equation in it."""
    calls: list[Call] = []
    function = inspect.unwrap(getattr(equations, equation.name))
    traced = trace(function, lambda code, value: calls[-1].steps.append(Computed(code, value)))

    def call(*args: Any, **kwargs: Any) -> Any:
        bound = inspect.signature(function).bind(*args, **kwargs)
        bound.apply_defaults()
        calls.append(Call([Computed(name, value) for name, value in _numbers_in(bound.arguments)], []))
        return traced(*args, **kwargs)

    scope = {**vars(sys.modules[function.__module__]), equation.name: call, "torch": torch}
    exec(equation.example, scope)
    return WorkedExample(equation.example, calls)


def trace(function: Callable[..., Any], tell: Callable[[str, Any], None]) -> Callable[..., Any]:
    """The same function, which calls `tell(code, value)` for every number or tensor that it computes, inner ones first."""
    source = textwrap.dedent(inspect.getsource(function))
    tree = _Told(source).visit(ast.parse(source))
    definition = tree.body[0]
    definition.decorator_list = []
    definition.returns = None
    for argument in (*definition.args.posonlyargs, *definition.args.args, *definition.args.kwonlyargs):
        argument.annotation = None

    def told(code: str, value: Any) -> Any:
        for name, number in _numbers_in({code: value}):
            tell(name, number)
        return value

    scope = {**vars(sys.modules[function.__module__]), "_told": told}
    exec(compile(ast.fix_missing_locations(tree), inspect.getfile(function), "exec"), scope)
    traced: Callable[..., Any] = scope[function.__name__]
    return traced


class _Told(ast.NodeTransformer):
    """Puts every computation into a call that tells it; an assignment or a return is told as a whole."""

    def __init__(self, source: str) -> None:
        self.source = source

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        return self._whole(node)

    def visit_Return(self, node: ast.Return) -> ast.AST:
        return self._whole(node)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        code = self._code(node)
        node = super().generic_visit(node)
        return self._told(code, node) if isinstance(node, COMPUTATIONS) and not _says_nothing(node) else node

    def _whole(self, node: ast.Assign | ast.Return) -> ast.AST:
        if node.value is None:
            return node
        if isinstance(node.value, ast.Tuple):  # several results: each is told by itself
            node.value.elts = [self._told(f"return {self._code(part)}", self.visit(part)) for part in node.value.elts]
            return node
        inner = node.value
        for part, value in ast.iter_fields(inner):
            if isinstance(value, ast.AST):
                setattr(inner, part, self.visit(value))
            elif isinstance(value, list):
                setattr(inner, part, [self.visit(item) for item in value])
        node.value = self._told(self._code(node), inner)
        return node

    def _code(self, node: ast.AST) -> str:
        return " ".join((ast.get_source_segment(self.source, node) or "").split())

    def _told(self, code: str, value: ast.expr) -> ast.Call:
        return ast.Call(ast.Name("_told", ast.Load()), [ast.Constant(code), value], [])


def _says_nothing(node: ast.expr) -> bool:
    """The sign of a constant, and `observe`, which is the identity."""
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.operand, ast.Constant | ast.Attribute)
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "observe"


def _numbers_in(named: dict[str, Any]) -> list[tuple[str, Tensor | float]]:
    """What of it is a number or a tensor, those in tuples and lists too."""
    found: list[tuple[str, Tensor | float]] = []
    for name, value in named.items():
        if isinstance(value, Tensor) or (isinstance(value, int | float) and not isinstance(value, bool)):
            found.append((name, value))
        elif isinstance(value, tuple | list):
            found += _numbers_in({f"{name}[{place}]": item for place, item in enumerate(value)})
    return found
