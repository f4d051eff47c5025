"""Attention: softmax, masks, scaled dot-product attention and multi-head attention. Vaswani et al. 2017, section 3.2."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from minibert.observe import observe
from minibert.precision import in_single_precision


@in_single_precision
def softmax(scores: Float[Tensor, "*batch choices"]) -> Float[Tensor, "*batch choices"]:
    r"""Compute the softmax over the last axis: positive numbers that sum to one.

    Eq: $$\mathrm{softmax}(x)_i = \frac{e^{x_i - m}}{\sum_j e^{x_j - m}}, \qquad m = \max_j x_j$$
    Source: Vaswani et al. 2017, used in equation 1; Bridle 1990.
    Differs: the papers do not subtract the maximum m. It cancels, also in the gradient, and prevents overflow: no exponent
        is above zero. A row in which every score is -inf has no softmax and gives NaN.
    Tests: tests/equations/test_attention.py::TestSoftmax
    Lesson: lessons/01_softmax.py

    >>> softmax(torch.tensor([0.0, math.log(3.0)]))
    tensor([0.2500, 0.7500])
    """
    if scores.shape[-1] == 0:
        return scores
    exponentials = torch.exp(scores - scores.detach().amax(dim=-1, keepdim=True))
    return exponentials / exponentials.sum(dim=-1, keepdim=True)


def causal_mask(tokens: int, device: torch.device | None = None) -> Bool[Tensor, "{tokens} {tokens}"]:
    r"""Compute the mask of a decoder: each token may attend to itself and to earlier tokens.

    Eq: $$\mathrm{keep}_{ij} = [\,j \le i\,]$$
    Source: Vaswani et al. 2017, section 3.2.3 ("masking out (setting to −∞) all values in the input of the softmax which
        correspond to illegal connections").
    Differs: True means "may attend". PyTorch's own layers and older code mark the positions that may not be attended to,
        with True or with minus infinity.
    Tests: tests/equations/test_attention.py::TestCausalMask
    Lesson: lessons/06_encoder_decoder.py

    >>> causal_mask(3).int()
    tensor([[1, 0, 0],
            [1, 1, 0],
            [1, 1, 1]], dtype=torch.int32)
    """
    return torch.ones(tokens, tokens, dtype=torch.bool, device=device).tril()


def padding_mask(lengths: Int[Tensor, "*batch"], tokens: int) -> Bool[Tensor, "*batch 1 {tokens}"]:
    r"""Compute the mask that excludes the padding at the end of each sequence of a batch.

    Eq: $$\mathrm{keep}_{ij} = [\,j < n\,], \qquad n \text{ the length of the sequence}$$
    Source: Devlin et al. 2019, the `input_mask` of Google's code; the paper itself does not mention padding.
    Differs: only keys are masked, not queries: a padding token still gets an output, which no other token attends to.
        Google's code adds -10000 to the scores instead, which masks padding only while the scores are smaller than that.
    Tests: tests/equations/test_attention.py::TestPaddingMask
    Lesson: lessons/08_bert_input.py

    >>> padding_mask(torch.tensor([3, 1]), tokens=3).int()
    tensor([[[1, 1, 1]],
    <BLANKLINE>
            [[1, 0, 0]]], dtype=torch.int32)
    """
    return torch.arange(tokens, device=lengths.device) < lengths[..., None, None]


@in_single_precision
def scaled_dot_product_attention(
    query: Float[Tensor, "*batch queries width"],
    key: Float[Tensor, "*batch keys width"],
    value: Float[Tensor, "*batch keys value_width"],
    keep: Bool[Tensor, "*#batch #queries keys"] | None = None,
    dropout: float = 0.0,
    bias: Float[Tensor, "*#batch #queries keys"] | None = None,
) -> Float[Tensor, "*batch queries value_width"]:
    r"""Compute, for each query, the average of the values weighted by how well the query matches each key.

    For half-precision input everything is computed, and observed, in single precision: a product of two float16 vectors can
    overflow.

    Eq: $$\mathrm{Attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{QK^\top}{\sqrt{d_k}}\right) V$$
    Source: Vaswani et al. 2017, equation 1.
    Differs: `keep` is a Boolean mask; True means "may attend". A query that may attend to no key returns zeros. The paper
        does not define this case; Hugging Face returns other, finite values. `dropout` is the probability of dropping an
        attention weight in training, as in BERT's code (the paper drops outputs of sublayers and sums of embeddings, not
        weights). `bias` is added to the scores, for relative positions (`alibi_bias`).
    Steps:
        dot_products (*batch queries keys): $$P = Q K^\top$$ The dot product of each query with each key. It is large if both
            vectors point in the same direction.
        scores (*batch queries keys): $$S = \frac{P}{\sqrt{d_k}}$$ The dot products divided by the square root of the width of a
            head. Otherwise they would grow with the width, and the softmax would choose one key only.
        biased_scores (*batch queries keys): $$S' = S + b$$ The scores plus a bias for the distance of query and key.
        masked_scores (*batch queries keys): $$M_{ij} = S_{ij} \text{ if } \mathrm{keep}_{ij} \text{, else } {-\infty}$$ The
            scores, with minus infinity where the query may not attend to the key.
        weights (*batch queries keys): $$A = \mathrm{softmax}(M)$$ The attention weights: the softmax of the masked scores, or
            of the scores if nothing is masked. No weight is negative, and each row sums to one.
        context (*batch queries value_width): $$C = A V$$ The average of the values, weighted by the attention weights.
    Tests: tests/equations/test_attention.py::TestScaledDotProductAttention
    Lesson: lessons/02_scaled_dot_product_attention.py

    >>> query = torch.tensor([[2.0, 0.0, 0.0, 0.0]])
    >>> key = torch.tensor([[math.log(3.0), 0.0, 0.0, 0.0], [0.0, 5.0, 5.0, 5.0], [9.0, 9.0, 9.0, 9.0]])
    >>> value, keep = torch.tensor([[4.0], [8.0], [99.0]]), torch.tensor([[True, True, False]])
    >>> scaled_dot_product_attention(query, key, value, keep)  # 3/4 of 4 and 1/4 of 8
    tensor([[5.]])
    """
    d_k = query.shape[-1]
    dot_products = observe("dot_products", query @ key.mT)
    scores = observe("scores", dot_products / math.sqrt(d_k))
    if bias is not None:
        scores = observe("biased_scores", scores + bias)
    if keep is None:
        weights = observe("weights", softmax(scores))
    else:
        masked_scores = observe("masked_scores", scores.masked_fill(~keep, -math.inf))
        weights = observe("weights", softmax(masked_scores).masked_fill(~keep, 0.0))
    if dropout:
        weights = F.dropout(weights, dropout)
    return observe("context", weights @ value)


def split_heads(hidden: Float[Tensor, "*batch tokens width"], heads: int) -> Float[Tensor, "*batch {heads} tokens head_width"]:
    r"""Split the width of each token into equal parts, one for each head.

    Eq: $$x \in \mathbb{R}^{n \times hd} \mapsto (x_1, \ldots, x_h), \qquad x_i \in \mathbb{R}^{n \times d}$$
    Source: Vaswani et al. 2017, section 3.2.2.
    Tests: tests/equations/test_attention.py::TestSplitHeads
    Lesson: lessons/03_multi_head_attention.py

    >>> split_heads(torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8.0]]), heads=2)
    tensor([[[1., 2.],
             [5., 6.]],
    <BLANKLINE>
            [[3., 4.],
             [7., 8.]]])
    """
    width = hidden.shape[-1] // heads
    return hidden.reshape(*hidden.shape[:-1], heads, width).transpose(-2, -3)


def merge_heads(
    heads: Float[Tensor, "*batch heads tokens width"],
) -> Float[Tensor, "*batch tokens heads*width"]:
    r"""Concatenate the outputs of the heads for each token: the inverse of `split_heads`.

    Eq: $$\mathrm{Concat}(\mathrm{head}_1, \ldots, \mathrm{head}_h)$$
    Source: Vaswani et al. 2017, section 3.2.2.
    Tests: tests/equations/test_attention.py::TestMergeHeads
    Lesson: lessons/03_multi_head_attention.py

    >>> merge_heads(torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]]))
    tensor([[1., 2., 3., 4.]])
    """
    return heads.transpose(-2, -3).flatten(-2)


def multi_head_attention(
    queries_from: Float[Tensor, "*batch queries query_width"],
    keys_from: Float[Tensor, "*batch keys key_width"],
    w_q: Float[Tensor, "query_width all_heads"],
    w_k: Float[Tensor, "key_width all_heads"],
    w_v: Float[Tensor, "key_width all_values"],
    w_o: Float[Tensor, "all_values width"],
    heads: int,
    keep: Bool[Tensor, "*#batch #queries keys"] | None = None,
) -> Float[Tensor, "*batch queries width"]:
    r"""Compute several attentions in parallel, each with its own projections, and project their concatenation.

    Eq: $$\mathrm{MultiHead}(Q, K, V) = \mathrm{Concat}(\mathrm{head}_1, \ldots, \mathrm{head}_h)\, W^O, \qquad
        \mathrm{head}_i = \mathrm{Attention}(QW_i^Q, KW_i^K, VW_i^V)$$
    Source: Vaswani et al. 2017, section 3.2.2.
    Differs: `w_q`, `w_k` and `w_v` each hold the projections of all heads as one matrix. K and V come from the same tokens,
        as in every model of the paper. BERT's code adds a bias to every projection. For a query that may attend to no
        key, every head returns zeros, as in `scaled_dot_product_attention`.
    Tests: tests/equations/test_attention.py::TestMultiHeadAttention
    Lesson: lessons/03_multi_head_attention.py

    >>> tokens, one = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.eye(2)
    >>> multi_head_attention(tokens, tokens, 9 * one, 9 * one, one, 2 * one, heads=2)  # each head uses one column
    tensor([[2., 1.],
            [1., 2.]])
    """
    query = split_heads(queries_from @ w_q, heads)
    key = split_heads(keys_from @ w_k, heads)
    value = split_heads(keys_from @ w_v, heads)
    head_keep = None if keep is None else keep.unsqueeze(-3)  # the same mask for every head
    context = scaled_dot_product_attention(query, key, value, head_keep)
    return merge_heads(context) @ w_o


@in_single_precision
def online_softmax_attention(
    query: Float[Tensor, "*batch queries width"],
    key: Float[Tensor, "*batch keys width"],
    value: Float[Tensor, "*batch keys value_width"],
    keep: Bool[Tensor, "*#batch #queries keys"] | None = None,
    block_size: int = 64,
) -> Float[Tensor, "*batch queries value_width"]:
    r"""Compute attention over one block of keys at a time, as FlashAttention does, without storing all the scores.

    A later block may contain a larger score than the maximum so far. The sums so far are then rescaled to the new maximum.
    The result is exact.

    Eq: $$m' = \max(m, \max_j s_j), \qquad \ell' = e^{m-m'}\ell + \sum_j e^{s_j-m'}, \qquad
        o' = e^{m-m'} o + \sum_j e^{s_j-m'} v_j, \qquad \mathrm{Attention} = o / \ell$$
    Source: Milakov and Gimelshein 2018, algorithm 3; Dao et al. 2022, algorithm 1.
    Differs: Dao et al. divide by the sum after every block; here it is done once, at the end, as in FlashAttention-2 (Dao
        2023). A query that may attend to no key returns zeros, as in `scaled_dot_product_attention`.
    Tests: tests/equations/test_attention.py::TestOnlineSoftmaxAttention
    Lesson: lessons/15_fast_attention.py

    Raises: ValueError if `block_size` is less than 1.

    >>> query, key = torch.tensor([[1.0]]), torch.tensor([[0.0], [math.log(3.0)]])
    >>> online_softmax_attention(query, key, torch.tensor([[4.0], [8.0]]), block_size=1)
    tensor([[7.]])
    """
    if block_size < 1:
        raise ValueError(f"block_size is {block_size}: a block must have at least 1 key")
    d_k = query.shape[-1]
    row_max = query.new_full((*query.shape[:-1], 1), -math.inf)
    row_sum = torch.zeros_like(row_max)
    output = query.new_zeros(*query.shape[:-1], value.shape[-1])
    for start in range(0, key.shape[-2], block_size):
        block = slice(start, start + block_size)
        scores = query @ key[..., block, :].mT / math.sqrt(d_k)
        if keep is not None:
            scores = scores.masked_fill(~keep[..., block], -math.inf)
        new_max = torch.maximum(row_max, scores.detach().amax(dim=-1, keepdim=True))
        shift = new_max.masked_fill(new_max == -math.inf, 0.0)  # a row with no kept key so far: -inf - -inf would be NaN
        correction = torch.exp(row_max - shift)
        exponentials = torch.exp(scores - shift)
        row_sum = correction * row_sum + exponentials.sum(dim=-1, keepdim=True)
        output = correction * output + exponentials @ value[..., block, :]
        row_max = new_max
    return output / row_sum.masked_fill(row_sum == 0, 1.0)
