"""Charts of training runs: losses, accuracies, and differences from a reference. Each function returns a `Draw`."""

import math
import re
from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter, StrMethodFormatter
from numpy.typing import NDArray

from minibert.study.drawing import BLUE, GRAY, ORANGE, Draw, readable
from minibert.study.verify.comparison import Comparison

LAYER_OUTPUT = re.compile(r"(?:\w+\.)?(?:embeddings|layers\.\d+)\.output")
"""Stages at the end of the embeddings and of each layer."""


def loss_curves(
    steps: Sequence[int],
    train: Sequence[float],
    validation: Sequence[tuple[int, float]],
    baselines: Mapping[str, float],
    name: str = "validation",
    band: Sequence[tuple[int, float, float]] = (),
    title: str = "Pretraining: masked-LM loss",
    unit: str = "cross-entropy (nats per masked token)",
) -> Draw:
    """Training loss (a moving average) and validation loss over the steps, with baselines as dashed lines.

    Args:
        steps: the step numbers of the training losses.
        train: the training loss of each step; NaN for a step without one, which leaves a gap.
        validation: pairs of step and validation loss.
        baselines: a loss for each baseline name.
        name: legend entry of the validation loss.
        band: step, lowest and highest validation loss of the reference runs.
        title: the title of the chart.
        unit: the label of the loss axis.
    """

    def draw(axes: Axes) -> None:
        window = max(1, len(train) // 40)
        smooth = moving_mean(train, window)
        label = f"training (mean of {window} steps)" if window > 1 else "training"
        marker = "." if np.isnan(smooth).any() else None  # a line alone does not show a point between two gaps
        axes.plot(steps[window - 1 :], smooth, marker=marker, color=BLUE, linewidth=1.2, alpha=0.7, label=label)
        if band:
            at, lowest, highest = zip(*band, strict=True)
            axes.fill_between(at, lowest, highest, color=ORANGE, alpha=0.2, linewidth=0, label="reference runs")
        if validation:
            axes.plot(*zip(*validation, strict=True), "o-", color=ORANGE, markersize=4, label=name)
        for value in baselines.values():
            axes.axhline(value, color=GRAY, linewidth=0.9, linestyle="--")
        axes.set(title=title, xlabel="step", ylabel=unit)
        _label_baselines(axes, baselines)
        axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3)  # below the chart, over nothing

    return draw


def _label_baselines(axes: Axes, baselines: Mapping[str, float]) -> None:
    """Write the name and value of each baseline above its line, or below it if the next one above is too close."""
    bottom, top = axes.get_ylim()
    for baseline, value in baselines.items():
        is_close = any(0 < other - value < 0.08 * (top - bottom) for other in baselines.values())
        axes.text(
            1.0,
            value,
            f"{baseline}: {value:.2f}",
            transform=axes.get_yaxis_transform(),
            color=GRAY,
            ha="right",
            va="top" if is_close else "bottom",
            fontsize=8.5,
            bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1},
        )


def moving_mean(values: Sequence[float], window: int) -> NDArray[np.float64]:
    """Compute the mean of every `window` consecutive values. NaN is left out; the mean of nothing else is NaN.

    >>> moving_mean([1.0, 3.0, math.nan, math.nan], window=2)
    array([ 2.,  3., nan])
    """
    present = ~np.isnan(values)
    counts = np.convolve(present, np.ones(window), mode="valid")
    sums = np.convolve(np.where(present, values, 0.0), np.ones(window), mode="valid")
    means: NDArray[np.float64] = np.divide(sums, counts, out=np.full(len(sums), math.nan), where=counts > 0.5)
    return means


def line_chart(
    series: Mapping[str, Sequence[tuple[float, float]]],
    xlabel: str,
    title: str,
    unit: str,
) -> Draw:
    """One line per series of (x, y) points, with a legend. A series without points is left out; NaN is a gap."""

    def draw(axes: Axes) -> None:
        for name, points in series.items():
            if points:
                axes.plot(*zip(*points, strict=True), "o-", markersize=3, linewidth=1.2, label=readable(name))
        axes.set(title=title, xlabel=xlabel, ylabel=unit)
        if any(series.values()):
            axes.legend(frameon=False)

    return draw


LABEL_SPACING = 0.07
"""Smallest distance of two labels, as a part of the height of the chart."""


def labeled_lines(
    series: Mapping[str, Sequence[tuple[float, float]]], colors: Sequence[str], xlabel: str, title: str, ylabel: str
) -> Draw:
    """One line per series of (x, y) points, with its name at its end. NaN is a gap."""

    def draw(axes: Axes) -> None:
        for points, color in zip(series.values(), colors, strict=True):
            axes.plot(*zip(*points, strict=True), "o-", color=color, markersize=3, linewidth=1.4)
        axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
        bottom, top = axes.get_ylim()
        ends = {name: [point for point in points if math.isfinite(point[1])][-1:] for name, points in series.items()}
        height = -math.inf
        for end, name, color in sorted(zip(ends.values(), ends, colors, strict=True), key=lambda each: [y for _, y in each[0]]):
            for x, y in end:
                height = max(y, height + LABEL_SPACING * (top - bottom))
                axes.annotate(readable(name), (x, height), xytext=(6, 0), textcoords="offset points", va="center", color=color)

    return draw


def learning_curves(
    curves: Mapping[str, Mapping[int, Sequence[float]]],
    title: str,
    xlabel: str,
    ylabel: str,
    baselines: Mapping[str, float] | None = None,
    percent: bool = True,
) -> Draw:
    """Score over the amount of training data. A dot is one run, a line the mean, and a band one standard deviation.

    Args:
        curves: by name of the curve and amount of data, the score of each seed. NaN is left out.
        baselines: scores that are drawn as dashed lines.
        percent: label the scores as percentages.
    """

    def draw(axes: Axes) -> None:
        sizes = sorted({size for curve in curves.values() for size in curve})
        for (name, curve), color in zip(curves.items(), cycle((BLUE, ORANGE)), strict=False):
            known = {size: [score for score in curve[size] if not math.isnan(score)] for size in sizes if size in curve}
            drawn = [size for size, scores in known.items() if scores]
            means = np.array([np.mean(known[size]) for size in drawn])
            spread = np.array([np.std(known[size], ddof=1) if len(known[size]) > 1 else 0.0 for size in drawn])
            axes.fill_between(drawn, means - spread, means + spread, color=color, alpha=0.15, linewidth=0)
            axes.plot(drawn, means, "-", color=color, linewidth=1.4, label=readable(name))
            for size in drawn:
                axes.plot([size] * len(known[size]), known[size], "o", color=color, markersize=4)
        for name, value in (baselines or {}).items():
            axes.axhline(value, color=GRAY, linewidth=0.9, linestyle="--", label=readable(name))
        axes.set_xscale("log")
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.margins(x=0.08, y=0.1)
        axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
        if percent:
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        if axes.dataLim.y0 >= 0:
            axes.set_ylim(bottom=0)
        axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3)  # below the chart, over nothing

    return draw


def difference_chart(comparison: Comparison) -> Draw:
    """Relative difference of every stage on a logarithmic scale, with the tolerance as a dashed line."""

    def draw(axes: Axes) -> None:
        stages = comparison.stages
        differences = [stage.relative if math.isfinite(stage.relative) else 1.0 for stage in stages]
        bottom = min([difference for difference in differences if difference > 0] or [comparison.tolerance]) / 10
        heights = [max(difference, bottom) for difference in differences]  # a difference of zero is drawn at the bottom
        axes.scatter(range(len(heights)), heights, c=[BLUE if stage.agrees else ORANGE for stage in stages], s=9)
        axes.axhline(comparison.tolerance, color=GRAY, linewidth=1, linestyle="--")
        axes.text(0, comparison.tolerance, "tolerance", color=GRAY, va="bottom", fontsize=8)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:.0e}"))
        ends = {n: stage.name.removesuffix(".output") for n, stage in enumerate(stages) if LAYER_OUTPUT.fullmatch(stage.name)}
        axes.set_xticks(list(ends), list(ends.values()), rotation=60, ha="right")
        axes.set(title="Difference from the reference, by stage", xlabel="stage", ylabel="largest relative difference")
        if (first := comparison.first_difference) is not None:
            x = stages.index(first)
            axes.annotate(first.name, (x, heights[x]), xytext=(6, 6), textcoords="offset points", fontsize=8)

    return draw
