"""Attention: who reads what from whom. Vaswani et al. 2017, section 3.2."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from minibert.observe import observe


def softmax(scores: Float[Tensor, "*batch choices"]) -> Float[Tensor, "*batch choices"]:
    r"""Turns scores into a distribution: positive, summing to one along the last axis.

    Eq: $$\mathrm{softmax}(x)_i = \frac{e^{x_i - m}}{\sum_j e^{x_j - m}}, \qquad m = \max_j x_j$$
    Source: Vaswani et al. 2017, used in equation 1; Bridle 1990.
    Differs: the papers leave out m. It cancels, in the gradient too, and keeps every exponent at or below zero, so that
        no score is too large. A row of nothing but -inf has no softmax: it gives NaN.
    Tests: tests/equations/test_attention.py

    >>> softmax(torch.tensor([0.0, math.log(3.0)]))
    tensor([0.2500, 0.7500])
    """
    if scores.shape[-1] == 0:
        return scores
    exponentials = torch.exp(scores - scores.detach().amax(dim=-1, keepdim=True))
    return exponentials / exponentials.sum(dim=-1, keepdim=True)


def scaled_dot_product_attention(
    query: Float[Tensor, "*batch queries width"],
    key: Float[Tensor, "*batch keys width"],
    value: Float[Tensor, "*batch keys value_width"],
    keep: Bool[Tensor, "*#batch #queries keys"] | None = None,
    dropout: float = 0.0,
) -> Float[Tensor, "*batch queries value_width"]:
    r"""Each query reads a weighted mean of the values; the weights say how well its key matches.

    Eq: $$\mathrm{Attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{QK^\top}{\sqrt{d_k}}\right) V$$
    Source: Vaswani et al. 2017, equation 1.
    Differs: `keep` is True where a query may attend. A query that may attend to nothing gets zeros (the paper does not
        say; Hugging Face gives other, finite values). `dropout` is the probability with which BERT's code drops a
        weight in training (the paper drops only the output of a sublayer).
    Tests: tests/equations/test_attention.py

    >>> one_hot = torch.eye(2)[None] * 100  # two keys that match nothing but themselves
    >>> scaled_dot_product_attention(one_hot, one_hot, torch.tensor([[[1.0], [2.0]]]))
    tensor([[[1.],
             [2.]]])
    """
    d_k = query.shape[-1]
    scores = observe("scores", query @ key.mT / math.sqrt(d_k))
    if keep is None:
        weights = observe("weights", softmax(scores))
    else:
        masked_scores = observe("masked_scores", scores.masked_fill(~keep, -math.inf))
        weights = observe("weights", softmax(masked_scores).masked_fill(~keep, 0.0))
    if dropout:
        weights = F.dropout(weights, dropout)
    return observe("context", weights @ value)


def split_heads(hidden: Float[Tensor, "*batch tokens width"], heads: int) -> Float[Tensor, "*batch {heads} tokens head_width"]:
    r"""Cuts the width into heads, so that each head sees every token through its own part of the width.

    Eq: $$x \in \mathbb{R}^{n \times hd} \mapsto (x_1, \ldots, x_h), \qquad x_i \in \mathbb{R}^{n \times d}$$
    Source: Vaswani et al. 2017, section 3.2.2.
    Tests: tests/equations/test_attention.py

    >>> split_heads(torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8.0]]), heads=2)
    tensor([[[1., 2.],
             [5., 6.]],
    <BLANKLINE>
            [[3., 4.],
             [7., 8.]]])
    """
    return hidden.reshape(*hidden.shape[:-1], heads, -1).transpose(-2, -3)


def merge_heads(
    heads: Float[Tensor, "*batch heads tokens width"],
) -> Float[Tensor, "*batch tokens heads*width"]:
    r"""Puts what the heads have read side by side again: the inverse of `split_heads`.

    Eq: $$\mathrm{Concat}(\mathrm{head}_1, \ldots, \mathrm{head}_h)$$
    Source: Vaswani et al. 2017, section 3.2.2.
    Tests: tests/equations/test_attention.py

    >>> merge_heads(torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]]))
    tensor([[1., 2., 3., 4.]])
    """
    return heads.transpose(-2, -3).flatten(-2)
