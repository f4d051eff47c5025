"""Checks of the token ids and positions that a user passes to a model, and the conversion of Hugging Face's masks."""

from typing import cast

import torch
from jaxtyping import Bool, Int, Integer
from torch import Tensor, nn

from minibert.checks import can_check_values, check_tensor, value_outside
from minibert.kernels import Sequences, worthwhile_sequences
from minibert.observe import is_recording

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


def check_ids(name: str, ids: Tensor, table: nn.Module, size_name: str) -> None:
    """Raise ValueError for an id outside its embedding table. Only on the CPU: on a GPU the check would synchronize."""
    size = cast("int", table.num_embeddings)
    if (wrong := value_outside(ids, 0, size - 1)) is not None:
        raise ValueError(f"{name} has the id {wrong}, but {size_name} is {size}")


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
    if attention_mask.dtype == torch.bool:
        return attention_mask
    if (wrong := value_outside(attention_mask.to(torch.int64), 0, 1)) is not None:
        raise ValueError(f"{name} has the value {wrong}: pass {meaning}")
    return attention_mask.bool()


def attention_keep(
    attention_mask: Mask | Sequences | None, tokens: Tensor, output_at: Int[Tensor, "batch outputs"] | None
) -> Bool[Tensor, "batch 1 1 keys"] | Sequences | None:
    """Return what self-attention needs: None without padding, a mask for all heads and queries, or `Sequences`.

    On the CPU, a mask that keeps everything becomes None. `Sequences` leave the padding out; a mask becomes them if no vector
    of padding is wanted and that saves time. A GPU would have to count the tokens before the host knows the shape of the
    result. A recording has the steps of all tokens, and a network compiled for a CPU would be compiled anew for other lengths.
    """
    if attention_mask is None:
        return None
    if isinstance(attention_mask, Sequences):
        if tuple(tokens.shape) != attention_mask.shape:
            raise ValueError(f"attention_mask has sequences of shape {attention_mask.shape}, expected {tuple(tokens.shape)}")
        if attention_mask.are_full and not is_recording():
            return None
        moved = attention_mask.to(tokens.device)
        needs_rectangle = is_recording() or (torch.compiler.is_compiling() and tokens.device.type == "cpu")
        return moved.mask[:, None, None, :] if needs_rectangle else moved
    keep = keep_mask(attention_mask, tokens)
    if can_check_values(keep) and not is_recording():
        if bool(keep.all()):
            return None
        sequences = None if output_at is None else worthwhile_sequences(keep)
        if sequences is not None and bool(keep.flatten()[output_at].all()):
            return sequences
    return keep[:, None, None, :]


def select_positions(
    hidden: Tensor, labels: Tensor | None, predict_at: Int[Tensor, " positions"] | None, output_at: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Return the hidden states and labels at the positions of `predict_at`; without it, all of them.

    A Boolean mask would not do: a GPU would have to count its positions before the host knows the shape of the result.

    Args:
        output_at: the positions of the hidden states, in ascending order, if they are not those of all tokens.
    """
    if predict_at is None:
        return hidden, labels
    places = predict_at
    if output_at is None:
        check_positions(predict_at, hidden.shape[:2])
        if labels is not None:
            check_tensor("labels", labels, torch.int64, shape=hidden.shape[:2])
    else:
        check_positions(predict_at)
        computed = output_at.flatten()
        places = torch.searchsorted(computed, predict_at).clamp(max=len(computed) - 1)
        if value_outside(computed[places] - predict_at, 0, 0) is not None:
            raise ValueError("predict_at has a position that is not in output_at: make both from the same labels")
    return hidden.flatten(0, 1)[places], None if labels is None else labels.flatten()[predict_at]


def check_positions(predict_at: Tensor, shape: torch.Size | None = None) -> None:
    """Raise TypeError or ValueError for positions of a wrong type or shape, or outside the batch (checked on the CPU only)."""
    if isinstance(predict_at, Tensor) and predict_at.dtype == torch.bool:
        raise TypeError("predict_at is a Boolean mask, expected positions: pass predict_at.flatten().nonzero()[:, 0]")
    check_tensor("predict_at", predict_at, torch.int64)
    if predict_at.ndim != 1:
        raise ValueError(f"predict_at has shape {tuple(predict_at.shape)}, expected one axis")
    if shape is not None and (wrong := value_outside(predict_at, 0, shape.numel() - 1)) is not None:
        raise ValueError(
            f"predict_at has the position {wrong}, but a batch of shape {tuple(shape)} has {shape.numel()} positions"
        )


def check_outputs(output_at: Tensor, shape: torch.Size) -> None:
    """Check the positions of the tokens whose output is wanted, in a batch of this shape.

    Raises: TypeError unless they are an int64 tensor; ValueError for another shape, a position of another sequence, or
        another order (checked on the CPU only).
    """
    check_tensor("output_at", output_at, torch.int64)
    if output_at.ndim != 2 or len(output_at) != shape[0] or not output_at.numel():
        raise ValueError(f"output_at has shape {tuple(output_at.shape)}, expected ({shape[0]}, outputs), at least 1 output")
    first = shape[1] * torch.arange(shape[0], device=output_at.device)[:, None]
    is_outside = value_outside(output_at - first, 0, shape[1] - 1) is not None
    if is_outside or value_outside(output_at.diff(dim=1), 0, shape[1]) is not None:
        raise ValueError(
            "output_at must have, in each row, positions of this sequence in ascending order: "
            "make them with minibert.text.masking.first_and_masked"
        )
