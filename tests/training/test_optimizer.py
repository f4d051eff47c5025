"""Learning rates of the schedules at every step."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.optim import SGD

from minibert.equations import noam_schedule
from minibert.training.optimizer import adamw, noam, warmup_constant, warmup_linear


def rates(steps: int, linear_decay_steps: int | None) -> list[float]:
    """Return the learning rate of each step, for width 16, four warm-up steps and a factor of 2."""
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = noam(optimizer, width=16, warmup_steps=4, linear_decay_steps=linear_decay_steps)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_defaults() -> None:
    """Those of Kingma and Ba, and of BERT: a tenth of the steps is warm-up."""
    optimizer = adamw(nn.Linear(2, 2), 0.1)
    assert (optimizer.defaults["betas"], optimizer.defaults["eps"]) == ((0.9, 0.999), 1e-8)
    for schedule in (warmup_linear, warmup_constant):
        factor, *_ = schedule(optimizer, 100).lr_lambdas
        assert [factor(done) for done in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])


class TestNoam:
    def test_value(self) -> None:
        """Equation 3 of the paper at every step, counted from 1."""
        assert rates(12, None) == pytest.approx([2 * noam_schedule(step, 16, 4) for step in range(1, 13)])

    def test_linear_decay_ends_at_zero(self) -> None:
        """Warm-up and peak are those of the paper; then the rate decreases linearly, to zero after the last step."""
        found, paper = rates(13, 12), rates(13, None)
        assert found[:4] == pytest.approx(paper[:4])
        falls = [one - other for one, other in pairwise(found[4:13])]
        assert falls == pytest.approx([falls[0]] * 8)
        assert found[12] == 0
        assert found[11] > 0
