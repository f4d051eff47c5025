"""The tables of sinusoids in MarianMT's checkpoints, which minibert loads as learned positions."""

import torch
from jaxtyping import Float
from torch import Tensor

from minibert.equations import sinusoidal_positions
from minibert.model.transformer_config import TransformerConfig

POSITION_TABLES = ("encoder.positions.table.weight", "decoder.positions.table.weight")
MAX_TABLE = 2**30
"""Limit against absurd values in a file: for the number of values in a position table that is not in the file."""
ROUNDING = 0.01
"""Maximum error of a sine in a file in half precision."""


def sinusoids(config: TransformerConfig) -> Float[Tensor, "positions width"]:
    """Return the table of Vaswani et al. 2017: each sine is followed by its cosine."""
    positions = torch.arange(config.max_position_embeddings, dtype=torch.float64)
    return sinusoidal_positions(positions, config.hidden_size).float()


def marian_sinusoids(config: TransformerConfig) -> Float[Tensor, "positions width"]:
    """Return the table of MarianMT, with all sines before all cosines."""
    waves = sinusoids(config)
    return torch.cat([waves[:, 0::2], waves[:, 1::2]], dim=1)


def is_constant(table: Float[Tensor, "positions width"], config: TransformerConfig) -> bool:
    """Return True for a table of sinusoids, which is not trained, and False for a learned table."""
    has_pairs = config.hidden_size % 2 == 0  # a sine and a cosine for each frequency
    return has_pairs and any(
        torch.allclose(table.float(), waves, rtol=0, atol=ROUNDING) for waves in (sinusoids(config), marian_sinusoids(config))
    )
