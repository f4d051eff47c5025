"""Figures: what people would rather look at than read. Each function draws one picture on the axes it is given."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, fontManager, get_font
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from minibert.files import write_atomically

BLUE, ORANGE, GREY = "#2f6db5", "#d9772b", "#777777"

Draw = Callable[[Axes], None]

CJK_FONTS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei", "PingFang SC", "SimHei")
"""Fonts with Chinese signs, in the order in which they are taken where they are installed."""

STYLE: dict[Any, Any] = {
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "svg.hashsalt": "minibert",
}


def figure(*drawings: Draw, size: tuple[float, float] = (6.4, 3.8)) -> Figure:
    """One figure with the drawings side by side, each `size` large, in inches."""
    with mpl.rc_context(STYLE | {"font.family": _fonts()}):
        made = Figure(figsize=(size[0] * len(drawings), size[1]), layout="constrained")
        for number, draw in enumerate(drawings, start=1):
            draw(made.add_subplot(1, len(drawings), number))
    return made


def save_png(made: Figure, path: Path) -> None:
    """Writes the figure as a picture, atomically."""
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE | {"font.family": _fonts()}):
        made.savefig(buffer, format="png", dpi=130)
    write_atomically(path, buffer.getvalue())


def svg(made: Figure) -> str:
    """The figure as an SVG element to stand in a page: letters are paths, and nothing is loaded from outside."""
    buffer = io.StringIO()
    with mpl.rc_context(STYLE | {"font.family": _fonts()}):
        made.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def losses(
    steps: Sequence[int],
    training: Sequence[float],
    validation: Sequence[tuple[int, float]],
    baselines: Mapping[str, float],
    name: str = "validation modules",
    band: Sequence[tuple[int, float, float]] = (),
    title: str = "Pretraining: masked-LM loss",
    unit: str = "nats per guessed token",
) -> Draw:
    """The loss over the steps, in training (a moving average) and held out, beside what needs no reading at all.

    Args:
        name: of what is held out.
        band: step, lowest and highest loss of the reference runs.
    """

    def draw(axes: Axes) -> None:
        window = max(1, len(training) // 40)
        smooth = np.convolve(training, np.ones(window) / window, mode="valid")
        curve = "in training, moving average" if window > 1 else "in training"
        axes.plot(steps[window - 1 :], smooth, color=BLUE, linewidth=1.2, alpha=0.7, label=curve)
        if band:
            at, lowest, highest = zip(*band, strict=True)
            axes.fill_between(at, lowest, highest, color=ORANGE, alpha=0.2, linewidth=0, label="reference runs")
        if validation:
            axes.plot(*zip(*validation, strict=True), "o-", color=ORANGE, markersize=4, label=name)
        for baseline, value in baselines.items():
            axes.axhline(value, color=GREY, linewidth=0.9, linestyle="--")
            axes.text(steps[-1], value, f"{baseline}: {value:.2f}", color=GREY, ha="right", va="bottom", fontsize=8.5)
        axes.set(title=title, xlabel="step", ylabel=unit)
        axes.legend(frameon=False, loc="center right")

    return draw


def curves(
    series: Mapping[str, Sequence[tuple[float, float]]],
    xlabel: str,
    title: str,
    unit: str,
) -> Draw:
    """What several runs have measured."""

    def draw(axes: Axes) -> None:
        for name, points in series.items():
            if points:
                axes.plot(*zip(*points, strict=True), "o-", markersize=3, linewidth=1.2, label=_readable(name))
        axes.set(title=title, xlabel=xlabel, ylabel=unit)
        if any(series.values()):
            axes.legend(frameon=False)

    return draw


def _readable(text: str) -> str:
    """`text` as the installed fonts can show it: a sign that none of them has becomes its number, such as U+673A."""
    fonts = [get_font(findfont(name, fallback_to_default=False)) for name in _fonts()]
    return "".join(sign if any(font.get_char_index(ord(sign)) for font in fonts) else f"U+{ord(sign):04X}" for sign in text)


def _fonts() -> list[str]:
    """The font of all figures, and one with Chinese signs if there is one."""
    installed = set(fontManager.get_font_names())
    return ["DejaVu Sans", *[name for name in CJK_FONTS if name in installed][:1]]


def attention(weights: Float[Tensor, "queries keys"], tokens: Sequence[str], title: str) -> Draw:
    """One head's weights: each row is a token that reads, each column a token that is read."""

    def draw(axes: Axes) -> None:
        names = [_readable(token) for token in tokens]
        axes.imshow(weights.numpy(), cmap="Blues", vmin=0, aspect="equal")
        axes.set_xticks(range(len(tokens)), names, rotation=60, ha="right", fontsize=8, parse_math=False)
        axes.set_yticks(range(len(tokens)), names, fontsize=8, parse_math=False)
        axes.set(title=title, xlabel="is read", ylabel="reads")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)

    return draw


def transfer(accuracies: Mapping[str, Sequence[float]], baseline: float, baseline_name: str) -> Draw:
    """Test accuracy of each way to start: the bar is the mean, every dot one seed."""

    def draw(axes: Axes) -> None:
        for place, values in enumerate(accuracies.values()):
            mean = float(np.mean(values))
            axes.bar(place, mean, width=0.55, color=(BLUE, ORANGE)[place % 2], alpha=0.8)
            axes.plot(np.full(len(values), place), values, "o", color="black", markersize=4)
            axes.text(place + 0.31, mean, f"{mean:.1%}", ha="left", va="center", fontsize=8.5)
        axes.axhline(baseline, color=GREY, linewidth=0.9, linestyle="--")
        axes.text(
            len(accuracies), baseline, f"{baseline_name}:\n{baseline:.1%}", color=GREY, va="top", ha="right", fontsize=8.5
        )
        axes.set_xticks(range(len(accuracies)), accuracies)
        axes.set(title="Fine-tuning: test accuracy", xlim=(-0.5, len(accuracies) + 0.1), ylim=(0, None))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))

    return draw
