"""The one door through which Hugging Face's masks come in: from there on, True is what may be read."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

Mask = Bool[Tensor, "batch tokens"] | Int[Tensor, "batch tokens"]
"""Hugging Face's attention_mask: True or 1 where a token may be attended to, False or 0 for padding."""


def check_batch(name: str, ids: Tensor) -> None:
    """Raises: ValueError for ids that are no batch of sequences."""
    if ids.ndim != 2 or not len(ids):
        shape = tuple(ids.shape)
        raise ValueError(f"{name} is of shape {shape}, not (batch, tokens)" + f": for one text, {name}[None]" * (ids.ndim == 1))


def keep_mask(attention_mask: Mask | None, tokens: Tensor) -> Bool[Tensor, "batch tokens"]:
    """What a mask keeps of `tokens`, which has the shape that it must have: all, if there is none.

    Raises: TypeError for a mask of floats, ValueError for one of another shape.
    """
    if attention_mask is None:
        return torch.ones(tokens.shape, dtype=torch.bool, device=tokens.device)
    if attention_mask.is_floating_point():
        raise TypeError(
            f"attention_mask is {attention_mask.dtype}: give booleans or whole numbers, "
            "True or 1 where a token may be attended to"
        )
    if attention_mask.shape != tokens.shape:
        raise ValueError(f"attention_mask is {tuple(attention_mask.shape)}, but the tokens are {tuple(tokens.shape)}")
    return attention_mask.bool()
