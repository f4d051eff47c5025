"""Pooling: from one vector per token to one vector per sequence."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

PoolingFunction = Callable[[Float[Tensor, "batch tokens width"], Bool[Tensor, "batch tokens"]], Float[Tensor, "batch width"]]
"""A function of the token vectors and of a mask that is False for padding."""


def cls_pooling(
    hidden: Float[Tensor, "batch tokens width"], keep: Bool[Tensor, "batch tokens"]
) -> Float[Tensor, "batch width"]:
    """Return the vector of the first token, [CLS]."""
    return hidden[:, 0]


def mean_pooling(
    hidden: Float[Tensor, "batch tokens width"], keep: Bool[Tensor, "batch tokens"]
) -> Float[Tensor, "batch width"]:
    """Compute the mean of the vectors of all tokens but padding; [CLS] and [SEP] count (Reimers and Gurevych 2019).

    >>> mean_pooling(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[True, True, False]]))
    tensor([[2.]])
    """
    return _sum(hidden, keep) / _count(hidden, keep)


def mean_sqrt_pooling(
    hidden: Float[Tensor, "batch tokens width"], keep: Bool[Tensor, "batch tokens"]
) -> Float[Tensor, "batch width"]:
    """Compute the sum of the vectors of all tokens but padding, divided by the square root of their number."""
    return _sum(hidden, keep) / _count(hidden, keep).sqrt()


def max_pooling(
    hidden: Float[Tensor, "batch tokens width"], keep: Bool[Tensor, "batch tokens"]
) -> Float[Tensor, "batch width"]:
    """Return, for each component, the largest value of all tokens but padding."""
    return hidden.masked_fill(~keep[:, :, None], -torch.inf).amax(dim=1)


def _sum(hidden: Tensor, keep: Tensor) -> Tensor:
    return hidden.masked_fill(~keep[:, :, None], 0.0).sum(dim=1)


def _count(hidden: Tensor, keep: Tensor) -> Tensor:
    return keep.sum(dim=1, keepdim=True).to(hidden.dtype)


POOLING: Mapping[str, PoolingFunction] = {
    "mean": mean_pooling,
    "cls": cls_pooling,
    "max": max_pooling,
    "mean_sqrt_len_tokens": mean_sqrt_pooling,
}
"""Pooling functions, by their names in sentence-transformers."""
