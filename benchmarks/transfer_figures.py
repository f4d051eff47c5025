"""Figures of `transfer.py` on SST-2: the score over the number of labels, and over the number of trained parameters."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter
from transfer_runs import TRAINING, Cell

from minibert.study.drawing import Draw
from minibert.training.adapter_options import AdapterConfig
from minibert.training.transfer_options import TransferConfig

LABELS = (32, 128, 512, 2048, 8000)
MIN_STEPS = 100
"""Number of steps of a training with few labels."""


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


def over_parameters(label: str, sizes: Sequence[dict[str, Any]], seeds: int = 2, **training: Any) -> list[Point]:
    """Return a point for each size of an adapter, or for another way to train part of the parameters."""
    configs = [replace(TRAINING, **training, adapter=AdapterConfig(**size)) for size in sizes]
    return [
        Point(label, [Cell("SST-2", train_limit=2048, training=replace(config, seed=seed)) for seed in range(seeds)])
        for config in configs
    ]


FULL = Cell("SST-2")
FROZEN_TRAINING = {"epochs": 20, "learning_rate": 1e-2, "transfer": TransferConfig(feature_extraction=True)}
FROZEN = Cell("SST-2", training=replace(TRAINING, **FROZEN_TRAINING))
ADAPTER_RATE = 2e-3
"""Learning rate of adapters: 40 times that of full fine-tuning."""
FIGURES: dict[str, Callable[[], list[Point]]] = {
    "labels": lambda: [
        *over_labels("pretrained", FULL),
        *over_labels("from scratch", replace(FULL, from_scratch=True)),
    ],
    "frozen": lambda: [
        *over_labels("full fine-tuning", FULL),
        *over_labels("frozen encoder", FROZEN),
    ],
    "parameters": lambda: [
        *over_parameters("full fine-tuning", [{}]),
        *over_parameters("BitFit", [{"adapter": "bitfit"}], learning_rate=ADAPTER_RATE),
        *over_parameters(
            "LoRA, rank 1, 4, 16",
            [{"adapter": "lora", "rank": rank} for rank in (1, 4, 16)],
            learning_rate=ADAPTER_RATE,
        ),
        *over_parameters(
            "adapters, size 4, 16, 64",
            [{"adapter": "bottleneck", "bottleneck_size": size} for size in (4, 16, 64)],
            learning_rate=ADAPTER_RATE,
        ),
        *over_parameters("frozen encoder", [{}], **FROZEN_TRAINING),
    ],
}
"""The points of each figure. A training that two figures share is measured once."""


def draw(name: str, points: Sequence[Point], results: Mapping[Cell, dict[str, Any]]) -> Draw:
    """Draw a figure over the number of labels, or of trained parameters. Points and bars: mean and standard deviation."""

    def x_of(point: Point) -> float:
        result = results[point.cells[0]]
        return float(result["trained parameters"] if name == "parameters" else result["rows"][0])

    def chart(axes: Axes) -> None:
        for label in dict.fromkeys(point.label for point in points):
            line = [point for point in points if point.label == label]
            scores = [[100 * results[cell]["score"] for cell in point.cells] for point in line]
            spread = [np.std(values, ddof=1) if len(values) > 1 else 0.0 for values in scores]
            axes.errorbar([*map(x_of, line)], [*map(np.mean, scores)], spread, fmt="o-", markersize=4, capsize=2, label=label)
        xlabel = "trained parameters" if name == "parameters" else "labeled sentences"
        axes.set(xscale="log", xlabel=xlabel, ylabel="accuracy, %", title="SST-2, 872 validation sentences")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.legend(frameon=False)

    return chart
