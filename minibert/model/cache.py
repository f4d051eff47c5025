"""Keys and values of other tokens than those whose output a layer computes: the earlier ones, in decoding, or all."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

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
        self._stored: dict[MultiHeadAttention, KeysAndValues] = {}
        self.keep: Bool[Tensor, "batch keys"] | None = None
        """True for the tokens so far that may be attended to."""

    def __repr__(self) -> str:
        return f"KeyValueCache({self.tokens} tokens, {len(self._stored)} attention modules)"

    @property
    def tokens(self) -> int:
        """Number of tokens so far."""
        return 0 if self.keep is None else self.keep.shape[1]

    def update_mask(self, keep: Bool[Tensor, "batch tokens"]) -> Bool[Tensor, "batch keys"]:
        """Store the mask of new tokens after that of earlier ones, and return the mask of all tokens."""
        self.keep = keep if self.keep is None else torch.cat([self.keep, keep], dim=1)
        return self.keep

    def keys_and_values(
        self, attention: MultiHeadAttention, hidden: Float[Tensor, "batch tokens width"], relative_positions: RelativePositions
    ) -> AllKeysAndValues:
        """Store the keys and values of new tokens after those of earlier ones, and return all of them."""
        key, value = attention.keys_and_values(hidden, relative_positions)
        if attention in self._stored:
            past_key, past_value = self._stored[attention]
            key, value = torch.cat([past_key, key], dim=-2), torch.cat([past_value, value], dim=-2)
        self._stored[attention] = key, value
        return key, value

    def memory_keys_and_values(
        self, attention: MultiHeadAttention, memory: Float[Tensor, "batch sources width"]
    ) -> KeysAndValues:
        """Return the keys and values of the encoder output. They are computed once, at the first token."""
        if attention not in self._stored:
            self._stored[attention] = attention.keys_and_values(memory)
        return self._stored[attention]

    def select(self, rows: Int[Tensor, " rows"]) -> None:
        """Keep these sequences of the batch, in this order. A sequence may be selected several times."""
        self._stored = {attention: (key[rows], value[rows]) for attention, (key, value) in self._stored.items()}
        self.keep = None if self.keep is None else self.keep[rows]


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
