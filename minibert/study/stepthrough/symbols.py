"""Names of steps, gradients and parameters in formulas."""

import re
from collections.abc import Mapping, Sequence

from minibert.study.stepthrough.step import Step
from minibert.trace import Leaf, operations

GRADIENT = "gradient."
"""Beginning of the path of a gradient. The path of the step or parameter whose gradient it is follows."""
D = r"\mathrm{d}"
"""Beginning of the symbol of a gradient: dA stands for the derivative of the loss with respect to each number of A."""
INPUT = "x"
"""The letter of a module's input in the formula of a docstring. A step has the symbol of its own input instead."""
INDEX = r"(?:_\{[^{}]*\}|_\w)?"
"""The index of a symbol, such as the Q of W_Q."""


def has_symbol(formula: str, symbol: str) -> bool:
    """Return True if a symbol is in a formula.

    >>> has_symbol(r"\\max y", "y"), has_symbol(r"\\max y", "x")
    (True, False)
    """
    return _pattern(re.escape(symbol)).search(formula) is not None


def with_input(formula: str, letter: str, symbol: str) -> str:
    """Return a formula with another symbol for an input.

    >>> with_input("Q = x W_Q", "x", "n"), with_input("m = x_i", "x", "r'")
    ('Q = n W_Q', "m = {r'}_i")
    """
    left, equals, right = formula.partition(" = ")
    written = symbol if len(symbol) == 1 else f"{{{symbol}}}"
    return left + equals + _pattern(re.escape(letter)).sub(lambda _: written, right)


def in_layer(symbol: str, own: int | None, other: int | None) -> str:
    """Return the symbol of a step of layer `other` in a formula of layer `own`: y^{(0)} for the y of layer 0.

    >>> in_layer("y", 1, 0), in_layer("y", 0, 0), in_layer("x", 0, None)
    ('y^{(0)}', 'y', 'x')
    """
    return symbol if other is None or other == own else f"{symbol}^{{({other})}}"


def _pattern(symbol: str) -> re.Pattern[str]:
    """Return the pattern of a symbol that is not a part of a word or of a command."""
    return re.compile(rf"(?<![\\A-Za-z]){symbol}(?![A-Za-z'])")


def leaf_symbol(leaf: Leaf, symbols: Mapping[str, str]) -> str:
    """Return the name of a step, a gradient, a parameter or a constant in formulas.

    Args:
        symbols: the names of steps and parameters.

    >>> leaf_symbol(Leaf("step", "gradient.layers.0.attention.scores", torch.zeros(2)), {"layers.0.attention.scores": "S"})
    '\\\\mathrm{d}S'
    """
    name = leaf.name.removeprefix(GRADIENT)
    if name in symbols:
        return symbols[name] if name == leaf.name else D + symbols[name]
    is_indicator = bool(((leaf.value == 0) | (leaf.value == 1)).all())
    return r"\mathrm{onehot}" if is_indicator else "y"


def parameter_letters(forward: Sequence[Step]) -> dict[str, str | None]:
    """Return the letter of each parameter by its role, with the index that it has in the formula of its step.

    It is E for embeddings, W and b for the weights and the bias of a linear map, g and b for those of layer normalization.
    A parameter with another role, such as one of LoRA, has none.
    """
    nodes = [node for step in forward for node in operations(step.expression)]
    tables = {node.arguments[1].name for node in nodes if node.name == "embedding"}
    maps = {getattr(node.arguments[1], "name", "") for node in nodes if node.name == "linear"}
    names = dict.fromkeys(leaf.name for step in forward for leaf in step.inputs if leaf.kind == "parameter")
    own = {name: {"weight": "g", "bias": "b"}.get(name.rpartition(".")[2]) for name in names}
    letters = {name: "E" if name in tables else "W" if name in maps else own[name] for name in names}
    formulas = {leaf.name: step.formula for step in reversed(forward) for leaf in step.inputs if leaf.kind == "parameter"}
    return {name: letter and _indexed(letter, formulas[name]) for name, letter in letters.items()}


def _indexed(letter: str, formula: str) -> str:
    """Return the letter of a parameter with its index in a formula. The scores of words can have a matrix of their own, E."""
    found = _pattern(("[WE]" if letter == "W" else letter) + INDEX).search(formula)
    return letter if found is None else found[0]


def parameter_symbols(forward: Sequence[Step]) -> dict[str, str]:
    """Return the names of parameters in formulas of all steps: the letter, and the name of the module as its index."""
    symbols = {}
    for name, letter in parameter_letters(forward).items():
        module, _, own = name.rpartition(".")
        words = (own if letter is None else module.rpartition(".")[2]).replace("_", " ")
        symbols[name] = rf"\text{{{words}}}" if letter is None else rf"{letter[0]}_{{\text{{{words}}}}}"
    return symbols
