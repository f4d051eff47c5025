"""Checks of the tensors that a user passes to a model, and the conversion of Hugging Face's masks."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

Mask = Bool[Tensor, "batch tokens"] | Int[Tensor, "batch tokens"]
"""Hugging Face's attention_mask: True or 1 where a token may be attended to, False or 0 for padding."""


def check_batch(name: str, ids: Tensor) -> None:
    """Raise ValueError unless `ids` is a batch of sequences, with at least one sequence and one token."""
    if ids.ndim != 2 or not ids.numel():
        shape = tuple(ids.shape)
        hints = {1: f": for one text, pass {name}[None]", 2: ", both at least 1"}
        raise ValueError(f"{name} has shape {shape}, expected (batch, tokens){hints.get(ids.ndim, '')}")


def check_ids(name: str, ids: Tensor, table: nn.Embedding, size_name: str) -> None:
    """Raise ValueError for an id outside its embedding table. Only on the CPU: on a GPU the check would synchronize."""
    if torch.compiler.is_compiling() or ids.device.type != "cpu":
        return
    if ids.numel() and not (int(ids.min()) >= 0 and int(ids.max()) < table.num_embeddings):
        wrong = int(ids.min()) if ids.min() < 0 else int(ids.max())
        raise ValueError(f"{name} has the id {wrong}, but {size_name} is {table.num_embeddings}")


def keep_mask(attention_mask: Mask | None, tokens: Tensor, name: str = "attention_mask") -> Bool[Tensor, "batch tokens"]:
    """Convert an attention mask to a Boolean mask whose True means "may be attended to"; without one, all True.

    For padding at the end it equals `equations.padding_mask`, which starts from lengths. The mask of a user may have
    padding anywhere.

    Args:
        tokens: a tensor of the shape that the mask must have.
        name: name of the mask in error messages.

    Raises: TypeError for a floating-point mask, ValueError for one of another shape.
    Tests: tests/model/test_inputs.py::TestKeepMask
    """
    if attention_mask is None:
        return torch.ones(tokens.shape, dtype=torch.bool, device=tokens.device)
    if attention_mask.is_floating_point():
        raise TypeError(
            f"{name} is {attention_mask.dtype}: pass Boolean or integer values, True or 1 where a token may be attended to"
        )
    if attention_mask.shape != tokens.shape:
        raise ValueError(f"{name} has shape {tuple(attention_mask.shape)}, but the tokens have {tuple(tokens.shape)}")
    return attention_mask.bool()
