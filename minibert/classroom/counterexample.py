"""The smallest input for which a learner's function fails: small whole numbers, found and made simpler by Hypothesis."""

import dataclasses
import re
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minibert.classroom.distance import value_distance
from minibert.classroom.draws import Draw, ItemT, RandomDraw
from minibert.classroom.probes import Probe
from minibert.classroom.questions import Answered, Problem, problem_of
from minibert.classroom.report import Stage
from minibert.classroom.results import tensors_in
from minibert.classroom.running import Arguments, LocalRunner, Outcome, Stopped

LARGEST_NUMBER = 3
MORE = (0, 1, 2, 3)
"""Sizes are at most so much larger than the least possible ones. The first of these limits with a failing input is enough."""
EXAMPLES = 30
"""Inputs that are tried for each limit of the sizes. Making a failing input simpler takes more."""
MAX_CALLS = 600
"""Number of inputs that are tried in all."""
SECONDS = 2.0
"""Time for a search, without the time that other processes take; with it, `PATIENCE` times as much."""
PATIENCE = 2.5
SMALL_RANDOM_INPUTS = 30
"""Number of small random inputs that are tried if no whole numbers fail."""
MAX_WHOLE_NUMBERS = 300
"""Inputs with more numbers are not drawn by Hypothesis, but at random."""
USUAL = 10
"""Numbers with a spread and a mean up to this are small whole numbers; others are very large or very small on purpose."""
VISIBLE = 0.01
"""Relative difference that the four decimal places of a table show."""


class Enough(BaseException):
    """The time of a search is over. Hypothesis passes it on, as it passes on `Stopped`."""


class HypothesisDraw:
    """Small whole numbers that Hypothesis chooses and makes simpler.

    Args:
        draw: the function that a composite strategy of Hypothesis gets.
        more: largest difference of a size from the least possible one.
    """

    def __init__(self, draw: Callable[[Any], Any], more: int) -> None:
        from hypothesis import strategies

        self.draw, self.more, self.strategies = draw, more, strategies

    def size(self, usual: int, least: int = 1) -> int:
        return self._integer(least, least + self.more)

    def numbers(self, *shape: int, spread: float = 1.0, mean: float = 0.0) -> Tensor:
        numbers = self._tensor(self.strategies.integers(-LARGEST_NUMBER, LARGEST_NUMBER), shape).float()
        is_usual = all(value <= USUAL for value in (spread, 1 / spread, abs(mean)))
        return numbers if is_usual else spread * numbers + mean

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        return self._tensor(self.strategies.integers(low, high - 1), shape)

    def mask(self, *shape: int) -> Tensor:
        mask = self._tensor(self.strategies.booleans().map(lambda masked: not masked), shape).bool()
        one = self.integers(0, shape[-1], *shape[:-1], 1)
        return mask.scatter(-1, one, value=True)

    def choice(self, options: Sequence[ItemT]) -> ItemT:
        return options[self._integer(0, len(options) - 1)]

    def _integer(self, low: int, high: int) -> int:
        return int(self.draw(self.strategies.integers(low, high)))

    def _tensor(self, elements: Any, shape: tuple[int, ...]) -> Tensor:
        count = int(np.prod(shape))
        return torch.tensor(
            self.draw(self.strategies.lists(elements, min_size=count, max_size=count)), dtype=torch.int64
        ).reshape(shape)


class SmallDraw(RandomDraw):
    """Random numbers in arrays that are as small as the recipe allows, or a little larger."""

    def size(self, usual: int, least: int = 1) -> int:
        return least + int(self.integers(0, 3))


class Search:
    """The search for a small input on which a function has a problem of the same kind.

    Args:
        failed, problem: the call on which the function fails, and its problem.
    """

    def __init__(self, failed: Answered, problem: Problem, seconds: float = SECONDS) -> None:
        self.failed, self.problem, self.stage = failed, problem, problem.stage
        self.reference = LocalRunner(failed.exercise, failed.exercise.reference)
        self.end = time.process_time() + seconds, time.monotonic() + PATIENCE * seconds
        self.calls = 0
        self.least_difference = VISIBLE
        self.smallest: tuple[tuple[float, ...], Answered, Problem] | None = None

    def run(self) -> tuple[Answered, Problem]:
        """Return the smallest failing call that was found, and its problem."""
        with suppress(Enough, Stopped):
            for self.least_difference in (VISIBLE, 0.0):
                for more in MORE if self._may_be_small() else ():
                    if self.smallest is None:
                        self._search_whole_numbers(more)
            for seed in range(SMALL_RANDOM_INPUTS if self.smallest is None else 0):
                self.fails(self._arguments(SmallDraw(seed)))
        return self.smallest[1:] if self.smallest is not None else (self.failed, self.problem)

    def _may_be_small(self) -> bool:
        """Return False for inputs such as a whole model, for which Hypothesis has no time."""
        arguments = self._arguments(SmallDraw(0))
        return arguments is not None and size_of(arguments)[0] <= MAX_WHOLE_NUMBERS

    def _arguments(self, draw: Draw) -> Arguments | None:
        """Return drawn arguments, or None if the recipe allows no such sizes."""
        try:
            return self.failed.probe.case.recipe(draw)
        except Exception:  # recipes may need larger sizes
            return None

    def fails(self, arguments: Arguments | None) -> bool:
        """Return True if the function fails for these arguments. Remember the smallest ones."""
        self.calls += 1
        if self.calls > MAX_CALLS or time.process_time() > self.end[0] or time.monotonic() > self.end[1]:
            raise Enough
        if arguments is None:
            return False
        gradients = self.stage is Stage.GRADIENTS
        other = self.reference(arguments, gradients)
        if other.error or (gradients and not any(map(Tensor.any, other.gradients.values()))):
            return False
        own = self.failed.runner(arguments, gradients)
        probe = Probe(self.failed.probe.case, 0, arguments)
        call = dataclasses.replace(self.failed, probe=probe, own=own, other=other)
        problem = problem_of(call)
        if problem is None or problem.stage is not self.stage or not self._is_visible(call):
            return False
        if self.stage is Stage.RUNS and not is_same_error(own, self.failed.own):
            return False
        size = size_of(arguments)
        if self.smallest is None or size < self.smallest[0]:
            self.smallest = size, call, problem
        return True

    def _is_visible(self, call: Answered) -> bool:
        """Return True if the results differ by enough; always true for other problems than values."""
        if self.stage is not Stage.VALUES or not self.least_difference:
            return True
        return value_distance(call.own, call.other, call.probe.case, call.exercise.changes) >= self.least_difference

    def _search_whole_numbers(self, more: int) -> None:
        from hypothesis import HealthCheck, Phase, Verbosity, find, settings, strategies
        from hypothesis.errors import HypothesisException

        @strategies.composite
        def arguments(draw: Callable[[Any], Any]) -> Arguments | None:
            return self._arguments(HypothesisDraw(draw, more))

        quiet = settings(
            database=None,
            deadline=None,
            derandomize=True,
            max_examples=EXAMPLES,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
        )
        with suppress(HypothesisException), warnings.catch_warnings():  # it finds nothing if no whole numbers fail
            warnings.simplefilter("ignore")
            find(arguments(), self.fails, settings=quiet, random=Random(0))


def is_same_error(one: Outcome, other: Outcome) -> bool:
    """Return True for errors of the same line that differ in numbers only, such as sizes."""
    texts = {re.sub(r"\d+", "", outcome.error or "") for outcome in (one, other)}
    return one.line == other.line and len(texts) == 1


def size_of(arguments: Arguments) -> tuple[float, ...]:
    """Return the number of numbers, and their sum without signs: simpler arguments have smaller ones."""
    tensors = [tensor for _, tensor in tensors_in(arguments)]
    total = sum(float(tensor.detach().double().abs().sum()) for tensor in tensors)
    return float(sum(tensor.numel() for tensor in tensors)), total
