"""Worked examples: an equation on a small input, with every intermediate value.

The values are computed, not typed in. The code of the equation runs on the input of its doctest, or on a reader's own numbers.
A transformation of its syntax tree records the value of every expression, also in the functions of this package that it calls.
"""

import ast
import doctest
import inspect
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minibert import equations
from minibert.study.equations.arguments import check_shapes, read_arguments
from minibert.study.equations.registry import Equation

RECORDED_NODES = (ast.BinOp, ast.UnaryOp, ast.Call)
"""Kinds of expressions whose value is recorded."""
RECORDER = "_recorded"
"""Name of the function that the transformed code calls with every value."""


@dataclass(frozen=True)
class Computed:
    """A value, and the expression or statement that computes it."""

    code: str
    value: Tensor | float
    part: str = ""
    """The part of the value, if the code computes several: a variable, or an index such as [0]."""
    function: str = ""
    """The function that contains the code, if it is not the equation itself."""

    @property
    def numbers(self) -> str:
        """The value as text: tensors with four decimals, one line per row."""
        if not isinstance(self.value, Tensor):
            return str(self.value) if isinstance(self.value, int) or self.value.is_integer() else f"{self.value:.6g}"
        return np.array2string(self.value.detach().numpy(), precision=4, suppress_small=True, separator=" ")

    @property
    def shape(self) -> str:
        """The shape of a tensor as text, such as (2, 3); empty for a number."""
        return str(tuple(self.value.shape)) if isinstance(self.value, Tensor) else ""


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
    differences: list[str]
    """Results that are not those of the docstring, as after a change of the code."""


def run_example(equation: Equation) -> WorkedExample:
    """Run the doctest of an equation, record every value that the equation computes, and compare the results."""
    calls: list[Call] = []
    function = inspect.unwrap(getattr(equations, equation.name))

    def call(*args: Any, **kwargs: Any) -> Any:
        bound = inspect.signature(function).bind(*args, **kwargs)
        bound.apply_defaults()
        return _record_call(function, bound.arguments, calls)

    scope = {**vars(sys.modules[function.__module__]), equation.name: call, "torch": torch}
    test = doctest.DocTestParser().get_doctest(inspect.getdoc(function) or "", scope, equation.name, None, None)
    comparison = _Comparison()
    comparison.run(test, out=lambda text: None)
    return WorkedExample(equation.example, calls, comparison.differences)


def run_with(equation: Equation, given: Mapping[str, str]) -> WorkedExample:
    """Compute an equation with the reader's own arguments; the others are those of its example.

    Raises: ValueError for arguments that cannot be read, that do not fit each other, or that the equation refuses.
    """
    function = inspect.unwrap(getattr(equations, equation.name))
    own = read_arguments(function, given)
    arguments = {**_example_arguments(equation, function), **own}
    check_shapes(function, arguments)
    calls: list[Call] = []
    try:
        _record_call(function, arguments, calls)
    except Exception as error:  # numbers that nobody thought of can raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{equation.name} cannot be computed with these arguments: {reason[:300]}") from error
    return WorkedExample(f"{equation.name}({', '.join(f'{name}={text}' for name, text in given.items())})", calls, [])


def _example_arguments(equation: Equation, function: Callable[..., Any]) -> dict[str, Any]:
    """Return the arguments of the last call in the docstring's example, with defaults."""
    found: dict[str, Any] = {}

    def call(*args: Any, **kwargs: Any) -> Any:
        bound = inspect.signature(function).bind(*args, **kwargs)
        bound.apply_defaults()
        found.update(bound.arguments)
        return function(*args, **kwargs)

    exec(equation.example, {**vars(sys.modules[function.__module__]), equation.name: call, "torch": torch})
    return found


def _record_call(function: Callable[..., Any], arguments: Mapping[str, Any], calls: list[Call]) -> Any:
    steps: list[Computed] = []
    calls.append(Call(_computed(arguments), steps))
    return trace(function, steps.append)(**arguments)


class _Comparison(doctest.DocTestRunner):
    """Run a doctest, and describe the results that differ from the expected ones."""

    def __init__(self) -> None:
        super().__init__(verbose=False)
        self.differences: list[str] = []

    def report_failure(self, out: Any, test: doctest.DocTest, example: doctest.Example, got: str) -> None:
        self.differences.append(f"{example.source.strip()}: expected {example.want.strip()}, got {got.strip() or 'nothing'}")

    def report_unexpected_exception(self, out: Any, test: doctest.DocTest, example: doctest.Example, exc_info: Any) -> None:
        kind, error, _ = exc_info
        self.differences.append(f"{example.source.strip()}: {kind.__name__}: {error}")


def trace(function: Callable[..., Any], on_value: Callable[[Computed], None], inside: str = "") -> Callable[..., Any]:
    """Return a copy of a function that calls `on_value` for every number or tensor that it computes.

    Inner expressions are reported before the expressions that contain them, and functions of the equations before their call.
    """
    function = inspect.unwrap(function)
    source = textwrap.dedent(inspect.getsource(function))
    tree = _RecordValues(source).visit(ast.parse(source))
    definition = tree.body[0]
    definition.decorator_list = []
    definition.returns = None
    for argument in (*definition.args.posonlyargs, *definition.args.args, *definition.args.kwonlyargs):
        argument.annotation = None

    def recorded(code: str, value: Any, names: tuple[str, ...] = ()) -> Any:
        for computed in _computed({code: value}, names, inside):
            on_value(computed)
        return value

    scope = {**vars(sys.modules[function.__module__]), RECORDER: recorded}
    scope |= {name: _traced(inner, on_value) for name, inner in inner_functions(function).items()}
    exec(compile(ast.fix_missing_locations(tree), inspect.getfile(function), "exec"), scope)
    traced: Callable[..., Any] = scope[function.__name__]
    return traced


def _traced(function: Callable[..., Any], on_value: Callable[[Computed], None]) -> Callable[..., Any]:
    return lambda *args, **kwargs: trace(function, on_value, function.__name__)(*args, **kwargs)


def inner_functions(function: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """Return the functions of the equations that a function calls, in the order of its code, except mere checks."""
    scope = vars(sys.modules[function.__module__])
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    names = [node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    found = {name: inspect.unwrap(scope[name]) for name in names if inspect.isfunction(scope.get(name))}
    return {
        name: inner
        for name, inner in found.items()
        if inner.__module__.startswith(equations.__name__) and inner.__annotations__.get("return") is not None
    }


def called_functions(function: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """Return the inner functions of a function, and theirs."""
    found = inner_functions(function)
    for inner in list(found.values()):
        found |= called_functions(inner)
    return found


class _RecordValues(ast.NodeTransformer):
    """Wrap every expression in a call that records its value. Assignments and returns are recorded as whole statements."""

    def __init__(self, source: str) -> None:
        self.source = source

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        return self._visit_statement(node, node.targets[0])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        return self._visit_statement(node, node.target)

    def visit_Return(self, node: ast.Return) -> ast.AST:
        return self._visit_statement(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> list[ast.AST]:
        code = self._code(node)
        node.value = self._inside(node.value)
        target = ast.parse(self._code(node.target), mode="eval").body
        return [node, ast.Expr(self._recorded(code, target))]

    def generic_visit(self, node: ast.AST) -> ast.AST:
        code = self._code(node)
        node = super().generic_visit(node)
        return self._recorded(code, node) if isinstance(node, RECORDED_NODES) and not _is_trivial(node) else node

    def _visit_statement(self, node: ast.Assign | ast.AnnAssign | ast.Return, target: ast.expr | None = None) -> ast.AST:
        if node.value is None:
            return node
        code = self._code(node)
        if isinstance(node.value, ast.Tuple):
            node.value.elts = [self._inside(part) for part in node.value.elts]
        names = [self._code(part) for part in target.elts] if isinstance(target, ast.Tuple) else []
        node.value = self._recorded(code, self._inside(node.value), names)
        return node

    def _inside(self, node: ast.expr) -> ast.expr:
        """Record the parts of an expression, and not the expression, whose value the statement shows."""
        if not isinstance(node, ast.Tuple):
            super().generic_visit(node)
        return node

    def _code(self, node: ast.AST) -> str:
        """Return the code as it is written, without the indentation of its first line."""
        segment = ast.get_source_segment(self.source, node) or ""
        return textwrap.dedent(" " * getattr(node, "col_offset", 0) + segment)

    def _recorded(self, code: str, value: ast.expr, names: list[str] | None = None) -> ast.Call:
        given = [ast.Tuple([ast.Constant(name) for name in names], ast.Load())] if names else []
        return ast.Call(ast.Name(RECORDER, ast.Load()), [ast.Constant(code), value, *given], [])


def _is_trivial(node: ast.expr) -> bool:
    """Check for expressions that are not worth showing: a signed constant, and `observe`, which is the identity."""
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.operand, ast.Constant | ast.Attribute)
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "observe"


def _computed(named: Mapping[str, Any], names: tuple[str, ...] = (), inside: str = "") -> list[Computed]:
    """Return the numbers and tensors among named values, and those inside tuples and lists."""
    return [
        Computed(code, number, part, inside) for code, value in named.items() for part, number in _numeric_parts(value, names)
    ]


def _numeric_parts(value: Any, names: tuple[str, ...] = (), path: str = "") -> list[tuple[str, Tensor | float]]:
    if isinstance(value, Tensor) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return [(path, value)]
    if not isinstance(value, tuple | list):
        return []
    parts = names if len(names) == len(value) else [f"[{index}]" for index in range(len(value))]
    return [found for part, item in zip(parts, value, strict=True) for found in _numeric_parts(item, (), path + part)]
