"""Exercises about AdamW, learning-rate schedules, and gradient clipping."""

from collections.abc import Callable, Sequence
from functools import partial

import torch

from minibert.classroom.draws import Draw
from minibert.classroom.exercise import Arguments, Case, Exercise, Role, without
from minibert.equations import adamw_step, clip_by_global_norm, noam_schedule, warmup_linear_schedule


def first_step(draw: Draw) -> Arguments:
    """Gradients from 1 down to 1e-9, near eps, and a gradient of zero."""
    sizes = torch.tensor([10.0**-power for power in range(10)] + [0.0])
    gradient = sizes * (draw.numbers(len(sizes)).abs() + 0.5) * (2 * draw.integers(0, 2, len(sizes)) - 1)
    zeros = torch.zeros_like(gradient)
    return {
        "parameter": draw.numbers(len(sizes)) + 0.1,
        "gradient": gradient,
        "first_moment": zeros,
        "second_moment": zeros.clone(),
        "step": 1,
        "learning_rate": 0.1,
        "betas": (0.8, 0.99),
        "eps": 1e-8,
        "weight_decay": 0.2,
    }


def later_step(draw: Draw) -> Arguments:
    """A step after others: the running means are not zero, and the gradient may point elsewhere."""
    inputs = first_step(draw)
    gradient, step = inputs["gradient"], 2 + int(draw.integers(0, 4))
    return {
        **inputs,
        "first_moment": gradient.abs() * 0.3 * draw.numbers(len(gradient)),
        "second_moment": (0.05 * gradient * (draw.numbers(len(gradient)).abs() + 0.5)) ** 2,
        "step": step,
        "learning_rate": draw.choice([0.05, 0.1, 0.02]),
    }


def step_with_usual_settings(draw: Draw) -> Arguments:
    """A step with the default betas, eps and weight decay."""
    return without(later_step(draw), "betas", "eps", "weight_decay")


def schedule_step(draw: Draw, ends: Callable[[int, int], tuple[int, int]]) -> Arguments:
    """A step from the first to the last that `ends` returns for the number of warm-up steps and the number of all steps."""
    warmup = draw.size(4, least=2)
    total = warmup + draw.size(8, least=4)
    first, last = ends(warmup, total)
    return {"step": int(draw.integers(first, last + 1)), "total_steps": total, "warmup_steps": warmup}


def step_without_warmup(draw: Draw) -> Arguments:
    total = draw.size(8, least=2)
    return {"step": int(draw.integers(1, total + 1)), "total_steps": total, "warmup_steps": 0}


def noam_step(draw: Draw, times: tuple[int, int]) -> Arguments:
    """A step from `times[0]` to `times[1]` quarters of the warm-up."""
    quarter = draw.size(5)
    step = int(draw.integers(quarter * times[0] + 1, quarter * times[1] + 1))
    return {"step": step, "d_model": 8 * draw.size(4), "warmup_steps": 4 * quarter}


def step_of_the_usual_warmup(draw: Draw) -> Arguments:
    return {"step": 100 * draw.size(1), "d_model": 8 * draw.size(4)}


def step_zero(draw: Draw) -> Arguments:
    return {**noam_step(draw, (0, 4)), "step": 0}


def gradients_of_norm(draw: Draw, times: float, maxima: Sequence[float] = (0.5, 2.0, 1.5)) -> Arguments:
    """Gradients whose joint norm is `times` the maximum, which is one of `maxima`."""
    gradients = [draw.numbers(draw.size(2), draw.size(3)) + 0.1, 3 * draw.numbers(draw.size(4)) + 0.1]
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    max_norm = draw.choice(maxima)
    return {"gradients": [gradient * times * max_norm / norm for gradient in gradients], "max_norm": max_norm}


def gradients_with_the_usual_maximum(draw: Draw) -> Arguments:
    return without(gradients_of_norm(draw, 3.0, (1.0,)), "max_norm")


def zero_gradients(draw: Draw) -> Arguments:
    return {"gradients": [torch.zeros(draw.size(2)), torch.zeros(draw.size(3))], "max_norm": 1.0}


def _linear(name: str, ends: Callable[[int, int], tuple[int, int]], role: Role = Role.TYPICAL) -> Case:
    return Case(name, partial(schedule_step, ends=ends), role)


OPTIMIZATION_EXERCISES = [
    Exercise(
        "adamw_step",
        adamw_step,
        (
            Case("the first step", first_step, gradients=False),
            Case("a later step", later_step, gradients=False),
            Case("the usual settings", step_with_usual_settings, gradients=False),
        ),
        questions=(
            "Which number is added to the root, and is it added before the root or after it?",
            "By how much does a weight shrink in a step in which its gradient is zero?",
        ),
    ),
    Exercise(
        "warmup_linear_schedule",
        warmup_linear_schedule,
        (
            _linear("warm-up", lambda warmup, total: (1, warmup - 1)),
            _linear("end of the warm-up", lambda warmup, total: (warmup, warmup)),
            _linear("after the warm-up", lambda warmup, total: (warmup + 1, warmup + 1)),
            _linear("decay", lambda warmup, total: (warmup + 2, total - 1)),
            _linear("the last step", lambda warmup, total: (total, total), Role.EDGE),
            _linear("after the last step", lambda warmup, total: (total + 2, total + 5), Role.EDGE),
            Case("no warm-up", step_without_warmup, Role.EDGE),
        ),
        questions=("Which factor has the last step of the warm-up, and which has the last step of all?",),
    ),
    Exercise(
        "noam_schedule",
        noam_schedule,
        (
            Case("warm-up", partial(noam_step, times=(0, 3))),
            Case("end of the warm-up", partial(noam_step, times=(3, 4))),
            Case("decay", partial(noam_step, times=(5, 40))),
            Case("the usual warm-up", step_of_the_usual_warmup),
            Case("step 0", step_zero, Role.LIMIT),
        ),
        questions=("Which of the two terms is smaller at the first step?",),
    ),
    Exercise(
        "clip_by_global_norm",
        clip_by_global_norm,
        (
            Case("long gradients", partial(gradients_of_norm, times=3.0), gradients=False),
            Case("short gradients", partial(gradients_of_norm, times=0.6), gradients=False),
            Case("the usual maximum", gradients_with_the_usual_maximum, gradients=False),
            Case("zero gradients", zero_gradients, Role.EDGE, gradients=False),
        ),
        questions=("Of which numbers is the norm computed: of each tensor, or of all together?",),
    ),
]
