"""Where a token stands: attention by itself does not know. Vaswani et al. 2017, section 3.5.

Four ways to tell it. Two add a vector to what the token is (`sinusoidal_positions`, `learned_positions`), one turns queries and
keys (`rotary_positions`), one lowers the scores of what is far away (`alibi_bias`).
"""

import torch
from jaxtyping import Float, Int
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
    _check_even(width)
    exponents = torch.arange(0, width, 2, dtype=positions.dtype, device=positions.device) / width
    angles = positions[:, None] / 10000**exponents
    return torch.stack([torch.sin(angles), torch.cos(angles)], dim=-1).flatten(-2)


def learned_positions(
    table: Float[Tensor, "places width"], positions: Int[Tensor, "*positions"]
) -> Float[Tensor, "*positions width"]:
    r"""A vector for every position, learned like the vectors of words: nothing is said about how places are related.

    Eq: $$PE_t = P_t, \qquad P \in \mathbb{R}^{n \times d}$$
    Source: Gehring et al. 2017, section 3.1; Devlin et al. 2019, section 3 ("position embeddings"); Radford et al. 2018.
    Differs: Vaswani et al. 2017, table 3, row E, found it as good as `sinusoidal_positions`. Beyond the last place of the
        table there is nothing.
    Tests: tests/equations/test_positions.py::TestLearnedPositions

    >>> learned_positions(torch.tensor([[0.0, 1.0], [2.0, 3.0]]), torch.tensor([1, 0, 1]))
    tensor([[2., 3.],
            [0., 1.],
            [2., 3.]])
    """
    return torch.nn.functional.embedding(positions, table)


def rotary_positions(
    vectors: Float[Tensor, "*batch tokens width"], positions: Float[Tensor, "*#batch tokens"]
) -> Float[Tensor, "*batch tokens width"]:
    r"""Turns each pair of columns by an angle that grows with the position: a dot product then knows the distance alone.

    Eq: $$(R_t x)_{2i} + \mathrm{i}\,(R_t x)_{2i+1} = e^{\mathrm{i}\,t\,\theta_i}\,(x_{2i} + \mathrm{i}\,x_{2i+1}), \qquad
        \theta_i = 10000^{-2i/d}, \qquad (R_s q)^\top (R_t k) = q^\top R_{t-s}\, k$$
    Source: Su et al. 2021 (RoFormer), equations 14 and 34; of queries and keys, never of values.
    Differs: neighboring columns are a pair, as in the paper. GPT-NeoX, LLaMA and Hugging Face pair column i with column
        i + d/2: the same up to the order of columns.
    Tests: tests/equations/test_positions.py::TestRotaryPositions

    Raises: ValueError if the width is odd: columns turn in pairs.

    >>> rotary_positions(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([0.0, 1.0]))  # cos 1 and sin 1
    tensor([[1.0000, 0.0000],
            [0.5403, 0.8415]])
    """
    width = vectors.shape[-1]
    _check_even(width)
    exponents = torch.arange(0, width, 2, dtype=positions.dtype, device=positions.device) / width
    angles = positions[..., None] / 10000**exponents
    cosine, sine = torch.cos(angles).to(vectors.dtype), torch.sin(angles).to(vectors.dtype)
    even, odd = vectors[..., 0::2], vectors[..., 1::2]
    return torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], dim=-1).flatten(-2)


def alibi_bias(
    query_positions: Float[Tensor, "*batch queries"], key_positions: Float[Tensor, "*batch keys"], heads: int
) -> Float[Tensor, "*batch {heads} queries keys"]:
    r"""What is far away is read less: each head takes its own slope times the distance off the scores.

    Eq: $$b^{(h)}_{ij} = -m_h\,\lvert i - j \rvert, \qquad m_h = 2^{-8h/H}, \quad h = 1, \ldots, H$$
    Source: Press et al. 2022 (ALiBi), section 3.
    Differs: the paper speaks of decoders, where j ≤ i; the distance is taken without its sign, so that encoders can have it
        too. Where H is no power of two the authors' code puts the slopes of two powers together; here the formula stays.
    Tests: tests/equations/test_positions.py::TestAlibiBias

    >>> alibi_bias(torch.tensor([2.0]), torch.tensor([0.0, 1.0, 2.0]), heads=2)  # slopes 1/16 and 1/256
    tensor([[[-0.1250, -0.0625, -0.0000]],
    <BLANKLINE>
            [[-0.0078, -0.0039, -0.0000]]])
    """
    steps = torch.arange(1, heads + 1, dtype=query_positions.dtype, device=query_positions.device)
    slopes = 2.0 ** (-8 * steps / heads)
    distance = (query_positions[..., :, None] - key_positions[..., None, :]).abs()
    return -slopes[:, None, None] * distance[..., None, :, :]


def _check_even(width: int) -> None:
    if width % 2:
        raise ValueError(f"width is {width}: sines and cosines come in pairs, so it must be even")
