"""Where a token stands: attention by itself does not know. Vaswani et al. 2017, section 3.5."""

import torch
from jaxtyping import Float
from torch import Tensor


def sinusoidal_positions(positions: Float[Tensor, " positions"], width: int) -> Float[Tensor, "positions {width}"]:
    r"""A vector for every position, made of waves from short to long: a move by k is the same rotation everywhere.

    Eq: $$PE_{(t,\,2i)} = \sin\!\left(t / 10000^{2i/d}\right), \qquad PE_{(t,\,2i+1)} = \cos\!\left(t / 10000^{2i/d}\right)$$
    Source: Vaswani et al. 2017, section 3.5.
    Differs: sine and cosine alternate, as in the paper. tensor2tensor's code has all sines first, then all cosines, and
        exponents from 0 to 1 with both ends; fairseq the same. BERT learns its positions instead.
    Tests: tests/equations/test_positions.py::TestSinusoidalPositions

    Raises: ValueError if `width` is odd: sines and cosines come in pairs.

    >>> sinusoidal_positions(torch.tensor([0.0, 1.0]), width=4)
    tensor([[0.0000, 1.0000, 0.0000, 1.0000],
            [0.8415, 0.5403, 0.0100, 0.9999]])
    """
    if width % 2:
        raise ValueError(f"width is {width}: sines and cosines come in pairs, so it must be even")
    exponents = torch.arange(0, width, 2, dtype=positions.dtype, device=positions.device) / width
    angles = positions[:, None] / 10000**exponents
    return torch.stack([torch.sin(angles), torch.cos(angles)], dim=-1).flatten(-2)
