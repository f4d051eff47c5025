"""Charts: what they show, read from the axes."""

import math

import numpy as np

from minibert.study import figures


def drawn(chart: figures.Draw) -> object:
    return figures.figure(chart).axes[0]


class TestGaps:
    def test_a_step_without_a_loss_is_a_gap(self) -> None:
        """In the training loss and in the validation loss. A point between two gaps is marked."""
        train = [3.0, math.nan, 2.0, math.nan]
        axes = drawn(figures.loss_curves([1, 2, 3, 4], train, [(2, math.nan), (4, 1.5)], {}))
        training, validation = axes.lines
        assert np.array_equal(training.get_ydata(), train, equal_nan=True)
        assert training.get_marker() == "."
        assert np.array_equal(validation.get_ydata(), [math.nan, 1.5], equal_nan=True)

    def test_the_moving_mean_is_over_the_losses_that_are_there(self) -> None:
        """Of 80 steps, two at a time: one missing loss does not remove its neighbor."""
        train = [4.0, math.nan, math.nan, *[2.0] * 77]
        (training,) = drawn(figures.loss_curves(range(1, 81), train, [], {})).lines
        assert np.array_equal(training.get_ydata()[:4], [4.0, math.nan, 2.0, 2.0], equal_nan=True)

    def test_a_run_without_any_loss_is_drawn(self) -> None:
        figures.svg(figures.figure(figures.loss_curves([1, 2], [math.nan] * 2, [(2, math.nan)], {"ln V": 3.0})))
