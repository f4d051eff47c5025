"""The rows of weight matrices behind a prediction, from its logits back to the embeddings, along the largest terms of each sum.

A page has room for some rows only. Each row computes one column of a linear layer's output.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import count
from typing import Any

import numpy as np
from torch import Tensor

from minibert.study.stepthrough.arithmetic import (
    REDUCTIONS,
    Array,
    Cell,
    Index,
    UnknownOperation,
    axis_of,
    cell_from,
    evaluate,
    keeps_axis,
    last_axes,
    shape_of,
)
from minibert.study.stepthrough.step import Step, Walk
from minibert.trace import Leaf, Node, Operation

MOST_TERMS = 3
"""Number of terms of each sum that are followed."""
Place = tuple[int, Leaf, Index]
"""A cell of a leaf, and the number of larger terms that are passed over on the way to it."""


def rows_along_chains(
    walk: Walk,
    starts: Iterable[tuple[int, str, Index]],
    is_shown: Callable[[Step], bool],
    weights: Mapping[str, Tensor],
    most_numbers: float,
) -> dict[str, set[int]]:
    """Return rows of weight matrices. Those come first that are reached with the fewest larger terms passed over.

    Args:
        starts: cells to begin with: a number of terms passed over, the path of a step, and a place in its output.
        is_shown: whether the page has the numbers of a step.
        weights: matrices (out, in) by name.
        most_numbers: the size of all rows together. The first row of each matrix is always there.
    """
    terms, order = LargestTerms(), count()
    rows = {name: {0} for name in weights}
    room = most_numbers - sum(value.shape[-1] for value in weights.values())
    queue = [(passed, next(order), path, index) for passed, path, index in starts]
    heapq.heapify(queue)
    visited = set()
    while queue:
        passed, _, path, index = heapq.heappop(queue)
        step = walk[path]
        if (step.path, index) in visited or step.expression is None or not is_shown(step):
            continue
        visited.add((step.path, index))
        try:
            found = [*terms.leaf_cells(step.expression, index)]
        except UnknownOperation:  # the page shows no arithmetic of this step
            continue
        needed = {(leaf.name, place[0]) for _, leaf, place in found if leaf.name in weights}
        needed = {(name, row) for name, row in needed if row not in rows[name]}
        room -= sum(weights[name].shape[-1] for name, _ in needed)
        if room < 0:
            break
        for name, row in needed:
            rows[name].add(row)
        for further, leaf, place in found:
            if leaf.kind == "step":
                heapq.heappush(queue, (passed + further, next(order), leaf.name, place))
    return rows


class LargestTerms:
    """Finds the cells that a cell of an expression was computed from; of each sum, those of its largest terms."""

    def __init__(self) -> None:
        self.evaluated: dict[int, Array] = {}
        """The numbers of inner nodes that sums are over, by their id: many cells need the same ones."""

    def leaf_cells(self, node: Node | Any, index: Index) -> Iterator[Place]:
        """Yield the cells of the leaves below a node."""
        if isinstance(node, Leaf):
            yield 0, node, index
        elif isinstance(node, Operation):
            for rank, part, place in self._parts(node, index):
                for further, leaf, leaf_place in self.leaf_cells(part, place):
                    yield rank + further, leaf, leaf_place

    def _parts(self, node: Operation, index: Index) -> Iterator[tuple[int, Node | Any, Index]]:
        """Yield the cells of the arguments, each with the number of larger terms."""
        first, *others = node.arguments
        if node.name == "linear":
            *before, column = index
            yield from self._largest(node, [(first, (*before, slice(None))), (others[0], (column, slice(None)))])
            if len(others) > 1 and others[1] is not None:
                yield 0, others[1], (column,)
        elif node.name == "matmul":
            *batch, row, column = index
            left, right = last_axes(batch, first), last_axes(batch, others[0])
            yield from self._largest(node, [(first, (*left, row, slice(None))), (others[0], (*right, slice(None), column))])
        elif node.name in REDUCTIONS and (axis := axis_of(node)) is not None:
            axis %= len(shape_of(first))
            rest = index[axis + 1 :] if keeps_axis(node) else index[axis:]
            yield from self._largest(node, [(first, (*index[:axis], slice(None), *rest))])
        else:
            parts: list[tuple[Any, Index]] = []
            cell_from(node, index, partial(_noted, parts))
            yield from ((0, part, place) for part, place in parts)

    def _largest(self, node: Operation, lines: list[tuple[Node, tuple[Any, ...]]]) -> Iterator[tuple[int, Node, Index]]:
        """Yield the cells of the largest terms: of the numbers on a line, or of the products of the numbers on two lines."""
        values = np.prod([self._numbers(argument, line) for argument, line in lines], axis=0)
        sizes = values if node.name == "amax" else np.abs(values)
        for rank, term in enumerate(np.argsort(-sizes, kind="stable")[:MOST_TERMS].tolist()):
            for argument, line in lines:
                yield rank, argument, tuple(term if isinstance(place, slice) else place for place in line)

    def _numbers(self, node: Node, line: tuple[Any, ...]) -> Array:
        if isinstance(node, Leaf):
            return np.asarray(node.value.detach()[line].double().cpu().numpy())
        if id(node) not in self.evaluated:
            self.evaluated[id(node)] = evaluate(node)
        return np.asarray(self.evaluated[id(node)][line])


def _noted(parts: list[tuple[Any, Index]], part: Any, place: Index) -> Cell:
    """Note which cell of an argument was asked for, and return it. Only an embedding needs a value: that of the token id."""
    parts.append((part, place))
    return Cell(float(part.value.detach()[place]) if isinstance(part, Leaf) else 0.0, "")
