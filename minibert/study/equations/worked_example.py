"""Worked examples: an equation on a small input, with every intermediate value.

The values are computed, not typed in. The code of the equation runs on the input of its doctest, and a transformation of
its syntax tree records the value of every expression.
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

RECORDED_NODES = (ast.BinOp, ast.UnaryOp, ast.Call)
"""Kinds of expressions whose value is recorded."""
RECORDER = "_recorded"
"""Name of the function that the transformed code calls with every value."""


@dataclass(frozen=True)
class Computed:
    """An expression and its value."""

    code: str
    value: Tensor | float

    @property
    def numbers(self) -> str:
        """The value as text: tensors with four decimals, one line per row."""
        if not isinstance(self.value, Tensor):
            return str(self.value) if self.value == round(self.value) else f"{self.value:.6g}"
        return np.array2string(self.value.detach().numpy(), precision=4, suppress_small=True, separator=" ")


@dataclass(frozen=True)
class Call:
    """One call of an equation: its arguments, with defaults, and every computed value in order of computation."""

    inputs: list[Computed]
    steps: list[Computed]


@dataclass(frozen=True)
class WorkedExample:
    """The code of the example, and every call of the equation in it."""

    example: str
    calls: list[Call]


def run_example(equation: Equation) -> WorkedExample:
    """Run the doctest of an equation and record every value that the equation computes."""
    calls: list[Call] = []
    function = inspect.unwrap(getattr(equations, equation.name))
    traced = trace(function, lambda code, value: calls[-1].steps.append(Computed(code, value)))

    def call(*args: Any, **kwargs: Any) -> Any:
        bound = inspect.signature(function).bind(*args, **kwargs)
        bound.apply_defaults()
        calls.append(Call([Computed(name, value) for name, value in _numeric_values(bound.arguments)], []))
        return traced(*args, **kwargs)

    scope = {**vars(sys.modules[function.__module__]), equation.name: call, "torch": torch}
    exec(equation.example, scope)
    return WorkedExample(equation.example, calls)


def trace(function: Callable[..., Any], on_value: Callable[[str, Any], None]) -> Callable[..., Any]:
    """Return a copy of a function that calls `on_value(code, value)` for every number or tensor that it computes.

    Inner expressions are reported before the expressions that contain them.
    """
    source = textwrap.dedent(inspect.getsource(function))
    tree = _RecordValues(source).visit(ast.parse(source))
    definition = tree.body[0]
    definition.decorator_list = []
    definition.returns = None
    for argument in (*definition.args.posonlyargs, *definition.args.args, *definition.args.kwonlyargs):
        argument.annotation = None

    def recorded(code: str, value: Any) -> Any:
        for name, number in _numeric_values({code: value}):
            on_value(name, number)
        return value

    scope = {**vars(sys.modules[function.__module__]), RECORDER: recorded}
    exec(compile(ast.fix_missing_locations(tree), inspect.getfile(function), "exec"), scope)
    traced: Callable[..., Any] = scope[function.__name__]
    return traced


class _RecordValues(ast.NodeTransformer):
    """Wrap every expression in a call that records its value. Assignments and returns are recorded as whole statements."""

    def __init__(self, source: str) -> None:
        self.source = source

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        return self._visit_statement(node)

    def visit_Return(self, node: ast.Return) -> ast.AST:
        return self._visit_statement(node)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        code = self._code(node)
        node = super().generic_visit(node)
        return self._recorded(code, node) if isinstance(node, RECORDED_NODES) and not _is_trivial(node) else node

    def _visit_statement(self, node: ast.Assign | ast.Return) -> ast.AST:
        if node.value is None:
            return node
        if isinstance(node.value, ast.Tuple):  # several results are recorded one by one
            node.value.elts = [self._recorded(f"return {self._code(part)}", self.visit(part)) for part in node.value.elts]
            return node
        inner = node.value
        for part, value in ast.iter_fields(inner):
            if isinstance(value, ast.AST):
                setattr(inner, part, self.visit(value))
            elif isinstance(value, list):
                setattr(inner, part, [self.visit(item) for item in value])
        node.value = self._recorded(self._code(node), inner)
        return node

    def _code(self, node: ast.AST) -> str:
        return " ".join((ast.get_source_segment(self.source, node) or "").split())

    def _recorded(self, code: str, value: ast.expr) -> ast.Call:
        return ast.Call(ast.Name(RECORDER, ast.Load()), [ast.Constant(code), value], [])


def _is_trivial(node: ast.expr) -> bool:
    """Check for expressions that are not worth showing: a signed constant, and `observe`, which is the identity."""
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.operand, ast.Constant | ast.Attribute)
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "observe"


def _numeric_values(named: dict[str, Any]) -> list[tuple[str, Tensor | float]]:
    """Return the numbers and tensors among named values, and those inside tuples and lists, with their names."""
    values: list[tuple[str, Tensor | float]] = []
    for name, value in named.items():
        if isinstance(value, Tensor) or (isinstance(value, int | float) and not isinstance(value, bool)):
            values.append((name, value))
        elif isinstance(value, tuple | list):
            values += _numeric_values({f"{name}[{index}]": item for index, item in enumerate(value)})
    return values
