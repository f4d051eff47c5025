"""Attention weights: of one head, of all heads of a layer, and of all heads of all layers."""

import math
import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import NDArray
from torch import Tensor

from minibert.observe import Recording
from minibert.study.drawing import SEQUENTIAL, as_text
from minibert.study.plots.tokens import array, label_tokens

WEIGHTS = re.compile(r"(?:(encoder|decoder)\.)?layers\.(\d+)\.(attention|cross_attention)\.weights")
MAX_STRETCH = 4
"""Cells are squares, unless one side would be more than so many times as long as the other."""
GAP = 0.08
"""Space between the heads of a grid, as a share of the place of a head."""
HEADING = 0.14
"""Height of the heading of a head, as a share of its place."""


def attention_weights(recording: Recording) -> dict[str, list[Float[Tensor, "heads queries keys"]]]:
    """Return the recorded attention weights of the first sequence of the batch, for each attention of the network.

    Returns: by name of the attention, the weights of each layer. BERT has "encoder", GPT-2 "decoder", the 2017 Transformer
    "encoder", "decoder" (self-attention), and "cross" (the decoder's attention to the encoder output).

    Raises: ValueError without recorded weights, as those of fused attention.
    """
    found: dict[str, list[Tensor]] = {}
    for path in recording:
        if match := WEIGHTS.fullmatch(path):
            name = "cross" if match[3] == "cross_attention" else match[1] or "encoder"
            found.setdefault(name, []).append(recording[path][0])
    if not found:
        raise ValueError("no attention weights were recorded: use attention='auto' or 'explicit', which compute them")
    return found


def attention_head(
    axes: Axes,
    weights: Float[Tensor, "queries keys"],
    queries: Sequence[str],
    keys: Sequence[str] | None = None,
    title: str = "",
    colorbar: bool = True,
) -> Axes:
    """Draw the attention weights of one head: one row per query token, one column per key token.

    Args:
        queries: the tokens that attend.
        keys: the tokens that are attended to, if they are others.
        title: the title of the axes.
        colorbar: show the scale of the colors next to the axes.
    """
    values, keys = array(weights), queries if keys is None else keys
    stretch = max(values.shape) / max(1, min(values.shape))
    image = axes.imshow(
        values, cmap=SEQUENTIAL, vmin=0, vmax=_maximum(values), aspect="equal" if stretch <= MAX_STRETCH else "auto"
    )
    label_tokens(axes.yaxis, queries)
    label_tokens(axes.xaxis, keys)
    _finish(axes, title, image, colorbar)
    axes.set(xlabel="key", ylabel="query")
    return axes


def attention_layer(
    axes: Axes,
    weights: Float[Tensor, "heads queries keys"],
    queries: Sequence[str],
    keys: Sequence[str] | None = None,
    title: str = "",
    colorbar: bool = True,
) -> Axes:
    """Draw the attention weights of all heads of a layer next to each other, with one scale of colors.

    The other arguments are those of `attention_head`.
    """
    values, keys = array(weights), queries if keys is None else keys
    columns = math.ceil(math.sqrt(len(values)))
    rows = math.ceil(len(values) / columns)
    places = [divmod(head, columns) for head in range(len(values))]
    image = _grid(axes, values, [(row + HEADING, column, 1 - HEADING) for row, column in places])
    for head, (row, column) in enumerate(places):
        axes.text(column, row + HEADING * 0.8, f"head {head}", fontsize=8)
    axes.set(xlim=(0, columns - GAP), ylim=(rows - GAP, 0), xlabel="key", ylabel="query")
    _label_cells(axes, "y", queries, [(row + HEADING, 1 - GAP - HEADING) for row in range(rows)])
    last_row = [column for row, column in places if row == rows - 1]
    _label_cells(axes, "x", keys, [(column, 1 - GAP) for column in last_row])
    _finish(axes, title, image, colorbar)
    return axes


def attention_heads(
    axes: Axes, weights: Sequence[Float[Tensor, "heads queries keys"]], title: str = "", colorbar: bool = True
) -> Axes:
    """Draw the attention weights of all heads of all layers: one row per layer, one column per head, one scale of colors.

    Args:
        weights: the weights of each layer.
        title, colorbar: as in `attention_head`.
    """
    values = np.stack([array(layer) for layer in weights])
    layers, heads = values.shape[:2]
    places = [(layer, head, 1.0) for layer in range(layers) for head in range(heads)]
    image = _grid(axes, values.reshape(-1, *values.shape[2:]), places)
    axes.set(xlim=(0, heads - GAP), ylim=(layers - GAP, 0), xlabel="head", ylabel="layer")
    axes.set_xticks(np.arange(heads) + (1 - GAP) / 2, [str(head) for head in range(heads)])
    axes.set_yticks(np.arange(layers) + (1 - GAP) / 2, [str(layer) for layer in range(layers)])
    axes.tick_params(length=0)
    _finish(axes, title, image, colorbar)
    return axes


def _grid(
    axes: Axes, weights: Float[np.ndarray, "heads queries keys"], places: Sequence[tuple[float, float, float]]
) -> AxesImage:
    """Draw each head at its place: top, left and height. Returns the last image."""
    maximum = _maximum(weights)
    for values, (top, left, height) in zip(weights, places, strict=True):
        extent = (left, left + 1 - GAP, top + height - GAP, top)
        image = axes.imshow(values, cmap=SEQUENTIAL, vmin=0, vmax=maximum, extent=extent)
    axes.set_aspect("equal")
    return image


def _label_cells(axes: Axes, side: str, tokens: Sequence[str], places: Sequence[tuple[float, float]]) -> None:
    """Write the tokens at an axis, once for each of the heads whose beginning and length are given."""
    at = [start + length * (number + 0.5) / len(tokens) for start, length in places for number in range(len(tokens))]
    label_tokens(axes.yaxis if side == "y" else axes.xaxis, [*tokens] * len(places), at)


def _maximum(weights: NDArray[np.float64]) -> float:
    """Return the largest weight, for the scale of colors; 1 if there is none."""
    finite = weights[np.isfinite(weights)]
    return float(finite.max(initial=0.0)) or 1.0


def _finish(axes: Axes, title: str, image: AxesImage, colorbar: bool) -> None:
    (text,), properties = as_text([title])
    axes.set_title(text, **properties)
    axes.spines[:].set_visible(False)
    if colorbar:
        bar = axes.figure.colorbar(image, ax=axes, label="attention weight", fraction=0.05, shrink=0.8)
        bar.outline.set_visible(False)
