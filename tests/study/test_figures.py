"""Charts: what they show, read from the axes."""

import math

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from minibert.study import figures
from minibert.study.drawing import Draw, figure, svg
from minibert.study.run_figures import loss_figure
from minibert.training.records import RunRecord


def drawn(chart: Draw) -> Axes:
    fig = figure(chart, size=(5.2, 3.6))
    fig.draw_without_rendering()
    return fig.axes[0]


def boxes(axes: Axes, texts: list[Text]) -> list[Bbox]:
    return [text.get_window_extent() for text in texts]


@pytest.mark.parametrize(("metrics", "unit"), [({"classification_accuracy": 0.5}, "nats per target"), ({}, "squared error")])
def test_the_loss_of_a_regression_is_not_in_nats(metrics: dict[str, float], unit: str) -> None:
    settings = {"task": "classification", "training": {}, "vocabulary": {}, "corpus": {}}
    record = RunRecord("run", settings, [{"step": 1, "classification_loss": 2.0, **metrics}])
    assert loss_figure(record, {}).axes[0].get_ylabel() == unit


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
        svg(figure(figures.loss_curves([1, 2], [math.nan] * 2, [(2, math.nan)], {"ln V": 3.0})))


class TestLearningCurves:
    @pytest.mark.parametrize("accuracy", [0.111, 0.05, 0.5, 0.013, 1.0, 0.0])
    def test_axis_labels_are_the_values_of_their_ticks(self, accuracy: float) -> None:
        curves = {"pretrained": {2: [accuracy] * 3, 512: [accuracy]}, "from scratch": {2: [accuracy / 2] * 3}}
        axes = drawn(figures.learning_curves(curves, "title", "labels", "accuracy", {"chance": 0.1}))
        for tick, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True):
            assert float(label.get_text().rstrip("%")) / 100 == pytest.approx(tick, abs=1e-9)
        assert [label.get_text() for label in axes.get_xticklabels()] == ["2", "512"]

    def test_the_band_is_one_standard_deviation_of_the_seeds(self) -> None:
        axes = drawn(figures.learning_curves({"a": {2: [0.2, 0.4], 8: [0.5]}}, "title", "labels", "accuracy"))
        corners = axes.collections[0].get_paths()[0].vertices
        assert corners[:, 1].min() == pytest.approx(0.3 - np.std([0.2, 0.4], ddof=1))
        assert {round(y, 6) for x, y in corners if x == 8} == {0.5}

    @pytest.mark.parametrize("scores", [[math.nan, 0.5], [math.nan]])
    def test_scores_that_are_not_defined_are_left_out(self, scores: list[float]) -> None:
        axes = drawn(figures.learning_curves({"a": {2: scores, 8: [0.5, 0.7]}}, "title", "labels", "Pearson", percent=False))
        means = axes.lines[0].get_xydata().tolist()
        assert means == [[2, 0.5], [8, 0.6]][2 - len(scores) :] if len(scores) == 1 else [[2, 0.5], [8, 0.6]]

    def test_the_legend_covers_nothing(self) -> None:
        curves = {"pretrained": {2: [0.3], 8: [0.9]}, "from scratch": {2: [0.1], 8: [0.2]}}
        axes = drawn(
            figures.learning_curves(curves, "title", "labels per class", "accuracy", {"most frequent class: 11%": 0.11})
        )
        legend = axes.get_legend().get_window_extent()
        assert not legend.overlaps(axes.get_window_extent())
        assert not legend.overlaps(axes.xaxis.label.get_window_extent())


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
