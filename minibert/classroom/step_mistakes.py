"""The numbers that known mistakes give at a step of a forward pass, and the judgment of a number that a reader predicts."""

import inspect
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor

from minibert import equations
from minibert.classroom.mistakes import MISTAKES, Kind, Mistake, variant_of
from minibert.observe import record
from minibert.study.stepthrough.omissions import omitted_numbers, symbols_of
from minibert.study.stepthrough.step import Step, Walk
from minibert.trace import Call

ROUNDING = 1e-5
"""Largest relative difference that is rounding."""
MIN_DIGITS = 2
"""Fewest digits of a typed number in which a mistake can be recognized."""
NEAR, NEAR_SUM = 5e-4, 1e-4
"""Largest rounding of a calculation with the numbers of a table, relative to the result, and to the numbers in its sum."""
SIGN = "The sign is wrong."


@dataclass(frozen=True, eq=False)
class StepMistake:
    """A mistake of the catalogue in the equation of a step."""

    mistake: Mistake
    output: Tensor = field(repr=False)
    """The output of the step with this mistake, computed from the same numbers. It has the shape of the step's output."""

    @property
    def name(self) -> str:
        """Name in the catalogue."""
        return self.mistake.name

    @property
    def message(self) -> str:
        """Such as "You left out √d_k."."""
        return self.mistake.message or self.mistake.description


@torch.no_grad()
def mistakes_of(walk: Walk, path: str) -> tuple[StepMistake, ...]:
    """Compute a step with every mistake of the catalogue in its equation, from the recorded arguments of the equation.

    Returns: the mistakes that change the numbers of the step, without those that give the same numbers as an earlier one.

    Raises: KeyError that lists similar paths, if there is no such step.
    """
    step = walk[path]
    call = walk.recording.origin(step.path).call if step.path in walk.recording.paths else None
    if call is None:
        return ()
    known, found = [step.output], []
    for mistake, function in _variants(call.equation):
        output = _output(step, function, call)
        if output is not None and not any(_equal(output, other) for other in known):
            known.append(output)
            found.append(StepMistake(mistake, output))
    return tuple(found)


@cache
def _variants(equation: str) -> tuple[tuple[Mistake, Callable[..., Any]], ...]:
    """Return an equation with each mistake in it or in an equation that it calls."""
    function = getattr(equations, equation, None)
    if function is None:
        return ()
    correct = inspect.unwrap(function)
    called = [correct.__globals__.get(name) for name in correct.__code__.co_names]
    mistakes = [mistake for mistake in MISTAKES.values() if mistake.kind is not Kind.EQUIVALENT]
    return tuple(
        (mistake, variant_of(function, mistake))
        for owner in (function, *called)
        for mistake in mistakes
        if owner is not None and mistake.function is owner
    )


def _output(step: Step, function: Callable[..., Any], call: Call) -> Tensor | None:
    """Run a variant of the equation of a step, and return the output of the step; None if it has none of this shape.

    A walk has a batch of one. It is left out: the reader sees one text, whose first axis is that of the heads or tokens.
    """
    has_batch = bool(step.axes) and step.axes[0].name == "batch"
    defaults = inspect.signature(getattr(equations, call.equation)).parameters
    arguments = {
        name: _without_batch(value) if has_batch else value
        for name, value in call.arguments.items()
        if isinstance(value, Tensor) or value != defaults[name].default  # a variant may have another default
    }
    with (
        record() as recording,
        torch.random.fork_rng(devices=[]),
        suppress(RuntimeError, IndexError),  # some variants cannot process every shape
    ):
        torch.default_generator.manual_seed(0)  # some variants draw random numbers; a page is always the same
        result = function(**arguments)
        observed = recording[step.name] if step.name in recording else result  # noqa: SIM401 - not a mapping
        if isinstance(observed, Tensor) and observed.numel() == step.output.numel():
            observed = observed[None] if has_batch and observed.ndim < step.output.ndim else observed
            return observed.to(step.output.dtype) if observed.shape == step.output.shape else None
    return None


def _without_batch(value: Any) -> Any:
    return value[0] if isinstance(value, Tensor) and value.ndim > 1 and len(value) == 1 else value


def _equal(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=ROUNDING, atol=ROUNDING / 10, equal_nan=True)


@dataclass(frozen=True)
class Judgment:
    """The judgment of a predicted number."""

    verdict: Literal["right", "wrong", "unclear"]
    """Unclear: the text is not a number."""
    message: str


def judge(text: str, value: float, mistakes: Sequence[tuple[str, float]] = (), magnitude: float = 0.0) -> Judgment:
    """Compare a typed number with the right one and with those of known mistakes.

    A number is right if it is equal to the digits that were typed. A reader calculates with rounded numbers, so one that is
    near is right too, unless the number of a mistake is nearer.

    Args:
        mistakes: message and number of each mistake.
        magnitude: norm of the terms that the right one is a sum of; see `omissions.magnitude`.

    >>> judge("0.25", 0.2512).message, judge("0.5", 0.2512).message
    ('Right.', 'Not right, and not the number of a known mistake.')
    >>> judge("1.70325", 1.7032864).message  # 13.626 / 8
    'Right.'
    >>> judge("2.01", 0.2512, [("You left out √d_k.", 2.0096)]).message
    'Not right. This is the number of a known mistake. You left out √d_k.'
    """
    typed = _Typed.parse(text)
    if typed is None:
        return Judgment("unclear", "This is not a number. Type a number such as 0.25, -1.5 or 3e-4.")
    if typed.agrees(value):
        if typed.digits < MIN_DIGITS and typed.value not in (value, 0):
            return Judgment("unclear", "Right so far: this is the number with one digit. Type at least two digits.")
        return Judgment("right", "Right.")
    nearest, named = math.inf, ""
    for message, mistaken in (*mistakes, (SIGN, -value)):
        if not _is_close(mistaken, value) and typed.distance(mistaken, 0.0) < nearest:
            nearest, named = typed.distance(mistaken, 0.0), message
    distance = typed.distance(value, magnitude)
    if distance < math.inf and distance <= nearest:
        return Judgment("right", "Right.")
    if named:
        return Judgment("wrong", f"Not right. This is the number of a known mistake. {named}")
    return Judgment("wrong", "Not right, and not the number of a known mistake.")


def _is_close(one: float, other: float) -> bool:
    """Return True if rounding hides the difference of two numbers."""
    return one == other or abs(one - other) <= ROUNDING * abs(other) < math.inf


@dataclass(frozen=True)
class _Typed:
    """A number as people type it: "-0,5", "−1.2e-3", "-inf"."""

    value: float
    unit: float
    """Place value of the last digit."""
    digits: int
    """Number of digits without leading zeros."""

    @classmethod
    def parse(cls, text: str) -> "_Typed | None":
        plain = text.strip().replace("−", "-").replace(",", ".").replace("∞", "inf").lower()
        if re.fullmatch(r"[+-]?(inf|infinity)|nan", plain):
            return cls(float(plain), 0.0, MIN_DIGITS)
        parts = re.fullmatch(r"[+-]?([0-9]*)\.?([0-9]*)(?:e([+-]?[0-9]{1,2}))?", plain)
        if parts is None or not parts[1] + parts[2]:
            return None
        unit = 10.0 ** (int(parts[3] or 0) - len(parts[2]))
        return cls(float(plain), unit, len((parts[1] + parts[2]).lstrip("0")))

    def agrees(self, value: float) -> bool:
        """Return True for a finite `value` that is the typed number when it is rounded to the digits that were typed.

        Zero is not a rounded number.
        """
        if self.value == 0:
            return abs(value) < ROUNDING
        return abs(self.value - value) <= self.unit * (0.5 + 1e-6) + 1e-6 * abs(value) < math.inf

    def distance(self, value: float, magnitude: float) -> float:
        """Return the distance from `value` if it can be the rounding of a calculation, or else infinity.

        A number with the typed digits is at a distance of its last digit at most, if there are enough of them.
        """
        if self.value == value or (math.isnan(self.value) and math.isnan(value)):
            return 0.0
        difference, size = abs(self.value - value), abs(value)
        is_near = self.value != 0 and difference <= max(NEAR * size, NEAR_SUM * magnitude) < math.inf
        return difference if is_near or (self.digits >= MIN_DIGITS and self.agrees(value)) else math.inf


def numbers_at(walk: Walk, path: str, index: tuple[int, ...]) -> Iterator[tuple[str, float]]:
    """Yield the message and the number of each known mistake at one cell of a step: those of the catalogue, then omissions."""
    yield from predictions_at(mistakes_of(walk, path), index)
    yield from omitted_numbers(walk[path], symbols_of(walk.steps), index)


def predictions_at(mistakes: Sequence[StepMistake], index: tuple[int, ...]) -> Iterator[tuple[str, float]]:
    """Yield the message and the number of each mistake at one cell of the step."""
    for mistake in mistakes:
        yield mistake.message, float(mistake.output[index])
