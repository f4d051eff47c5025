"""LaTeX formulas of expressions: \\mathrm{d}A V^\\top for the product of a gradient and the values."""

import math
from collections.abc import Callable
from functools import partial
from types import EllipsisType
from typing import Any

from minibert.study.stepthrough.algebra import shape
from minibert.trace import Leaf, Operation

SUM, PRODUCT, ATOM = 0, 1, 2
"""Precedence of the outermost operation of a formula. A part with a lower precedence than the formula around it needs is put in
parentheses."""
EQUATIONS = {
    "softmax": r"\mathrm{softmax}",
    "merge_heads": r"\mathrm{Concat}",
    "split_heads": r"\mathrm{Split}",
    "rotary_positions": r"R_t^\top",
}
"""Equations that are written as a name and their argument. The derivative of a rotation is the rotation back."""
FUNCTIONS = {"erf": r"\mathrm{erf}", "tanh": r"\tanh", "log": r"\log", "sigmoid": r"\sigma", "sin": r"\sin", "cos": r"\cos"}
NUMBERS = {
    math.sqrt(2 * math.pi): r"\sqrt{2\pi}",
    math.sqrt(2 / math.pi): r"\sqrt{2/\pi}",
    2 / math.sqrt(math.pi): r"2/\sqrt{\pi}",
}
Symbols = Callable[[Leaf], str]


def latex(node: Any, symbol: Symbols) -> str:
    """Return the formula of an expression.

    Args:
        symbol: the name of a leaf in formulas.
    """
    return _written(node, symbol)[0]


def number(value: float) -> str:
    """Return a number as in a formula.

    >>> number(3.0), number(8**0.5), number(0.044715), number(1e-12)
    ('3', '\\\\sqrt{8}', '0.044715', '10^{-12}')
    """
    if value in NUMBERS:
        return NUMBERS[value]
    if value == int(value):
        return str(int(value))
    if value > 1 and math.isclose(value * value, round(value * value), rel_tol=1e-12):
        return rf"\sqrt{{{round(value * value)}}}"
    digits, _, exponent = f"{value:.6g}".partition("e")
    power = rf"10^{{{int(exponent)}}}" if exponent else ""
    return power if power and digits == "1" else rf"{digits} \cdot {power}" if power else digits


def _written(node: Any, symbol: Symbols) -> tuple[str, int]:
    if isinstance(node, Leaf):
        return (number(float(node.value)), ATOM) if not node.name and node.value.ndim == 0 else (symbol(node), ATOM)
    if not isinstance(node, Operation):
        return number(float(node)), SUM if node < 0 else ATOM
    if node.equation in EQUATIONS:
        return rf"{EQUATIONS[node.equation]}({latex(_argument(node), symbol)})", ATOM
    if node.name in FUNCTIONS:
        return rf"{FUNCTIONS[node.name]}({latex(node.arguments[0], symbol)})", ATOM
    parts = [argument for argument in node.arguments if isinstance(argument, Leaf | Operation | float | int)]
    part = partial(_part, parts, symbol)
    match node.name:
        case "add":
            return f"{part(0, SUM)} + {part(1, SUM)}", SUM
        case "sub":
            return f"{part(0, SUM)} - {part(1, PRODUCT)}", SUM
        case "neg":
            return f"-{part(0, PRODUCT)}", SUM
        case "mul":
            return _product(parts, part), PRODUCT
        case "div":
            return rf"\frac{{{part(0, SUM)}}}{{{part(1, SUM)}}}", ATOM
        case "matmul":
            return rf"{part(0, PRODUCT)}\,{part(1, PRODUCT)}", PRODUCT
        case "transpose":
            return (rf"{{{part(0, ATOM)}}}^\top", ATOM) if {*node.arguments[1:]} == {-1, -2} else _written(parts[0], symbol)
        case "exp":
            return f"e^{{{part(0, SUM)}}}", ATOM
        case "sqrt":
            return rf"\sqrt{{{part(0, SUM)}}}", ATOM
        case "square":
            return f"{{{part(0, ATOM)}}}^2", ATOM
        case "pow":
            return f"{{{part(0, ATOM)}}}^{{{part(1, SUM)}}}", ATOM
        case "sum":
            term = part(0, ATOM) if isinstance(parts[0], Leaf) else rf"\left({part(0, SUM)}\right)"
            return rf"\sum_{{{_index(node)}}} {{{term}}}_{{{_index(node)}}}", PRODUCT
        case "amax":
            return rf"\max({part(0, SUM)})", ATOM
        case "masked_fill":
            return rf"\mathrm{{mask}} \odot {part(0, PRODUCT)}", PRODUCT
        case "getitem" if not isinstance(node.arguments[1][0], int | slice | list | EllipsisType):
            return f"{{{part(0, ATOM)}}}_{{y}}", ATOM
        case "getitem" | "reshape" | "unsqueeze" | "stack":  # they only arrange the numbers
            return _written(parts[0], symbol)
    return rf"\mathrm{{{node.name}}}({', '.join(latex(each, symbol) for each in parts)})".replace("_", " "), ATOM


def _part(parts: list[Any], symbol: Symbols, place: int, strength: int) -> str:
    """Return a part of a formula, in parentheses if it does not hold together as strongly as needed."""
    text, own = _written(parts[place], symbol)
    return text if own >= strength else rf"\left({text}\right)"


def _product(parts: list[Any], part: Callable[[int, int], str]) -> str:
    ones = [
        place
        for place in (0, 1)
        if isinstance(parts[place], Leaf) and not parts[place].name and (parts[place].value == 1).all()
    ]
    if ones:
        return part(1 - ones[0], PRODUCT)
    scalar = [place for place in (0, 1) if not shape(parts[place])]
    if scalar:
        return rf"{part(scalar[0], PRODUCT)}\,{part(1 - scalar[0], PRODUCT)}"
    return rf"{part(0, PRODUCT)} \odot {part(1, PRODUCT)}"


def _index(node: Operation) -> str:
    """Return the letter of the index of a sum: j along a vector, t over tokens."""
    return "j" if node.options.get("dim") == -1 else "t"


def _argument(node: Operation) -> Any:
    """Return the argument of an equation: the first one of the operations that it ran."""
    found: Any = node
    while isinstance(found, Operation) and found.equation == node.equation:
        found = found.arguments[0]
    return found
