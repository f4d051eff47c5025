"""The rules for other numbers: constants, default values, and the bounds of ranges, slices and comparisons."""

import ast
from collections.abc import Iterator

from minibert.classroom import edit_wording as wording
from minibert.classroom.syntax import Change, Function, code_of

AXES = (-1, -2, -3, 0, 1)
SMALL = (0.0, 1e-5, 1e-6, 1e-8, 1e-9, 1e-12)
"""Values of eps in use."""


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
