"""Four position encodings with one interface. Their formulas are in `equations.positions`."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from minibert.equations import alibi_bias, learned_positions, rotary_positions, sinusoidal_positions
from minibert.observe import observe


def unchanged(heads: Tensor) -> Tensor:
    """Return the argument: the rotation of models without rotary positions."""
    return heads


@dataclass(frozen=True)
class RelativePositions:
    """The part of a position encoding that acts inside self-attention. The default has no effect.

    Sinusoidal and learned positions have no such part: they are added to the word embeddings.
    """

    rotate: Callable[[Tensor], Tensor] = unchanged
    """Rotation of the queries and keys of every head by the angles of their positions (rotary positions)."""
    score_bias: Float[Tensor, "#batch heads queries keys"] | None = None
    """Tensor added to the scaled scores (ALiBi)."""


NO_RELATIVE_POSITIONS = RelativePositions()


class Positions(nn.Module):
    """Base of the position encodings. Each acts at one of two places and leaves the other as it is."""

    has_score_bias = False
    """True if `relative` returns numbers that are added to the scores."""

    def add(
        self, words: Float[Tensor, "batch tokens width"], positions: Int[Tensor, "#batch tokens"]
    ) -> Float[Tensor, "batch tokens width"]:
        """Add position vectors to the word embeddings."""
        return words

    def relative(
        self, query_positions: Int[Tensor, "#batch queries"], key_positions: Int[Tensor, "#batch keys"], dtype: torch.dtype
    ) -> RelativePositions:
        """Return what self-attention needs in every layer.

        Args:
            dtype: type of the scores; angles and distances are computed in at least float32.
        """
        return NO_RELATIVE_POSITIONS


class SinusoidalPositions(Positions):
    r"""`equations.sinusoidal_positions`, added to the word embeddings (Vaswani et al. 2017). Sequences may have any length.

    Steps:
        vectors (batch tokens width): $$e^p = PE_t$$ Sines and cosines of each position.
    """

    def add(
        self, words: Float[Tensor, "batch tokens width"], positions: Int[Tensor, "#batch tokens"]
    ) -> Float[Tensor, "batch tokens width"]:
        waves = sinusoidal_positions(_as_numbers(positions.flatten(), words.dtype), words.shape[-1])
        return words + observe("vectors", waves.to(words.dtype).view(*positions.shape, -1))


class LearnedPositions(Positions):
    r"""`equations.learned_positions`, added to the word embeddings (Devlin et al. 2019; GPT-2).

    Steps:
        vectors (batch tokens width): $$e^p = P_t$$ The row of each position in the table of position vectors.

    Args:
        max_positions: number of positions, the maximum length of a sequence.
    """

    def __init__(self, max_positions: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(max_positions, width)

    def add(
        self, words: Float[Tensor, "batch tokens width"], positions: Int[Tensor, "#batch tokens"]
    ) -> Float[Tensor, "batch tokens width"]:
        return words + observe("vectors", learned_positions(self.table.weight, positions))


class RotaryPositions(Positions):
    """`equations.rotary_positions`, in every self-attention (Su et al. 2021)."""

    def relative(
        self, query_positions: Int[Tensor, "#batch queries"], key_positions: Int[Tensor, "#batch keys"], dtype: torch.dtype
    ) -> RelativePositions:
        # New keys have the positions of the queries; keys in a cache have been rotated before.
        angles_at = _as_numbers(query_positions, dtype).unsqueeze(-2)

        def rotate(heads: Tensor) -> Tensor:
            return rotary_positions(heads, angles_at)

        return RelativePositions(rotate=rotate)


class AlibiPositions(Positions):
    """`equations.alibi_bias`, in every self-attention (Press et al. 2022)."""

    has_score_bias = True

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def extra_repr(self) -> str:
        return f"heads={self.heads}"

    def relative(
        self, query_positions: Int[Tensor, "#batch queries"], key_positions: Int[Tensor, "#batch keys"], dtype: torch.dtype
    ) -> RelativePositions:
        bias = alibi_bias(_as_numbers(query_positions, dtype), _as_numbers(key_positions, dtype), self.heads)
        return RelativePositions(score_bias=bias.to(dtype))


def make_positions(kind: str, max_positions: int, width: int, heads: int) -> Positions:
    """Build the position encoding `kind`, one of `config.POSITIONS`, for sequences of up to `max_positions` tokens."""
    match kind:
        case "sinusoidal":
            return SinusoidalPositions()
        case "learned":
            return LearnedPositions(max_positions, width)
        case "rotary":
            return RotaryPositions()
        case _:
            return AlibiPositions(heads)


def _as_numbers(positions: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert positions to floating point; half precision has too few digits for an angle."""
    return positions.to(torch.promote_types(dtype, torch.float32))
