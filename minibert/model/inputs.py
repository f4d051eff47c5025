"""Checks of the token ids that a user passes to a model, and the conversion of Hugging Face's masks."""

import torch
from jaxtyping import Bool, Integer
from torch import Tensor, nn

from minibert.checks import check_tensor, value_outside

Mask = Bool[Tensor, "batch tokens"] | Integer[Tensor, "batch tokens"]
"""Hugging Face's attention_mask: True or 1 where a token may be attended to, False or 0 for padding."""
ID_TYPES = (torch.int32, torch.int64)
"""Types of ids that `nn.Embedding` accepts."""


def check_batch(name: str, ids: Tensor) -> None:
    """Check a batch of sequences, with at least one sequence and one token.

    Raises: TypeError unless `ids` is a tensor of whole numbers, ValueError for another shape.
    """
    check_tensor(name, ids, *ID_TYPES)
    if ids.ndim != 2 or not ids.numel():
        shape = tuple(ids.shape)
        hints = {1: f": for one text, pass {name}[None]", 2: ", both at least 1"}
        raise ValueError(f"{name} has shape {shape}, expected (batch, tokens){hints.get(ids.ndim, '')}")


def check_ids(name: str, ids: Tensor, table: nn.Embedding, size_name: str) -> None:
    """Raise ValueError for an id outside its embedding table. Only on the CPU: on a GPU the check would synchronize."""
    if (wrong := value_outside(ids, 0, table.num_embeddings - 1)) is not None:
        raise ValueError(f"{name} has the id {wrong}, but {size_name} is {table.num_embeddings}")


def keep_mask(attention_mask: Mask | None, tokens: Tensor, name: str = "attention_mask") -> Bool[Tensor, "batch tokens"]:
    """Convert an attention mask to a Boolean mask whose True means "may be attended to"; without one, all True.

    For padding at the end it equals `equations.padding_mask`, which starts from lengths. The mask of a user may have
    padding anywhere.

    Args:
        tokens: a tensor of the shape that the mask must have.
        name: name of the mask in error messages.

    Raises: TypeError for a mask that is not a tensor of Boolean values or whole numbers; ValueError for one of another
        shape, or with a number other than 0 and 1 (checked on the CPU only).
    Tests: tests/model/test_inputs.py::TestKeepMask
    """
    if attention_mask is None:
        return torch.ones(tokens.shape, dtype=torch.bool, device=tokens.device)
    meaning = "True or 1 where a token may be attended to, False or 0 for padding"
    check_tensor(name, attention_mask, shape=tokens.shape)
    if attention_mask.is_floating_point() or attention_mask.is_complex():
        raise TypeError(f"{name} is {attention_mask.dtype}: pass Boolean or integer values, {meaning}")
    if (wrong := value_outside(attention_mask.to(torch.int64), 0, 1)) is not None:
        raise ValueError(f"{name} has the value {wrong}: pass {meaning}")
    return attention_mask.bool()
