"""Learning rates as training has them: the equations, step by step."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.optim import SGD

from minibert.equations import noam_schedule
from minibert.training.optimizer import noam


def rates(steps: int, ends: int | None) -> list[float]:
    """Of each step, for a width of 16 and four steps of warm-up, times 2."""
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = noam(optimizer, width=16, warmup=4, ends=ends)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


class TestNoam:
    def test_value(self) -> None:
        """Equation 3 of the paper at every step, counted from 1."""
        assert rates(12, None) == pytest.approx([2 * noam_schedule(step, 16, 4) for step in range(1, 13)])

    def test_in_a_straight_line_it_ends_at_zero(self) -> None:
        """The same way up, and from the same height down by as much every step; the step after the last has none."""
        found, paper = rates(13, 12), rates(13, None)
        assert found[:4] == pytest.approx(paper[:4])
        falls = [one - other for one, other in pairwise(found[4:13])]
        assert falls == pytest.approx([falls[0]] * 8)
        assert found[12] == 0
        assert found[11] > 0
