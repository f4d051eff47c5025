"""Position encodings: the vectors that are added to the word embeddings, and the bias of ALiBi."""

import numpy as np
import torch
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from torch import Tensor

from minibert.equations import alibi_bias, learned_positions, rotary_positions, sinusoidal_positions
from minibert.model.pretrained import PretrainedModel
from minibert.study.drawing import SEQUENTIAL, SIGNED, as_text
from minibert.study.plots.tokens import array


def sinusoidal(positions: int, width: int) -> Float[Tensor, "positions width"]:
    """Return the sinusoids of the 2017 Transformer for the first positions."""
    return sinusoidal_positions(torch.arange(positions, dtype=torch.float64), width)


def rotary(positions: int, width: int) -> Float[Tensor, "positions width"]:
    """Return the cosine and sine of each angle of the rotary positions: the columns (1, 0), rotated."""
    first = torch.tensor([1.0, 0.0], dtype=torch.float64).repeat(positions, width // 2)
    return rotary_positions(first, torch.arange(positions, dtype=torch.float64))


def learned(model: PretrainedModel, positions: int | None = None) -> dict[str, Float[Tensor, "positions width"]]:
    """Return the learned vectors of a model's positions, by the path of the table; by default of all positions."""
    tables = {path: table for path, table in model.named_parameters() if "positions" in path.split(".")}
    return {
        path: learned_positions(table.detach(), torch.arange(len(table), device=table.device)[:positions])
        for path, table in tables.items()
    }


def position_vectors(axes: Axes, vectors: Float[Tensor, "positions width"], title: str = "") -> Axes:
    """Draw the vector of each position as a row of an image. Zero is white."""
    values = array(vectors)
    largest = float(abs(values).max(initial=0.0)) or 1.0
    image = axes.imshow(values, cmap=SIGNED, vmin=-largest, vmax=largest, aspect="auto")
    (text,), properties = as_text([title])
    axes.set_title(text, **properties)
    axes.set(xlabel="column", ylabel="position")
    axes.figure.colorbar(image, ax=axes, label="value", fraction=0.05).outline.set_visible(False)
    return axes


def alibi_slopes(axes: Axes, heads: int, distance: int, title: str = "ALiBi: bias of the scores") -> Axes:
    """Draw the bias that ALiBi adds to a score, over the distance of query and key, one line per head."""
    distances = torch.arange(distance + 1, dtype=torch.float64)
    bias = array(alibi_bias(distances[:1], distances, heads)[:, 0])
    colors = colormaps[SEQUENTIAL](np.linspace(0, 1, heads))
    for head, (line, color) in enumerate(zip(bias, colors, strict=True)):
        axes.plot(distances.numpy(), line, linewidth=1.5, color=color, label=f"head {head}")
    axes.set(title=title, xlabel="distance of query and key", ylabel="bias")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return axes
