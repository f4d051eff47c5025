"""Tests of the products of a few tokens with the weights of a model."""

from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from minibert import record
from minibert.kernels import FewTokens, products
from tests.strategies import normal, seeds


@settings(max_examples=30)
@given(seeds, st.integers(0, 3), st.integers(1, 70), st.integers(1, 5), st.booleans(), st.booleans())
def test_linear_equals_that_of_torch(seed: int, tokens: int, features: int, width: int, has_bias: bool, deep: bool) -> None:
    """Values and gradients, for weights of any number of rows, some of which are in no block."""
    inputs = [normal(seed, tokens, 1, width) if deep else normal(seed, tokens, width), normal(seed + 1, features, width)]
    inputs += [normal(seed + 2, features)] if has_bias else []
    results = []
    for function in (products.linear, nn.functional.linear):
        leaves = [each.clone().requires_grad_() for each in inputs]
        with mock.patch.object(products, "LARGE", 0):
            out = function(*leaves)
        results.append([out, *torch.autograd.grad(out.sin().sum(), leaves)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def product_is_in_blocks(weight: torch.Tensor, tokens: int = 1) -> bool:
    """Return True if a linear layer inside of `FewTokens` multiplies blocks."""
    layer = nn.Linear(*weight.shape[::-1], bias=False)
    layer.weight = nn.Parameter(weight)
    with FewTokens(), mock.patch("torch.bmm", wraps=torch.bmm) as bmm:
        layer(torch.ones(1, tokens, weight.shape[1], dtype=weight.dtype))
    return bmm.called


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="the blocks are for the kernels of MKL")
def test_blocks_are_used_only_where_they_are_faster() -> None:
    """Not for many tokens, small weights, half precision and transposed weights, nor inside of autocast and a recording."""
    weight = torch.ones(512, 256)
    assert product_is_in_blocks(weight)
    assert not product_is_in_blocks(weight, tokens=3)
    assert not product_is_in_blocks(weight[:511])
    assert not product_is_in_blocks(weight.bfloat16())
    assert not product_is_in_blocks(torch.ones(256, 512).mT)
    with record():
        assert not product_is_in_blocks(weight)
    with torch.autocast("cpu", torch.bfloat16):
        assert not product_is_in_blocks(weight)
