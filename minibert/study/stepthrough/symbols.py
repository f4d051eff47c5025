"""Names of steps, gradients and parameters in formulas."""

from collections.abc import Mapping, Sequence

from minibert.study.stepthrough.step import Step
from minibert.trace import Leaf, operations

GRADIENT = "gradient."
"""Beginning of the path of a gradient. The path of the step or parameter whose gradient it is follows."""
D = r"\mathrm{d}"
"""Beginning of the symbol of a gradient: dA stands for the derivative of the loss with respect to each number of A."""
TRANSPOSED = r"^\top"
"""End of the symbol of a matrix that is stored as the transpose of the one in the formulas."""


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


def parameter_symbols(forward: Sequence[Step]) -> dict[str, str]:
    """Return the names of parameters in formulas: E for embeddings, W and b for linear maps, g and b for layer normalization.

    A linear map is xW in formulas, and its parameter is the transpose of W, as in PyTorch.
    """
    nodes = [node for step in forward for node in operations(step.expression)]
    tables = {node.arguments[1].name for node in nodes if node.name == "embedding"}
    maps = {getattr(node.arguments[1], "name", "") for node in nodes if node.name == "linear"}
    symbols = {}
    for name in (leaf.name for step in forward for leaf in step.inputs if leaf.kind == "parameter"):
        module, _, own = name.rpartition(".")
        letter = "E" if name in tables else "W" if name in maps else {"weight": "g", "bias": "b"}.get(own)
        words = (own if letter is None else module.rpartition(".")[2]).replace("_", " ")
        symbols[name] = rf"\text{{{words}}}" if letter is None else rf"{letter}_{{\text{{{words}}}}}"
        if letter == "W":
            symbols[name] = f"{{{symbols[name]}}}{TRANSPOSED}"
    return symbols
