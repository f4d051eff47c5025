"""The part of a step that is looked at: a matrix of one head, and one of its cells."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from minibert.observe import similar_paths
from minibert.study.stepthrough.step import Axis, Step, Walk
from minibert.study.stepthrough.symbols import GRADIENT

SINGLE = Axis("", 1)
"""The missing axis of a vector or of a number, which is shown as a matrix, too."""

MAX_DIGITS = 9
"""Largest number of digits of a step, a row or a column. Python refuses to convert thousands of digits."""


@dataclass(frozen=True)
class Selection:
    """A step, a head and a cell. The matrix that is shown has the last two axes of the step, of batch entry 0."""

    walk: Walk
    number: int
    """Place of the step in the list of all steps, from 0."""
    head: int = 0
    row: int = 0
    column: int = 0

    @property
    def step(self) -> Step:
        """The selected step."""
        return self.walk.steps[self.number]

    @property
    def heads(self) -> int:
        """Number of heads; 0 for a step without heads."""
        return 0 if self._head_axis is None else self.step.axes[self._head_axis].size

    @property
    def rows(self) -> Axis:
        """The axis of the rows."""
        return SINGLE if self._row_axis is None else self.step.axes[self._row_axis]

    @property
    def columns(self) -> Axis:
        """The axis of the columns."""
        return SINGLE if self._column_axis is None else self.step.axes[self._column_axis]

    @property
    def index(self) -> tuple[int, ...]:
        """Place of the selected cell in the output of the step."""
        return self.index_of(self.row, self.column)

    def index_of(self, row: int, column: int) -> tuple[int, ...]:
        """Return the place of a cell of the matrix in the output of the step."""
        places = {self._head_axis: self.head, self._row_axis: row, self._column_axis: column}
        return tuple(places.get(axis, 0) for axis in range(len(self.step.axes)))

    @cached_property
    def matrix(self) -> NDArray[np.float64]:
        """The numbers of the selected head."""
        shown = {self._row_axis, self._column_axis}
        index = tuple(slice(None) if axis in shown else place for axis, place in enumerate(self.index))
        values = self.step.output.detach().double().cpu().numpy()[index]
        return np.asarray(values).reshape(self.rows.size, self.columns.size)

    @property
    def is_empty(self) -> bool:
        """True if the step has no numbers, as the characters of an empty text."""
        return self.step.output.numel() == 0

    def at_largest(self) -> "Selection":
        """Select the largest number of the matrix."""
        if self.is_empty:
            return self
        finite = np.where(np.isfinite(self.matrix), self.matrix, -np.inf)
        row, column = np.unravel_index(int(finite.argmax()), finite.shape)
        return replace(self, row=int(row), column=int(column))

    def at_step(self, number: int) -> "Selection":
        """Select another step. Head, row and column stay, where the step has them; otherwise its largest number is selected."""
        moved = Selection(self.walk, number, self.head)
        moved = replace(moved, head=min(self.head, max(moved.heads - 1, 0)))
        same_axes = [(axis.name, axis.size) for axis in (self.rows, self.columns)] == [
            (axis.name, axis.size) for axis in (moved.rows, moved.columns)
        ]
        return replace(moved, row=self.row, column=self.column) if same_axes else moved.at_largest()

    def at_layer(self, offset: int) -> "Selection":
        """Select the same step of the next layer (1) or of the layer before (-1); without one, return this selection."""
        if self.step.layer is None:
            return self
        path = _with_layer(self.step.path, self.step.layer + offset)
        return self.at_step(self.walk.steps.index(self.walk[path])) if path in self.walk else self

    def at_head(self, offset: int) -> "Selection":
        """Select another head of the same step, if there is one."""
        head = self.head + offset
        return replace(self, head=head) if 0 <= head < self.heads else self

    def moved(self, rows: int, columns: int) -> "Selection":
        """Select a cell at some distance; at most the one at the border of the matrix."""
        return replace(
            self,
            row=max(0, min(self.row + rows, self.rows.size - 1)),
            column=max(0, min(self.column + columns, self.columns.size - 1)),
        )

    @cached_property
    def _shown(self) -> list[int]:
        """The axes of the matrix: the last two that are neither the batch nor, where there are others, the heads."""
        axes = [number for number, axis in enumerate(self.step.axes) if axis.name != "batch"]
        return [number for number in axes if self.step.axes[number].name != "heads" or len(axes) == 1][-2:]

    @property
    def _head_axis(self) -> int | None:
        names = [axis.name for axis in self.step.axes]
        return names.index("heads") if "heads" in names and names.index("heads") not in self._shown else None

    @property
    def _row_axis(self) -> int | None:
        """A vector with labels is a column, which has a row for each label. One without labels is a row."""
        if len(self._shown) == 1:
            return self._shown[0] if self.step.axes[self._shown[0]].labels is not None else None
        return self._shown[0] if self._shown else None

    @property
    def _column_axis(self) -> int | None:
        return None if not self._shown or self._shown[-1] == self._row_axis else self._shown[-1]


def select(walk: Walk, name: str, layer: int | None = None, head: int | None = None, cell: str | None = None) -> Selection:
    """Select a step by its name, path or number, and a head and a cell of it. Without a cell, its largest number is selected.

    Args:
        name: "scores", "layers.0.attention.scores", the end of a path, or the number of the step, from 1. Of a gradient:
            "gradient.scores".
        layer: for a name that steps of several layers have. Default: the first of them.
        cell: "row,column" from 0; for a step with one axis, one number.

    Raises: ValueError for a step, layer, head or cell that does not exist.
    """
    selection = Selection(walk, _step_number(walk, name, layer))
    path = selection.step.path
    if head is not None and not selection.heads:
        raise ValueError(f"the step {path} has no heads: leave out --head")
    if head is not None and not 0 <= head < selection.heads:
        raise ValueError(f"the step {path} has no head {head}, only the heads {_range(selection.heads)}")
    selection = replace(selection, head=head or 0)
    return selection.at_largest() if cell is None else _at_cell(selection, cell)


def _step_number(walk: Walk, name: str, layer: int | None) -> int:
    if re.fullmatch(r"[0-9]+", name):
        number = int(name) if len(name) <= MAX_DIGITS else 0
        if not 1 <= number <= len(walk):
            raise ValueError(f"there is no step {name}: the steps have the numbers 1 to {len(walk)}")
        candidates = [walk.steps[number - 1].path]
    else:
        paths = [path for step in walk.steps for path in (step.path, *step.aliases)]
        rest, is_gradient = name.removeprefix(GRADIENT), name.startswith(GRADIENT)
        same_kind = [path for path in paths if path.startswith(GRADIENT) == is_gradient]
        candidates = [path for path in same_kind if path == name or path.endswith(f".{rest}")]
        candidates = [path for path in candidates if path == name] or candidates
    if not candidates:
        names = sorted({path.rpartition(".")[2] for path in paths})
        near = similar_paths(name, paths if "." in name else names)
        raise ValueError(f"there is no step {name!r}. Similar: {', '.join(near)}")
    if layer is not None:
        candidates = _in_layer(walk, name, candidates, layer)
    kinds = {_with_layer(path, 0): path for path in reversed(candidates)}
    if len(kinds) > 1:
        raise ValueError(f"several steps end with {name!r}; give more of the path: {', '.join(reversed(kinds.values()))}")
    return walk.steps.index(walk[candidates[0]])


def _in_layer(walk: Walk, name: str, candidates: Sequence[str], layer: int) -> list[str]:
    layers = sorted({number for path in candidates if (number := walk[path].layer) is not None})
    if not layers:
        raise ValueError(f"the step {name!r} belongs to no layer: leave out --layer")
    if layer not in layers:
        only = f"layer {layers[0]}" if len(layers) == 1 else f"layers {layers[0]} to {layers[-1]}"
        raise ValueError(f"there is no step {name!r} in layer {layer}, only in {only}")
    return [path for path in candidates if walk[path].layer == layer]


def _at_cell(selection: Selection, cell: str) -> Selection:
    numbers = [part.strip() for part in cell.split(",")]
    is_vector = 1 in (selection.rows.size, selection.columns.size)
    if not all(re.fullmatch(rf"[0-9]{{1,{MAX_DIGITS}}}", part) for part in numbers) or not 2 - is_vector <= len(numbers) <= 2:
        form = "a row and a column, such as 3,5" + (", or one number" if is_vector else "")
        raise ValueError(f"--cell {cell!r} must be {form}")
    places = [int(part) for part in numbers]
    if len(places) == 1:
        places.insert(0 if selection.columns.size > 1 else 1, 0)
    row, column = places
    if row >= selection.rows.size or column >= selection.columns.size:
        raise ValueError(
            f"there is no cell {cell}: the matrix of {selection.step.path} has the "
            f"rows {_range(selection.rows.size)} and the columns {_range(selection.columns.size)}"
        )
    return replace(selection, row=row, column=column)


def _with_layer(path: str, layer: int) -> str:
    return re.sub(r"(?<=layers\.)\d+", str(layer), path)


def _range(size: int) -> str:
    return f"0 to {size - 1}" if size else "(none)"
