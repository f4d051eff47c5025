"""Fast attention, fused and unfused, and the choice between them and the explicit formula."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from minibert.checks import can_check_values
from minibert.equations import scaled_dot_product_attention
from minibert.kernels.flash import flash_attention, triton_kernels
from minibert.observe import is_recording, observe

ATTENTIONS = ("auto", "explicit", "fused", "triton")

AttentionFunction = Callable[..., Tensor]
"""A function with the arguments of `equations.scaled_dot_product_attention`: query, key, value, keep and dropout. Models with
ALiBi also pass `bias`."""


def fused_attention(
    query: Float[Tensor, "*batch queries width"],
    key: Float[Tensor, "*batch keys width"],
    value: Float[Tensor, "*batch keys value_width"],
    keep: Bool[Tensor, "*#batch #queries keys"] | None = None,
    dropout: float = 0.0,
    bias: Float[Tensor, "*#batch #queries keys"] | None = None,
) -> Float[Tensor, "*batch queries value_width"]:
    """Compute `equations.scaled_dot_product_attention` with PyTorch's fused kernels, such as FlashAttention.

    Only `context` can be observed: the scores and weights are never stored.
    """
    if keep is None:
        return observe("context", F.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=dropout))
    # Kernels and releases differ for a query that may attend to nothing. Here it attends to everything, and its result
    # is then replaced by zeros, so that its gradient is zero and never NaN.
    empty = ~keep.any(dim=-1, keepdim=True)
    mask = keep | empty if bias is None else bias.masked_fill(~(keep | empty), -math.inf)
    with without_cudnn() if query.is_cuda else nullcontext():
        context = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
    return observe("context", context.masked_fill(empty, 0.0))


def without_cudnn() -> AbstractContextManager[None]:
    """Choose among the fused kernels without cuDNN's: with a mask, its gradients are NaN for some lengths on Hopper GPUs.

    PyTorch's issue 196678 describes it.
    """
    return sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH])


def unfused_attention(
    query: Float[Tensor, "*batch queries width"],
    key: Float[Tensor, "*batch keys width"],
    value: Float[Tensor, "*batch keys value_width"],
    keep: Bool[Tensor, "*#batch #queries keys"] | None = None,
    dropout: float = 0.0,
    bias: Float[Tensor, "*#batch #queries keys"] | None = None,
) -> Float[Tensor, "*batch queries value_width"]:
    """Compute `equations.scaled_dot_product_attention` step by step, in few passes over the stored weights.

    On a CPU, PyTorch's fused kernels have no dropout. What they use instead stores more, and takes as long in single precision.
    The queries are scaled here instead of the scores, and the mask is added, because both are smaller.
    """
    scores = (query / math.sqrt(query.shape[-1])) @ key.mT
    if bias is not None:
        scores = scores + bias
    if keep is None:
        return observe("context", weighted_mean(scores, value, dropout))
    empty = ~keep.any(dim=-1, keepdim=True)  # as in `fused_attention`
    scores = scores + torch.zeros_like(keep, dtype=scores.dtype).masked_fill(~(keep | empty), -math.inf)
    return observe("context", weighted_mean(scores, value, dropout).masked_fill(empty, 0.0))


def weighted_mean(
    scores: Float[Tensor, "*batch queries keys"], value: Float[Tensor, "*batch keys value_width"], dropout: float
) -> Float[Tensor, "*batch queries value_width"]:
    """Compute the softmax of the scores, drop some weights, and average the values with the others."""
    if 0 < dropout < 1 and can_check_values(scores):
        context: Tensor = _DroppedMean.apply(scores.softmax(dim=-1), value, dropout)  # type: ignore[no-untyped-call]
        return context
    return F.dropout(scores.softmax(dim=-1), dropout) @ value


class _DroppedMean(torch.autograd.Function):
    """The mean of the values with dropout of the weights, which stores the weights, as the softmax does, and one byte for each.

    This is less than half of what autograd stores. The small values are scaled by 1 / (1 - dropout), not the weights.
    """

    @staticmethod
    def forward(ctx: Any, weights: Tensor, value: Tensor, dropout: float) -> Tensor:
        stays = torch.empty_like(weights, dtype=torch.bool).bernoulli_(1 - dropout)
        ctx.save_for_backward(weights, stays, value)
        ctx.scale = 1 / (1 - dropout)
        context: Tensor = (weights * stays) @ (ctx.scale * value)
        return context

    @staticmethod
    def backward(ctx: Any, d_context: Tensor) -> tuple[Tensor | None, ...]:
        weights, stays, value = ctx.saved_tensors
        d_value = ctx.scale * ((weights * stays).mT @ d_context)
        return (d_context @ (ctx.scale * value).mT).mul_(stays), d_value, None


AttentionImplementation = str | AttentionFunction
"""One of `ATTENTIONS`, or a function of the user."""


def check_attention(requested: AttentionImplementation) -> None:
    """Raise ValueError for a name that is not in `ATTENTIONS`, and ImportError for "triton" if Triton is not installed."""
    if not callable(requested) and requested not in ATTENTIONS:
        raise ValueError(f"attention {requested!r} is unknown; choose one of {', '.join(ATTENTIONS)}, or pass a function")
    if requested == "triton":
        triton_kernels()


LONGEST_UNFUSED = 128
"""Number of keys up to which a training step in bfloat16 on a CPU is faster unfused. `minibert bench` measures it."""


def choose_attention(
    requested: AttentionImplementation, query: Tensor | None = None, dropout: float = 0.0, keys: int | None = None
) -> tuple[AttentionFunction, str]:
    """Return the function that computes attention now, and the reason for the choice.

    An explicit request is always followed. "auto" is explicit during a recording, and otherwise what is faster: fused, or on a
    CPU sometimes unfused.

    Args:
        query: the queries, of which device, type and need of a gradient count. None: those for which all kernels are fast.
        dropout: probability of dropping an attention weight.
        keys: number of keys; None for that of the queries.
    """
    if callable(requested):
        return requested, f"{getattr(requested, '__name__', 'a function')}: passed by the user"
    if requested == "explicit":
        return scaled_dot_product_attention, "explicit: as requested"
    if requested == "fused":
        return fused_attention, "fused: as requested"
    if requested == "triton":
        return flash_attention, "triton: as requested"
    if is_recording():
        return (
            scaled_dot_product_attention,
            "explicit: a recording is active, and only the formula has intermediate tensors",
        )
    if query is not None and query.device.type == "cpu" and query.dtype != torch.float16:  # unfused scores might overflow
        if dropout:
            return unfused_attention, "unfused: on a CPU, the fused kernels have no dropout"
        is_trained = torch.is_grad_enabled() and query.requires_grad and query.dtype == torch.bfloat16
        if is_trained and (query.shape[-2] if keys is None else keys) <= LONGEST_UNFUSED:
            return (
                unfused_attention,
                f"unfused: on a CPU in bfloat16, it trains faster on up to {LONGEST_UNFUSED} tokens",
            )
    return fused_attention, "fused: it computes the same values faster"
