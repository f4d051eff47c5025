"""Attention with parameters is the equation with its projections; what reads and what is read are kept apart."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from minibert.model.attention import MultiHeadAttention
from tests import reference
from tests.strategies import masks, normal, seeds

paths = pytest.mark.parametrize("attention", ["explicit", "fused"])


def attention_of(seed: int, heads: int, head_width: int, attention: str, dropout: float = 0.0) -> MultiHeadAttention:
    """Random weights and biases, in float64, in evaluation."""
    torch.manual_seed(seed)
    module = MultiHeadAttention(heads * head_width, heads, dropout, attention).double().eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    return module


def with_bias(layer: torch.nn.Linear) -> np.ndarray:
    """The paper's W, which multiplies from the right, with the bias as its last row."""
    return torch.cat([layer.weight.T, layer.bias[None]]).detach().numpy()


def with_one(x: Tensor) -> np.ndarray:
    """Tokens with a 1 at their end, which a bias multiplies."""
    return torch.cat([x, torch.ones_like(x[:, :1])], dim=-1).numpy()


class TestMultiHeadAttention:
    @paths
    @settings(max_examples=40)
    @given(heads=st.integers(1, 3), head_width=st.integers(1, 3), queries=st.integers(1, 4), seed=seeds, data=st.data())
    def test_value(self, attention: str, heads: int, head_width: int, queries: int, seed: int, data: st.DataObject) -> None:
        """Equals the formula in loops, with biases; dropout is not for evaluation."""
        module = attention_of(seed, heads, head_width, attention, dropout=0.5)
        x, y = normal(seed, queries, heads * head_width), normal(seed + 1, 3, heads * head_width)
        keep = data.draw(masks((), queries, 3))
        out = module(x[None], y[None], keep[None, None])[0].detach().numpy()
        plain = np.eye(heads * head_width)  # W_O and its bias come last, by hand
        read = reference.multi_head_attention(
            with_one(x), with_one(y), *map(with_bias, (module.query, module.key, module.value)), plain, heads, keep.numpy()
        )
        expected = read @ module.output.weight.detach().numpy().T + module.output.bias.detach().numpy()
        np.testing.assert_allclose(out, expected, atol=1e-9)

    @paths
    def test_gradient(self, attention: str) -> None:
        """With respect to those who read and those who are read from."""
        module = attention_of(0, 2, 2, attention)
        assert gradcheck(module, [normal(seed, 1, 2 + seed, 4).requires_grad_() for seed in range(2)])

    @paths
    @given(seed=seeds)
    def test_queries_do_not_see_each_other(self, attention: str, seed: int) -> None:
        """What a token reads depends on itself and on the keys; a change of another one that reads is not noticed."""
        module = attention_of(seed, 2, 3, attention)
        x, y = normal(seed, 1, 3, 6), normal(seed + 1, 1, 4, 6)
        changed = x.clone()
        changed[:, 0] += 1
        torch.testing.assert_close(module(changed, y)[:, 1:], module(x, y)[:, 1:])
        assert (module(x, y + 1) != module(x, y)).any()

    @paths
    @given(seed=seeds)
    def test_evaluation_is_not_left_to_chance(self, attention: str, seed: int) -> None:
        """The same question has the same answer, whatever the probability of dropout; in training it has another."""
        module = attention_of(seed, 2, 3, attention, dropout=0.5)
        x = normal(seed, 1, 5, 6)
        torch.testing.assert_close(module(x, x), module(x, x), rtol=0, atol=0)
        module.train()
        assert (module(x, x) != module(x, x)).any()
