"""Operations of a user's code, written as the simpler ones that `arithmetic` knows: a softmax as exponentials and their sum."""

import math
import string
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from minibert.study.stepthrough.algebra import (
    Value,
    add,
    as_node,
    div,
    elementwise,
    full,
    matmul,
    mul,
    operation,
    reduction,
    reshape,
    shape,
    softmax,
    sub,
    unsqueeze,
)
from minibert.study.stepthrough.arithmetic import ELEMENTWISE, REDUCTIONS, axis_of
from minibert.trace import Leaf, Node, Operation

MAX_SIZE = 3000
"""Largest number of operations of a lowered expression. A page has all of them as a tree."""
HARMLESS = ("inplace", "out")
"""Options that do not change the values of a result."""


def lowered(node: Node) -> Node:
    """Return an expression with the same values whose operations have simpler ones in place of `LOWERINGS`.

    An operation without a rule, one that a rule does not cover, and those of minibert's equations stay as they are.
    """
    known: dict[int, Node] = {}

    def lower(node: Any) -> Any:
        if not isinstance(node, Operation):
            return node
        if id(node) not in known:
            arguments = tuple(lower(each) for each in node.arguments)
            changed = any(new is not old for new, old in zip(arguments, node.arguments, strict=True))
            known[id(node)] = _lowered(replace(node, arguments=arguments) if changed else node)
        return known[id(node)]

    result: Node = lower(node)
    return node if isinstance(result, Operation) and result.size > MAX_SIZE else result


def _lowered(node: Operation) -> Node:
    rule = LOWERINGS.get(node.name) if node.call is None else None
    options = [name for name, value in node.options.items() if value is not None and name not in HARMLESS]
    if rule is None and options and node.name in ELEMENTWISE:  # such as rounding_mode
        return replace(node, name=f"{node.name} with {', '.join(options)}")
    result = None if rule is None else rule(node)
    return node if not isinstance(result, Leaf | Operation) or shape(result) != node.shape else result


def _axis(node: Operation) -> int:
    """Return the axis of an operation, counted from the end."""
    axis, axes = axis_of(node), len(shape(node.arguments[0]))
    return -1 if axis is None else axis % axes - axes


def _softmax(node: Operation) -> Node:
    return softmax(node.arguments[0], _axis(node))


def _logsumexp(node: Operation) -> Value:
    scores, axis = node.arguments[0], _axis(node)
    largest = reduction("amax", scores, axis)
    result = add(largest, elementwise("log", reduction("sum", elementwise("exp", sub(scores, largest)), axis)))
    return reshape(result, node.shape)


def _log_softmax(node: Operation) -> Value:
    scores, axis = node.arguments[0], _axis(node)
    shifted = sub(scores, reduction("amax", scores, axis))
    return sub(shifted, elementwise("log", reduction("sum", elementwise("exp", shifted), axis)))


def _permute(node: Operation) -> Node:
    first, *axes = node.arguments
    return _permuted(first, [*axes[0]] if axes and isinstance(axes[0], Sequence) else axes or [*node.options["dims"]])


def _permuted(value: Node, axes: Sequence[int]) -> Node:
    sizes = shape(value)
    return operation("permute", value, tuple(axis % len(sizes) for axis in axes), shape=tuple(sizes[axis] for axis in axes))


def _einsum(node: Operation) -> Value | None:
    """Return the sum of products of an einsum: each operand gets the axes of all letters, the summed ones at the end."""
    rule, *operands = node.arguments
    if not isinstance(rule, str):
        return None
    terms, result = _letters(rule.replace(" ", ""), [len(shape(each)) for each in operands])
    summed = sorted({*"".join(terms)} - {*result})
    if any(len({*term}) < len(term) for term in terms):  # a diagonal
        return None
    letters = [*result, *summed]
    factors = [_aligned(operand, term, letters) for operand, term in zip(operands, terms, strict=True)]
    product: Value = factors[0]
    for factor in factors[1:]:
        product = mul(product, factor)
    if not summed:
        return product
    before = shape(product)[: len(result)]
    flat = reshape(product, (*before, math.prod(shape(product)[len(result) :])))
    return reduction("sum", flat, -1, keepdim=False)


def _letters(rule: str, ndims: Sequence[int]) -> tuple[list[str], str]:
    """Return the letters of each operand and of the result of an einsum, also for "..." and without "->"."""
    left, arrow, result = rule.partition("->")
    terms = left.split(",")
    unused = [letter for letter in string.ascii_letters if letter not in rule]
    counts = [ndim - len(term.replace("...", "")) if "..." in term else 0 for term, ndim in zip(terms, ndims, strict=True)]
    dots = "".join(unused[: max(counts)])
    terms = [term.replace("...", dots[len(dots) - count :]) for term, count in zip(terms, counts, strict=True)]
    once = "".join(sorted(letter for letter in {*left} - {*"...,"} if left.count(letter) == 1))
    return terms, result.replace("...", dots) if arrow else dots + once


def _aligned(value: Node, own: str, letters: Sequence[str]) -> Node:
    """Return a tensor with the axes of `letters`: its own ones in this order, and axes of size 1."""
    order = [own.index(letter) for letter in letters if letter in own]
    aligned = value if order == sorted(order) else _permuted(value, order)
    for axis, letter in enumerate(letters):
        if letter not in own:
            aligned = as_node(unsqueeze(aligned, axis))
    return aligned


def _matmul(node: Operation) -> Value | None:
    """Return the product of a vector as that of a matrix with one row or one column."""
    one, other = node.arguments
    if len(shape(one)) > 1 and len(shape(other)) > 1:
        return None
    one = unsqueeze(one, 0) if len(shape(one)) == 1 else one
    other = unsqueeze(other, 1) if len(shape(other)) == 1 else other
    return reshape(matmul(as_node(one), as_node(other)), node.shape)


def _largest(node: Operation) -> Value:
    """Return `max` as "maximum" of two tensors, or as "amax" over one axis or all of them."""
    if any(isinstance(each, Leaf | Operation) for each in node.arguments[1:]):
        return elementwise("maximum", *node.arguments)
    return replace(node, name="amax")


def _smallest(node: Operation) -> Value | None:
    """Return `min` as the negative maximum of the negative numbers."""
    if any(isinstance(each, Leaf | Operation) for each in node.arguments[1:]):
        return None
    first, *others = node.arguments
    largest = replace(node, name="amax", arguments=(elementwise("neg", first), *others))
    return elementwise("neg", largest)


def _expand(node: Operation) -> Node:
    return full(node.arguments[0], node.shape)


def _concatenation(node: Operation) -> Value | None:
    """Return a concatenation of tensors of one shape as a stack in which the new axis and the one behind it are one."""
    parts = [each for each in node.arguments if isinstance(each, Leaf | Operation)]
    axis = (axis_of(node) or 0) % len(node.shape)
    sizes = {shape(part) for part in parts}
    if len(sizes) > 1:
        return None
    (size,) = sizes
    stacked = operation("stack", *parts, shape=(*size[:axis], len(parts), *size[axis:]), dim=axis)
    return reshape(stacked, node.shape)


def _added(node: Operation) -> Value | None:
    """Return a sum or a difference with the factor `alpha`."""
    if not node.options:
        return None
    one, other = node.arguments
    return elementwise(node.name, one, mul(node.options["alpha"], other)) if [*node.options] == ["alpha"] else None


def _reduced(node: Operation) -> Value | None:
    """Return a reduction over several axes as one over each of them."""
    given = node.options.get("dim", next((each for each in node.arguments[1:] if isinstance(each, tuple | list)), None))
    if not isinstance(given, tuple | list) or len(given) < 2:
        return None
    result: Value = node.arguments[0]
    for axis in given:
        result = reduction(node.name, result, axis)
    return reshape(result, node.shape)


def _variance(node: Operation) -> Value | None:
    value, axis = node.arguments[0], _axis(node)
    named = [each for each in node.arguments[1:] if isinstance(each, bool)]
    unbiased = named[0] if named and "keepdim" in node.options else node.options.get("unbiased", True)
    correction = node.options.get("correction", int(bool(unbiased)))
    count = shape(value)[axis]
    if axis_of(node) is None or len(named) > 1 or correction not in (0, 1) or count <= correction:
        return None
    mean = reduction("mean", elementwise("square", sub(value, reduction("mean", value, axis))), axis)
    return reshape(mul(mean, count / (count - correction)) if correction else mean, node.shape)


def _deviation(node: Operation) -> Value | None:
    variance = _variance(node)
    return None if variance is None else elementwise("sqrt", variance)


def _layer_norm(node: Operation) -> Value | None:
    value, sizes, *parameters = node.arguments
    eps = parameters.pop() if parameters and isinstance(parameters[-1], float) else node.options.get("eps", 1e-5)
    if len(sizes) != 1:
        return None
    centered = sub(value, reduction("mean", value, -1))
    variance = reduction("mean", elementwise("square", centered), -1)
    result: Value = div(centered, elementwise("sqrt", add(variance, eps)))
    gain, bias = (*parameters, None, None)[:2]
    result = result if gain is None else elementwise("mul", result, gain)
    return result if bias is None else add(result, bias)


def _gelu(node: Operation) -> Value:
    x = node.arguments[0]
    if node.options.get("approximate", "none") == "tanh":
        cubic = add(x, mul(0.044715, elementwise("pow", x, 3.0)))
        return mul(0.5, mul(x, add(1.0, elementwise("tanh", mul((2 / math.pi) ** 0.5, cubic)))))
    return mul(0.5, mul(x, add(1.0, elementwise("erf", div(x, 2**0.5)))))


LOWERINGS: dict[str, Callable[[Operation], Value | None]] = {
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "logsumexp": _logsumexp,
    "einsum": _einsum,
    "permute": _permute,
    "matmul": _matmul,
    "max": _largest,
    "min": _smallest,
    "amin": _smallest,
    "expand": _expand,
    "expand_as": _expand,
    "broadcast_to": _expand,
    "cat": _concatenation,
    "add": _added,
    "sub": _added,
    "var": _variance,
    "std": _deviation,
    "layer_norm": _layer_norm,
    "gelu": _gelu,
    **dict.fromkeys(REDUCTIONS, _reduced),
}
"""By the name of an operation, a function that returns simpler ones; None where it has none."""
