"""Figures of `transfer.py` on SST-2: the score over the number of labels, and over the number of trained parameters."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from transfer_runs import Cell

from minibert.study import figures

LABELS = (32, 128, 512, 2048, 8000)
MIN_STEPS = 100
"""Steps of a training with few labels. With more labels, there are three passes over them."""
ALL_LABELS = LABELS[-1]


@dataclass(frozen=True)
class Point:
    """A point of a figure: trainings with several seeds."""

    label: str
    """Name of the line, or of a single point."""
    cells: Sequence[Cell]


def over_labels(label: str, cell: Cell) -> list[Point]:
    """Return a point for each number of labels. There are three seeds where a training is short."""
    points = []
    for count in LABELS:
        epochs = max(cell.training.epochs, MIN_STEPS * cell.training.batch_size / count)
        seeds = range(3) if count <= 512 else range(1)
        trainings = [replace(cell.training, epochs=epochs, seed=seed) for seed in seeds]
        points.append(Point(label, [replace(cell, train_limit=count, training=training) for training in trainings]))
    return points


FULL = Cell("SST-2")
FIGURES: dict[str, Callable[[], list[Point]]] = {
    "labels": lambda: [
        *over_labels("pretrained", FULL),
        *over_labels("from scratch", replace(FULL, from_scratch=True)),
    ],
}


def draw(name: str, points: Sequence[Point], results: Mapping[Cell, dict[str, Any]]) -> figures.Draw:
    """Draw a figure: lines over the number of labels, or single points over the number of trained parameters."""
    x_of = {"labels": "rows", "frozen": "rows", "parameters": "trained parameters"}[name]

    def chart(axes: Axes) -> None:
        for label in dict.fromkeys(point.label for point in points):
            lines = [[results[cell] for cell in point.cells] for point in points if point.label == label]
            x = [line[0]["rows"][0] if x_of == "rows" else line[0][x_of] for line in lines]
            scores = [[100 * result["score"] for result in line] for line in lines]
            spread = [np.std(values, ddof=1) if len(values) > 1 else 0.0 for values in scores]
            axes.errorbar(x, [*map(np.mean, scores)], spread, marker="o", markersize=4, capsize=2, label=label)
        axes.set(xscale="log", xlabel="labeled sentences" if x_of == "rows" else x_of, ylabel="accuracy, %", title="SST-2")
        axes.legend(frameon=False)

    return chart
