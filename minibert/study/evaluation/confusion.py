"""The confusion matrix and its chart."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from minibert.study.drawing import Draw, figure, readable
from minibert.text.batching import IntArray

MAX_CLASSES = 40
"""Maximum number of classes in a chart. The rarest ones are put together if there are more."""
MAX_NAME_CHARACTERS = 28
"""Maximum length of the name of a class in a chart."""
INCHES, INCHES_AROUND = 2.4, 3.0
"""Minimum size of all cells, and size of what is around them."""
INCHES_PER_CLASS = 0.34
OTHERS = "other classes"


@dataclass(frozen=True)
class ConfusionMatrix:
    """Number of rows by gold class (rows of the matrix) and predicted class (columns)."""

    classes: Sequence[str]
    counts: IntArray

    def largest(self, count: int) -> "ConfusionMatrix":
        """Return the matrix of the `count` most frequent classes; the last one of them stands for all others."""
        if len(self.classes) <= count:
            return self
        frequency = self.counts.sum(axis=0) + self.counts.sum(axis=1)
        kept = np.sort(np.argsort(-frequency, kind="stable")[: count - 1])
        target = np.full(len(self.classes), count - 1)
        target[kept] = np.arange(count - 1)
        merged = np.zeros((count, count), dtype=np.int64)
        np.add.at(merged, (target[:, None], target[None, :]), self.counts)
        return ConfusionMatrix([*(self.classes[index] for index in kept), OTHERS], merged)


def confusion_matrix(pairs: Sequence[tuple[str, str]], classes: Sequence[str]) -> ConfusionMatrix:
    """Count pairs of gold and predicted class. Gold classes that the model does not have come last.

    Args:
        classes: the classes of the model, in order. Those that do not occur are left out.
    """
    counts = Counter(pairs)
    occurring = {name for pair in counts for name in pair}
    names = [*(name for name in classes if name in occurring), *sorted(occurring - {*classes})]
    matrix = np.array([[counts[gold, predicted] for predicted in names] for gold in names], dtype=np.int64)
    return ConfusionMatrix(names, matrix.reshape(len(names), len(names)))


def confusion_figure(matrix: ConfusionMatrix) -> Figure:
    """Draw a confusion matrix: numbers of rows, on a color that is their share of the rows with this gold class."""
    shown = matrix.largest(MAX_CLASSES)
    size = max(INCHES, INCHES_PER_CLASS * len(shown.classes)) + INCHES_AROUND
    return figure(_chart(shown), size=(size, size - INCHES_AROUND / 4))


def _chart(matrix: ConfusionMatrix) -> Draw:
    totals = matrix.counts.sum(axis=1, keepdims=True)
    shares = matrix.counts / np.maximum(1, totals)
    names, font_size = axis_names(matrix.classes), 9 if len(matrix.classes) * INCHES_PER_CLASS < INCHES else 6.5

    def draw(axes: Axes) -> None:
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor", fontsize=8)
        axes.set_yticks(range(len(names)), names, fontsize=8)
        for gold, predicted in zip(*np.nonzero(matrix.counts), strict=True):
            count, color = int(matrix.counts[gold, predicted]), "white" if shares[gold, predicted] > 0.5 else "black"
            text = f"{count:,}" if count < 10_000 else f"{count / 1000:,.0f}k"
            axes.text(predicted, gold, text, ha="center", va="center", fontsize=font_size, color=color)
        axes.set(title="Confusion matrix", xlabel="predicted class", ylabel="gold class")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        bar = axes.figure.colorbar(image, ax=axes, shrink=0.5, format=PercentFormatter(1.0))
        bar.set_label("share of the gold class", fontsize=8)
        bar.ax.tick_params(labelsize=8)
        bar.outline.set_visible(False)

    return draw


def axis_names(classes: Sequence[str]) -> list[str]:
    """Return the names of classes for an axis: without their middle if they are long, and numbered if that makes them equal."""
    names = [_shorten(readable(name)) for name in classes]
    return names if len({*names}) == len(names) else [f"{number}. {name}" for number, name in enumerate(names, 1)]


def _shorten(name: str) -> str:
    end = MAX_NAME_CHARACTERS // 3
    return name if len(name) <= MAX_NAME_CHARACTERS else f"{name[: MAX_NAME_CHARACTERS - end - 1]}…{name[-end:]}"
