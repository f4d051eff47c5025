"""Charts of losses, attention weights and accuracies. Each function returns a `Draw`, and `figure` combines them."""

import io
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, fontManager, get_font
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray
from torch import Tensor

from minibert.files import write_atomically
from minibert.study.verify.comparison import Comparison

BLUE, ORANGE, GRAY = "#2f6db5", "#d9772b", "#777777"

Draw = Callable[[Axes], None]
"""A function that draws one chart on the axes that it receives."""

CJK_FONTS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei", "PingFang SC", "SimHei")
"""Fonts with Chinese characters, in order of preference. The first one that is installed is used."""

LAYER_OUTPUT = re.compile(r"(?:\w+\.)?(?:embeddings|layers\.\d+)\.output")
"""Stages at the end of the embeddings and of each layer."""

STYLE: dict[Any, Any] = {
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "svg.hashsalt": "minibert",
    "text.parse_math": False,
}


def figure(*charts: Draw, size: tuple[float, float] = (6.4, 3.8)) -> Figure:
    """Create a figure with the charts next to each other.

    Args:
        charts: one `Draw` per chart.
        size: width and height of each chart, in inches.
    """
    with mpl.rc_context(STYLE | {"font.family": _fonts()}):
        fig = Figure(figsize=(size[0] * len(charts), size[1]), layout="constrained")
        for number, draw in enumerate(charts, start=1):
            draw(fig.add_subplot(1, len(charts), number))
    return fig


def save_png(fig: Figure, path: Path) -> None:
    """Save a figure as a PNG file. The file is written atomically."""
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE | {"font.family": _fonts()}):
        fig.savefig(buffer, format="png", dpi=130)
    write_atomically(path, buffer.getvalue())


def svg(fig: Figure) -> str:
    """Return a figure as an SVG element for an HTML page. Text is drawn as paths, so the page needs no fonts."""
    buffer = io.StringIO()
    with mpl.rc_context(STYLE | {"font.family": _fonts()}):
        fig.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = buffer.getvalue()
    return text[text.index("<svg") :]


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


def readable(text: str) -> str:
    """Replace characters that no installed font has with their code point, such as U+673A."""
    fonts = [get_font(findfont(name, fallback_to_default=False)) for name in _fonts()]
    return "".join(char if any(font.get_char_index(ord(char)) for font in fonts) else f"U+{ord(char):04X}" for char in text)


def missing_characters(texts: Iterable[str]) -> str:
    """Return the characters that no installed font has. Figures show their code points."""
    return "".join(char for char in dict.fromkeys("".join(texts)) if readable(char) != char)


def _fonts() -> list[str]:
    """Return the font of all figures, and one with Chinese characters if one is installed."""
    installed = set(fontManager.get_font_names())
    return ["DejaVu Sans", *[name for name in CJK_FONTS if name in installed][:1]]


def attention_heatmap(weights: Float[Tensor, "queries keys"], tokens: Sequence[str], title: str) -> Draw:
    """Attention weights of one head: one row per query token, one column per key token."""

    def draw(axes: Axes) -> None:
        names = [readable(token) for token in tokens]
        axes.imshow(weights.numpy(), cmap="Blues", vmin=0, aspect="equal")
        axes.set_xticks(range(len(tokens)), names, rotation=60, ha="right", fontsize=8, parse_math=False)
        axes.set_yticks(range(len(tokens)), names, fontsize=8, parse_math=False)
        axes.set(title=title, xlabel="key", ylabel="query")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)

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
        ends = {n: stage.name.removesuffix(".output") for n, stage in enumerate(stages) if LAYER_OUTPUT.fullmatch(stage.name)}
        axes.set_xticks(list(ends), list(ends.values()), rotation=60, ha="right")
        axes.set(title="Difference from the reference, by stage", xlabel="stage", ylabel="largest relative difference")
        if (first := comparison.first_difference) is not None:
            x = stages.index(first)
            axes.annotate(first.name, (x, heights[x]), xytext=(6, 6), textcoords="offset points", fontsize=8)

    return draw
