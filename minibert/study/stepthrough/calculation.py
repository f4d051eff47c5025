"""The arithmetic of one cell as text: the expression with symbols and with numbers, and the terms of its sums."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from minibert.study.equations.formulas import plain
from minibert.study.stepthrough.arithmetic import Cell, Index, UnknownOperation, cell
from minibert.study.stepthrough.step import Step, TextStep, Walk
from minibert.trace import Leaf

INFIX = {"add": ("+", 1), "sub": ("-", 1), "mul": ("×", 2), "div": ("/", 2), "pow": ("^", 3)}
"""Signs of operations, and how strongly they bind."""
LISTS = {"matmul": "sum of products", "linear": "sum of products", "sum": "sum", "mean": "mean", "amax": "largest"}
"""Operations over many cells, which are listed below the expression under these names."""
FUNCTIONS = {"sqrt": "√"}


@dataclass(frozen=True)
class Term:
    """One number of a sum."""

    symbols: str
    """Such as "Q[1,3,0] × K[1,5,0]"."""
    numbers: str
    """Such as "1.5 × -0.25"."""
    value: float
    total: float
    """Sum of this term and of the larger ones before it. For a mean, it is not yet divided by the number of terms."""
    label: str = ""
    """The token or class that the term belongs to, if the terms belong to different ones."""


@dataclass(frozen=True)
class Listing:
    """The terms of a sum, a mean or a maximum, the largest magnitudes first; of a maximum, the largest numbers."""

    name: str
    """As in the expression: "sum", "mean", "largest", "sum of products" or "sum of products and bias"."""
    terms: tuple[Term, ...]
    value: float


@dataclass(frozen=True)
class Calculation:
    """The computation of one number of a step."""

    lines: tuple[str, ...]
    """The expression with symbols, and with the recorded numbers."""
    listings: tuple[Listing, ...]
    result: float
    """The recorded number."""
    notes: tuple[str, ...] = ()
    where: "Calculation | None" = None
    """The calculation of the input, if there is only one and no sum: a score is a dot product divided by √d_k."""

    @property
    def parts(self) -> list["Calculation"]:
        """This calculation, and those of the inputs that are shown with it."""
        return [self, *([] if self.where is None else self.where.parts)]


def calculation(walk: Walk, step: Step, index: Index) -> Calculation:
    """Return the arithmetic of one cell of a step.

    Args:
        index: place of the cell in the output of the step, with all axes.
    """
    recorded = float(step.output.detach()[index])
    if isinstance(step, TextStep):
        return Calculation((_text_line(walk, step, index[0]),), (), recorded)
    if step.expression is None:
        return Calculation((), (), recorded, ("No computation was recorded for this number.",))
    try:
        computed = cell(step.expression, index)
    except UnknownOperation as error:
        return Calculation((), (), recorded, (f"The arithmetic of this number cannot be shown: {error}.",))
    names = _Names(walk, computed)
    symbols, numbers = _infix(computed, names.symbols)[0], _infix(computed, names.numbers)[0]
    lines = [f"{cell_name(step, index)} = {symbols}"]
    notes = [*_mask_notes(computed), *_rounding_notes(computed.value, recorded, step)]
    if computed.operation == "leaf":
        notes.insert(0, f"Copied from {names.symbols(computed)}: only the place changes.")
    elif computed.operation not in LISTS and numbers != number(recorded):
        lines.append(f"{' ' * len(cell_name(step, index))} = {numbers}")
    only = _only_input(walk, computed)
    where = None if only is None else calculation(walk, *only)
    return Calculation(tuple(lines), names.listings(), recorded, tuple(notes), where)


def number(value: float) -> str:
    """Format a number with six significant digits.

    >>> number(0.5), number(-1 / 3), number(12.0), number(float("-inf"))
    ('0.5', '-0.333333', '12', '-inf')
    """
    return f"{value:.6g}"


def cell_name(step: Step, index: Index) -> str:
    """Return the symbol of a step with a place, without the batch: "S[1,3,5]"."""
    places = [str(place) for place, axis in zip(index, step.axes, strict=True) if axis.name != "batch"]
    return f"{symbol(step)}[{','.join(places)}]" if places else symbol(step)


def symbol(step: Step) -> str:
    """Return the symbol of a step in one line of text."""
    return formula_text(step.symbol) or step.name


@cache
def formula_text(latex: str) -> str:
    """Convert a formula to one line of text. The name of a step without a formula stays as it is."""
    try:
        return plain(latex) if latex else ""
    except ValueError:
        return latex


class _Names:
    """Names of the cells in an expression, and the listings of its sums."""

    def __init__(self, walk: Walk, computed: Cell) -> None:
        self.walk = walk
        self.lists: dict[int, tuple[str, Cell]] = {}
        counts: Counter[str] = Counter()
        for each in _lists(computed, set()):
            has_bias = each.operation == "linear" and each.parts[-1].operation != "mul"
            name = LISTS[each.operation] + (" and bias" if has_bias else "")
            counts[name] += 1
            self.lists[id(each)] = (name if counts[name] == 1 else f"{name} {counts[name]}", each)

    def symbols(self, part: Cell) -> str:
        """Return the name of a cell."""
        if part.operation in LISTS:
            return self.lists[id(part)][0]
        if part.leaf is None:
            return number(part.value)
        step = self._step(part.leaf)
        if step is not None:
            return cell_name(step, _own_index(step, part))
        name = ".".join(part.leaf.name.split(".")[-2:]) or "constant"
        return f"{name}[{','.join(map(str, part.index))}]" if part.index else name

    def numbers(self, part: Cell) -> str:
        """Return the value of a cell."""
        return number(part.value)

    def listings(self) -> tuple[Listing, ...]:
        """Return the listings, in the order of the expression."""
        return tuple(self._listing(name, each) for name, each in self.lists.values())

    def _listing(self, name: str, listed: Cell) -> Listing:
        by_size = (lambda part: -part.value) if listed.operation == "amax" else (lambda part: -abs(part.value))
        parts = sorted(listed.parts, key=by_size)
        labels = [self._label(part) for part in parts]
        terms = tuple(
            Term(
                _infix(part, self.symbols)[0],
                _infix(part, self.numbers)[0],
                part.value,
                float(total),
                label if len({*labels} - {""}) > 1 else "",
            )
            for part, total, label in zip(parts, np.cumsum([part.value for part in parts]), labels, strict=True)
        )
        return Listing(name, terms, listed.value)

    def _label(self, part: Cell) -> str:
        """Return the label of the first recorded number of a term."""
        leaf = next(_leaves(part), None)
        step = self._step(leaf.leaf) if leaf is not None and leaf.leaf is not None else None
        if step is None or leaf is None:
            return ""
        places = zip(step.axes, _own_index(step, leaf), strict=True)
        return next((axis.labels[place] for axis, place in reversed([*places]) if axis.labels is not None), "")

    def _step(self, leaf: Leaf) -> Step | None:
        return self.walk.get(leaf.name)


def _only_input(walk: Walk, computed: Cell) -> tuple[Step, Index] | None:
    """Return the step and the place of the only recorded number that a cell was computed from; None if it needs a sum."""
    if next(_lists(computed, set()), None) is not None:
        return None
    inputs = {(each.leaf.name, each.index): each for each in _leaves(computed) if each.leaf and each.leaf.name in walk}
    if len(inputs) != 1:
        return None
    (part,) = inputs.values()
    step = walk[part.leaf.name] if part.leaf else None
    return None if step is None or step.expression is None else (step, _own_index(step, part))


def _own_index(step: Step, part: Cell) -> Index:
    """Return the place in the output of a step. The ids of a text have no batch there."""
    return part.index[len(part.index) - len(step.axes) :]


def _infix(part: Cell, show: Callable[[Cell], str]) -> tuple[str, int]:
    """Return an expression as text, and how strongly its last operation binds."""
    if part.operation in LISTS or not part.parts:
        return show(part), 9
    if part.operation in INFIX and len(part.parts) == 2:
        sign, strength = INFIX[part.operation]
        (left, left_strength), (right, right_strength) = (_infix(each, show) for each in part.parts)
        left = f"({left})" if left_strength < strength or (sign == "^" and left.startswith("-")) else left
        right = f"({right})" if right_strength <= strength else right
        return f"{left} {sign} {right}", strength
    if part.operation == "neg":
        return f"-({_infix(part.parts[0], show)[0]})", 9
    if part.operation == "square":
        inner, strength = _infix(part.parts[0], show)
        return (f"{inner}²" if strength == 9 and not inner.startswith("-") else f"({inner})²"), 9
    if part.operation == "masked_fill":
        return _infix(part.parts[2 if part.parts[1].value else 0], show)
    inner = ", ".join(_infix(each, show)[0] for each in part.parts)
    return f"{FUNCTIONS.get(part.operation, part.operation)}({inner})", 9


def _lists(part: Cell, seen: set[int]) -> Iterator[Cell]:
    """Yield the sums in an expression, and the sums in their terms, each one once."""
    if id(part) in seen:
        return
    seen.add(id(part))
    if part.operation in LISTS:
        yield part
    for each in part.parts:
        yield from _lists(each, seen)


def _leaves(part: Cell) -> Iterator[Cell]:
    if part.leaf is not None:
        yield part
    for each in part.parts:
        yield from _leaves(each)


def _mask_notes(part: Cell) -> Iterator[str]:
    if part.operation == "masked_fill":
        masked = part.parts[1].value != 0
        yield f"Masked: yes. The number is replaced by {number(part.parts[2].value)}." if masked else "Masked: no."
    elif part.operation not in LISTS:
        for each in part.parts:
            yield from _mask_notes(each)


def _rounding_notes(computed: float, recorded: float, step: Step) -> Iterator[str]:
    """Yield a sentence if the displayed arithmetic does not give the recorded number, because the model rounded."""
    if np.isfinite(recorded) and number(computed) != number(recorded):
        kind = str(step.output.dtype).removeprefix("torch.")
        yield f"The model computed in {kind} and rounded: {number(recorded)} instead of {number(computed)}."


def _text_line(walk: Walk, step: TextStep, place: int) -> str:
    """Return what one entry of a step from text to token ids was made from."""
    entry, value = step.entries[place], int(step.output[place])
    if step.sources is None:
        return f"{entry} has the code point {value} (U+{value:04X})"
    start, end = step.sources[place]
    before = walk.steps[walk.steps.index(step) - 1]
    if step.path.endswith(".ids"):
        return f"{entry} has the number {value} in the vocabulary"
    source = "".join(before.entries[start:end]) if isinstance(before, TextStep) else ""
    return f"{entry} is made of the characters {start} to {end - 1}: {source}" if source else f"{entry} is a special token"
