"""Norms of the embeddings: how much words, positions and segments contribute to the input of the first layer."""

import re
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from minibert.observe import Recording
from minibert.study.drawing import PALETTE, as_text
from minibert.study.plots.tokens import array, label_tokens

EMBEDDINGS = re.compile(r"(?:(encoder|decoder)\.)?embeddings\.(words|positions|segments|sum|output)")
MARKERS = "os^Dv"
MAX_MARKED = 64
"""Maximum number of tokens with a marker for each."""


def embedding_steps(recording: Recording) -> dict[str, dict[str, Float[Tensor, "tokens width"]]]:
    """Return the recorded embeddings of the first sequence of the batch, by stack ("encoder" or "decoder") and name."""
    found: dict[str, dict[str, Tensor]] = {}
    for path in recording:
        if match := EMBEDDINGS.fullmatch(path):
            found.setdefault(match[1] or "encoder", {})[match[2]] = recording[path][0]
    return found


def embedding_norms(
    axes: Axes, embeddings: Mapping[str, Float[Tensor, "tokens width"]], tokens: Sequence[str], title: str = ""
) -> Axes:
    """Draw the length of each token's vector, one line per kind of embedding.

    Args:
        embeddings: by name, such as "words", "positions", "sum".
        title: the title of the axes.
    """
    for number, (name, vectors) in enumerate(embeddings.items()):
        norms = array(torch.linalg.vector_norm(vectors.double(), dim=-1))
        marker = MARKERS[number % len(MARKERS)] if len(tokens) <= MAX_MARKED else None
        axes.plot(norms, marker=marker, markersize=4, linewidth=1, color=PALETTE[number % len(PALETTE)], label=name)
    label_tokens(axes.xaxis, tokens)
    (text,), properties = as_text([title])
    axes.set_title(text, **properties)
    axes.set(ylabel="Euclidean norm", ylim=(0, None))
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return axes
