"""Construction of expressions: operations with their shapes, and the simplest rules of algebra.

A scalar, and a Python number, stand for a tensor of any shape that is filled with them.
"""

import math
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor

from minibert.study.stepthrough.arithmetic import shape_of
from minibert.trace import Call, Leaf, Node, Operation

Value = Node | float
"""A tensor or a number of an expression."""
Shape = tuple[int, ...]


def operation(name: str, *arguments: Any, shape: Shape, equation: str | None = None, **options: Any) -> Operation:
    """Return an operation with a known shape."""
    return Operation(name, arguments, options, tuple(shape), None if equation is None else Call(equation, {}))


def constant(value: Tensor) -> Leaf:
    """Return a leaf for a tensor that has no name, such as a mask."""
    return Leaf("constant", "", value)


def shape(value: Value) -> Shape:
    """Return the shape; that of a number is empty."""
    return shape_of(value) if isinstance(value, Leaf | Operation) else ()


def elementwise(name: str, *arguments: Value) -> Operation:
    """Return an operation on the cells at the same place in its arguments, with broadcasting."""
    return operation(name, *arguments, shape=np.broadcast_shapes(*map(shape, arguments)))


def add(one: Value, other: Value) -> Value:
    """Return the sum."""
    if _is_negative(other):
        return elementwise("sub", one, other.arguments[0])
    return elementwise("add", one, other)


def sub(one: Value, other: Value) -> Value:
    """Return the difference."""
    return elementwise("sub", one, other)


def neg(value: Value) -> Value:
    """Return the number with the other sign."""
    if isinstance(value, int | float):
        return -value
    return value.arguments[0] if _is_negative(value) else elementwise("neg", value)


def mul(one: Value, other: Value) -> Value:
    """Return the product. A factor of 1 is left out, 1/n becomes a division by n; signs and numbers come first."""
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one * other
    for factor, rest in ((one, other), (other, one)):
        if isinstance(factor, int | float) and factor == 1:
            return rest
        if _is_negative(factor):
            return neg(mul(factor.arguments[0], rest))
        if isinstance(factor, Operation) and factor.name == "div" and factor.arguments[0] == 1:
            return div(rest, factor.arguments[1])
        if isinstance(factor, Operation) and factor.name == "div" and isinstance(factor.arguments[1], int | float):
            return div(mul(factor.arguments[0], rest), factor.arguments[1])
        if isinstance(factor, Operation) and factor.name == "mul" and isinstance(factor.arguments[0], int | float):
            return mul(factor.arguments[0], mul(factor.arguments[1], rest))
    return elementwise("mul", one, other)


def div(one: Value, other: Value) -> Value:
    """Return the quotient. A quotient that is divided again has both divisors below one bar."""
    if _is_negative(one):
        return neg(div(one.arguments[0], other))
    if isinstance(one, Operation) and one.name == "div":
        return div(one.arguments[0], mul(one.arguments[1], other))
    return elementwise("div", one, other)


def square(value: Value) -> Value:
    """Return the square. That of a root is the number below the root sign."""
    if isinstance(value, Operation) and value.name == "sqrt":
        under: Value = value.arguments[0]
        return under
    return elementwise("square", value)


def masked(value: Value, mask: Node) -> Value:
    """Return the tensor with zeros where the mask is True. A mask that is True nowhere is left out."""
    if isinstance(mask, Leaf) and not mask.value.any() and np.broadcast_shapes(shape(value), shape(mask)) == shape(value):
        return value
    return elementwise("masked_fill", value, mask, 0.0)


def full(value: Value, wanted: Shape) -> Node:
    """Return a tensor of this shape: `value` itself, or a product with ones, which repeats its numbers."""
    if isinstance(value, Leaf | Operation) and shape(value) == tuple(wanted):
        return value
    return operation("mul", value, constant(torch.ones(wanted)), shape=wanted)


def reshape(value: Value, wanted: Shape, equation: str | None = None) -> Value:
    """Return the numbers in another shape."""
    if shape(value) in ((), tuple(wanted)):
        return value
    if isinstance(value, Operation) and value.name == "reshape":
        value = value.arguments[0]
    return value if shape(value) == tuple(wanted) else operation("reshape", value, shape=wanted, equation=equation)


def flat(value: Value) -> Value:
    """Return a matrix: all axes before the last one become one axis."""
    return reshape(value, (math.prod(shape(value)[:-1]), shape(value)[-1]))


def transpose(value: Value, one: int = -2, other: int = -1, equation: str | None = None) -> Value:
    """Return the tensor with two axes swapped."""
    swapped = [*shape(value)]
    if not swapped:
        return value
    if isinstance(value, Operation) and value.name == "transpose" and {*value.arguments[1:]} == {one, other}:
        result: Value = value.arguments[0]
        return result
    if isinstance(value, Operation) and value.name == "matmul" and {one, other} == {-1, -2}:
        first, second = value.arguments
        return matmul(as_node(transpose(second)), as_node(transpose(first)))
    swapped[one], swapped[other] = swapped[other], swapped[one]
    return operation("transpose", value, one, other, shape=tuple(swapped), equation=equation)


def unsqueeze(value: Value, axis: int) -> Value:
    """Return the tensor with one more axis, of size 1."""
    if not shape(value):
        return value
    return operation("unsqueeze", value, axis, shape=np.expand_dims(np.empty(shape(value)), axis).shape)


def select(value: Value, index: tuple[Any, ...]) -> Value:
    """Return a part of a tensor."""
    if not shape(value):
        return value
    return operation("getitem", value, index, shape=np.empty(shape(value))[index].shape)


def total(value: Value, axis: int, keepdim: bool = False) -> Value:
    """Return the sum over one axis."""
    if _is_negative(value):
        return neg(total(value.arguments[0], axis, keepdim))
    return reduction("sum", value, axis, keepdim)


def reduction(name: str, value: Value, axis: int, keepdim: bool = True, equation: str | None = None) -> Operation:
    """Return a reduction over one axis, such as a mean."""
    sizes = [*shape(value)]
    place = axis % len(sizes)
    sizes[place : place + 1] = [1] if keepdim else []
    return operation(name, value, shape=tuple(sizes), equation=equation, dim=axis, keepdim=keepdim)


def matmul(one: Node, other: Node) -> Node:
    """Return the matrix product."""
    before = np.broadcast_shapes(shape(one)[:-2], shape(other)[:-2])
    return operation("matmul", one, other, shape=(*before, shape(one)[-2], shape(other)[-1]))


def unbroadcast(value: Value, wanted: Shape, broadcast: Shape) -> Value:
    """Return the sum over the axes along which a tensor was repeated.

    Args:
        wanted: shape of the tensor before broadcasting.
        broadcast: its shape after broadcasting. `value` has this shape, or one that can be repeated to it.
    """
    if tuple(wanted) == tuple(broadcast):
        return value
    value = full(value, broadcast)
    more = len(broadcast) - len(wanted)
    if more:
        value = total(reshape(value, (math.prod(broadcast[:more]), *broadcast[more:])), 0)
    for axis, size in enumerate(wanted):
        if size == 1 and shape(value)[axis] != 1:
            value = total(value, axis - len(wanted), keepdim=True)
    return value


def as_node(value: Value) -> Node:
    """Return a value that is known to be a tensor."""
    assert isinstance(value, Leaf | Operation)
    return value


def _is_negative(value: Value) -> TypeGuard[Operation]:
    return isinstance(value, Operation) and value.name == "neg"


def softmax(scores: Node, axis: int = -1) -> Node:
    """Return the softmax over an axis, which is counted from the end."""
    largest = reduction("amax", scores, axis, equation="softmax")
    shifted = operation("sub", scores, largest, shape=shape(scores), equation="softmax")
    exponentials = operation("exp", shifted, shape=shape(scores), equation="softmax")
    sums = reduction("sum", exponentials, axis, equation="softmax")
    return operation("div", exponentials, sums, shape=shape(scores), equation="softmax")
