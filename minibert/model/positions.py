"""How a network tells where its tokens stand: four ways behind one interface. The formulas are in `equations.positions`."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from minibert.equations import alibi_bias, learned_positions, rotary_positions, sinusoidal_positions

Rotation = Callable[[Tensor], Tensor]
"""What is done to the queries and the keys of every head, each where its token stands."""


class Positions(nn.Module):
    """What can be told at three places; each kind tells it at one of them, and leaves the others as they are."""

    def add(
        self, words: Float[Tensor, "batch tokens width"], places: Int[Tensor, "#batch tokens"]
    ) -> Float[Tensor, "batch tokens width"]:
        """What goes into the first layer."""
        return words

    def rotate(self, places: Int[Tensor, "#batch tokens"]) -> Rotation | None:
        """What is done to queries and keys in every layer; None for nothing."""
        return None

    def bias(
        self, query_places: Int[Tensor, "#batch queries"], key_places: Int[Tensor, "#batch keys"], like: Tensor
    ) -> Float[Tensor, "#batch heads queries keys"] | None:
        """What is added to the scores in every layer, of the type of `like`; None for nothing."""
        return None


class SinusoidalPositions(Positions):
    """`equations.sinusoidal_positions`, added to the words (Vaswani et al. 2017). There is no longest sequence."""

    def add(
        self, words: Float[Tensor, "batch tokens width"], places: Int[Tensor, "#batch tokens"]
    ) -> Float[Tensor, "batch tokens width"]:
        waves = sinusoidal_positions(_exact(places.flatten(), words), words.shape[-1])
        return words + waves.to(words.dtype).view(*places.shape, -1)


class LearnedPositions(Positions):
    """`equations.learned_positions`, added to the words (Devlin et al. 2019; GPT-2)."""

    def __init__(self, longest: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(longest, width)

    def add(
        self, words: Float[Tensor, "batch tokens width"], places: Int[Tensor, "#batch tokens"]
    ) -> Float[Tensor, "batch tokens width"]:
        return words + learned_positions(self.table.weight, places)


class RotaryPositions(Positions):
    """`equations.rotary_positions`, in every attention of a sequence to itself (Su et al. 2021)."""

    def rotate(self, places: Int[Tensor, "#batch tokens"]) -> Rotation | None:
        def turned(heads: Tensor) -> Tensor:
            return rotary_positions(heads, _exact(places, heads).unsqueeze(-2))

        return turned


class AlibiPositions(Positions):
    """`equations.alibi_bias`, in every attention of a sequence to itself (Press et al. 2022)."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def bias(
        self, query_places: Int[Tensor, "#batch queries"], key_places: Int[Tensor, "#batch keys"], like: Tensor
    ) -> Float[Tensor, "#batch heads queries keys"] | None:
        return alibi_bias(_exact(query_places, like), _exact(key_places, like), self.heads).to(like.dtype)


def make_positions(kind: str, longest: int, width: int, heads: int) -> Positions:
    """Positions of one kind of `POSITIONS`, for sequences of up to `longest` tokens."""
    match kind:
        case "sinusoidal":
            return SinusoidalPositions()
        case "learned":
            return LearnedPositions(longest, width)
        case "rotary":
            return RotaryPositions()
        case _:
            return AlibiPositions(heads)


def _exact(places: Tensor, like: Tensor) -> Tensor:
    """Places as numbers to calculate with: half precision has not enough digits for an angle."""
    return places.to(torch.promote_types(like.dtype, torch.float32))
