"""Charts: what they show, read from the axes."""

import math
from itertools import combinations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from minibert.study import figures


def drawn(chart: figures.Draw) -> Axes:
    fig = figures.figure(chart, size=(5.2, 3.6))
    fig.draw_without_rendering()
    return fig.axes[0]


def boxes(axes: Axes, texts: list[Text]) -> list[Bbox]:
    return [text.get_window_extent() for text in texts]


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


class TestTransferChart:
    @pytest.mark.parametrize("accuracy", [0.111, 0.05, 0.5, 0.013, 1.0, 0.0])
    def test_axis_labels_are_the_values_of_their_ticks(self, accuracy: float) -> None:
        axes = drawn(figures.transfer_chart({"pretrained": [accuracy] * 3, "from scratch": [accuracy / 2] * 3}, 0.1, "chance"))
        for tick, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True):
            assert float(label.get_text().rstrip("%")) / 100 == pytest.approx(tick, abs=1e-9)

    @pytest.mark.parametrize("accuracies", [[0.111, 0.111], [0.5, 0.5], [0.5, 0.11], [0.11, 0.5], [1.0, 1.0], [0.02, 0.02]])
    def test_labels_do_not_touch(self, accuracies: list[float]) -> None:
        """Those of the bars, of the baseline, and the title; also if bars are equal or as high as the baseline."""
        pretrained, scratch = accuracies
        chart = figures.transfer_chart(
            {"pretrained": [pretrained] * 3, "from scratch": [scratch] * 3}, 0.111, "most frequent class"
        )
        axes = drawn(chart)
        for one, other in combinations(boxes(axes, [*axes.texts, axes.title]), 2):
            assert not one.overlaps(other)


class TestLossCurves:
    @pytest.mark.parametrize("unigram", [3.98, 3.9, 3.5, 2.0, 0.3])
    @pytest.mark.parametrize("last", [0.1, 3.0, 3.95])
    def test_labels_of_baselines_and_legend_do_not_touch(self, unigram: float, last: float) -> None:
        """The legend is below the chart, so it covers neither a label nor a curve."""
        train = np.linspace(4.0, last, 30).tolist()
        axes = drawn(figures.loss_curves(range(1, 31), train, [(30, last)], {"ln V": 3.99, "unigram entropy": unigram}))
        legend = axes.get_legend().get_window_extent()
        assert not legend.overlaps(axes.get_window_extent())
        one, other = boxes(axes, [*axes.texts])
        assert not one.overlaps(other)
