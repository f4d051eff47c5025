"""The text and the HTML that a notebook shows for a step."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product, zip_longest
from math import isfinite, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len, set_cell_size

from minibert.display import Cell, escape, number, table
from minibert.printable import printable
from minibert.study.equations.formulas import mathml, plain
from minibert.study.stepthrough.step import Axis, Step
from minibert.trace import Leaf

ROWS, COLUMNS, MATRICES, LARGEST = 16, 16, 16, 8
"""Maximum numbers of rows, columns and matrices (such as heads) in HTML, and of largest entries of a vocabulary."""
TEXT_ROWS, TEXT_COLUMNS, TEXT_WIDTH = 8, 8, 24
"""Maximum numbers of rows and columns in text, and the maximum width of a cell."""
RANKED = ("vocabulary", "classes")
"""Axes whose largest entries are shown, if there is no room for all: each row has its own columns."""
POSITIVE, NEGATIVE, STRONGEST = "47,109,181", "217,119,43", 0.6
"""Colors of positive and of negative numbers, which color-blind readers can distinguish, and the opacity of the largest."""


@dataclass(frozen=True, eq=False)
class Matrix:
    """The last two axes of a step, or its only axis as one row."""

    title: str
    """The place on the other axes, such as "head 0"."""
    rows: Axis
    columns: Axis
    values: NDArray[Any]

    @property
    def ranked(self) -> bool:
        """True if only the largest entries of each row are shown."""
        return self.columns.name in RANKED and self.columns.size > COLUMNS

    def window(self, rows: int, columns: int) -> list[list[Cell]]:
        """Return the first rows as cells. The first cell of each row is its label."""
        finite = self.values[np.isfinite(self.values)]
        largest = max((abs(float(value)) for value in (finite.min(), finite.max())), default=0.0) if finite.size else 0.0
        return [
            [Cell(label(self.rows, place)), *(self._cell(place, column, largest) for column in self._shown(place, columns))]
            for place in range(min(rows, self.rows.size))
        ]

    def header(self, columns: int) -> list[str]:
        """Return the headings of the columns."""
        if self.ranked:
            return ["", *(f"{place}." for place in range(1, min(columns, LARGEST) + 1)), "…"]
        shown = min(columns, self.columns.size)
        names = [label(self.columns, place) for place in range(shown)]
        return ["", *names, *(["…"] if shown < self.columns.size else [])]

    def _shown(self, row: int, columns: int) -> Sequence[int]:
        if self.ranked:
            return [int(place) for place in np.argsort(-self.values[row], kind="stable")[: min(columns, LARGEST)]]
        return range(min(columns, self.columns.size))

    def _cell(self, row: int, column: int, largest: float) -> Cell:
        value = self.values[row, column].item()
        text = f"{label(self.columns, column)} {number(value)}" if self.ranked else number(value)
        return Cell(text, heat(value, largest))


def label(axis: Axis, place: int) -> str:
    """Return the token or class at a place of an axis, or else the number of the place."""
    return str(place) if axis.labels is None else axis.labels[place]


def heat(value: float, largest: float) -> str:
    """Return the background color of a number; "" for zero and for a number that is not finite."""
    if value == 0 or not isfinite(value):
        return ""
    return f"rgba({POSITIVE if value > 0 else NEGATIVE},{STRONGEST * abs(value) / largest:.2f})"


def matrices(step: Step) -> Iterator[Matrix]:
    """Yield the matrices of a step, such as one for each head. The axis of the batch, which has one entry, is left out."""
    axes, output = list(step.axes), step.output.detach().cpu()
    values: NDArray[Any] = (output.float() if output.is_floating_point() else output).numpy()
    if len(axes) > 1 and axes[0].name == "batch" and axes[0].size == 1:
        axes, values = axes[1:], values[0]
    while len(axes) < 2:
        axes, values = [Axis("", 1, ("",)), *axes], values[None]
    for place in product(*(range(axis.size) for axis in axes[:-2])):
        names = (f"{axis.name.removesuffix('s')} {label(axis, index)}" for axis, index in zip(axes, place, strict=False))
        yield Matrix(", ".join(names), axes[-2], axes[-1], values[place])


def shape_text(step: Step) -> str:
    """Return the axes of a step in one line, without the batch: "heads 12 × queries 16 × keys 16"."""
    axes = [axis for axis in step.axes if axis.name != "batch"]
    return " × ".join(axis.name if axis.name == "1" else f"{axis.name} {axis.size}" for axis in axes) or "one number"


def formula_text(step: Step) -> str:
    """Return the formula as one line of text. LaTeX that the converter does not support, as of a user, stays as it is."""
    try:
        return plain(step.formula) if step.formula else ""
    except ValueError:
        return step.formula


def formula_html(step: Step) -> str:
    """Return the formula as MathML, or else as in `formula_text`."""
    try:
        return mathml(step.formula) if step.formula else ""
    except ValueError:
        return f"<p><code>{escape(step.formula)}</code></p>"


def step_line(step: Step) -> str:
    """Return a step in one line: path, formula, axes."""
    return printable("  ".join(part for part in (step.path, formula_text(step), shape_text(step)) if part))


def step_text(step: Step) -> str:
    """Return a step as text: formula, explanation, axes, inputs, and the beginning of the first matrix."""
    lines = [step.path, *([f"    {formula_text(step)}"] if step.formula else []), step.explanation, shape_text(step)]
    lines += [f"computed from {', '.join(map(_input, step.inputs))}"] if step.inputs else []
    for matrix in islice(matrices(step), 1):
        rows = [[cell.text for cell in row] for row in matrix.window(TEXT_ROWS, TEXT_COLUMNS)]
        lines += ["", *([f"{matrix.title}:"] if matrix.title else []), *aligned([matrix.header(TEXT_COLUMNS), *rows])]
        lines += ["…"] if matrix.rows.size > TEXT_ROWS else []
    return "\n".join(line.rstrip() for line in map(printable, lines))


def step_html(step: Step) -> str:
    """Return a step as HTML: formula, explanation, inputs, and the beginning of each matrix. All but the first are folded."""
    facts = [escape(step.explanation), f"{escape(step.path)}: {escape(shape_text(step))}"]
    facts += [f"Computed from {escape(', '.join(map(_input, step.inputs)))}"] if step.inputs else []
    facts += [f"Code: {escape(step.code)}"] if step.code else []
    parts = [formula_html(step), f"<p>{'<br>'.join(facts)}</p>"]
    for count, matrix in enumerate(islice(matrices(step), MATRICES)):
        shown = table(matrix.header(COLUMNS), matrix.window(ROWS, COLUMNS), _caption(matrix))
        heading = f"<summary>{escape(matrix.title)}</summary>"
        parts.append(f"<details{'' if count else ' open'}>{heading}{shown}</details>" if matrix.title else shown)
    omitted = prod(axis.size for axis in step.axes[:-2]) - MATRICES
    parts += [f"<p>{omitted} more matrices: see .output</p>"] if omitted > 0 else []
    return "\n".join(part for part in parts if part)


def _caption(matrix: Matrix) -> str:
    """Return the names of the axes, and how much of them is shown."""
    rows = _shown(matrix.rows, ROWS) if matrix.rows.name else ""
    columns = f"largest {LARGEST} of {matrix.columns.size}" if matrix.ranked else _shown(matrix.columns, COLUMNS)
    return " × ".join(part for part in (rows, columns) if part)


def _shown(axis: Axis, limit: int) -> str:
    return f"{axis.name} 0–{limit - 1} of {axis.size}" if axis.size > limit else axis.name


def _input(leaf: Leaf) -> str:
    return leaf.name or f"a constant ({' × '.join(map(str, leaf.value.shape)) or 'one number'})"


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield rows of cells, aligned in columns. Characters such as Chinese ones take the room of two."""
    texts = [[set_cell_size(text, min(cell_len(text), TEXT_WIDTH)) for text in map(printable, row)] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip_longest(*texts, fillvalue="")]
    for row in texts:
        spaces = [" " * (width - cell_len(text)) for text, width in zip(row, widths, strict=False)]
        yield "  ".join([row[0] + spaces[0], *(space + text for space, text in zip(spaces[1:], row[1:], strict=True))])
