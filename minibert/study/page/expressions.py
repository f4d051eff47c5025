"""Expressions as JSON, with every view of a tensor as an offset and strides, so that the page needs no indexing rules.

The page computes one cell at a time. A cell is an index into the flattened tensor.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minibert.study.stepthrough.arithmetic import (
    ELEMENTWISE,
    REDUCTIONS,
    UnknownOperation,
    axis_of,
    keeps_axis,
    shape_of,
    stack_axis_of,
)
from minibert.trace import Leaf, Node, Operation

Tree = dict[str, Any] | float | int | str
"""A node as JSON; see `data.js`. Infinite numbers, which JSON does not have, are text."""
NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
VIEWS: dict[str, Callable[..., NDArray[np.int64]]] = {
    "transpose": np.swapaxes,
    "permute": np.transpose,
    "unsqueeze": np.expand_dims,
    "getitem": lambda array, index: np.asarray(array[index]),
}
"""Operations that only choose and arrange the numbers of their first argument."""
KNOWN = {*ELEMENTWISE, *REDUCTIONS, *VIEWS, "matmul", "linear", "reshape", "stack", "embedding"}
"""Operations that the page can repeat."""


def expression_tree(node: Node | float, name: Callable[[Leaf], str]) -> Tree:
    """Convert an expression.

    Args:
        name: the key of a leaf among the tensors of the page.

    Raises: UnknownOperation for an operation that the page cannot repeat, such as one in a user's own attention.
    """
    if isinstance(node, Leaf):
        return {"leaf": name(node), "kind": node.kind, "shape": [*node.value.shape]}
    if not isinstance(node, Operation):
        return _number(node)
    if node.name not in KNOWN:
        raise UnknownOperation(f"the operation {node.name} is not known")
    first, *others = node.arguments
    tree: dict[str, Any] = {"op": node.name, "shape": [*node.shape]}
    used = [first]
    if node.name in VIEWS:
        tree |= _view(node)
    elif node.name in REDUCTIONS:
        axis = axis_of(node)
        tree |= {"axis": None if axis is None else axis % len(shape_of(first)), "keepdim": keeps_axis(node)}
    elif node.name == "stack":
        tree["axis"] = stack_axis_of(node) % len(node.shape)
        used = [each for each in node.arguments if isinstance(each, Leaf | Operation)]
    elif node.name == "embedding":
        used = [others[0], first]
    elif node.name != "reshape":
        used = [each for each in node.arguments if isinstance(each, Leaf | Operation | float | int)]
    return {**tree, "args": [expression_tree(each, name) for each in used]}


def _number(value: float) -> Tree:
    return value if math.isfinite(value) else NOT_FINITE[str(value)]


def _view(node: Operation) -> dict[str, Any]:
    """Return where a view takes its numbers from. NumPy's own views of an array of indices have the answer."""
    shape = shape_of(node.arguments[0])
    places = np.arange(math.prod(shape)).reshape(shape)
    viewed = VIEWS[node.name](places, *node.arguments[1:])
    first = int(viewed.flat[0]) if viewed.size else 0
    if np.may_share_memory(viewed, places):
        return {"op": "view", "offset": first, "strides": [stride // viewed.itemsize for stride in viewed.strides]}
    rows = viewed.reshape(-1, viewed.shape[-1]) if viewed.ndim else viewed.reshape(1, 1)  # an index with a list of positions
    stride = int(rows[0, 1] - rows[0, 0]) if rows.shape[1] > 1 else 0
    return {"op": "rows", "starts": rows[:, 0].tolist(), "strides": [stride]}
