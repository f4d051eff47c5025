"""The effect of a learner's function on pretraining: the loss with it and with minibert's own function, on the same batches."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import torch
from matplotlib.figure import Figure

from minibert.classroom.checking import check_function
from minibert.classroom.exercise import Exercise
from minibert.classroom.report import Report, Verdict
from minibert.classroom.sandbox import SandboxRunner
from minibert.classroom.small_pretraining import Curve, Data, built_in_data, compute, is_part_of_pretraining, pretrain
from minibert.study.checked_attention import UserCodeError
from minibert.study.drawing import BLUE, GRAY, ORANGE, figure
from minibert.study.figures import labeled_lines
from minibert.study.user_code import UserCode, limits_of

VISIBLE = 0.02
"""Smallest difference of two losses, in nats, that is called a difference: two seeds may agree by chance."""
SLOWER = 6
"""The learner's function may be so many times slower than minibert's."""
SOME_SECONDS = 60
"""Time to begin the training with the learner's function."""


@dataclass(frozen=True)
class TrainingEffect:
    """Three runs: the second differs from the first in one function, the third in the random numbers."""

    right: Curve
    mine: Curve
    other_seed: Curve
    """minibert's function with other initial weights and other dropout."""
    verdict: Verdict = Verdict.WRONG
    """Result of the check of the learner's function."""
    mistakes: tuple[str, ...] = ()
    """The mistakes that the check names."""

    @property
    def cost(self) -> float:
        """The last loss with the learner's function, minus that with minibert's, in nats."""
        return self.mine.losses[-1] - self.right.losses[-1]

    @property
    def noise(self) -> float:
        """The largest difference of two seeds in the second half of the training, in nats."""
        differences = [abs(one - other) for one, other in zip(self.right.losses, self.other_seed.losses, strict=True)]
        return max(differences[len(differences) // 2 :])

    @property
    def subject(self) -> str:
        """A name for the learner's function in a sentence."""
        names = {Verdict.PASSED: "function", Verdict.WARNING: "function", Verdict.CONVENTION: "convention"}
        return names.get(self.verdict, "bug")

    @property
    def headline(self) -> str:
        """The result in a few words."""
        if not math.isfinite(self.cost):
            return f"With this {self.subject} the loss is not finite"
        if abs(self.cost) > max(2 * self.noise, VISIBLE):
            verb = "costs" if self.cost > 0 else "saves"
            return f"This {self.subject} {verb} {abs(self.cost):.2g} nats"
        if self.subject == "bug":
            return "This bug does not show in the loss, which is why it survives"
        return f"This {self.subject} does not change the loss"

    @property
    def sentence(self) -> str:
        """The result in words."""
        if not math.isfinite(self.cost):
            return f"{self.headline} after {self.right.steps[-1]:,} steps."
        return (
            f"{self.headline}: the losses differ by {abs(self.cost):.3f} nats after {self.right.steps[-1]:,} steps, "
            f"and those of two seeds by up to {self.noise:.3f}."
        )


def training_effect(
    exercise: Exercise, location: str, show: Callable[[str], None], seconds: float = 30.0, time_limit: float = 60.0
) -> TrainingEffect:
    """Pretrain a small BERT for some seconds with minibert's function, and for as many steps with the learner's.

    Both runs have the same initial weights, batches and random numbers. A third run, with minibert's function and another seed,
    shows how much the loss depends on them.

    Args:
        location: file and function, such as `my.py:softmax`.
        show: receives what the learner's code prints.
        seconds: time of the training with minibert's function.
        time_limit: seconds after which the check of the function is stopped, before the training.

    Raises: UserCodeError for errors of the learner's code; ValueError for an exercise that pretraining does not compute.
    """
    report = _check(exercise, location, time_limit)
    data = built_in_data()
    if not is_part_of_pretraining(exercise, data):
        raise ValueError(f"pretraining does not compute {exercise.name}: choose another exercise, such as softmax")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the sandbox: the same sums in the same order
    try:
        right = pretrain(data, 0, seconds)
        with ThreadPoolExecutor(1) as pool:  # the learner's function runs in another process
            other_seed = pool.submit(pretrain, data, 1, math.inf, right.steps[-1], is_over := Event())
            try:
                mine = _train(exercise, location, show, data, SLOWER * seconds + SOME_SECONDS, right.steps[-1])
            except BaseException:
                is_over.set()
                raise
        names = tuple(f"{each.name}. {each.message}" for each in report.mistakes)
        return TrainingEffect(right, mine, other_seed.result(), report.verdict, names)
    finally:
        torch.set_num_threads(threads)


def _check(exercise: Exercise, location: str, time_limit: float) -> Report:
    """Check a learner's function. Raises: UserCodeError if it does not run."""
    file, _, name = location.rpartition(":")
    with SandboxRunner(exercise, Path(file), name, limits_of(time_limit)) as runner:
        report = check_function(exercise, runner, find=None)
    if report.verdict in (Verdict.STOPPED, Verdict.EMPTY, Verdict.ERROR):
        line = f", line {report.line}" if report.line else ""
        raise UserCodeError(f"{file}{line}: {report.reason}")
    return report


def _train(exercise: Exercise, location: str, show: Callable[[str], None], data: Data, seconds: float, steps: int) -> Curve:
    advice = f"Training with minibert's function is {SLOWER} times faster."
    with UserCode(location, compute, show, limits_of(seconds), advice) as code:
        (numbers, losses), _ = code(exercise.name, data, seconds, steps)
        return Curve(numbers, losses)


def effect_figure(effect: TrainingEffect, exercise: Exercise) -> Figure:
    """Draw the curves."""
    curves = {"your function": effect.mine, "minibert": effect.right, "minibert, other seed": effect.other_seed}
    points = {name: [*zip(curve.steps, curve.losses, strict=True)] for name, curve in curves.items()}
    title = f"{effect.headline}\nPretraining of a small BERT with your {exercise.name}"
    return figure(
        labeled_lines(points, (ORANGE, BLUE, GRAY), "training step", title, "validation loss (nats per masked token)")
    )
