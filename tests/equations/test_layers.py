"""Layer normalization, activations and the feed-forward network: values, gradients, and properties."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from minibert.equations import add_and_norm, feed_forward, gelu, gelu_tanh, layer_norm, relu, rms_norm
from tests import reference
from tests.strategies import half_precisions, normal, seeds, tensors

POSITIVE = st.floats(0.1, 1e3)
SHIFTS = st.floats(-1e6, 1e6)


def identity(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return a gain of ones and a bias of zeros."""
    return torch.ones(x.shape[-1], dtype=x.dtype), torch.zeros(x.shape[-1], dtype=x.dtype)


class TestLayerNorm:
    @given(tensors(axes=2, smallest=0), st.sampled_from([1e-12, 1e-5, 0.1]), seeds)
    def test_value(self, x: Tensor, eps: float, seed: int) -> None:
        """The result equals the formula in loops, with eps inside the root, and a gain and a bias for each element."""
        gain, bias = normal(seed, 2, x.shape[-1])
        expected = [reference.layer_norm(row.numpy(), gain.numpy(), bias.numpy(), eps) for row in x]
        np.testing.assert_allclose(layer_norm(x, gain, bias, eps).numpy(), np.array(expected).reshape(x.shape), atol=1e-9)

    def test_value_with_the_eps_of_bert(self) -> None:
        """The default eps is 1e-12: for a variance of 1e-12 the result is (x - mean) / √(2e-12)."""
        x = torch.tensor([-1e-6, 1e-6], dtype=torch.float64)
        torch.testing.assert_close(layer_norm(x, *identity(x))[1].item(), 1 / math.sqrt(2))

    def test_gradient(self) -> None:
        """The gradient also flows through the mean and the variance."""
        leaves = [normal(seed, *shape).requires_grad_() for seed, shape in enumerate([(3, 5), (5,), (5,)])]
        assert gradcheck(layer_norm, leaves)
        assert gradgradcheck(layer_norm, leaves)

    @given(seeds, SHIFTS, POSITIVE)
    def test_shift_and_scale_have_no_influence(self, seed: int, shift: float, scale: float) -> None:
        """LN(a x + c) = LN(x) for a > 0."""
        x = normal(seed, 3, 6)
        torch.testing.assert_close(layer_norm(scale * x + shift, *identity(x)), layer_norm(x, *identity(x)))

    @given(tensors(axes=2), seeds)
    def test_gain_and_bias_are_applied_last(self, x: Tensor, seed: int) -> None:
        """LN(x; g, b) = g LN(x; 1, 0) + b, element by element."""
        gain, bias = normal(seed, 2, x.shape[-1])
        torch.testing.assert_close(layer_norm(x, gain, bias), gain * layer_norm(x, *identity(x)) + bias)

    @given(seeds, st.integers(2, 9))
    def test_mean_is_zero_and_variance_is_one(self, seed: int, width: int) -> None:
        """The variance is 1 when divided by d; with d - 1 it would be d / (d - 1). eps is 0 here."""
        x = normal(seed, 4, width)
        y = layer_norm(x, *identity(x), eps=0.0)
        torch.testing.assert_close(y.mean(-1), torch.zeros(4, dtype=x.dtype))
        torch.testing.assert_close(y.square().mean(-1), torch.ones(4, dtype=x.dtype))

    @given(seeds, st.floats(1e-4, 10.0), st.integers(2, 6))
    def test_eps_is_added_to_the_variance(self, seed: int, eps: float, width: int) -> None:
        """The mean square of the output is σ² / (σ² + ε): one half where the variance is ε."""
        x = normal(seed, 3, width)
        variance = x.var(-1, correction=0)
        y = layer_norm(x, *identity(x), eps=eps)
        torch.testing.assert_close(y.square().mean(-1), variance / (variance + eps))

    @given(seeds, st.integers(3, 8))
    def test_the_gradient_is_orthogonal_to_shift_and_scale(self, seed: int, width: int) -> None:
        """Shift and scale of x have no influence, so the gradient is orthogonal to (1, …, 1) and to x - mean."""
        x = normal(seed, width).requires_grad_()
        (layer_norm(x, *identity(x), eps=0.0) * normal(seed + 1, width)).sum().backward()
        assert x.grad is not None
        size = x.grad.abs().sum().item() * (1 + x.detach().abs().max().item())
        assert abs(x.grad.sum().item()) <= 1e-9 * size
        assert abs((x.grad * (x.detach() - x.detach().mean())).sum().item()) <= 1e-9 * size

    @given(tensors(axes=3), seeds)
    def test_tokens_are_independent(self, x: Tensor, seed: int) -> None:
        """Each token is normalized over its own width, independently of the batch and of other tokens."""
        gain, bias = normal(seed, 2, x.shape[-1])
        torch.testing.assert_close(layer_norm(x, gain, bias)[-1, -1], layer_norm(x[-1, -1], gain, bias))

    @given(seeds, half_precisions, st.sampled_from([1e-2, 1.0, 1e3]))
    def test_half_precision_is_close_and_finite(self, seed: int, dtype: torch.dtype, size: float) -> None:
        """Squares that overflow float16, and equal elements with an eps that is zero in float16, give the right result."""
        x = (size * normal(seed, 3, 8)).to(dtype)
        x[0] = size
        y = layer_norm(x, *identity(x))
        assert y.dtype == dtype
        expected = layer_norm(x.double(), *identity(x.double()))
        np.testing.assert_allclose(y.double().numpy(), expected.numpy(), atol=4 * torch.finfo(dtype).eps * 3)


class TestRmsNorm:
    @given(tensors(axes=2, smallest=0), st.sampled_from([1e-6, 0.1]), seeds)
    def test_value(self, x: Tensor, eps: float, seed: int) -> None:
        """The result equals the formula in loops, with eps inside the root, and a gain for each element."""
        gain = normal(seed, x.shape[-1])
        expected = [reference.rms_norm(row.numpy(), gain.numpy(), eps) for row in x]
        np.testing.assert_allclose(rms_norm(x, gain, eps).numpy(), np.array(expected).reshape(x.shape), atol=1e-9)

    def test_value_with_the_eps_of_t5(self) -> None:
        """The default eps is 1e-6: for a mean square of 1e-6 the result is x / √(2e-6)."""
        x = torch.tensor([-1e-3, 1e-3], dtype=torch.float64)
        torch.testing.assert_close(rms_norm(x, identity(x)[0])[1].item(), 1 / math.sqrt(2))

    @given(tensors(axes=2), seeds)
    def test_value_equals_that_of_torch(self, x: Tensor, seed: int) -> None:
        gain = normal(seed, x.shape[-1])
        torch.testing.assert_close(rms_norm(x, gain, 1e-6), F.rms_norm(x, gain.shape, gain, 1e-6))

    def test_gradient(self) -> None:
        """The gradient also flows through the mean square."""
        leaves = [normal(seed, *shape).requires_grad_() for seed, shape in enumerate([(3, 5), (5,)])]
        assert gradcheck(rms_norm, leaves)
        assert gradgradcheck(rms_norm, leaves)

    @given(seeds, POSITIVE)
    def test_scale_has_no_influence(self, seed: int, scale: float) -> None:
        """RMSNorm(a x) = RMSNorm(x) for a > 0, and RMSNorm(-x) = -RMSNorm(x)."""
        x, gain = normal(seed, 3, 6), normal(seed + 1, 6)
        expected = rms_norm(x, gain, eps=0.0)
        torch.testing.assert_close(rms_norm(scale * x, gain, eps=0.0), expected)
        torch.testing.assert_close(rms_norm(-x, gain, eps=0.0), -expected)

    @given(seeds, st.integers(2, 9))
    def test_mean_square_is_one(self, seed: int, width: int) -> None:
        """For eps = 0. The mean stays in the result, unlike that of layer normalization."""
        x = normal(seed, 4, width)
        y = rms_norm(x, identity(x)[0], eps=0.0)
        torch.testing.assert_close(y.square().mean(-1), torch.ones(4, dtype=x.dtype))
        assert y.mean(-1).sign().equal(x.mean(-1).sign())

    @given(seeds, st.integers(2, 9))
    def test_without_a_mean_it_is_layer_norm(self, seed: int, width: int) -> None:
        x = normal(seed, 4, width)
        x = x - x.mean(-1, keepdim=True)
        gain, zeros = normal(seed + 1, width), identity(x)[1]
        torch.testing.assert_close(rms_norm(x, gain, 1e-3), layer_norm(x, gain, zeros, 1e-3))

    @given(seeds, st.floats(1e-4, 10.0), st.integers(2, 6))
    def test_eps_is_added_to_the_mean_square(self, seed: int, eps: float, width: int) -> None:
        """The mean square of the output is m / (m + ε): one half where that of the input, m, is ε."""
        x = normal(seed, 3, width)
        mean_square = x.square().mean(-1)
        y = rms_norm(x, identity(x)[0], eps)
        torch.testing.assert_close(y.square().mean(-1), mean_square / (mean_square + eps))

    @given(seeds, st.integers(2, 8))
    def test_the_gradient_is_orthogonal_to_the_vector(self, seed: int, width: int) -> None:
        """The size of x has no influence, so a step along x changes nothing."""
        x = normal(seed, width).requires_grad_()
        (rms_norm(x, identity(x)[0], eps=0.0) * normal(seed + 1, width)).sum().backward()
        assert x.grad is not None
        assert abs((x.grad * x.detach()).sum().item()) <= 1e-9 * (1 + x.grad.abs().max().item())

    @given(tensors(axes=3), seeds)
    def test_tokens_are_independent(self, x: Tensor, seed: int) -> None:
        gain = normal(seed, x.shape[-1])
        torch.testing.assert_close(rms_norm(x, gain)[-1, -1], rms_norm(x[-1, -1], gain))

    @given(seeds, half_precisions, st.sampled_from([1e-1, 1.0, 1e3]))
    def test_half_precision_is_close_and_finite(self, seed: int, dtype: torch.dtype, size: float) -> None:
        """Squares that overflow float16 give the right result."""
        x = (size * normal(seed, 3, 8)).to(dtype)
        y = rms_norm(x, identity(x)[0])
        assert y.dtype == dtype
        expected = rms_norm(x.double(), identity(x.double())[0])
        np.testing.assert_allclose(y.double().numpy(), expected.numpy(), atol=4 * torch.finfo(dtype).eps * 3)


class TestAddAndNorm:
    @given(tensors(axes=2, smallest=0), seeds, st.sampled_from([1e-12, 0.1]))
    def test_value(self, x: Tensor, seed: int, eps: float) -> None:
        """The result equals LayerNorm(x + Sublayer(x)) in loops, for a sublayer that mixes tokens."""
        gain, bias, mixing = normal(seed, 2, x.shape[-1])[0], normal(seed + 1, x.shape[-1]), normal(seed + 2, len(x), len(x))
        out = add_and_norm(x, lambda hidden: mixing @ hidden, gain, bias, eps)
        found = reference.matmul(mixing.numpy(), x.numpy()) if len(x) else x.numpy()
        pairs = zip(x.numpy(), found, strict=True)
        expected = [reference.add_and_norm(row, more, gain.numpy(), bias.numpy(), eps) for row, more in pairs]
        np.testing.assert_allclose(out.numpy(), np.array(expected).reshape(x.shape), atol=1e-6)

    def test_value_with_the_eps_of_bert(self) -> None:
        """The default eps is 1e-12, as in `layer_norm`."""
        x = torch.tensor([-1e-6, 1e-6], dtype=torch.float64)
        torch.testing.assert_close(add_and_norm(x, torch.zeros_like, *identity(x))[1].item(), 1 / math.sqrt(2))

    def test_gradient(self) -> None:
        """The gradient flows through the residual connection and through the sublayer."""
        leaves = [normal(seed, *shape).requires_grad_() for seed, shape in enumerate([(3, 5), (5,), (5,)])]
        assert gradcheck(lambda x, gain, bias: add_and_norm(x, torch.tanh, gain, bias), leaves)
        assert gradgradcheck(lambda x, gain, bias: add_and_norm(x, torch.tanh, gain, bias), leaves)

    @given(seeds)
    def test_zero_sublayer_gives_layer_norm(self, seed: int) -> None:
        """For Sublayer(x) = 0 the result is LayerNorm(x): not x (pre-norm), and not the bias (no residual)."""
        x = normal(seed, 3, 5)
        torch.testing.assert_close(add_and_norm(x, torch.zeros_like, *identity(x)), layer_norm(x, *identity(x)))

    @given(seeds, st.sampled_from([1e-12, 0.1]))
    def test_constant_sublayer_gives_layer_norm_of_the_sum(self, seed: int, eps: float) -> None:
        """For Sublayer(x) = c the result is LayerNorm(x + c) with the same eps. The sublayer is called with x itself."""
        x, constant = normal(seed, 2, 3, 5)
        called_with = []
        out = add_and_norm(x, lambda hidden: called_with.append(hidden) or constant, *identity(x), eps)
        torch.testing.assert_close(out, layer_norm(x + constant, *identity(x), eps))
        assert all(torch.equal(hidden, x) for hidden in called_with)

    @given(seeds, st.floats(0.5, 5))
    def test_sublayer_that_scales_has_no_influence(self, seed: int, factor: float) -> None:
        """For Sublayer(x) = c x the sum is (1 + c) x, and layer normalization removes the scale."""
        x = normal(seed, 3, 5)
        torch.testing.assert_close(add_and_norm(x, lambda hidden: factor * hidden, *identity(x)), layer_norm(x, *identity(x)))

    @given(seeds)
    def test_output_is_normalized(self, seed: int) -> None:
        """The output has mean 0 and variance 1 for any sublayer, because the normalization comes last."""
        y = add_and_norm(normal(seed, 3, 5), lambda hidden: 7 * hidden.flip(0) + 2, *identity(torch.zeros(3, 5).double()))
        torch.testing.assert_close(y.mean(-1), torch.zeros(3, dtype=y.dtype))
        torch.testing.assert_close(y.square().mean(-1), torch.ones(3, dtype=y.dtype))


class TestRelu:
    @given(tensors(axes=2, smallest=0))
    def test_value(self, x: Tensor) -> None:
        """The result is the larger of zero and x."""
        expected = [reference.relu(z) for z in x.flatten().tolist()]
        np.testing.assert_array_equal(relu(x).flatten().numpy(), expected)

    def test_gradient(self) -> None:
        """The gradient is 1 for positive x, 0 for negative x, and 0 at 0."""
        assert gradcheck(relu, torch.tensor([-2.0, -0.1, 0.1, 3.0], dtype=torch.float64, requires_grad=True))
        relu(zero := torch.zeros(1, requires_grad=True)).backward()
        assert zero.grad == 0

    @given(tensors(axes=1), POSITIVE)
    def test_identities_of_relu(self, x: Tensor, scale: float) -> None:
        """ReLU(a x) = a ReLU(x) for a > 0; ReLU(x) - ReLU(-x) = x; ReLU(x) + ReLU(-x) = |x|."""
        torch.testing.assert_close(relu(scale * x), scale * relu(x))
        torch.testing.assert_close(relu(x) - relu(-x), x)
        torch.testing.assert_close(relu(x) + relu(-x), x.abs())


GRID = torch.linspace(-6, 6, 49, dtype=torch.float64)


class TestGelu:
    def test_value(self) -> None:
        """The result equals x times the integral of the normal density. The tanh approximation is up to 5e-4 away."""
        np.testing.assert_allclose(gelu(GRID).numpy(), [reference.gelu(x.item()) for x in GRID], atol=1e-9)

    def test_gradient(self) -> None:
        """The first and second derivatives are those of the formula."""
        x = normal(0, 7).requires_grad_()
        assert gradcheck(gelu, x)
        assert gradgradcheck(gelu, x)

    @given(tensors(axes=1, magnitude=10))
    def test_difference_of_gelu_at_x_and_minus_x_is_x(self, x: Tensor) -> None:
        """GELU(x) - GELU(-x) = x, since Φ(x) + Φ(-x) = 1."""
        torch.testing.assert_close(gelu(x) - gelu(-x), x)

    @given(st.floats(-8, 8))
    def test_derivative_of_gelu_over_x_is_the_normal_density(self, number: float) -> None:
        """GELU(x) / x = Φ(x), and the derivative of Φ is e^(-x²/2) / √(2π)."""
        x = torch.tensor([number if abs(number) > 1e-3 else 1.0], dtype=torch.float64, requires_grad=True)
        (gelu(x) / x).sum().backward()
        assert x.grad is not None
        np.testing.assert_allclose(x.grad.item(), math.exp(-(x.item() ** 2) / 2) / math.sqrt(2 * math.pi), atol=1e-9)

    @given(half_precisions, st.floats(-1e4, 1e4))
    def test_half_precision_is_close_and_finite(self, dtype: torch.dtype, number: float) -> None:
        """Value and gradient are finite, also for large numbers."""
        x = torch.tensor([number], dtype=dtype, requires_grad=True)
        gelu(x).sum().backward()
        assert x.grad is not None
        assert x.grad.isfinite().all()
        torch.testing.assert_close(gelu(x).float(), F.gelu(x.float()), atol=1e-2, rtol=1e-2)


class TestGeluTanh:
    def test_value(self) -> None:
        """The result equals the formula in loops."""
        np.testing.assert_allclose(gelu_tanh(GRID).numpy(), [reference.gelu_tanh(x.item()) for x in GRID], atol=1e-12)

    def test_gradient(self) -> None:
        """The first and second derivatives are those of the formula."""
        x = normal(0, 7).requires_grad_()
        assert gradcheck(gelu_tanh, x)
        assert gradgradcheck(gelu_tanh, x)

    @given(tensors(axes=1, magnitude=10))
    def test_it_is_close_to_gelu_and_its_difference_is_x(self, x: Tensor) -> None:
        """f(x) - f(-x) = x, because tanh is odd, and f is at most 5e-4 away from GELU."""
        torch.testing.assert_close(gelu_tanh(x) - gelu_tanh(-x), x)
        assert ((gelu_tanh(x) - gelu(x)).abs() < 5e-4).all()

    @given(half_precisions, st.floats(-100, 100) | st.sampled_from([-6e4, -300.0, 300.0, 6e4]))
    def test_half_precision_is_close_and_finite(self, dtype: torch.dtype, number: float) -> None:
        """Value and gradient are finite, also where the cube or the square overflows float16."""
        x = torch.tensor([number], dtype=dtype, requires_grad=True)
        gelu_tanh(x).sum().backward()
        assert x.grad is not None
        assert x.grad.isfinite().all()
        torch.testing.assert_close(gelu_tanh(x).float(), F.gelu(x.float(), approximate="tanh"), atol=1e-2, rtol=1e-2)


def weights(width: int, intermediate: int, seed: int) -> list[Tensor]:
    """Return W1, b1, W2 and b2."""
    shapes = [(width, intermediate), (intermediate,), (intermediate, width), (width,)]
    return [normal(seed + number, *shape) for number, shape in enumerate(shapes)]


class TestFeedForward:
    @given(tensors(axes=2, smallest=0), st.integers(1, 6), seeds)
    def test_value(self, x: Tensor, intermediate: int, seed: int) -> None:
        """The result equals the formula in loops, with ReLU as in Vaswani et al."""
        matrices = weights(x.shape[-1], intermediate, seed)
        expected = [reference.feed_forward(row.numpy(), *(m.numpy() for m in matrices)) for row in x]
        np.testing.assert_allclose(feed_forward(x, *matrices).numpy(), np.array(expected).reshape(x.shape), atol=1e-9)

    @given(tensors(axes=2), st.integers(1, 6), seeds)
    def test_value_with_another_activation(self, x: Tensor, intermediate: int, seed: int) -> None:
        """The result equals the formula in loops, with the approximation of GELU."""
        matrices = weights(x.shape[-1], intermediate, seed)
        expected = [reference.feed_forward(row.numpy(), *(m.numpy() for m in matrices), reference.gelu_tanh) for row in x]
        np.testing.assert_allclose(feed_forward(x, *matrices, gelu_tanh).numpy(), np.array(expected), atol=1e-9)

    @pytest.mark.parametrize("activation", [relu, gelu, gelu_tanh])
    def test_gradient(self, activation: Callable[[Tensor], Tensor]) -> None:
        """The first and second derivatives are right with respect to the input and all four parameters."""
        leaves = [leaf.requires_grad_() for leaf in (normal(9, 2, 3), *weights(3, 4, seed=0))]
        assert gradcheck(lambda *args: feed_forward(*args, activation), leaves)
        assert gradgradcheck(lambda *args: feed_forward(*args, activation), leaves)

    @pytest.mark.parametrize("activation", [relu, gelu, gelu_tanh])
    @given(x=tensors(axes=2))
    def test_identity_maps_give_the_activation(self, activation: Callable[[Tensor], Tensor], x: Tensor) -> None:
        """With identity matrices and zero biases the result is f(x), for ReLU and for GELU."""
        one, zero = torch.eye(x.shape[-1], dtype=x.dtype), torch.zeros(x.shape[-1], dtype=x.dtype)
        torch.testing.assert_close(feed_forward(x, one, zero, one, zero, activation), activation(x))

    @given(st.integers(2, 5), seeds)
    def test_positions_are_independent(self, tokens: int, seed: int) -> None:
        """Changing one token changes no other output. Equal tokens have equal outputs at every position."""
        matrices = weights(3, 6, seed)
        x = normal(seed, tokens, 3)
        changed = x.clone()
        changed[0] += 1
        torch.testing.assert_close(feed_forward(changed, *matrices)[1:], feed_forward(x, *matrices)[1:])
        torch.testing.assert_close(feed_forward(x.flip(0), *matrices), feed_forward(x, *matrices).flip(0))

    @given(tensors(axes=2), st.integers(1, 6), seeds)
    def test_order_of_hidden_units_has_no_influence(self, x: Tensor, intermediate: int, seed: int) -> None:
        """Permuting the columns of W1, the elements of b1 and the rows of W2 alike changes nothing."""
        w_1, b_1, w_2, b_2 = weights(x.shape[-1], intermediate, seed)
        order = torch.randperm(intermediate, generator=torch.Generator().manual_seed(seed))
        torch.testing.assert_close(
            feed_forward(x, w_1[:, order], b_1[order], w_2[order], b_2), feed_forward(x, w_1, b_1, w_2, b_2)
        )

    @given(tensors(axes=2), st.integers(1, 6), seeds)
    def test_biases_are_in_the_right_places(self, x: Tensor, intermediate: int, seed: int) -> None:
        """For W2 = 0 the result is b2. For x W1 + b1 = 0 it is b2 too, because ReLU(0) = 0."""
        w_1, b_1, w_2, b_2 = weights(x.shape[-1], intermediate, seed)
        torch.testing.assert_close(feed_forward(x, w_1, b_1, 0 * w_2, b_2), b_2.expand_as(x))
        torch.testing.assert_close(feed_forward(x[0], w_1, -(x[0] @ w_1), w_2, b_2), b_2)
