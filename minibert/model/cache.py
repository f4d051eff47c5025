"""The key-value cache of autoregressive decoding."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from minibert.model.attention import KeysAndValues, MultiHeadAttention
from minibert.model.positions import NO_RELATIVE_POSITIONS, RelativePositions


class KeyValueCache:
    """Keys and values of the tokens processed so far, for every attention of a decoder.

    With it, a decoding step processes only the new token. The result is the same as without it, because no token attends
    to a later one.
    """

    def __init__(self) -> None:
        self._stored: dict[MultiHeadAttention, KeysAndValues] = {}
        self.keep: Bool[Tensor, "batch keys"] | None = None
        """True for the tokens so far that may be attended to."""

    @property
    def tokens(self) -> int:
        """Number of tokens so far."""
        return 0 if self.keep is None else self.keep.shape[1]

    def extend_mask(self, keep: Bool[Tensor, "batch tokens"]) -> Bool[Tensor, "batch keys"]:
        """Append the mask of new tokens and return the mask of all tokens."""
        self.keep = keep if self.keep is None else torch.cat([self.keep, keep], dim=1)
        return self.keep

    def extend(
        self,
        attention: MultiHeadAttention,
        tokens: Float[Tensor, "batch tokens width"],
        positions: RelativePositions = NO_RELATIVE_POSITIONS,
    ) -> KeysAndValues:
        """Append the keys and values of new tokens and return those of all tokens, for self-attention."""
        key, value = attention.keys_and_values(tokens, positions)
        if attention in self._stored:
            past_key, past_value = self._stored[attention]
            key, value = torch.cat([past_key, key], dim=-2), torch.cat([past_value, value], dim=-2)
        self._stored[attention] = key, value
        return key, value

    def of_memory(self, attention: MultiHeadAttention, memory: Float[Tensor, "batch sources width"]) -> KeysAndValues:
        """Return the keys and values of the encoder output, computed at the first token only, for cross-attention."""
        if attention not in self._stored:
            self._stored[attention] = attention.keys_and_values(memory)
        return self._stored[attention]

    def select(self, rows: Int[Tensor, " rows"]) -> None:
        """Keep these sequences of the batch, in this order. A sequence may be selected several times."""
        self._stored = {attention: (key[rows], value[rows]) for attention, (key, value) in self._stored.items()}
        self.keep = None if self.keep is None else self.keep[rows]
