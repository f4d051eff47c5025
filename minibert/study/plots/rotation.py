"""The rotation of rotary position embeddings (Su et al. 2021)."""

import math

import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patches import Circle

from minibert.equations import rotary_positions
from minibert.study.drawing import PALETTE, SEQUENTIAL
from minibert.study.plots.tokens import array

LINE_STYLES = ("-", "--", ":")
MIN_DISTANCE = 0.12
"""Minimum distance of two arrows with numbers."""


def rotation(axes: Axes, width: int, pair: int, positions: int) -> Axes:
    """Draw the pair of columns (1, 0) after its rotation at each position, as arrows from the center of a circle.

    Args:
        width: size of a head.
        pair: number of the pair of columns, from 0 to width / 2 - 1. The first pair rotates fastest.
        positions: number of positions, from 0.

    Raises: ValueError for an odd width, and for a pair that does not exist.
    """
    if not 0 <= pair < width // 2:
        raise ValueError(f"there is no pair {pair}: a width of {width} has pairs 0 to {width // 2 - 1}")
    vectors = torch.zeros(positions, width, dtype=torch.float64)
    vectors[:, 2 * pair] = 1.0
    rotated = array(rotary_positions(vectors, torch.arange(positions, dtype=torch.float64))[:, 2 * pair : 2 * pair + 2])
    angle = math.atan2(*array(rotary_positions(vectors[:1], torch.ones(1, dtype=torch.float64)))[0, [2 * pair + 1, 2 * pair]])
    colors = colormaps[SEQUENTIAL](torch.linspace(0, 1, positions).numpy())
    axes.add_patch(Circle((0, 0), 1, fill=False, color="0.85"))
    axes.quiver(*[[0.0] * positions] * 2, *rotated.T, color=colors, angles="xy", scale_units="xy", scale=1, width=0.012)
    numbered: list[tuple[float, float]] = []
    for position, (x, y) in enumerate(rotated.tolist()):
        if all(math.dist((x, y), other) > MIN_DISTANCE for other in numbered):
            numbered.append((x, y))
            axes.text(1.14 * x, 1.14 * y, str(position), fontsize=8, ha="center", va="center")
    axes.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), aspect="equal", xlabel=f"column {2 * pair}", ylabel=f"column {2 * pair + 1}")
    axes.set_title(f"{angle:.3g} radians per position")
    axes.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    return axes


def rotary_scores(axes: Axes, width: int, positions: int) -> Axes:
    """Draw the score of a rotated query and a rotated key over their distance, for queries at several positions.

    Query and key are vectors of ones. The lines are one line: only the distance matters.
    """
    distances = torch.arange(positions, dtype=torch.float64)
    ones = torch.ones(positions, width, dtype=torch.float64)
    for number, (start, style) in enumerate(zip((0, positions, 10 * positions), LINE_STYLES, strict=True)):
        query = rotary_positions(ones[:1], distances[:1] + start)
        keys = rotary_positions(ones, distances + start)
        scores = array((query @ keys.mT)[0] / math.sqrt(width))
        label = f"query at position {start}"
        axes.plot(distances.numpy(), scores, style, color=PALETTE[number], linewidth=3 - number, label=label)
    axes.set(title="Score of equal vectors", xlabel="distance of query and key", ylabel="scaled score")
    axes.legend(frameon=False)
    return axes
