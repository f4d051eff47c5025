"""Keys and values of other tokens than those whose output a layer computes: the earlier ones, in decoding, or all."""

from itertools import chain

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from minibert.model.attention import KeysAndValues, MultiHeadAttention
from minibert.model.positions import RelativePositions

AllKeysAndValues = tuple[Float[Tensor, "batch heads all_keys head_width"], Float[Tensor, "batch heads all_keys head_width"]]
"""The projected keys and values of earlier and new tokens."""


class KeyValueCache:
    """Keys and values of the tokens processed so far, for every attention module of a decoder.

    With it, a decoding step processes only the new token. The result is the same as without it, because no token attends
    to a later one.
    """

    def __init__(self) -> None:
        self._stored: dict[MultiHeadAttention, tuple[GrowingTensor, GrowingTensor]] = {}
        self._of_memory: dict[MultiHeadAttention, KeysAndValues] = {}
        self.tokens = 0
        """Number of tokens so far."""
        self.keep: Bool[Tensor, "batch keys"] | None = None
        """True for the tokens so far that may be attended to; None if all may be."""

    def __repr__(self) -> str:
        return f"KeyValueCache({self.tokens} tokens, {len(self._stored) + len(self._of_memory)} attention modules)"

    def add_tokens(self, tokens: int, keep: Bool[Tensor, "batch {tokens}"] | None) -> Bool[Tensor, "batch keys"] | None:
        """Count new tokens, store their mask after that of earlier ones, and return the mask of all tokens.

        Args:
            keep: mask of the new tokens; None if all may be attended to.
        """
        earlier, self.tokens = self.tokens, self.tokens + tokens
        if keep is None and self.keep is not None:
            self.keep = pad(self.keep, (0, tokens), value=True)
        elif keep is not None:
            self.keep = pad(keep, (earlier, 0), value=True) if self.keep is None else torch.cat([self.keep, keep], dim=1)
        return self.keep

    def keys_and_values(
        self, attention: MultiHeadAttention, hidden: Float[Tensor, "batch tokens width"], relative_positions: RelativePositions
    ) -> AllKeysAndValues:
        """Store the keys and values of new tokens after those of earlier ones, and return all of them."""
        keys, values = self._stored.setdefault(attention, (GrowingTensor(), GrowingTensor()))
        key, value = attention.keys_and_values(hidden, relative_positions)
        return keys.append(key), values.append(value)

    def memory_keys_and_values(
        self, attention: MultiHeadAttention, memory: Float[Tensor, "batch sources width"]
    ) -> KeysAndValues:
        """Return the keys and values of the encoder output. They are computed once, at the first token."""
        if attention not in self._of_memory:
            self._of_memory[attention] = attention.keys_and_values(memory)
        return self._of_memory[attention]

    def select(self, rows: Int[Tensor, " rows"]) -> None:
        """Keep these sequences of the batch, in this order. A sequence may be selected several times."""
        for growing in chain(*self._stored.values()):
            growing.select(rows)
        for attention, (key, value) in self._of_memory.items():
            self._of_memory[attention] = key.index_select(0, rows), value.index_select(0, rows)
        self.keep = None if self.keep is None else self.keep[rows]


class GrowingTensor:
    """Vectors of tokens, with room for those of later tokens.

    A step copies the vector of its own token only. When the room is full, it is doubled: on average, each vector is copied
    about once more. With `torch.cat`, the last of 1,000 tokens would copy the vectors of 999 others.
    """

    def __init__(self) -> None:
        self._tensor: Tensor | None = None
        self._tokens = 0

    def append(self, new: Float[Tensor, "batch heads tokens width"]) -> Float[Tensor, "batch heads all_tokens width"]:
        """Store the vectors of new tokens, and return those of all tokens."""
        earlier, self._tokens = self._tokens, self._tokens + new.shape[-2]
        if self._tensor is None:
            self._tensor = new  # room would be wasted on a model that is called only once
        elif self._tokens <= self._tensor.shape[-2] and not new.requires_grad:
            self._tensor[..., earlier : self._tokens, :] = new
        else:
            # The backward pass needs the tensors of earlier steps unchanged, so that with gradients there is no room.
            room = new.new_empty(*new.shape[:-2], 0 if new.requires_grad else self._tokens, new.shape[-1])
            self._tensor = torch.cat([self._tensor[..., :earlier, :], new, room], dim=-2)
        return self._tensor[..., : self._tokens, :]

    def select(self, rows: Int[Tensor, " rows"]) -> None:
        """Keep these sequences of the batch, in this order."""
        assert self._tensor is not None
        self._tensor = self._tensor.index_select(0, rows)


class AllTokens:
    """In place of a cache, for a layer that computes the output of some tokens only: they attend to all of these.

    Args:
        hidden: the input of the layer for all tokens.
    """

    def __init__(self, hidden: Float[Tensor, "batch all_tokens width"]) -> None:
        self.hidden = hidden

    def keys_and_values(
        self, attention: MultiHeadAttention, hidden: Float[Tensor, "batch tokens width"], relative_positions: RelativePositions
    ) -> AllKeysAndValues:
        """Return the keys and values of all tokens, among which are those of `hidden`."""
        return attention.keys_and_values(self.hidden, relative_positions)
