"""A failed call as text: the input, the learner's result, the expected one, and their difference."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minibert.classroom.distance import changed_arguments, differences, summarized
from minibert.classroom.questions import Answered, Problem, changed_inputs, kind_of
from minibert.classroom.report import Comparison, Stage
from minibert.classroom.report_parts import variable_lines
from minibert.classroom.results import tensors_in
from minibert.classroom.running import Outcome
from minibert.classroom.wording import as_code, index_name, part_name

MAX_SHOWN = 48
"""An argument with more numbers is shown by its shape. Of a larger result, the row with the largest difference is shown."""
MAX_ROW = 8
"""Numbers of that row."""
MAX_TABLES = 3
"""Parts of a result that are shown, of those that differ."""
MAX_TEXT = 300
DIGITS = (4, 7)
"""Decimal places: more if fewer do not show the difference."""
LARGE = 1e6
"""Numbers from this size on are shown as 1.2e+06."""

Tensors = dict[str, Tensor]
"""Tensors by the title of their table."""


def comparison_of(call: Answered, problem: Problem) -> Comparison:
    """Return an input and the numbers of both functions as text; for a property, the numbers of the learner's two calls."""
    given, second = call.probe.arguments, problem.second
    own, wanted = (_compared(call, problem, outcome) for outcome in (call.own, call.other))
    other = _compared(call, problem, second.outcome) if second else wanted
    wrong = call.own.error or call.own.gradient_error if problem.stage in (Stage.RUNS, Stage.GRADIENTS) else None
    tables = _tables(other if wrong else own, other, wanted)
    arguments = _arguments(given, tables)
    mine, right, difference = _columns(call, tables)
    if wrong or not own:
        nothing = "no gradient" if problem.stage is Stage.GRADIENTS else "nothing"
        return Comparison(arguments, wrong or nothing, right, "")
    if second is None:
        return Comparison(arguments, mine, right, difference)
    changed = {name: value for name, value in second.arguments.items() if value is not given.get(name)}
    return Comparison(arguments, mine, "", "", _arguments(changed, tables), right, second.relation)


def _compared(call: Answered, problem: Problem, outcome: Outcome) -> Tensors:
    """Return the tensors of an outcome that are compared."""
    if problem.stage is Stage.GRADIENTS:
        return {f"gradient of {as_code(name)}": tensor for name, tensor in outcome.gradients.items()}
    outputs, after = outcome.outputs, changed_arguments(outcome.after, call.exercise.changes)
    if problem.stage is Stage.INPUTS:
        first = next(iter(changed_inputs(call)))
        outputs, after = {}, {name: tensor for name, tensor in outcome.after.items() if name == first}
    is_complete = outputs.keys() == call.other.outputs.keys()
    titles = {name: part_name(call.exercise, name) if is_complete else index_name(name) for name in outputs}
    titles |= {name: f"{as_code(name)} after the call" for name in after}
    return {titles[name]: tensor for name, tensor in summarized({**outputs, **after}, call.probe.case).items()}


@dataclass(frozen=True)
class _Table:
    """The numbers of two columns. Of large tensors, the row around the largest difference is shown."""

    title: str
    left: Tensor | None
    right: Tensor | None
    wanted: Tensor | None
    """The expected numbers."""

    @cached_property
    def difference(self) -> Tensor | None:
        """Left - right, or None if it is not defined."""
        if self.left is None or self.right is None or self.left.shape != self.right.shape:
            return None
        if kind_of(self.left.dtype) != kind_of(self.right.dtype) or self.left.is_complex():
            return None
        left, right = self.left.double(), self.right.double()
        return torch.where(differences(left, right) == 0, 0.0, left - right)

    @property
    def differs(self) -> bool:
        """True if the numbers are not equal."""
        return self.difference is None or bool((self.difference != 0).any())

    @cached_property
    def window(self) -> tuple[tuple[int, ...], int, int] | None:
        """The place of the row, its first and its last column; None for the whole tensor."""
        if self.difference is None or self.difference.numel() <= MAX_SHOWN:
            return None
        size = self.difference.shape[-1]
        mistake = _Table("", self.left, self.wanted, self.wanted).difference
        far = (self.difference if mistake is None else mistake).abs().nan_to_num(torch.inf)
        *place, last = (int(index) for index in torch.unravel_index(far.argmax(), far.shape))
        start = max(0, min(last - MAX_ROW // 2, size - MAX_ROW))
        return tuple(place), start, min(start + MAX_ROW, size)

    @property
    def place(self) -> str:
        """The window as code, such as "[0, 2, 8:16]"; empty for the whole tensor."""
        if self.window is None:
            return ""
        place, start, end = self.window
        return f"[{', '.join([*map(str, place), f'{start}:{end}'])}]"

    def shown(self, tensor: Tensor) -> Tensor:
        """Return the part of a tensor of the same shape that is in the window."""
        if self.window is None:
            return tensor
        place, start, end = self.window
        return tensor[place][start:end]


def _tables(left: Tensors, right: Tensors, wanted: Tensors) -> list[_Table]:
    """Return the tables that differ; all if none does."""
    titles = dict.fromkeys([*right, *left])
    tables = [_Table(title, left.get(title), right.get(title), wanted.get(title)) for title in titles]
    return [table for table in tables if table.differs] or tables


def _columns(call: Answered, tables: Sequence[_Table]) -> tuple[str, str, str]:
    """Return mine, expected and the difference as text, with so many digits that both differ."""
    texts = [_columns_with(call, tables, digits) for digits in DIGITS]
    return next((text for text in texts if text[0] != text[1]), texts[0])


def _columns_with(call: Answered, tables: Sequence[_Table], digits: int) -> tuple[str, str, str]:
    columns: tuple[list[str], ...] = ([], [], [])
    for table in tables:
        title = f"{table.title or 'result'}{table.place}:\n" if table.title or table.place or len(tables) > 1 else ""
        for column, text in zip(columns, _cells(call, table, digits), strict=True):
            column.extend([title + text] if text else [])
    mine, right, difference = map(_shortened_column, columns)
    return mine, right, difference


def _shortened_column(texts: Sequence[str]) -> str:
    more = [f"and {len(texts) - MAX_TABLES} more"] if len(texts) > MAX_TABLES else []
    return "\n".join([*texts[:MAX_TABLES], *more])


def _cells(call: Answered, table: _Table, digits: int) -> tuple[str, str, str]:
    """Return the numbers of a table as text. The difference is empty if it is not defined."""
    write = call.exercise.write
    left, right = (
        "" if tensor is None else write(tensor, call.probe.arguments) if write else number_text(table.shown(tensor), digits)
        for tensor in (table.left, table.right)
    )
    if write or table.difference is None or table.left is None:
        return left, right, ""
    difference = table.shown(table.difference)
    if table.left.dtype == torch.bool:
        signs = np.where(difference != 0, "≠", "=")
        return left, right, _without_gaps(np.array2string(signs, formatter={"all": str}))
    return left, right, number_text(difference if table.left.is_floating_point() else difference.long(), digits)


def _arguments(values: Mapping[str, Any], tables: Sequence[_Table]) -> dict[str, str]:
    """Return arguments as text by name. Of those with the shape of a result, the same part is shown."""
    windows = {table.difference.shape: table for table in tables if table.difference is not None and table.window}
    texts = {}
    for name, value in values.items():
        if isinstance(value, Tensor) and (table := windows.get(value.shape)):
            texts[name + table.place] = number_text(table.shown(value))
        else:
            texts[name] = text_of(value)
    return texts


def text_of(value: Any) -> str:
    """Return an argument as text: small tensors as tables, larger ones by their shape, other objects by their tensors."""
    if isinstance(value, Tensor | np.ndarray):
        return number_text(torch.as_tensor(value))
    kind = f"list of {len(value)}" if isinstance(value, list | tuple) else type(value).__name__
    fields = vars(value) if dataclasses.is_dataclass(value) else {}
    tensors = dict(tensors_in(fields or value))
    if tensors:
        is_small = sum(tensor.numel() for tensor in tensors.values()) <= MAX_SHOWN
        tables = {as_code(name).removeprefix("."): number_text(tensor) for name, tensor in tensors.items()}
        return "\n".join([f"{kind} with", *variable_lines(tables)]) if is_small else kind
    if isinstance(value, set):  # in an order that is always the same
        return _shortened(f"{{{', '.join(sorted(map(repr, value)))}}}")
    text = repr(value)
    return str(getattr(value, "__name__", kind)) if "\n" in text or " at 0x" in text else _shortened(text)


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def number_text(tensor: Tensor, digits: int = DIGITS[0]) -> str:
    """Return a small tensor as a table with a number of decimal places, a larger one by its shape.

    Very small and very large numbers have an exponent.
    """
    if tensor.numel() > MAX_SHOWN:
        return f"{' × '.join(map(str, tensor.shape))} numbers"
    numbers = tensor.detach().cpu()
    if not numbers.is_floating_point():
        return _without_gaps(np.array2string(numbers.numpy()))
    real = numbers.double() + 0.0  # no minus zero
    sizes = real[real.isfinite() & (real != 0)].abs()
    if (sizes >= LARGE).any() or (sizes < 0.5 * 10**-digits).any():
        texts = np.array([f"{number:.{digits}g}" for number in real.flatten().tolist()]).reshape(tuple(real.shape))
        width = max(map(len, texts.flatten().tolist()))
        return _without_gaps(np.array2string(np.char.rjust(texts, width), formatter={"all": str}))
    return _without_gaps(np.array2string(real.numpy(), precision=digits, suppress_small=True))


def _without_gaps(text: str) -> str:
    """Remove the empty lines between the matrices of a tensor."""
    return re.sub(r"\n+", "\n", text)
