"""Ragged batches: sequences of different lengths, computed without their padding.

Everything but attention computes each token on its own. `unpad` therefore puts the real tokens of all sequences into one row,
and `pad` puts them back into a rectangle. In between, attention needs to know where the sequences begin: `Sequences`. With
lengths that are uniform from 16 to 128, a training step takes 1.4 times as long with the padding (benchmarks/ablation.json).
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn import functional

from minibert.checks import check_tensor, value_outside
from minibert.device import to_device
from minibert.kernels.attention import AttentionFunction, fused_attention
from minibert.kernels.flash import flash_attention, ragged_flash_attention

MIN_PADDING = 0.1
"""Share of padding in a batch from which on it saves time to leave it out."""
WIDE_HEADS = ((8, 0), (9, 0), (10, 0))
"""Compute capabilities of the GPUs on which FlashAttention has gradients for heads wider than 192."""


@dataclass(frozen=True, eq=False)
class Sequences:
    """The places of the sequences of a batch whose padding is left out: they stand one after another, in one row.

    Layers accept it in place of a mask. It then means that each token may attend to the tokens of its own sequence.
    """

    mask: Bool[Tensor, "batch tokens"]
    """True for a token, False for padding."""
    places: Int[Tensor, " real"]
    """Position of each token in the rectangle: those of the first sequence are 0, 1, 2, …, and those of the next one follow."""
    offsets: Int[Tensor, " batch_and_one"]
    """Number of tokens before each sequence in the row, and of all tokens."""
    queries: int | None = None
    """Number of tokens of each sequence whose output is wanted; None for all of them. Their keys are all tokens."""

    @classmethod
    def of(cls, mask: Bool[Tensor, "batch tokens"]) -> "Sequences":
        """Read a mask whose True means a token and whose False means padding, anywhere. Make it on the CPU: a GPU would wait.

        >>> Sequences.of(torch.tensor([[True, True], [True, False]])).lengths
        (2, 1)
        """
        check_tensor("mask", mask, torch.bool)
        if mask.ndim != 2:
            raise ValueError(f"mask has shape {tuple(mask.shape)}, expected (batch, tokens)")
        offsets = functional.pad(mask.sum(dim=1).cumsum(dim=0), (1, 0)).int()
        return cls(mask, mask.flatten().nonzero()[:, 0], offsets)

    @property
    def shape(self) -> tuple[int, int]:
        """Sequences and tokens of the rectangle."""
        return self.mask.shape[0], self.mask.shape[1]

    @property
    def are_full(self) -> bool:
        """True without padding."""
        return len(self.places) == self.mask.numel()

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Number of tokens of each sequence; 0 for one that is padding only. A GPU would wait."""
        return tuple(self.offsets.diff().tolist())

    def to(self, device: torch.device) -> "Sequences":
        """Copy the tensors to a device."""
        mask, places, offsets = (to_device(each, device) for each in (self.mask, self.places, self.offsets))
        return Sequences(mask, places, offsets, self.queries)

    @property
    def longest(self) -> tuple[int, int]:
        """The largest number of queries and of keys of a sequence, or more: what is known without reading the lengths."""
        return (self.shape[1] if self.queries is None else self.queries), self.shape[1]

    @property
    def query_lengths(self) -> tuple[int, ...]:
        """Number of queries of each sequence. A GPU would wait."""
        return self.lengths if self.queries is None else (self.queries,) * self.shape[0]

    @property
    def query_offsets(self) -> Int[Tensor, " batch_and_one"]:
        """Number of queries before those of each sequence in their row, and of all queries."""
        if self.queries is None:
            return self.offsets
        return self.queries * torch.arange(len(self.offsets), dtype=torch.int32, device=self.offsets.device)


def worthwhile_sequences(mask: Bool[Tensor, "batch tokens"]) -> Sequences | None:
    """Return the `Sequences` of a mask; None if it has so little padding that leaving it out would not save time.

    A mask without any padding has them, too: they say on the host that attention needs no mask (`are_full`).
    """
    sequences = Sequences.of(mask)
    return sequences if sequences.are_full or len(sequences.places) <= (1 - MIN_PADDING) * mask.numel() else None


def unpad(padded: Shaped[Tensor, "batch tokens *rest"], sequences: Sequences) -> Shaped[Tensor, "1 real *rest"]:
    """Put the tokens of all sequences into one row, without padding.

    Raises: ValueError for a batch of another shape than that of the mask of `sequences`.
    """
    if tuple(padded.shape[:2]) != sequences.shape:
        raise ValueError(f"the batch has shape {tuple(padded.shape[:2])}, but its sequences are those of {sequences.shape}")
    return padded.flatten(0, 1).index_select(0, sequences.places)[None]


def pad(real: Shaped[Tensor, "1 real *rest"], sequences: Sequences) -> Shaped[Tensor, "batch tokens *rest"]:
    """Put tokens back to their places in the rectangle, with zeros as padding: the inverse of `unpad`."""
    batch, tokens = sequences.shape
    flat = real.new_zeros(batch * tokens, *real.shape[2:])
    return flat.index_copy(0, sequences.places, real[0]).view(batch, tokens, *real.shape[2:])


def select_outputs(
    hidden: Float[Tensor, "1 real width"], sequences: Sequences, output_at: Int[Tensor, "batch outputs"]
) -> tuple[Float[Tensor, "1 queries width"], Sequences]:
    """Select the tokens at some places of the rectangle, as many of each sequence, and note their number in `sequences`.

    Raises: ValueError for the place of padding (checked on the CPU only).
    """
    wanted = output_at.flatten()
    index = torch.searchsorted(sequences.places, wanted).clamp(max=len(sequences.places) - 1)
    if value_outside(sequences.places[index] - wanted, 0, 0) is not None:
        raise ValueError("output_at has the position of padding, which has no vector here: leave out such sequences")
    return hidden[0].index_select(0, index)[None], replace(sequences, queries=output_at.shape[1])


def ragged_attention(
    attend: AttentionFunction,
    query: Float[Tensor, "1 heads queries width"],
    key: Float[Tensor, "1 heads keys width"],
    value: Float[Tensor, "1 heads keys value_width"],
    sequences: Sequences,
    dropout: float = 0.0,
) -> Float[Tensor, "1 heads queries value_width"]:
    """Compute attention within each sequence with the function `attend`.

    On a CPU, one sequence at a time. A GPU computes all at once: fused attention has a kernel for it in half precision, and
    so has the attention in Triton; other functions get the rectangle and its mask.
    """
    if attend is flash_attention and sequences.queries is None:
        return ragged_flash_attention(query, key, value, sequences.offsets, dropout=dropout, longest=sequences.shape[1])
    if query.device.type == "cpu":
        queries = torch.split(query, [*sequences.query_lengths], dim=2)
        keys, values = (torch.split(each, [*sequences.lengths], dim=2) for each in (key, value))
        contexts = [attend(*heads, None, dropout) for heads in zip(queries, keys, values, strict=True)]
        return torch.cat(contexts, dim=2)
    if attend is fused_attention and has_varlen_kernel(query):
        return varlen_attention(query, key, value, sequences, dropout)
    return padded_attention(attend, query, key, value, sequences, dropout)


def has_varlen_kernel(query: Tensor) -> bool:
    """Return whether PyTorch's FlashAttention can compute ragged batches of this type and width on this GPU.

    Its gradients of heads wider than 192 are for data-center GPUs only, such as the A100 and the H100.
    """
    width = query.shape[-1]
    if not query.is_cuda or query.dtype not in (torch.float16, torch.bfloat16) or width % 8:
        return False
    if not torch.backends.cuda.is_flash_attention_available() or not torch.backends.cuda.flash_sdp_enabled():  # type: ignore[no-untyped-call]
        return False
    major, minor = torch.cuda.get_device_capability(query.device)
    return major >= 8 and width <= (256 if (major, minor) in WIDE_HEADS else 192)


def varlen_attention(
    query: Tensor, key: Tensor, value: Tensor, sequences: Sequences, dropout: float = 0.0
) -> Float[Tensor, "1 heads queries value_width"]:
    """Compute attention within each sequence with PyTorch's kernel; the arguments are those of `ragged_attention`.

    `torch.nn.attention.varlen` calls the same kernel, without its dropout.
    """
    query, key, value = (each[0].transpose(0, 1) for each in (query, key, value))
    begins = (sequences.query_offsets, sequences.offsets)
    is_causal = returns_weights = False
    context, *_ = torch.ops.aten._flash_attention_forward(
        query, key, value, *begins, *sequences.longest, dropout, is_causal, returns_weights
    )
    return cast("Tensor", context).transpose(0, 1)[None]


def padded_attention(
    attend: AttentionFunction, query: Tensor, key: Tensor, value: Tensor, sequences: Sequences, dropout: float = 0.0
) -> Tensor:
    """Compute attention in the rectangle; the arguments are those of `ragged_attention`."""

    def rectangle(heads: Tensor) -> Tensor:
        return pad(heads.transpose(1, 2), sequences).transpose(1, 2)

    keep = sequences.mask[:, None, None, :]
    if sequences.queries is None:
        context = attend(rectangle(query), rectangle(key), rectangle(value), keep, dropout)
        return unpad(context.transpose(1, 2), sequences).transpose(1, 2)
    selected = query[0].reshape(query.shape[1], -1, sequences.queries, query.shape[-1]).transpose(0, 1)
    context = attend(selected, rectangle(key), rectangle(value), keep, dropout)
    return context.transpose(0, 1).flatten(1, 2)[None]
