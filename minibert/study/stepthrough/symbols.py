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


def parameter_letters(forward: Sequence[Step]) -> dict[str, str | None]:
    """Return the letter of each parameter by its role.

    It is E for embeddings, W and b for the weights and the bias of a linear map, g and b for those of layer normalization.
    A parameter with another role, such as one of LoRA, has none.
    """
    nodes = [node for step in forward for node in operations(step.expression)]
    tables = {node.arguments[1].name for node in nodes if node.name == "embedding"}
    maps = {getattr(node.arguments[1], "name", "") for node in nodes if node.name == "linear"}
    names = dict.fromkeys(leaf.name for step in forward for leaf in step.inputs if leaf.kind == "parameter")
    own = {name: {"weight": "g", "bias": "b"}.get(name.rpartition(".")[2]) for name in names}
    return {name: "E" if name in tables else "W" if name in maps else own[name] for name in names}


def parameter_symbols(forward: Sequence[Step]) -> dict[str, str]:
    """Return the names of parameters in formulas: the letter, and the name of the module as its index.

    A linear map is xW in formulas, and its parameter is the transpose of W, as in PyTorch.
    """
    symbols = {}
    for name, letter in parameter_letters(forward).items():
        module, _, own = name.rpartition(".")
        words = (own if letter is None else module.rpartition(".")[2]).replace("_", " ")
        symbols[name] = rf"\text{{{words}}}" if letter is None else rf"{letter}_{{\text{{{words}}}}}"
        if letter == "W":
            symbols[name] = f"{{{symbols[name]}}}{TRANSPOSED}"
    return symbols
