"""Layer normalisation, activations and the feed-forward network: values, gradients and properties."""

import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from minibert.equations import feed_forward, gelu, layer_norm, relu
from tests import reference
from tests.strategies import seeds, tensors


def ones_and_zeros(x: Tensor) -> tuple[Tensor, Tensor]:
    """A gain and a bias that change nothing."""
    return torch.ones(x.shape[-1], dtype=x.dtype), torch.zeros(x.shape[-1], dtype=x.dtype)


@given(tensors(axes=2), st.sampled_from([1e-12, 1e-5, 0.1]), seeds)
def test_layer_norm_value(x: Tensor, eps: float, seed: int) -> None:
    """Equals the formula in loops: eps inside the root, gain and bias for each element."""
    gain, bias = torch.randn(2, x.shape[-1], generator=torch.Generator().manual_seed(seed), dtype=x.dtype)
    expected = [reference.layer_norm(row.numpy(), gain.numpy(), bias.numpy(), eps) for row in x]
    np.testing.assert_allclose(layer_norm(x, gain, bias, eps).numpy(), expected, atol=1e-9)


@given(seeds, st.floats(-1e3, 1e3), st.floats(0.1, 1e3))
def test_layer_norm_ignores_shift_and_scale(seed: int, shift: float, scale: float) -> None:
    """LN(a x + c) = LN(x) for a > 0."""
    x = torch.randn(3, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    torch.testing.assert_close(layer_norm(scale * x + shift, *ones_and_zeros(x)), layer_norm(x, *ones_and_zeros(x)))


@given(seeds, st.integers(2, 9))
def test_layer_norm_gives_mean_zero_and_variance_one(seed: int, width: int) -> None:
    """The variance is one when divided by d; with d - 1 it would be d / (d - 1). No eps: nearly equal numbers may be drawn."""
    x = torch.randn(4, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    y = layer_norm(x, *ones_and_zeros(x), eps=0.0)
    torch.testing.assert_close(y.mean(-1), torch.zeros(4, dtype=x.dtype))
    torch.testing.assert_close(y.square().mean(-1), torch.ones(4, dtype=x.dtype))


def test_layer_norm_adds_eps_inside_the_root() -> None:
    """With a variance as small as eps, (x - mean) / sqrt(2 eps) comes out, not (x - mean) / (sqrt(eps) + eps)."""
    x = torch.tensor([-1e-6, 1e-6], dtype=torch.float64)
    torch.testing.assert_close(layer_norm(x, *ones_and_zeros(x))[1].item(), 1 / math.sqrt(2))


def test_layer_norm_gradient() -> None:
    """The gradient flows through mean and variance too: where they are detached, it is far off."""
    x, gain, bias = (torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((3, 5), (5,), (5,)))
    assert gradcheck(layer_norm, (x, gain, bias))
    assert gradgradcheck(layer_norm, (x, gain, bias))


def test_gelu_value() -> None:
    """Equals x times the integral of the normal density; the tanh approximation is up to 5e-4 away."""
    grid = torch.linspace(-6, 6, 49, dtype=torch.float64)
    np.testing.assert_allclose(gelu(grid).numpy(), [reference.gelu(x.item()) for x in grid], atol=1e-9)


@given(tensors(axes=1, magnitude=10))
def test_gelu_of_x_minus_gelu_of_minus_x_is_x(x: Tensor) -> None:
    """Since Φ(x) + Φ(-x) = 1."""
    torch.testing.assert_close(gelu(x) - gelu(-x), x)


def test_gelu_gradient() -> None:
    """First and second derivative are those of the formula."""
    x = torch.randn(7, dtype=torch.float64, requires_grad=True)
    assert gradcheck(gelu, x)
    assert gradgradcheck(gelu, x)


@given(tensors(axes=2))
def test_relu_is_the_larger_of_zero_and_x(x: Tensor) -> None:
    """Value and gradient: 1 where x is positive, 0 where it is negative."""
    x.requires_grad_()
    np.testing.assert_array_equal(relu(x).detach().numpy(), np.maximum(0, x.detach().numpy()))
    relu(x).sum().backward()
    torch.testing.assert_close(x.grad, (x > 0).double())


def weights(width: int, intermediate: int, seed: int) -> list[Tensor]:
    """W1, b1, W2, b2."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(width, intermediate), (intermediate,), (intermediate, width), (width,)]
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


@given(tensors(axes=2), st.integers(1, 6), seeds)
def test_feed_forward_value(x: Tensor, intermediate: int, seed: int) -> None:
    """Equals the formula in loops, with ReLU as in Vaswani et al."""
    matrices = weights(x.shape[-1], intermediate, seed)
    expected = [reference.feed_forward(row.numpy(), *(m.numpy() for m in matrices)) for row in x]
    np.testing.assert_allclose(feed_forward(x, *matrices).numpy(), expected, atol=1e-9)


def test_feed_forward_of_bert_bends_with_gelu() -> None:
    """With GELU for f, and identities for W1 and W2, it is GELU itself."""
    x = torch.randn(3, 4, dtype=torch.float64)
    eye, zero = torch.eye(4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    torch.testing.assert_close(feed_forward(x, eye, zero, eye, zero, gelu), gelu(x))


@given(st.integers(2, 5), seeds)
def test_feed_forward_acts_on_each_position_alone(tokens: int, seed: int) -> None:
    """Changing one token changes no other token's output; and equal tokens have equal outputs wherever they stand."""
    matrices = weights(3, 6, seed)
    x = torch.randn(tokens, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    changed = x.clone()
    changed[0] += 1
    torch.testing.assert_close(feed_forward(changed, *matrices)[1:], feed_forward(x, *matrices)[1:])
    torch.testing.assert_close(feed_forward(x.flip(0), *matrices), feed_forward(x, *matrices).flip(0))


def test_feed_forward_gradient() -> None:
    """With respect to the input and all four parameters."""
    matrices = [m.requires_grad_() for m in weights(3, 4, seed=0)]
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda *args: feed_forward(*args, gelu), (x, *matrices))
