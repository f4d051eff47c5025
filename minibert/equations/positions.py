"""Position encodings. Vaswani et al. 2017, section 3.5.

Attention alone ignores the order of the tokens, so models add position information in one of five ways.
`sinusoidal_positions` and `learned_positions` are added to the token embeddings. `rotary_positions` rotates queries and
keys. `alibi_bias` lowers the scores of distant tokens. `relative_position_buckets` selects a learned number for each score.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor


def sinusoidal_positions(positions: Float[Tensor, " positions"], width: int) -> Float[Tensor, "positions {width}"]:
    r"""Compute a vector of sines and cosines for each position, with wavelengths that grow along the width.

    A shift by k positions rotates each pair of columns by the same angle at every position.

    Eq: $$PE_{(t,\,2i)} = \sin\!\left(t / 10000^{2i/d}\right), \qquad PE_{(t,\,2i+1)} = \cos\!\left(t / 10000^{2i/d}\right)$$
    Source: Vaswani et al. 2017, section 3.5.
    Differs: sine and cosine alternate, as in the paper. tensor2tensor and fairseq put all sines first, then all cosines, and
        their exponents run from 0 to 1 with both ends included. BERT learns its position embeddings instead.
    Tests: tests/equations/test_positions.py::TestSinusoidalPositions
    Lesson: lessons/04_positions.py

    Raises: ValueError if `width` is odd: a sine and a cosine form a pair.

    >>> sinusoidal_positions(torch.tensor([0.0, 1.0]), width=4)
    tensor([[0.0000, 1.0000, 0.0000, 1.0000],
            [0.8415, 0.5403, 0.0100, 0.9999]])
    """
    _check_even(width)
    exponents = torch.arange(0, width, 2, dtype=positions.dtype, device=positions.device) / width
    angles = positions[:, None] / 10000**exponents
    return torch.stack([torch.sin(angles), torch.cos(angles)], dim=-1).flatten(-2)


def learned_positions(
    table: Float[Tensor, "max_positions width"], positions: Int[Tensor, "*positions"]
) -> Float[Tensor, "*positions width"]:
    r"""Look up a learned vector for each position, in the same way as a word embedding.

    Eq: $$PE_t = P_t, \qquad P \in \mathbb{R}^{n \times d}$$
    Source: Gehring et al. 2017, section 3.1; Devlin et al. 2019, section 3 ("position embeddings"); Radford et al. 2018.
    Differs: Vaswani et al. 2017, table 3, row E, found learned positions as good as sinusoidal ones. Positions after the
        last row of the table have no vector.
    Tests: tests/equations/test_positions.py::TestLearnedPositions
    Lesson: lessons/04_positions.py

    >>> learned_positions(torch.tensor([[0.0, 1.0], [2.0, 3.0]]), torch.tensor([1, 0, 1]))
    tensor([[2., 3.],
            [0., 1.],
            [2., 3.]])
    """
    return torch.nn.functional.embedding(positions, table)


def positions_without_padding(ids: Int[Tensor, "*batch tokens"], pad_id: int) -> Int[Tensor, "*batch tokens"]:
    r"""Compute the position of each token of RoBERTa: the number of tokens so far that are no padding, plus the padding's id.

    The padding has the position `pad_id`, whose vector in the table is never trained. A text of n tokens needs a table of
    n + `pad_id` + 1 rows: 514 for 512 tokens, because RoBERTa's padding has the id 1.

    Eq: $$t_i = p + [\mathrm{id}_i \ne p] \sum_{j \le i} [\mathrm{id}_j \ne p]$$
    Source: Liu et al. 2019, and the authors' code (fairseq, `make_positions`).
    Differs: BERT counts every token, from 0, so that a text after padding on the left has other positions than the text alone.
    Tests: tests/equations/test_positions.py::TestPositionsWithoutPadding
    Lesson: lessons/04_positions.py

    >>> positions_without_padding(torch.tensor([[5, 6, 1, 7], [1, 1, 8, 9]]), pad_id=1)
    tensor([[2, 3, 1, 4],
            [1, 1, 2, 3]])
    """
    counted = ids != pad_id
    return counted.cumsum(dim=-1) * counted + pad_id


def rotary_positions(
    vectors: Float[Tensor, "*batch tokens width"], positions: Float[Tensor, "*#batch tokens"]
) -> Float[Tensor, "*batch tokens width"]:
    r"""Rotate each pair of columns by an angle proportional to the position.

    The dot product of a rotated query and a rotated key depends on the distance of their positions only.

    Eq: $$(R_t x)_{2i} = x_{2i} \cos t\theta_i - x_{2i+1} \sin t\theta_i, \qquad
        (R_t x)_{2i+1} = x_{2i} \sin t\theta_i + x_{2i+1} \cos t\theta_i, \qquad
        \theta_i = 10000^{-2i/d}, \qquad (R_s q)^\top (R_t k) = q^\top R_{t-s}\, k$$
    Source: Su et al. 2021 (RoFormer), equations 14 and 34. Applied to queries and keys, not to values.
    Differs: adjacent columns form a pair, as in the paper. GPT-NeoX, LLaMA and Hugging Face pair column i with column
        i + d/2, which is the same up to the order of the columns.
    Tests: tests/equations/test_positions.py::TestRotaryPositions
    Lesson: lessons/04_positions.py

    Raises: ValueError if the width is odd: columns are rotated in pairs.

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
    r"""Compute a bias that lowers each score in proportion to the distance of query and key, with one slope per head.

    Eq: $$b^{(h)}_{ij} = -m_h\,\lvert i - j \rvert, \qquad m_h = 2^{-8h/H}, \quad h = 1, \ldots, H$$
    Source: Press et al. 2022 (ALiBi), section 3.
    Differs: the paper is about decoders, where j ≤ i. Here the distance is absolute, so that encoders can use it too. If H is
        not a power of two, the authors' code combines the slopes of two powers of two; here the formula is used as it is.
    Tests: tests/equations/test_positions.py::TestAlibiBias
    Lesson: lessons/04_positions.py

    >>> alibi_bias(torch.tensor([2.0]), torch.tensor([0.0, 1.0, 2.0]), heads=2)  # slopes 1/16 and 1/256
    tensor([[[-0.1250, -0.0625, -0.0000]],
    <BLANKLINE>
            [[-0.0078, -0.0039, -0.0000]]])
    """
    steps = torch.arange(1, heads + 1, dtype=query_positions.dtype, device=query_positions.device)
    slopes = 2.0 ** (-8 * steps / heads)
    distance = (query_positions[..., :, None] - key_positions[..., None, :]).abs()
    return -slopes[:, None, None] * distance[..., None, :, :]


def relative_position_buckets(
    query_positions: Int[Tensor, "*batch queries"],
    key_positions: Int[Tensor, "*batch keys"],
    buckets: int = 32,
    max_distance: int = 128,
    bidirectional: bool = True,
) -> Int[Tensor, "*batch queries keys"]:
    r"""Compute the number of the bucket for the distance from each query to each key.

    Each head has a learned number for each bucket, which is added to the scores. Half of the buckets are for one distance
    each. The others become wider with the distance. The last one also holds all distances from `max_distance` on.

    Eq: $$\mathrm{bucket}(r) = \begin{cases} r & r < m \\ \min\!\left(n - 1,\; m + \left\lfloor
        \frac{\ln(r/m)}{\ln(D/m)}\,(n - m) \right\rfloor\right) & r \ge m \end{cases}, \qquad
        m = \lfloor n / 2 \rfloor$$
    Source: Raffel et al. 2020, section 2.1 (32 buckets, up to a distance of 128), and the authors' code (Mesh TensorFlow,
        `_relative_position_bucket`), from which the formula is.
    Differs: r is the distance |j - i| of query i and key j. With `bidirectional`, n is half of the buckets, and the other half
        is for later keys (j > i). Without it, all later keys have bucket 0, as a decoder masks them. Logarithms are computed
        in single precision, as in that code, so that distances at the border of two buckets are rounded alike.
    Tests: tests/equations/test_positions.py::TestRelativePositionBuckets
    Lesson: lessons/04_positions.py

    Raises: ValueError if there are too few buckets, or if `max_distance` is not above the distances with a bucket of their own.

    >>> relative_position_buckets(torch.tensor([20]), torch.tensor([20, 19, 18, 12, 0, 21, 40]))
    tensor([[ 0,  1,  2,  8, 10, 17, 26]])
    """
    of_one_side = buckets // 2 if bidirectional else buckets
    exact = of_one_side // 2
    if exact < 1 or max_distance <= exact:
        raise ValueError(
            f"there are {buckets} buckets and max_distance is {max_distance}: at least one distance needs a bucket of its own, "
            "and max_distance must be larger than these distances"
        )
    distance = key_positions[..., None, :] - query_positions[..., :, None]
    is_later = distance > 0
    distance = distance.abs() if bidirectional else distance.masked_fill(is_later, 0).abs()
    wider = torch.log(distance.clamp(min=1).float() / exact) / math.log(max_distance / exact) * (of_one_side - exact)
    number = torch.where(distance < exact, distance, (exact + wider.long()).clamp(max=of_one_side - 1))
    return number + of_one_side * is_later if bidirectional else number


def _check_even(width: int) -> None:
    if width % 2:
        raise ValueError(f"width is {width}: columns form pairs, so the width must be even")
