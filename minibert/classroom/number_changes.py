"""The rules for other numbers: constants, default values, and the bounds of ranges, slices and comparisons."""

import ast
from collections.abc import Iterator

from minibert.classroom import edit_wording as wording
from minibert.classroom.syntax import Change, Function, code_of

AXES = (-1, -2, -3, 0, 1)
SMALL = (0.0, 1e-5, 1e-6, 1e-8, 1e-9, 1e-12)
"""Values of eps in use."""
ADDED = ("+ 1", "- 1", "+ 1e-3", "+ 1e-5", "+ 1e-6", "+ 1e-8")
"""Numbers that are added to denominators."""
NONLINEAR = {"exp", "log", "sqrt", "rsqrt", "sin", "cos", "tanh", "erf", "sigmoid", "logsigmoid", "softmax", "log_softmax"}
"""Functions for which a factor of the argument is no factor of the result."""


def other_constant(node: ast.AST, function: Function) -> Iterator[Change]:
    if isinstance(node, ast.keyword):
        for value, new, _ in other_constant(node.value, function):
            yield value, new, wording.other_keyword(node.arg or "", new.strip("()"), ast.unparse(node.value))
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute) and node.value.attr == "shape":
        for value, new, _ in other_constant(node.slice, function):
            yield value, new, wording.other_size(new, ast.unparse(node.slice))
    match node:
        case ast.Constant(constant):
            others = _other_numbers(constant)
        case ast.UnaryOp(ast.USub(), ast.Constant(int(constant) | float(constant))):
            others = _other_numbers(-constant)
        case ast.UnaryOp(ast.USub(), ast.Attribute(_, "inf")):
            others = [0.0, -1.0, 1.0, 1e-9]
        case _:
            return
    for other in others:
        code = repr(other) if isinstance(other, bool) or other >= 0 else f"({other})"
        yield node, code, wording.other_number(repr(other), ast.unparse(node))


def other_bound(node: ast.AST, function: Function) -> Iterator[Change]:
    """Yield other bounds of ranges, slices and comparisons: one more or less, one left out, or one where there was none."""
    bounds: list[ast.expr | None] = []
    match node:
        case ast.Call(ast.Name("range" | "slice") | ast.Attribute(_, "arange"), arguments):
            bounds = [*arguments]
        case ast.Slice(lower, upper, step):
            bounds = [lower, upper]
            for start, stop in ((None, upper), (lower, None)):
                yield node, ast.unparse(ast.Slice(start, stop, step)) or ":", wording.BOUND_LEFT_OUT
            if lower is None:
                yield node, ast.unparse(ast.Slice(ast.Constant(1), upper, step)), wording.FIRST_LEFT_OUT
            if upper is None:
                yield node, ast.unparse(ast.Slice(lower, ast.Constant(-1), step)), wording.LAST_LEFT_OUT
        case ast.Compare(_, [ast.Lt() | ast.LtE() | ast.Gt() | ast.GtE()], [right]):
            bounds = [right]
    for bound in bounds:
        if bound is not None and not _is_number(bound):
            yield bound, f"{code_of(bound)} - 1", wording.OFF_BY_ONE
            yield bound, f"{code_of(bound)} + 1", wording.OFF_BY_ONE
    match node:
        case ast.Call(ast.Name("range") | ast.Attribute(_, "arange") as called, [stop], keywords):
            from_one = ast.Call(called, [ast.Constant(1), stop], keywords)
            yield node, ast.unparse(from_one), wording.FIRST_LEFT_OUT
        case ast.Call(ast.Name("range") | ast.Attribute(_, "arange"), [_, stop, step]):
            yield stop, f"{code_of(stop)} - {code_of(step)}", wording.LAST_LEFT_OUT


def other_defaults(function: Function) -> Iterator[Change]:
    """Yield other numbers for the default values of parameters."""
    arguments = function.definition.args
    positional = zip(reversed(arguments.args), reversed(arguments.defaults), strict=False)
    for parameter, default in (*positional, *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)):
        if default is not None:
            for value, new, _ in other_constant(default, function):
                yield value, new, wording.other_default(parameter.arg, new.strip("()"), ast.unparse(default))


def other_size_of_number(node: ast.AST, function: Function) -> Iterator[Change]:
    """Yield a number in a formula halved, squared, or as its reciprocal, or its square root."""
    operands: list[ast.expr] = [node.left, node.right] if isinstance(node, ast.BinOp) else []
    for operand in operands:
        code = ast.unparse(operand)
        is_number = isinstance(operand, ast.Constant) and operand.value not in (0, 1)
        for other in (f"{code} / 2", f"2 * {code}", f"1 / {code}", f"{code} ** 2", f"{code} ** 0.5"):
            if is_number or code == "math.pi":
                yield operand, f"({other})", wording.other_size_of_number(other, code)


def other_term(node: ast.AST, function: Function) -> Iterator[Change]:
    """Yield an operand with something more.

    It is a square or a root of a factor, a factor or a sign in the argument of a function, or an added number: in a
    denominator, or under a root or logarithm.
    """
    added_to: list[ast.expr] = []
    match node:
        case ast.BinOp(left, ast.Mult() | ast.Div() as op, right):
            for factor in (left, right):
                if not _is_number(factor):
                    yield factor, f"({code_of(factor)} ** 2)", wording.SQUARED
                    yield factor, f"({code_of(factor)} ** 0.5)", wording.ROOT
            added_to = [right] if isinstance(op, ast.Div) else []
        case ast.Call() if (subject := function.subject(node)) is not None and not _is_number(subject):
            code, called = code_of(subject), ast.unparse(node.func).rpartition(".")[2]
            for other in (f"(2 * {code})", f"({code} / 2)", f"(-{code})") if called in NONLINEAR else ():
                yield subject, other, wording.SCALED
            added_to = [subject] if called in ("sqrt", "rsqrt", "log") else []
    for term in added_to:
        for number in ADDED:
            yield term, f"({code_of(term)} {number})", wording.added(number)


def _is_number(node: ast.expr) -> bool:
    return isinstance(node.operand if isinstance(node, ast.UnaryOp) else node, ast.Constant)


def _other_numbers(value: object) -> list[int | float]:
    """Return numbers that may be written instead of one, such as another axis, one more or less, or another eps."""
    others: list[int | float] = []
    if isinstance(value, bool):
        others = [not value]
    elif isinstance(value, int):
        others = [*AXES, value + 1, value - 1, 2 * value, -value]
    elif isinstance(value, float):
        others = [*SMALL, 1.0, 2 * value, value / 2, -value, 10 * value, value / 10]
    return [other for other in dict.fromkeys(others) if other != value]
