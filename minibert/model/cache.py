"""What a decoder keeps from one token to the next."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

KeysAndValues = tuple[Float[Tensor, "batch heads keys head_width"], Float[Tensor, "batch heads keys head_width"]]

AllKeysAndValues = tuple[Float[Tensor, "batch heads all_keys head_width"], Float[Tensor, "batch heads all_keys head_width"]]


class KeyValueCache:
    """Keys and values of every attention, for the tokens so far: a new token is then worked on alone, and reads the others.

    Nothing that is kept would come out otherwise if it were made again, since no token sees what follows it.
    """

    def __init__(self) -> None:
        self._kept: dict[nn.Module, KeysAndValues] = {}
        self.keep: Bool[Tensor, "batch keys"] | None = None
        """Which of the tokens so far may be read."""

    @property
    def tokens(self) -> int:
        """How many tokens there have been so far."""
        return 0 if self.keep is None else self.keep.shape[1]

    def note(self, keep: Bool[Tensor, "batch tokens"]) -> Bool[Tensor, "batch keys"]:
        """Takes note of new tokens, and tells which of all may be read."""
        self.keep = keep if self.keep is None else torch.cat([self.keep, keep], dim=1)
        return self.keep

    def extended(self, attention: nn.Module, new: KeysAndValues) -> AllKeysAndValues:
        """Keys and values of an attention to the tokens themselves: those so far, and then the new ones."""
        if attention in self._kept:
            key, value = self._kept[attention]
            new = torch.cat([key, new[0]], dim=-2), torch.cat([value, new[1]], dim=-2)
        self._kept[attention] = new
        return new

    def once(self, attention: nn.Module, make: Callable[[], KeysAndValues]) -> KeysAndValues:
        """Keys and values of an attention to what stays the same: made for the first token."""
        if attention not in self._kept:
            self._kept[attention] = make()
        return self._kept[attention]

    def choose(self, rows: Int[Tensor, " rows"]) -> None:
        """Goes on with some sequences of the batch, in this order; one may come several times."""
        self._kept = {attention: (key[rows], value[rows]) for attention, (key, value) in self._kept.items()}
        self.keep = None if self.keep is None else self.keep[rows]
