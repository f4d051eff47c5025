"""Labels of tokens at an axis, and recorded tensors as arrays."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axis import Axis, XAxis
from numpy.typing import NDArray
from torch import Tensor

from minibert.study.drawing import as_text

MAX_CHARACTERS = 16
"""Maximum length of the label of a token."""
MAX_LABELS = 40
"""Maximum number of labels at an axis. Of more tokens, every second one has a label, or every third one, and so on."""


def label_tokens(axis: Axis, tokens: Sequence[str], at: Sequence[float] | None = None, max_labels: int = MAX_LABELS) -> None:
    """Write tokens at an axis.

    Args:
        at: where each token is; by default 0, 1, 2, …
        max_labels: the number of labels that fit.
    """
    step = math.ceil(len(tokens) / max(1, max_labels))
    labels, properties = as_text([*tokens[::step]], MAX_CHARACTERS)
    if isinstance(axis, XAxis):
        properties |= {"rotation": 60, "ha": "right", "rotation_mode": "anchor"}
    axis.set_ticks(list(range(len(tokens)) if at is None else at)[::step], labels, fontsize=8, **properties)
    axis.set_tick_params(length=0 if step == 1 else 2)


def array(tensor: Tensor) -> NDArray[np.float64]:
    """Return a recorded tensor as an array, from any device and in any floating-point type."""
    values: NDArray[np.float64] = tensor.detach().double().cpu().numpy()
    return values
