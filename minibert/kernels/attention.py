"""Attention in one kernel that never writes the scores to memory, and the choice between it and the formula."""

import math
from collections.abc import Callable

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from minibert.equations import scaled_dot_product_attention
from minibert.observe import is_recording, observe

ATTENTIONS = ("auto", "explicit", "fused")

AttentionFunction = Callable[..., Tensor]
"""Anything that takes what `equations.scaled_dot_product_attention` takes: query, key, value, keep, dropout; and bias, where
positions are told by one."""


def fused_attention(
    query: Float[Tensor, "*batch queries width"],
    key: Float[Tensor, "*batch keys width"],
    value: Float[Tensor, "*batch keys value_width"],
    keep: Bool[Tensor, "*#batch #queries keys"] | None = None,
    dropout: float = 0.0,
    bias: Float[Tensor, "*#batch #queries keys"] | None = None,
) -> Float[Tensor, "*batch queries value_width"]:
    """`equations.scaled_dot_product_attention` by PyTorch's fused kernels (FlashAttention and its like), on any device.

    Its inner steps never exist as tensors, so only `context` can be observed.
    """
    if keep is None:
        return observe("context", F.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=dropout))
    # What a kernel gives for a row with nothing kept depends on kernel and release. Such a row is let attend to
    # everything and its result put to zero afterwards: then its gradient is zero as well, and never NaN.
    empty = ~keep.any(dim=-1, keepdim=True)
    mask = keep | empty if bias is None else bias.masked_fill(~(keep | empty), -math.inf)
    context = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
    return observe("context", context.masked_fill(empty, 0.0))


Attention = str | AttentionFunction
"""One of `ATTENTIONS`, or a function of one's own."""


def check_attention(requested: Attention) -> None:
    """Raises: ValueError for a name that is not in `ATTENTIONS`."""
    if not callable(requested) and requested not in ATTENTIONS:
        raise ValueError(f"attention {requested!r} is unknown; there are {', '.join(ATTENTIONS)}, or give a function")


def choose_attention(requested: Attention) -> tuple[AttentionFunction, str]:
    """The function that computes attention now, and why it was chosen.

    An explicit request is always honoured; "auto" is fused, and explicit while somebody records.
    """
    if callable(requested):
        return requested, f"{getattr(requested, '__name__', 'a function')}: as given"
    if requested == "explicit":
        return scaled_dot_product_attention, "explicit: as requested"
    if requested == "fused":
        return fused_attention, "fused: as requested"
    if is_recording():
        return (
            scaled_dot_product_attention,
            "explicit: somebody is recording, and only the formula has inner steps",
        )
    return fused_attention, "fused: nobody is recording, and it gives the same numbers faster"
