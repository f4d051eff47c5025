"""Parts that a reader can leave out of the formula of a step: a term, a factor, a function, all but a part.

The omissions are read from the expression of a step, so that every step has them, also one that no catalogue of mistakes
covers.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from minibert.study.equations.formulas import plain
from minibert.study.stepthrough.algebra import shape
from minibert.study.stepthrough.arithmetic import Cell, Index, UnknownOperation, cell
from minibert.study.stepthrough.latex import latex
from minibert.study.stepthrough.step import Step, layer_of
from minibert.study.stepthrough.symbols import in_layer, parameter_letters
from minibert.trace import Leaf, Node, Operation

LONGEST = 40
"""Most characters of a part of a formula in a message."""
NO_BIAS, SUM = "no bias", "sum"
"""Changes of an operation itself: a linear map without its bias, a sum instead of a mean."""
FUNCTIONS = {"exp": "the exponential", "sqrt": "the square root", "square": "the square", "masked_fill": "the mask"}
"""Operations in words. The others have their own name, such as tanh."""
REMOVABLE = {
    "add",
    "sub",
    "mul",
    "div",
    "neg",
    "pow",
    "masked_fill",
    "exp",
    "sqrt",
    "square",
    "tanh",
    "erf",
    "sigmoid",
    "relu",
    "log",
}
"""Operations that can be left out, so that one of their arguments remains."""


@dataclass(frozen=True)
class Omission:
    """A change of an expression, and what a reader who forgets it has done."""

    message: str
    place: tuple[int, ...]
    """The operation that changes: the number of an argument, then of one of its arguments, and so on."""
    kept: tuple[int, ...] | str
    """The part of it that remains, as in `place`, or a change of the operation itself."""


def omissions(step: Step, symbols: Mapping[str, str]) -> Iterator[Omission]:
    """Yield what a reader can leave out of the expression of a step.

    Args:
        symbols: see `symbols_of`.
    """
    if step.expression is None:
        return
    names, known = _Names(step, symbols), set[str]()
    counts = Counter(id(node) for node, _ in _places(step.expression, ()))
    for node, place in _places(step.expression, ()):
        repeated = any(counts[id(at(step.expression, place[:end]))] > 1 for end in range(len(place) + 1))
        found: list[Omission] = []
        if isinstance(node, Operation) and not repeated:
            found += [Omission(message, place, kept) for message, kept in _changes(node, names)]
        if len(place) > 1 and shape(node) == shape(step.expression) and (isinstance(node, Leaf) or not repeated):
            found.append(Omission(names.part(node), (), place))
        yield from (omission for omission in found if omission.message not in known and omission.message)
        known |= {omission.message for omission in found}


def symbols_of(steps: Sequence[Step]) -> dict[str, str]:
    """Return the symbols of all steps and parameters."""
    letters = {name: letter for name, letter in parameter_letters(steps).items() if letter}
    return {step.path: step.symbol for step in steps} | letters


def omitted_numbers(step: Step, symbols: Mapping[str, str], index: Index) -> Iterator[tuple[str, float]]:
    """Yield the message of each omission and the number that it gives at a cell."""
    for omission in omissions(step, symbols):
        try:
            yield omission.message, cell(changed(step.expression, omission), index).value
        except (UnknownOperation, IndexError):
            continue


def changed(node: Any, omission: Omission) -> Any:
    """Return an expression with an omission."""
    if omission.place:
        number = omission.place[0]
        inner = changed(node.arguments[number], replace(omission, place=omission.place[1:]))
        return replace(node, arguments=(*node.arguments[:number], inner, *node.arguments[number + 1 :]))
    if isinstance(omission.kept, tuple):
        return at(node, omission.kept)
    return replace(node, arguments=node.arguments[:2]) if omission.kept == NO_BIAS else replace(node, name=SUM)


def magnitude(part: Cell) -> float:
    """Return the Euclidean norm of the terms that a cell is a sum of. The rounding of each changes the cell."""
    match part.operation, part.parts:
        case "add" | "sub" | "sum" | "matmul" | "linear", parts:
            return math.hypot(*map(magnitude, parts))
        case "mul", (one, other):
            return magnitude(one) * magnitude(other)
        case "div", (one, other) if other.value != 0:
            return magnitude(one) / abs(other.value)
    return abs(part.value)


def at(node: Any, place: Sequence[int]) -> Any:
    """Return the part of an expression at a place."""
    for number in place:
        node = node.arguments[number]
    return node


def _places(node: Any, place: tuple[int, ...]) -> Iterator[tuple[Node, tuple[int, ...]]]:
    """Yield an expression and its parts, each with its place. A lookup of rows is one part."""
    if isinstance(node, Leaf | Operation):
        yield node, place
    if isinstance(node, Operation) and node.name != "embedding":
        for number, argument in enumerate(node.arguments):
            yield from _places(argument, (*place, number))


def _changes(node: Operation, names: "_Names") -> Iterator[tuple[str, tuple[int, ...] | str]]:
    if node.name == "linear" and len(node.arguments) > 2 and node.arguments[2] is not None:
        yield f"You left out + {names.of(node.arguments[2], 'the bias')}.", NO_BIAS
    if node.name == "mean":
        yield "You did not divide by the number of terms.", SUM
    if node.name not in REMOVABLE:
        return
    for kept, argument in enumerate(node.arguments[:2]):
        other = node.arguments[1 - kept] if len(node.arguments) > 1 else None
        if not isinstance(argument, Leaf | Operation) or shape(argument) != node.shape:
            continue
        match node.name, kept:
            case "add", _:
                yield f"You left out + {names.of(other, 'a term')}.", (kept,)
            case "sub", 0:
                yield f"You left out − {names.of(other, 'a term')}.", (kept,)
            case "mul", _:
                yield f"You left out the factor {names.of(other, '')}.".replace(" .", "."), (kept,)
            case "div", 0:
                yield f"You did not divide by {names.of(other, 'the denominator')}.", (kept,)
            case "neg", 0:
                yield "You left out the minus sign.", (kept,)
            case "pow", 0:
                yield "You left out the power.", (kept,)
            case name, 0:
                yield f"You left out {FUNCTIONS.get(name, name)}.", (kept,)


def _written_out(node: Any) -> Any:
    """Return an expression without the names of its equations: a part of a softmax is an exponential, not a softmax."""
    if not isinstance(node, Operation):
        return node
    return replace(node, call=None, arguments=tuple(map(_written_out, node.arguments)))


class _Names:
    """The names of the parts of a step's expression in messages."""

    def __init__(self, step: Step, symbols: Mapping[str, str]) -> None:
        self.step, self.symbols = step, symbols
        function = re.search(r"= \\(?:mathrm\{)?([A-Za-z]+)\}?\(", step.formula)
        self.function = function and function[1]

    def of(self, node: Any, otherwise: str) -> str:
        """Return a part as text, or `otherwise` if it has no symbol or is too long."""
        try:
            text = plain(latex(_written_out(node), self._symbol))
        except (ValueError, KeyError):
            return otherwise
        return text if len(text) <= LONGEST else otherwise

    def part(self, node: Node) -> str:
        """Return the message for a reader who typed the number of a part; empty if the part has no name."""
        name = self.of(node, "")
        if isinstance(node, Leaf) and self.function and name:
            return f"You left out {self.function}: this is the number of {name}."
        return name and f"This is only {name}, a part of the formula."

    def _symbol(self, leaf: Leaf) -> str:
        return in_layer(self.symbols[leaf.name], self.step.layer, layer_of(leaf.name) if leaf.kind == "step" else None)
