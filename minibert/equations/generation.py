"""Filters for sampling the next token, and the length penalty of beam search. Vaswani et al. 2017, section 6.1."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def length_penalty(length: int, alpha: float = 0.6) -> float:
    r"""Compute the divisor of an output's log-probability, so that beam search does not prefer short outputs.

    Eq: $$lp(Y) = \left(\frac{5 + |Y|}{6}\right)^{\alpha}, \qquad s(Y, X) = \frac{\log P(Y \mid X)}{lp(Y)}$$
    Source: Wu et al. 2016, equation 14, without the coverage penalty; Vaswani et al. 2017, section 6.1, with α = 0.6.
    Differs: transformers divides by |Y| to the power of its `length_penalty`. α = 0 means no penalty in both. |Y| is the
        number of generated tokens, including the end-of-sequence token.
    Tests: tests/equations/test_generation.py::TestLengthPenalty
    Lesson: lessons/06_encoder_decoder.py

    >>> [length_penalty(length, alpha=1.0) for length in (1, 7, 25)]
    [1.0, 2.0, 5.0]
    """
    return float(((5 + length) / 6) ** alpha)


def top_k_filter(logits: Float[Tensor, "*batch vocabulary"], k: int) -> Float[Tensor, "*batch vocabulary"]:
    r"""Keep the logits of the k most likely tokens and set all others to minus infinity.

    Eq: $$z'_i = z_i \;\text{if}\; \lvert\{j : z_j > z_i\}\rvert < k, \;\text{else}\; -\infty$$
    Source: Fan et al. 2018, section 5.4.
    Differs: tokens with the same logit as the k-th most likely token are kept too. If k is larger than the vocabulary, all
        tokens are kept.
    Tests: tests/equations/test_generation.py::TestTopKFilter
    Lesson: lessons/06_encoder_decoder.py

    Raises: ValueError if `k` is less than 1.

    >>> top_k_filter(torch.tensor([3.0, 1.0, 2.0]), k=2)
    tensor([3., -inf, 2.])
    """
    if k < 1:
        raise ValueError(f"k is {k}: it must be at least 1, so that a token can be chosen")
    kth_largest = logits.topk(min(k, logits.shape[-1]), dim=-1).values[..., -1:]
    return logits.masked_fill(logits < kth_largest, -math.inf)


def top_p_filter(logits: Float[Tensor, "*batch vocabulary"], p: float) -> Float[Tensor, "*batch vocabulary"]:
    r"""Keep the logits of the smallest set of most likely tokens whose probabilities sum to at least p.

    Eq: $$z'_i = z_i \;\text{if}\; \sum_{j : z_j > z_i} \mathrm{softmax}(z)_j < p, \;\text{else}\; -\infty$$
    Source: Holtzman et al. 2020, section 3.1, equations 2 and 3.
    Differs: the most likely token is always kept. Tokens of equal probability are kept or removed in the order of a stable
        sort. p = 1 keeps all tokens.
    Tests: tests/equations/test_generation.py::TestTopPFilter
    Lesson: lessons/06_encoder_decoder.py

    Raises: ValueError if `p` is not above 0 and at most 1.

    >>> top_p_filter(torch.tensor([0.5, 0.2, 0.3]).log(), p=0.6).exp()
    tensor([0.5000, 0.0000, 0.3000])
    """
    if not 0 < p <= 1:
        raise ValueError(f"p is {p:g}: it must be a probability above 0 and at most 1")
    sorted_logits, token_ids = logits.sort(dim=-1, descending=True, stable=True)
    probabilities = sorted_logits.softmax(dim=-1, dtype=torch.promote_types(logits.dtype, torch.float32))
    sum_before = probabilities.cumsum(dim=-1) - probabilities
    removed = (sum_before >= p) & (p < 1)  # a rounded sum may reach 1 before the last token
    return logits.masked_fill(removed.scatter(-1, token_ids, removed), -math.inf)
