"""The arithmetic of a traced expression: the whole tensor in float64, or one cell with the numbers it was computed from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf, expit

from minibert.trace import Leaf, Node, Operation

Array = NDArray[Any]
Index = tuple[int, ...]

ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "neg": np.negative,
    "abs": np.abs,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "reciprocal": np.reciprocal,
    "square": np.square,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "erf": erf,
    "sigmoid": expit,
    "silu": lambda x: x * expit(x),
    "relu": lambda x: np.maximum(x, 0.0),
    "maximum": np.maximum,
    "masked_fill": lambda x, mask, value: np.where(mask, value, x),
    "where": np.where,
}
"""Operations whose cells depend on the cells at the same place in their arguments, with broadcasting."""
REDUCTIONS: dict[str, Callable[..., Any]] = {"sum": np.sum, "mean": np.mean, "amax": np.max}
"""Operations over one axis."""


class UnknownOperation(ValueError):
    """An operation of PyTorch that this module cannot repeat."""


@dataclass(frozen=True, eq=False)
class Cell:
    """One number of an expression, and the cells that it was computed from."""

    value: float
    operation: str
    """Name of the operation. "leaf": a cell of a recorded tensor, parameter or constant; "number": a number of the code."""
    parts: tuple["Cell", ...] = ()
    """Cells of the arguments. For "matmul" and "linear": the products, each of two parts, and at the end the bias, if any."""
    leaf: Leaf | None = None
    index: Index = ()
    """Place in the leaf."""


def evaluate(node: Node) -> Array:
    """Compute an expression in float64 from the values of its leaves.

    Raises: UnknownOperation for an operation that has no entry here.
    """
    if isinstance(node, Leaf):
        return _array(node)
    arguments = [evaluate(each) if isinstance(each, Leaf | Operation) else each for each in node.arguments]
    if node.name in ELEMENTWISE:
        with np.errstate(all="ignore"):
            return np.asarray(ELEMENTWISE[node.name](*arguments))
    if node.name in REDUCTIONS:
        return np.asarray(REDUCTIONS[node.name](arguments[0], axis=axis_of(node), keepdims=keeps_axis(node)))
    match node.name:
        case "matmul":
            return np.matmul(*arguments)
        case "linear":
            product = arguments[0] @ arguments[1].T
            return product if len(arguments) < 3 or arguments[2] is None else product + arguments[2]
        case "embedding":
            return np.asarray(arguments[1][arguments[0].astype(np.int64)])
        case "reshape":
            return np.asarray(arguments[0].reshape(node.shape))
        case "transpose":
            return np.swapaxes(*arguments)
        case "permute":
            return np.transpose(*arguments)
        case "unsqueeze":
            return np.expand_dims(*arguments)
        case "stack":
            parts = [value for value, each in zip(arguments, node.arguments, strict=True) if isinstance(each, Leaf | Operation)]
            return np.stack(parts, axis=stack_axis_of(node))
        case "getitem":
            return np.asarray(arguments[0][arguments[1]])
    raise UnknownOperation(f"the operation {node.name} is not known")


def cell(node: Node | float, index: Index) -> Cell:
    """Return one cell of an expression with the cells that it was computed from.

    A cell that is used several times, such as the maximum in each exponential of a softmax, is one object.

    Raises: UnknownOperation as in `evaluate`.
    """
    known: dict[tuple[int, Index], Cell] = {}

    def part(node: Node | float, index: Index) -> Cell:
        key = (id(node), index)
        if key not in known:
            known[key] = cell_from(node, index, part)
        return known[key]

    return part(node, index)


def cell_from(node: Node | float, index: Index, cell: Callable[[Any, Index], Cell]) -> Cell:
    """Return one cell; `cell` returns those of the arguments."""
    if isinstance(node, Leaf):
        return Cell(float(node.value.detach()[index]), "leaf", leaf=node, index=index)
    if not isinstance(node, Operation):
        return Cell(float(node), "number")
    first, *others = node.arguments
    if node.name in ELEMENTWISE:
        parts = [cell(each, _broadcast(each, index)) for each in node.arguments]
        with np.errstate(all="ignore"):
            value = float(ELEMENTWISE[node.name](*(part.value for part in parts)))
        return Cell(value, node.name, tuple(parts))
    if node.name in REDUCTIONS:
        return _reduced(node, index, cell)
    match node.name:
        case "matmul":
            *batch, row, column = index
            pairs = [
                (cell(first, (*last_axes(batch, first), row, k)), cell(others[0], (*last_axes(batch, others[0]), k, column)))
                for k in range(shape_of(first)[-1])
            ]
            return _products(node.name, pairs)
        case "linear":
            *before, column = index
            pairs = [(cell(first, (*before, k)), cell(others[0], (column, k))) for k in range(shape_of(first)[-1])]
            return _products(node.name, pairs, None if len(others) < 2 or others[1] is None else cell(others[1], (column,)))
        case "embedding":
            *before, column = index
            return cell(others[0], (int(cell(first, tuple(before)).value), column))
        case "reshape":
            return cell(first, _unravel(np.ravel_multi_index(index, node.shape), shape_of(first)))
        case "transpose":
            swapped = [*index]
            one, other = (axis % len(index) for axis in others)
            swapped[one], swapped[other] = index[other], index[one]
            return cell(first, tuple(swapped))
        case "permute":
            return cell(first, tuple(index[others[0].index(axis)] for axis in range(len(index))))
        case "unsqueeze":
            axis = others[0] % len(index)
            return cell(first, index[:axis] + index[axis + 1 :])
        case "stack":
            axis = stack_axis_of(node) % len(index)
            return cell(node.arguments[index[axis]], index[:axis] + index[axis + 1 :])
        case "getitem":
            places = np.arange(int(np.prod(shape_of(first)))).reshape(shape_of(first))[others[0]]
            return cell(first, _unravel(int(places[index]), shape_of(first)))
    raise UnknownOperation(f"the operation {node.name} is not known")


def _products(operation: str, pairs: Sequence[tuple[Cell, Cell]], bias: Cell | None = None) -> Cell:
    parts = [Cell(one.value * other.value, "mul", (one, other)) for one, other in pairs]
    if bias is not None:
        parts.append(bias)
    return Cell(float(np.sum([part.value for part in parts])), operation, tuple(parts))


def _reduced(node: Operation, index: Index, cell: Callable[[Any, Index], Cell]) -> Cell:
    shape, axis = shape_of(node.arguments[0]), axis_of(node)
    if axis is None:
        places = [*np.ndindex(shape)]
    else:
        axis %= len(shape)
        rest = index[axis + 1 :] if keeps_axis(node) else index[axis:]
        places = [(*index[:axis], k, *rest) for k in range(shape[axis])]
    parts = [cell(node.arguments[0], place) for place in places]
    return Cell(float(REDUCTIONS[node.name]([part.value for part in parts])), node.name, tuple(parts))


def _array(leaf: Leaf) -> Array:
    value = leaf.value.detach().cpu()
    return np.asarray((value.double() if value.is_floating_point() else value).numpy())


def shape_of(node: Node) -> tuple[int, ...]:
    """Return the shape of the tensor of a node."""
    return tuple(node.value.shape) if isinstance(node, Leaf) else node.shape


def _broadcast(node: Any, index: Index) -> Index:
    """Return the place in an argument that belongs to a place in the result of an elementwise operation."""
    if not isinstance(node, Leaf | Operation):
        return ()
    shape = shape_of(node)
    return tuple(0 if size == 1 else place for size, place in zip(shape, index[len(index) - len(shape) :], strict=True))


def last_axes(batch: Sequence[int], node: Node) -> Index:
    """Return the places on the axes before the matrix, for an argument that may have fewer of them."""
    sizes = shape_of(node)[:-2]
    return tuple(0 if size == 1 else place for size, place in zip(sizes, [*batch][len(batch) - len(sizes) :], strict=True))


def _unravel(place: Any, shape: tuple[int, ...]) -> Index:
    return tuple(int(each) for each in np.unravel_index(place, shape))


def axis_of(node: Operation) -> int | None:
    """Return the axis of a reduction; None for all axes."""
    positional = [each for each in node.arguments[1:] if isinstance(each, int)]
    axis = node.options.get("dim", positional[0] if positional else None)
    return int(axis[0]) if isinstance(axis, tuple | list) else axis


def stack_axis_of(node: Operation) -> int:
    """Return the new axis of a stack, which is the first one if the code names none."""
    return axis_of(node) or 0


def keeps_axis(node: Operation) -> bool:
    """Return True if the axis of a reduction remains, with size 1."""
    return bool(node.options.get("keepdim", any(each is True for each in node.arguments[2:])))
