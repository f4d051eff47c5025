"""Softmax, attention and heads: values, gradients and properties."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from minibert.equations import merge_heads, scaled_dot_product_attention, softmax, split_heads
from tests import reference
from tests.strategies import attention_inputs, seeds, tensors


@given(tensors(axes=2))
def test_softmax_value(x: Tensor) -> None:
    """Equals the formula in loops."""
    np.testing.assert_allclose(softmax(x).numpy(), reference.softmax(x.numpy()), atol=1e-12)


@given(tensors(axes=2, magnitude=1e4))
def test_softmax_is_a_distribution(x: Tensor) -> None:
    """Whatever the scores, every weight is at least zero and they sum to one along the last axis."""
    weights = softmax(x)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights.sum(-1)))


@given(tensors(axes=2), st.floats(-1e3, 1e3))
def test_softmax_ignores_a_shift(x: Tensor, shift: float) -> None:
    """softmax(x + c) = softmax(x)."""
    torch.testing.assert_close(softmax(x + shift), softmax(x))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_softmax_of_the_largest_scores_is_finite(dtype: torch.dtype) -> None:
    """A score at the end of the range of its type neither overflows nor turns to NaN."""
    largest = torch.finfo(dtype).max
    torch.testing.assert_close(softmax(torch.tensor([largest, -largest], dtype=dtype)), torch.tensor([1.0, 0.0], dtype=dtype))


def test_softmax_gradient() -> None:
    """First and second derivative are those of the formula."""
    x = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    assert gradcheck(softmax, x)
    assert torch.autograd.gradgradcheck(softmax, x)


@given(attention_inputs())
def test_attention_value(inputs: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    """Equals the formula in loops, rows with nothing kept included; and any number of axes may stand in front."""
    query, key, value, keep = inputs
    out = scaled_dot_product_attention(query, key, value, keep)
    for place in np.ndindex(query.shape[:-2]):
        expected = reference.attention(*(x[place].numpy() for x in (query, key, value, keep)))
        np.testing.assert_allclose(out[place].numpy(), expected, atol=1e-12)


@given(attention_inputs())
def test_no_mask_means_all_kept(inputs: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    """`keep=None` and a mask of True only are the same."""
    query, key, value, keep = inputs
    everything = scaled_dot_product_attention(query, key, value, torch.ones_like(keep))
    torch.testing.assert_close(scaled_dot_product_attention(query, key, value), everything)


@given(attention_inputs(), seeds)
def test_a_masked_key_cannot_matter(inputs: tuple[Tensor, Tensor, Tensor, Tensor], seed: int) -> None:
    """If key j is masked for every query, its key and value change neither the output nor any other gradient."""
    query, key, value, keep = inputs
    masked = ~keep.any(dim=-2)
    assume(masked.any())
    generator = torch.Generator().manual_seed(seed)
    noise = 1e3 * torch.randn(key.shape, generator=generator, dtype=key.dtype)
    value_noise = 1e3 * torch.randn(value.shape, generator=generator, dtype=value.dtype)
    results = []
    for key_, value_ in (
        (key, value),
        (torch.where(masked[..., None], noise, key), torch.where(masked[..., None], value_noise, value)),
    ):
        leaves = [x.clone().requires_grad_() for x in (query, key_, value_)]
        out = scaled_dot_product_attention(*leaves, keep)
        out.square().sum().backward()
        gradients = [leaf.grad for leaf in leaves]
        assert not gradients[1][masked].any()
        assert not gradients[2][masked].any()
        results.append([out, *gradients])
    for before, after in zip(*results, strict=True):
        torch.testing.assert_close(before, after)


@given(attention_inputs(), seeds)
def test_a_constant_added_to_a_querys_scores_changes_nothing(inputs: tuple[Tensor, Tensor, Tensor, Tensor], seed: int) -> None:
    """All keys moved along the same vector add the same q·c to each score of a query: the output stays."""
    query, key, value, keep = inputs
    shift = torch.randn(key.shape[-1], generator=torch.Generator().manual_seed(seed), dtype=key.dtype)
    torch.testing.assert_close(
        scaled_dot_product_attention(query, key + shift, value, keep), scaled_dot_product_attention(query, key, value, keep)
    )


@given(attention_inputs())
def test_output_is_a_convex_combination_of_the_kept_values(inputs: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    """If every kept value is 1 the output is 1, and 0 where nothing is kept, whatever the masked values are."""
    query, key, value, keep = inputs
    seen_by_some = keep.any(dim=-2)[..., None]
    ones = torch.where(seen_by_some, torch.ones_like(value), torch.full_like(value, 7e5))
    out = scaled_dot_product_attention(query, key, ones, keep)
    torch.testing.assert_close(out, keep.any(-1, keepdim=True).to(out.dtype).expand_as(out))


def test_the_scale_is_the_root_of_the_width() -> None:
    """The log-ratio of two weights is the difference of their dot products over √d_k: here 8 / √16 = 2."""
    query = torch.ones(1, 16, dtype=torch.float64)
    key = torch.stack([torch.full((16,), 0.5), torch.zeros(16)]).double()
    weights = scaled_dot_product_attention(query, key, torch.eye(2, dtype=torch.float64))
    assert math.isclose(math.log(weights[0, 0] / weights[0, 1]), 2.0)


@settings(max_examples=20)
@given(attention_inputs(largest=3))
def test_attention_gradient(inputs: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    """The derivative is that of the formula; it is zero, not NaN, for a query that may attend to nothing."""
    query, key, value, keep = inputs
    leaves = [x.clone().requires_grad_() for x in (query, key, value)]
    assert gradcheck(lambda q, k, v: scaled_dot_product_attention(q, k, v, keep), leaves)


def test_dropout_drops_weights_and_keeps_the_mean() -> None:
    """With probability p a weight is zero, else it is 1/(1-p) as large."""
    torch.manual_seed(0)
    query, key = torch.zeros(2000, 4), torch.zeros(10, 4)
    weights = scaled_dot_product_attention(query, key, torch.eye(10), dropout=0.25)
    dropped = (weights == 0).float().mean().item()
    assert abs(dropped - 0.25) < 4 * math.sqrt(0.25 * 0.75 / weights.numel())
    torch.testing.assert_close(weights[weights != 0], torch.full_like(weights[weights != 0], 0.1 / 0.75))


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 4), seeds)
def test_heads(heads: int, tokens: int, width: int, seed: int) -> None:
    """Each head has its own columns of every token; merging is the inverse of splitting, with axes in front or without."""
    x = torch.randn(2, tokens, heads * width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    split = split_heads(x, heads)
    for batch in range(2):
        np.testing.assert_array_equal(split[batch].numpy(), reference.split_heads(x[batch].numpy(), heads))
    torch.testing.assert_close(merge_heads(split), x, rtol=0, atol=0)
    torch.testing.assert_close(split_heads(x[0], heads), split[0], rtol=0, atol=0)


def test_heads_gradient() -> None:
    """Splitting and merging only move numbers about, and their gradients."""
    assert gradcheck(lambda x: split_heads(x, 2), torch.randn(3, 4, dtype=torch.float64, requires_grad=True))
    assert gradcheck(merge_heads, torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True))
