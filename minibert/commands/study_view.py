"""The display of a step-through in a terminal: the list of steps, and one step with its matrix and its arithmetic."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from rich.cells import cell_len, set_cell_size
from rich.padding import Padding
from rich.style import Style
from rich.table import Table

from minibert.commands.terminal import Renderable, styled
from minibert.printable import printable
from minibert.study.stepthrough.calculation import Listing, calculation, cell_name, formula_text, number, symbol
from minibert.study.stepthrough.ranking import predictions
from minibert.study.stepthrough.selection import Selection
from minibert.study.stepthrough.step import Axis, Step, Walk
from minibert.trace import Leaf

PLAIN_ROWS = PLAIN_COLUMNS = 16
"""Largest part of a matrix in plain text. A cell is a line there."""
MAX_LABEL = 16
"""Width of the longest label of a row."""
MIN_WIDTH = 6
"""Width of the narrowest column."""
MARK = "▸"
"""Sign before the selected number."""
NEGATIVE, POSITIVE = ((253, 230, 206), (240, 136, 50)), ((222, 235, 247), (88, 152, 214))
"""Orange and blue, from pale to strong. People with any kind of color vision can distinguish them."""
PALE = 0.04
"""Numbers below this part of the largest one have no color."""
TEXT_WIDTH = 100
"""Widest line of running text."""


def matrix_number(value: float, is_integer: bool = False) -> str:
    """Format a number of a matrix with its sign, in at most nine characters.

    >>> matrix_number(0.5), matrix_number(-12.34567), matrix_number(1e-7), matrix_number(7, is_integer=True)
    ('+0.5000', '-12.3457', '+1.00e-07', '7')
    """
    if is_integer:
        return str(int(value))
    if not math.isfinite(value):
        return f"{value:+}"
    if value != 0 and not 1e-3 <= abs(value) < 1000:
        return f"{value:+.2e}"
    return f"{value:+.4f}"


def window(size: int, selected: int, shown: int) -> range:
    """Return the places of an axis that are shown: `shown` of them around the selected one."""
    start = max(0, min(selected - shown // 2, size - shown))
    return range(start, min(size, start + shown))


def plain_steps(walk: Walk, top: int) -> Iterator[str]:
    """Yield the list of steps and the predictions, one fact per line."""
    yield f"text: {walk.title}"
    for place, step in enumerate(walk.steps, start=1):
        formula = f", {formula_text(step.formula)}" if step.formula else ""
        yield f"step {place}: {step.path}, {_shape(step)}{formula}"
    for prediction in predictions(walk, top):
        where = f" for {prediction.row} {prediction.title}" if prediction.title else ""
        for rank, entry in enumerate(prediction.ranked, start=1):
            value = f"{entry.value:.4%}" if prediction.is_probability else number(entry.value)
            yield f"{prediction.step.path}{where}, rank {rank}: {entry.label} {value}"
    yield from _end(walk)


def steps_parts(walk: Walk, top: int) -> Iterator[Renderable]:
    """Yield the list of steps and the predictions as tables."""
    yield styled(walk.title, "bold")
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for heading, justify in (("step", "right"), ("path", "left"), ("shape", "left"), ("formula", "left")):
        table.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for place, step in enumerate(walk.steps, start=1):
        table.add_row(str(place), step.path, _shape(step), styled(formula_text(step.formula), "cyan"))
    yield table
    for prediction in predictions(walk, top):
        title = f"{prediction.step.path}{f' for {prediction.row} {prediction.title}' if prediction.title else ''}"
        ranked = Table(title=printable(title), title_justify="left", title_style="bold", box=None, padding=(0, 1))
        ranked.add_column("prediction", overflow="fold")
        ranked.add_column("probability" if prediction.is_probability else "score", justify="right")
        for entry in prediction.ranked:
            ranked.add_row(printable(entry.label), f"{entry.value:.2%}" if prediction.is_probability else number(entry.value))
        yield Padding(ranked, (1, 0, 0, 0))
    yield from (styled(line, "bold") for line in _end(walk))


def _end(walk: Walk) -> Iterator[str]:
    """Yield why the walk has no predictions, if it has none."""
    if walk.failure is not None:
        yield from str(walk.failure).splitlines()
    elif not predictions(walk, 1):
        yield f"The checkpoint has no head. Its last step is {walk.steps[-1].path}."


def plain_step(selection: Selection, terms: int) -> Iterator[str]:
    """Yield a step, the arithmetic of its cell and its matrix, one fact per line.

    Args:
        terms: number of terms of each sum.
    """
    step = selection.step
    yield f"text: {selection.walk.title}"
    yield f"step: {selection.number + 1} of {len(selection.walk)}"
    yield f"path: {step.path}"
    yield from (f"also recorded as: {alias}" for alias in step.aliases)
    if step.formula:
        yield f"formula: {formula_text(step.formula)}"
    if step.explanation:
        yield f"explanation: {step.explanation}"
    yield f"shape: {_shape(step)}"
    if step.equation:
        yield f"equation: {step.equation}"
    if step.code:
        yield f"code: {step.code}"
    yield from (f"input: {line}" for line in _inputs(selection))
    if selection.heads:
        yield f"head: {selection.head} (heads 0 to {selection.heads - 1})"
    if selection.is_empty:
        yield "The step has no numbers."
        return
    yield f"cell: {_cell_text(selection)}"
    found = calculation(selection.walk, step, selection.index)
    yield from (f"calculation: {line}" for line in found.lines)
    yield from (f"where: {line}" for part in found.parts[1:] for line in part.lines)
    yield f"result: {cell_name(step, selection.index)} = {number(found.result)}"
    yield from (f"note: {line}" for line in found.notes)
    for listing in (listing for part in found.parts for listing in part.listings):
        is_sum, shown = _shown_terms(listing, terms)
        yield f"{listing.name}: {number(listing.value)}, of {len(listing.terms)} numbers"
        for place, term in enumerate(listing.terms[:shown], start=1):
            label = f" ({term.label})" if term.label else ""
            total = f", running sum {number(term.total)}" if is_sum else ""
            yield f"{listing.name}, term {place}: {term.symbols}{label} = {_worked(term.numbers, term.value)}{total}"
        yield from (f"{listing.name}, {line}" for line in _rest(listing, shown))
    yield from _plain_matrix(selection)


def _plain_matrix(selection: Selection) -> Iterator[str]:
    rows = window(selection.rows.size, selection.row, PLAIN_ROWS)
    columns = window(selection.columns.size, selection.column, PLAIN_COLUMNS)
    yield f"matrix: {_window_text(selection, rows, columns)}"
    is_integer = not selection.step.output.is_floating_point()
    for row in rows:
        for column in columns:
            value = matrix_number(float(selection.matrix[row, column]), is_integer)
            places = [
                f"{axis.name} {_label(axis, place)}"
                for axis, place in ((selection.rows, row), (selection.columns, column))
                if axis.name
            ]
            yield f"{', '.join(places)}: {value}" if places else f"value: {value}"


def step_parts(selection: Selection, terms: int, width: int, rows: int | None = None) -> list[Renderable]:
    """Return a step, its matrix and the arithmetic of its cell, to display below each other.

    Args:
        terms: number of terms of each sum.
        width: columns of the terminal.
        rows: largest number of rows of the matrix. Default: `PLAIN_ROWS`.
    """
    step = selection.step
    head = f", head {selection.head} (0 to {selection.heads - 1})" if selection.heads else ""
    parts: list[Renderable] = [
        styled(f"{selection.number + 1}/{len(selection.walk)}  {step.path}{head}", "bold"),
        styled(formula_text(step.formula), "cyan"),
        styled(f"{step.explanation} Shape: {_shape(step)}."),
    ]
    if selection.is_empty:
        return [*parts, styled("The step has no numbers.")]
    found = calculation(selection.walk, step, selection.index)
    below: list[Renderable] = [
        styled(f"Cell {_cell_text(selection)}", "bold"),
        *(styled(line) for line in found.lines),
        styled(f"{' ' * cell_len(cell_name(step, selection.index))} = {number(found.result)}", "bold"),
        *(styled(note, "dim") for note in found.notes),
        *(styled(f"← {place} {line}", "dim") for place, line in enumerate(_inputs(selection), start=1)),
        *(styled(f"where {part.lines[0]}") for part in found.parts[1:]),
        *(_listing_table(listing, terms) for part in found.parts for listing in part.listings),
    ]
    return [*parts, "", *_matrix_parts(selection, width, rows or PLAIN_ROWS), "", *below]


def _matrix_parts(selection: Selection, width: int, shown_rows: int) -> list[Renderable]:
    is_integer = not selection.step.output.is_floating_point()
    rows = window(selection.rows.size, selection.row, shown_rows)
    labels = [_label(selection.rows, row) for row in rows]
    label_width = min(max(map(cell_len, labels)), MAX_LABEL, width // 4)
    columns = window(selection.columns.size, selection.column, max(1, (width - label_width) // (MIN_WIDTH + 1)))
    part = selection.matrix[rows.start : rows.stop, columns.start : columns.stop]
    cell_width = max(MIN_WIDTH, max(len(matrix_number(value, is_integer)) for value in part.flat) + len(MARK))
    columns = window(selection.columns.size, selection.column, max(1, (width - label_width) // (cell_width + 1)))
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("", no_wrap=True)
    for column in columns:
        style = "bold reverse" if column == selection.column else "bold"
        heading = _fitted(_label(selection.columns, column), cell_width)
        table.add_column(styled(heading, style), justify="right", no_wrap=True, min_width=cell_width)
    largest = float(np.abs(selection.matrix[np.isfinite(selection.matrix)]).max(initial=0.0))
    for row, label in zip(rows, labels, strict=True):
        cells = []
        for column in columns:
            value = float(selection.matrix[row, column])
            is_selected = (row, column) == (selection.row, selection.column)
            shown = f"{MARK if is_selected else ''}{matrix_number(value, is_integer)}"
            cells.append(styled(shown, "bold reverse" if is_selected else "" if is_integer else _heat(value, largest)))
        style = "bold reverse" if row == selection.row and selection.rows.size > 1 else "bold"
        table.add_row(styled(_fitted(label, label_width), style), *cells)
    return [table, styled(_window_text(selection, rows, columns), "dim")]


def _heat(value: float, largest: float) -> Style | str:
    """Return the color of a number. The sign is in the text, too."""
    if not math.isfinite(value) or largest == 0 or abs(value) < PALE * largest:
        return ""
    pale, strong = POSITIVE if value > 0 else NEGATIVE
    part = abs(value) / largest
    red, green, blue = (round(one + (other - one) * part) for one, other in zip(pale, strong, strict=True))
    return Style(color="#000000", bgcolor=f"#{red:02x}{green:02x}{blue:02x}")


def _listing_table(listing: Listing, terms: int) -> Renderable:
    is_sum, terms = _shown_terms(listing, terms)
    table = Table(
        title=f"{listing.name} = {number(listing.value)}, of {len(listing.terms)} numbers",
        title_justify="left", title_style="", box=None, padding=(0, 1), pad_edge=False, show_header=is_sum,
    )  # fmt: skip
    table.add_column("largest first", overflow="fold")
    if any(term.label for term in listing.terms):
        table.add_column("")
    table.add_column("", overflow="fold")
    if is_sum:
        table.add_column("running sum", justify="right")
    for term in listing.terms[:terms]:
        labels = [_fitted(printable(term.label), MAX_LABEL)] if any(each.label for each in listing.terms) else []
        totals = [number(term.total)] if is_sum else []
        table.add_row(term.symbols, *labels, _worked(term.numbers, term.value), *totals)
    for line in _rest(listing, terms):
        table.add_row(styled(line, "dim"))
    return Padding(table, (0, 0, 0, 2))


def _shown_terms(listing: Listing, terms: int) -> tuple[bool, int]:
    """Return True for a sum or a mean, and the number of terms to show. Of a maximum, only the largest number is shown."""
    is_sum = not listing.name.startswith("largest")
    return is_sum, terms if is_sum else 1


def _rest(listing: Listing, terms: int) -> Iterator[str]:
    rest = listing.terms[terms:]
    if rest and not listing.name.startswith("largest"):
        yield f"{len(rest)} more: {number(math.fsum(term.value for term in rest))}"


def _worked(numbers: str, value: float) -> str:
    return numbers if numbers == number(value) else f"{numbers} = {number(value)}"


def _inputs(selection: Selection) -> list[str]:
    return [_input(selection.walk, leaf) for leaf in selection.step.inputs]


def _input(walk: Walk, leaf: Leaf) -> str:
    """Return where an input of a step comes from."""
    if leaf.name in walk:
        step = walk[leaf.name]
        return f"{symbol(step)}: step {walk.steps.index(step) + 1}, {step.path}, {_shape(step)}"
    shape = " × ".join(map(str, leaf.value.shape)) or "one number"
    return f"{leaf.kind}{f' {leaf.name}' if leaf.name else ''}, {shape}"


def _shape(step: Step) -> str:
    """Return the axes and their sizes, without the batch, which has one entry."""
    axes = [axis for axis in step.axes if axis.name != "batch"]
    return ", ".join(axis.name if axis.name.isdecimal() else f"{axis.name} {axis.size}" for axis in axes) or "one number"


def _label(axis: Axis, place: int) -> str:
    return f"{place} {printable(axis.labels[place])}" if axis.labels is not None else str(place) if axis.name else ""


def _fitted(text: str, width: int) -> str:
    """Shorten a text to a number of cells of a terminal."""
    return text if cell_len(text) <= width else set_cell_size(text, max(width - 1, 0)) + "…"


def _cell_text(selection: Selection) -> str:
    axes = ((selection.rows, selection.row), (selection.columns, selection.column))
    places = [f"{axis.name} {_label(axis, place)}" for axis, place in axes if axis.name]
    return f"{selection.row},{selection.column}: {', '.join(places)}" if places else "0,0"


def _window_text(selection: Selection, rows: Sequence[int], columns: Sequence[int]) -> str:
    parts = [
        f"{axis.name} {places[0]} to {places[-1]} of {axis.size}" if len(places) < axis.size else f"{axis.name} {axis.size}"
        for axis, places in ((selection.rows, rows), (selection.columns, columns))
        if axis.name
    ]
    return f"rows {parts[0]}, columns {parts[1]}" if len(parts) == 2 else "".join(parts) or "one number"
