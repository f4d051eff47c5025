"""Reverse-mode differentiation of traced expressions. The result is again an expression.

`OPERATIONS` has the derivative of each operation. The equations in `EQUATIONS` have a derivative of their own, because the
textbook formula is shorter than what the operations give: A ⊙ (dA - Σ A ⊙ dA) for softmax.
"""

import functools
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from minibert.equations import IGNORE_INDEX
from minibert.study.stepthrough.algebra import (
    Value,
    add,
    as_node,
    constant,
    div,
    elementwise,
    flat,
    full,
    masked,
    matmul,
    mul,
    neg,
    operation,
    reshape,
    select,
    shape,
    softmax,
    square,
    sub,
    total,
    transpose,
    unbroadcast,
    unsqueeze,
)
from minibert.study.stepthrough.arithmetic import UnknownOperation, axis_of, evaluate, keeps_axis, stack_axis_of
from minibert.trace import Leaf, Node, Operation, leaves

Rows: TypeAlias = Mapping[str, Sequence[int]]
"""For each embedding matrix, by name, the rows whose gradient is computed."""
ALL_ROWS: Rows = {}


def contributions(
    expression: Node, output: Leaf, gradient: Value, wanted: Collection[str], rows: Rows = ALL_ROWS
) -> dict[str, Node]:
    """Return what an expression adds to the gradient of each of its leaves, by name.

    Args:
        output: the step that the expression computes. Derivatives that need the result, such as that of softmax, use it.
        gradient: the gradient of the loss with respect to the output.
        wanted: names of the steps and parameters whose gradients are returned.
        rows: for embedding matrices: the rows that the result has.

    Raises: UnknownOperation for an operation that has no entry here.
    """
    found: dict[str, Value] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for leaf, part in _parts(expression, output, gradient, wanted, rows):
        found[leaf.name] = part if leaf.name not in found else add(found[leaf.name], part)
        count = [len(rows[leaf.name])] if leaf.name in rows else leaf.value.shape[:1]
        shapes[leaf.name] = (*count, *leaf.value.shape[1:])
    return {name: full(value, shapes[name]) for name, value in found.items()}


def textbook(node: Any) -> Any:
    """Replace the computation of a loss by its textbook formula, such as the mean of -log softmax(z)_y."""
    if not isinstance(node, Operation):
        return node
    if node.equation == "cross_entropy":
        probabilities, labels, ignored = softmax(_argument(node)), *_labels(node)
        starts = torch.arange(labels.numel()) * shape(probabilities)[-1]
        places = (starts[:, None] + labels.flatten()[:, None]).numpy()
        chosen = select(reshape(probabilities, (math.prod(shape(probabilities)),)), (places,))
        return masked(neg(elementwise("log", reshape(chosen, node.shape))), constant(ignored))
    if node.equation == "binary_cross_entropy":
        true, logits = _argument(node), _find(node, "log_sigmoid").arguments[0]
        yes, no = (elementwise("log", elementwise("sigmoid", each)) for each in (logits, neg(logits)))
        return neg(add(mul(true, yes), mul(sub(1.0, true), no)))
    arguments = tuple(textbook(argument) for argument in node.arguments)
    if node.name == "sum" and isinstance(arguments[0], Operation) and arguments[0].name == "stack":  # of several losses
        return functools.reduce(add, arguments[0].arguments)
    if node.name == "mse_loss":
        errors = square(sub(*arguments[:2]))
        return operation("mean", errors, shape=())
    return replace(node, arguments=arguments)


def _parts(node: Node, output: Node, gradient: Value, wanted: Collection[str], rows: Rows) -> Iterator[tuple[Leaf, Value]]:
    if isinstance(node, Leaf):
        picks = node.name in rows and shape(gradient)[:1] != (len(rows[node.name]),)
        yield node, select(gradient, ([*rows[node.name]],)) if picks else gradient
        return
    inside = node.arguments[0]
    if node.name == "masked_fill" and isinstance(inside, Operation) and inside.equation == "softmax":
        node = inside  # the masked weights are zero before this operation, and stop the gradient there themselves
    for argument, part in _local(node, output, gradient, wanted, rows):
        yield from _parts(argument, argument, part, wanted, rows)


def _local(node: Operation, output: Node, gradient: Value, wanted: Collection[str], rows: Rows) -> Iterator[tuple[Node, Value]]:
    """Yield the arguments of an operation, or of an equation, through which the result depends on a wanted leaf."""
    if node.equation in EQUATIONS:
        argument, part = EQUATIONS[node.equation](node, output, gradient)
        if _depends(argument, wanted):
            yield argument, part
        return
    for number, argument in enumerate(node.arguments):
        if not isinstance(argument, Leaf | Operation) or not _depends(argument, wanted):
            continue
        if node.name == "embedding":
            yield argument, _embedding(node, gradient, rows)
        elif node.name in OPERATIONS:
            yield argument, OPERATIONS[node.name](node, output, gradient, number)
        else:
            raise UnknownOperation(f"the derivative of {node.name} is not known")


def _depends(node: Node, wanted: Collection[str]) -> bool:
    return any(leaf.name in wanted for leaf in leaves(node))


def _softmax(node: Operation, output: Node, gradient: Value) -> tuple[Node, Value]:
    """dS = A ⊙ (dA - Σ A ⊙ dA)."""
    return _argument(node), mul(output, sub(gradient, total(mul(output, gradient), -1, keepdim=True)))


def _gelu(node: Operation, output: Node, gradient: Value) -> tuple[Node, Value]:
    """dx = da ⊙ (Φ(x) + x φ(x)), with the distribution function Φ and the density φ of a standard normal variable."""
    x = _argument(node)
    distribution = mul(0.5, add(1.0, elementwise("erf", div(x, math.sqrt(2)))))
    density = div(elementwise("exp", neg(div(square(x), 2.0))), math.sqrt(2 * math.pi))
    return x, mul(gradient, add(distribution, mul(x, density)))


def _gelu_tanh(node: Operation, output: Node, gradient: Value) -> tuple[Node, Value]:
    """dx = da ⊙ (½ (1 + t) + ½ x (1 - t²) u'), with t = tanh(u)."""
    x, slope = _argument(node), math.sqrt(2 / math.pi)
    t = elementwise("tanh", mul(slope, add(x, mul(0.044715, elementwise("pow", x, 3.0)))))
    inner = mul(slope, add(1.0, mul(3 * 0.044715, square(x))))
    return x, mul(gradient, add(mul(0.5, add(1.0, t)), mul(mul(mul(0.5, x), sub(1.0, square(t))), inner)))


def _cross_entropy(node: Operation, output: Node, gradient: Value) -> tuple[Node, Value]:
    """dz = (softmax(z) - y) dl, where y is one at the label and zero elsewhere; zero without a label."""
    logits = _argument(node)
    labels, ignored = _labels(node)
    target = constant(torch.zeros(shape(logits), device=labels.device).scatter(-1, labels.unsqueeze(-1), 1.0))
    part = mul(unsqueeze(gradient, -1), sub(softmax(logits), target))
    return logits, masked(part, constant(ignored.unsqueeze(-1))) if ignored.any() else part


def _labels(node: Operation) -> tuple[Tensor, Tensor]:
    """Return the labels of a cross-entropy, 0 where there is none, and where that is."""
    assert node.call is not None
    labels: Tensor = node.call.arguments["labels"]
    ignored = labels == IGNORE_INDEX
    return labels.masked_fill(ignored, 0), ignored


def _binary_cross_entropy(node: Operation, output: Node, gradient: Value) -> tuple[Node, Value]:
    """dz = (σ(z) - y) dl."""
    logits = _find(node, "log_sigmoid").arguments[0]
    return logits, mul(gradient, sub(elementwise("sigmoid", logits), _argument(node)))


def _rotary_positions(node: Operation, output: Node, gradient: Value) -> tuple[Node, Value]:
    """The rotation by the negative angle."""
    even, _ = node.arguments[0].arguments[:2]
    (column, cosine), (_, sine) = (product.arguments for product in even.arguments)
    vectors, both = column.arguments[0], full(gradient, node.shape)
    first, second = (select(both, (..., slice(start, None, 2))) for start in (0, 1))
    turned = (add(mul(first, cosine), mul(second, sine)), sub(mul(second, cosine), mul(first, sine)))
    stacked = operation("stack", *turned, shape=node.arguments[0].shape, dim=-1, equation="rotary_positions")
    return vectors, reshape(stacked, node.shape, equation="rotary_positions")


EquationRule: TypeAlias = Callable[[Operation, Node, Value], tuple[Node, Value]]
EQUATIONS: dict[str | None, EquationRule] = {
    "softmax": _softmax,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "cross_entropy": _cross_entropy,
    "binary_cross_entropy": _binary_cross_entropy,
    "rotary_positions": _rotary_positions,
}
"""Functions of the last operation of an equation, the output of the step, and the gradient of the operation's result.
They return the argument of the equation, and its gradient."""


def _argument(node: Operation) -> Node:
    """Return the first argument of the equation that ran an operation."""
    first: Node = node
    while isinstance(first, Operation) and first.equation == node.equation:
        first = first.arguments[0]
    return first


def _find(node: Node, name: str) -> Operation:
    """Return the first operation with this name, from the outside to the inside."""
    waiting = [node]
    for each in waiting:
        if isinstance(each, Operation):
            if each.name == name:
                return each
            waiting += each.arguments
    raise UnknownOperation(f"the operation {name} was expected in {node}")


def _repeated(rule: Callable[[Operation, Node, Value, int], Value]) -> "OperationRule":
    """Make a rule for arguments that broadcasting repeats: the gradient of such an argument is the sum over all repetitions."""

    def summed(node: Operation, output: Node, gradient: Value, number: int) -> Value:
        return unbroadcast(rule(node, output, gradient, number), shape(node.arguments[number]), node.shape)

    return summed


def _product(node: Operation, output: Node, gradient: Value, number: int) -> Value:
    return mul(gradient, node.arguments[1 - number])


def _quotient(node: Operation, output: Node, gradient: Value, number: int) -> Value:
    above, below = node.arguments[:2]
    return div(gradient, below) if number == 0 else neg(div(mul(gradient, above), square(below)))


def _function(derivative: Callable[[Node, Node], Value]) -> "OperationRule":
    """Make the rule of a function of each number: the gradient times the derivative at x with the result y."""
    return lambda node, output, gradient, number: mul(gradient, derivative(node.arguments[0], output))


def _power(node: Operation, output: Node, gradient: Value, number: int) -> Value:
    x, exponent = node.arguments
    if number or not isinstance(exponent, int | float):
        raise UnknownOperation("the derivative of a power is known for exponents that are numbers")
    return mul(gradient, mul(exponent, elementwise("pow", x, exponent - 1)))


def _sum(node: Operation, output: Node, gradient: Value, number: int) -> Value:
    axis = axis_of(node)
    return gradient if axis is None or keeps_axis(node) else unsqueeze(gradient, axis)


def _mean(node: Operation, output: Node, gradient: Value, number: int) -> Value:
    sizes, axis = shape(node.arguments[0]), axis_of(node)
    return div(_sum(node, output, gradient, number), float(math.prod(sizes) if axis is None else sizes[axis]))


def _matmul(node: Operation, output: Node, gradient: Value, number: int) -> Value:
    one, other = node.arguments
    gradient = full(gradient, node.shape)
    if number == 1 and len(shape(other)) == 2:  # one matrix for all rows, as in a linear map
        return matmul(as_node(transpose(flat(one))), as_node(flat(gradient)))
    pair = (gradient, as_node(transpose(other))) if number == 0 else (as_node(transpose(one)), gradient)
    product, wanted = matmul(*pair), shape(node.arguments[number])
    return unbroadcast(product, wanted, (*shape(product)[:-2], *wanted[-2:]))


def _linear(node: Operation, output: Node, gradient: Value, number: int) -> Value:
    x, weight = node.arguments[:2]
    rows = flat(full(gradient, node.shape))
    if number == 0:
        return reshape(matmul(full(gradient, node.shape), weight), shape(x))
    return total(rows, 0) if number == 2 else matmul(as_node(transpose(rows)), as_node(flat(x)))


def _embedding(node: Operation, gradient: Value, rows: Rows) -> Value:
    """Add up, for each row of the embedding matrix, the gradients of the tokens that use it. The padding piece has none."""
    ids, weight = node.arguments[0].value.flatten(), node.arguments[1]
    padding = node.arguments[2] if len(node.arguments) > 2 else None
    wanted = torch.tensor(rows.get(weight.name, range(len(weight.value))))
    uses = (wanted[:, None] == ids) & (wanted != (-1 if padding is None else padding))[:, None]
    return matmul(constant(uses.to(weight.value.dtype)), as_node(flat(full(gradient, node.shape))))


def _getitem(node: Operation, output: Node, gradient: Value, number: int) -> Value:
    """Put the gradient at the place of the part, with zeros elsewhere."""
    before, index = shape(node.arguments[0]), node.arguments[1]
    index = index if isinstance(index, tuple) else (index,)
    place = torch.zeros(before, dtype=torch.bool)
    place[index] = True
    numbers = [part for part in index if isinstance(part, int)]
    if len(numbers) != 1 or int(place.sum()) != math.prod(node.shape) or len(before) != len(node.shape) + 1:
        raise UnknownOperation(f"the derivative of the index {index} is not known")
    axis = index.index(numbers[0]) - (len(index) if ... in index[: index.index(numbers[0])] else 0)
    along = [1] * len(before)
    along[axis] = before[axis]
    others = torch.arange(before[axis]).reshape(along) != numbers[0] % before[axis]
    return masked(unsqueeze(full(gradient, node.shape), axis), constant(others))


def _stack(node: Operation, output: Node, gradient: Value, number: int) -> Value:
    return select(gradient, (*[slice(None)] * (stack_axis_of(node) % len(node.shape)), number))


def _masked_fill(node: Operation, output: Node, gradient: Value, number: int) -> Value:
    return masked(gradient, node.arguments[1])


def _relu(node: Operation, output: Node, gradient: Value, number: int) -> Value:
    return masked(gradient, constant(torch.from_numpy(evaluate(node.arguments[0]) <= 0)))


def _squared_error(node: Operation, output: Node, gradient: Value, number: int) -> Value:
    predicted, true = node.arguments[:2]
    return mul(gradient, div(mul(2.0, sub(predicted, true)), float(math.prod(shape(predicted)))))


def _reshaped(node: Operation, output: Node, gradient: Value, number: int) -> Value:
    equation = INVERSES.get(node.equation or "")
    return reshape(gradient, shape(node.arguments[0]), equation)


def _transposed(node: Operation, output: Node, gradient: Value, number: int) -> Value:
    one, other = node.arguments[1:]
    return transpose(full(gradient, node.shape), one, other, equation=INVERSES.get(node.equation or ""))


INVERSES = {"split_heads": "merge_heads", "merge_heads": "split_heads"}
"""Equations that undo each other: the gradient of one is the other."""
OperationRule: TypeAlias = Callable[[Operation, Node, Value, int], Value]
OPERATIONS: dict[str, OperationRule] = {
    "add": _repeated(lambda node, output, gradient, number: gradient),
    "sub": _repeated(lambda node, output, gradient, number: neg(gradient) if number else gradient),
    "mul": _repeated(_product),
    "div": _repeated(_quotient),
    "neg": lambda node, output, gradient, number: neg(gradient),
    "pow": _power,
    "exp": _function(lambda x, y: y),
    "log": _function(lambda x, y: div(1.0, x)),
    "sqrt": _function(lambda x, y: div(1.0, mul(2.0, y))),
    "square": _function(lambda x, y: mul(2.0, x)),
    "sin": _function(lambda x, y: elementwise("cos", x)),
    "cos": _function(lambda x, y: neg(elementwise("sin", x))),
    "tanh": _function(lambda x, y: sub(1.0, square(y))),
    "sigmoid": _function(lambda x, y: mul(y, sub(1.0, y))),
    "silu": _function(lambda x, y: add(elementwise("sigmoid", x), mul(y, sub(1.0, elementwise("sigmoid", x))))),
    "relu": _relu,
    "masked_fill": _repeated(_masked_fill),
    "sum": _sum,
    "mean": _mean,
    "matmul": _matmul,
    "linear": _linear,
    "reshape": _reshaped,
    "transpose": _transposed,
    "unsqueeze": lambda node, output, gradient, number: reshape(gradient, shape(node.arguments[0])),
    "getitem": _getitem,
    "stack": _stack,
    "mse_loss": _squared_error,
}
"""Functions of an operation, its result, the gradient of the result, and the number of an argument. They return the gradient
of this argument."""
