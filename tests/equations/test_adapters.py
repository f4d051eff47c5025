"""Low-rank updates and bottleneck adapters: values, gradients, and properties."""

from functools import partial

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from minibert.equations import bottleneck_adapter, gelu, lora, lora_merged_weight, lora_scale, relu
from tests import reference
from tests.strategies import normal, seeds, tensors

SCALES = st.floats(0.25, 4)


class TestLoraScale:
    def test_value(self) -> None:
        """The usual factors of Hu et al., and those of rsLoRA."""
        assert [lora_scale(16, rank) for rank in (1, 4, 16, 64)] == [16, 4, 1, 0.25]
        assert [lora_scale(16, rank, rank_stabilized=True) for rank in (1, 4, 16, 64)] == [16, 8, 4, 2]

    @given(st.floats(0.5, 64), st.integers(1, 64), st.booleans())
    def test_twice_alpha_is_twice_the_scale(self, alpha: float, rank: int, rank_stabilized: bool) -> None:
        """The scale is linear in α."""
        assert lora_scale(2 * alpha, rank, rank_stabilized) == 2 * lora_scale(alpha, rank, rank_stabilized)

    @given(st.floats(0.5, 64), st.integers(1, 64))
    def test_four_times_the_rank_is_a_quarter_or_half_of_the_scale(self, alpha: float, rank: int) -> None:
        """The scale falls with the rank, or with the root of the rank if it is rank-stabilized."""
        np.testing.assert_allclose(lora_scale(alpha, 4 * rank), lora_scale(alpha, rank) / 4)
        np.testing.assert_allclose(lora_scale(alpha, 4 * rank, True), lora_scale(alpha, rank, True) / 2)

    @given(st.integers(1, 64))
    def test_alpha_equal_to_the_rank_is_scale_one(self, rank: int) -> None:
        """For α = r the update is BA itself."""
        assert lora_scale(rank, rank) == 1


def matrices(seed: int, width: int, rank: int, output: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return W0, A and B."""
    return normal(seed, output, width), normal(seed + 1, rank, width), normal(seed + 2, output, rank)


class TestLora:
    @given(tensors(axes=2, smallest=0), st.integers(1, 4), st.integers(1, 5), SCALES, seeds)
    def test_value(self, x: Tensor, rank: int, output: int, scale: float, seed: int) -> None:
        """The result equals the formula in loops."""
        weight, a, b = matrices(seed, x.shape[-1], rank, output)
        expected = [reference.lora(row, weight.tolist(), a.tolist(), b.tolist(), scale) for row in x.tolist()]
        found = lora(x, partial(F.linear, weight=weight), a, b, scale)
        np.testing.assert_allclose(found.numpy(), np.array(expected).reshape(len(x), output), atol=1e-9)

    def test_value_with_dropout(self) -> None:
        """The update is that of the input after dropout, and the frozen map that of the input before it."""
        x, dropped, (weight, a, b) = [1.0, -2.0, 4.0], [0.0, -4.0, 8.0], matrices(0, width=3, rank=2, output=3)
        frozen = np.array(reference.lora(x, weight.tolist(), a.tolist(), b.tolist(), 0.0))
        update = np.array(reference.lora(dropped, (0 * weight).tolist(), a.tolist(), b.tolist(), 1.5))
        keep = torch.tensor([0.0, 2.0, 2.0]).double()
        found = lora(torch.tensor(x).double(), partial(F.linear, weight=weight), a, b, 1.5, dropout=keep.mul)
        np.testing.assert_allclose(found.numpy(), frozen + update)

    def test_gradient(self) -> None:
        """The first and second derivatives are right with respect to the input, A and B."""
        weight, a, b = matrices(0, width=4, rank=2, output=3)
        leaves = [leaf.requires_grad_() for leaf in (normal(3, 2, 4), a, b)]
        assert gradcheck(lambda x, a, b: lora(x, partial(F.linear, weight=weight), a, b, 1.5), leaves)
        assert gradgradcheck(lambda x, a, b: lora(x, partial(F.linear, weight=weight), a, b, 1.5), leaves)

    def test_gradient_of_the_matrices_at_the_start(self) -> None:
        """For B = 0, as at the start of training, A has no gradient, and the gradient of B is s times that of BAx."""
        x, (weight, a, b) = normal(3, 2, 4), matrices(0, width=4, rank=2, output=3)
        a.requires_grad_()
        b = torch.zeros_like(b).requires_grad_()
        lora(x, partial(F.linear, weight=weight), a, b, 1.5).sum().backward()
        assert a.grad is not None
        assert b.grad is not None
        assert not a.grad.any()
        torch.testing.assert_close(b.grad, 1.5 * (x @ a.detach().mT).sum(0).expand(3, 2))

    @given(tensors(axes=3, smallest=0), st.integers(1, 4), st.integers(1, 5), seeds)
    def test_dropout_is_the_update_of_the_input_after_dropout(self, x: Tensor, rank: int, output: int, seed: int) -> None:
        """Without the frozen map, a dropout gives the result of the dropped input."""
        _, a, b = matrices(seed, x.shape[-1], rank, output)
        none, drop = (
            partial(F.linear, weight=torch.zeros(output, x.shape[-1]).double()),
            lambda x: x * torch.arange(x.shape[-1]),
        )
        torch.testing.assert_close(lora(x, none, a, b, dropout=drop), lora(drop(x), none, a, b))

    @given(tensors(axes=3, smallest=0), st.integers(1, 4), st.integers(1, 5), seeds)
    def test_zero_b_or_zero_a_is_the_frozen_map(self, x: Tensor, rank: int, output: int, seed: int) -> None:
        """For B = 0 or A = 0 the result is W0 x, bit for bit."""
        weight, a, b = matrices(seed, x.shape[-1], rank, output)
        frozen = partial(F.linear, weight=weight, bias=normal(seed, output))
        assert torch.equal(lora(x, frozen, a, torch.zeros_like(b)), frozen(x))
        assert torch.equal(lora(x, frozen, torch.zeros_like(a), b), frozen(x))

    @given(tensors(axes=2), st.integers(1, 4), SCALES, seeds)
    def test_update_is_linear_in_the_input(self, x: Tensor, rank: int, scale: float, seed: int) -> None:
        """Without the frozen map, h(2x) = 2 h(x) and h(x + y) = h(x) + h(y)."""
        _, a, b = matrices(seed, x.shape[-1], rank, x.shape[-1])
        update = partial(lora, frozen=torch.zeros_like, a=a, b=b, scale=scale)
        other = normal(seed, *x.shape)
        torch.testing.assert_close(update(2 * x), 2 * update(x))
        torch.testing.assert_close(update(x + other), update(x) + update(other))

    @given(tensors(axes=2), SCALES)
    def test_identity_matrices_give_the_scaled_input(self, x: Tensor, scale: float) -> None:
        """For A = B = I the update is s x."""
        identity = torch.eye(x.shape[-1], dtype=x.dtype)
        torch.testing.assert_close(lora(x, torch.zeros_like, identity, identity, scale), scale * x)

    @given(tensors(axes=2), st.integers(1, 4), SCALES, seeds)
    def test_update_is_linear_in_the_scale(self, x: Tensor, rank: int, scale: float, seed: int) -> None:
        """Twice the scale is twice the update, and a scale can as well be a factor of A or of B."""
        weight, a, b = matrices(seed, x.shape[-1], rank, 3)
        frozen = partial(F.linear, weight=weight)
        twice = 2 * (lora(x, frozen, a, b, scale) - frozen(x))
        torch.testing.assert_close(lora(x, frozen, a, b, 2 * scale) - frozen(x), twice)
        torch.testing.assert_close(lora(x, frozen, scale * a, b), lora(x, frozen, a, b, scale))
        torch.testing.assert_close(lora(x, frozen, a, scale * b), lora(x, frozen, a, b, scale))

    @given(st.integers(2, 6), st.integers(2, 6), seeds)
    def test_rank_of_the_update(self, width: int, output: int, seed: int) -> None:
        """The matrix of the update has the rank of A and B, or full rank if that is smaller."""
        for rank in range(1, 8):
            _, a, b = matrices(seed, width, rank, output)
            update = lora(torch.eye(width).double(), lambda x: torch.zeros(width, output).double(), a, b)
            assert torch.linalg.matrix_rank(update) == min(rank, width, output)

    @given(tensors(axes=2), st.integers(1, 4), seeds)
    def test_dropout_is_on_the_update_only(self, x: Tensor, rank: int, seed: int) -> None:
        """If dropout removes everything, the result is W0 x. A dropout that keeps everything has no effect."""
        weight, a, b = matrices(seed, x.shape[-1], rank, 3)
        frozen = partial(F.linear, weight=weight)
        assert torch.equal(lora(x, frozen, a, b, 2.0, dropout=torch.zeros_like), frozen(x))
        assert torch.equal(lora(x, frozen, a, b, 2.0, dropout=torch.clone), lora(x, frozen, a, b, 2.0))


class TestLoraMergedWeight:
    @given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 5), SCALES, seeds)
    def test_value(self, width: int, rank: int, output: int, scale: float, seed: int) -> None:
        """Its columns are the images of the unit vectors under the formula in loops."""
        weight, a, b = matrices(seed, width, rank, output)
        columns = [reference.lora(e, weight.tolist(), a.tolist(), b.tolist(), scale) for e in torch.eye(width).tolist()]
        np.testing.assert_allclose(lora_merged_weight(weight, a, b, scale).mT.numpy(), np.array(columns), atol=1e-9)

    def test_gradient(self) -> None:
        """The first and second derivatives are right with respect to all three matrices."""
        leaves = [leaf.requires_grad_() for leaf in matrices(0, width=4, rank=2, output=3)]
        assert gradcheck(lambda *leaves: lora_merged_weight(*leaves, 1.5), leaves)
        assert gradgradcheck(lambda *leaves: lora_merged_weight(*leaves, 1.5), leaves)

    def test_the_update_is_added_once_by_default(self) -> None:
        weight, a, b = matrices(0, width=4, rank=2, output=3)
        torch.testing.assert_close(lora_merged_weight(weight, a, b), weight + b @ a)

    @given(tensors(axes=2), st.integers(1, 4), st.integers(1, 5), SCALES, seeds)
    def test_merged_equals_unmerged(self, x: Tensor, rank: int, output: int, scale: float, seed: int) -> None:
        """W x = W0 x + s BA x for every x."""
        weight, a, b = matrices(seed, x.shape[-1], rank, output)
        unmerged = lora(x, partial(F.linear, weight=weight), a, b, scale)
        torch.testing.assert_close(F.linear(x, lora_merged_weight(weight, a, b, scale)), unmerged)

    @given(st.integers(1, 5), st.integers(1, 4), SCALES, seeds)
    def test_negative_scale_undoes_the_merge(self, width: int, rank: int, scale: float, seed: int) -> None:
        """Merging with s and then with -s gives W0 again."""
        weight, a, b = matrices(seed, width, rank, 3)
        torch.testing.assert_close(lora_merged_weight(lora_merged_weight(weight, a, b, scale), a, b, -scale), weight)

    @given(st.integers(1, 6), seeds)
    def test_update_has_at_most_the_rank(self, rank: int, seed: int) -> None:
        """W - W0 has the rank r of A and B."""
        weight, a, b = matrices(seed, 6, rank, 7)
        assert torch.linalg.matrix_rank(lora_merged_weight(weight, a, b) - weight) == rank

    @given(st.integers(1, 5), st.integers(1, 4), seeds)
    def test_transposed_product(self, width: int, rank: int, seed: int) -> None:
        """The transpose of the merged matrix is W0ᵀ + s AᵀBᵀ."""
        weight, a, b = matrices(seed, width, rank, width + 1)
        torch.testing.assert_close(lora_merged_weight(weight, a, b, 0.5).mT, lora_merged_weight(weight.mT, b.mT, a.mT, 0.5))


def bottleneck_weights(seed: int, width: int, bottleneck: int) -> list[Tensor]:
    """Return W_down, b_down, W_up and b_up."""
    shapes = [(width, bottleneck), (bottleneck,), (bottleneck, width), (width,)]
    return [normal(seed + number, *shape) for number, shape in enumerate(shapes)]


class TestBottleneckAdapter:
    @given(tensors(axes=2, smallest=0), st.integers(1, 4), seeds)
    def test_value(self, x: Tensor, bottleneck: int, seed: int) -> None:
        """The result equals the formula in loops, with GELU."""
        weights = bottleneck_weights(seed, x.shape[-1], bottleneck)
        expected = [reference.bottleneck_adapter(row, *(weight.tolist() for weight in weights)) for row in x.tolist()]
        np.testing.assert_allclose(bottleneck_adapter(x, *weights).numpy(), np.array(expected).reshape(x.shape), atol=1e-9)

    def test_gradient(self) -> None:
        """The first and second derivatives are right with respect to the input and all four parameters."""
        leaves = [leaf.requires_grad_() for leaf in (normal(9, 2, 4), *bottleneck_weights(0, 4, 2))]
        assert gradcheck(bottleneck_adapter, leaves)
        assert gradgradcheck(bottleneck_adapter, leaves)

    def test_value_with_another_activation_function(self) -> None:
        """With cubes as activation function: 1 + (1 * 1 + 1)^3 * 2 + 3 = 20."""
        one = torch.ones(1, 1).double()
        assert bottleneck_adapter(one, one, one[0], 2 * one, 3 * one[0], lambda x: x**3) == 20
        assert bottleneck_adapter(one, -2 * one, one[0], 2 * one, 3 * one[0], lambda x: x**3) == 2

    @given(tensors(axes=3, smallest=0), st.integers(1, 4), seeds)
    def test_zero_up_projection_is_the_identity(self, x: Tensor, bottleneck: int, seed: int) -> None:
        """For W_up = 0 and b_up = 0 the result is x, bit for bit, whatever the other parameters are."""
        down, down_bias, up, up_bias = bottleneck_weights(seed, x.shape[-1], bottleneck)
        zeros = torch.zeros_like(up), torch.zeros_like(up_bias)
        assert torch.equal(bottleneck_adapter(x, down, down_bias, *zeros), x)

    @given(tensors(axes=2), st.integers(1, 4), seeds)
    def test_small_weights_are_close_to_the_identity(self, x: Tensor, bottleneck: int, seed: int) -> None:
        """For weights of size ε and no biases, the difference from x is of size ε²."""
        down, down_bias, up, up_bias = bottleneck_weights(seed, x.shape[-1], bottleneck)
        changes = [
            (bottleneck_adapter(x, eps * down, 0 * down_bias, eps * up, 0 * up_bias, relu) - x).norm().item()
            for eps in (1e-2, 1e-3)
        ]
        np.testing.assert_allclose(changes[1], changes[0] / 100, rtol=1e-6)

    @given(tensors(axes=2), seeds)
    def test_change_depends_on_the_features_only(self, x: Tensor, seed: int) -> None:
        """The change y - x is a combination of the rows of W_up, plus b_up: its rank is at most the bottleneck."""
        down, down_bias, up, up_bias = bottleneck_weights(seed, x.shape[-1], 2)
        change = bottleneck_adapter(x, down, down_bias, up, up_bias) - x - up_bias
        torch.testing.assert_close(change, gelu(x @ down + down_bias) @ up)

    @given(tensors(axes=2), st.integers(1, 4), seeds)
    def test_linear_activation_is_a_low_rank_update(self, x: Tensor, bottleneck: int, seed: int) -> None:
        """With the identity as activation function and no biases, the adapter is LoRA on the identity map."""
        down, _, up, _ = bottleneck_weights(seed, x.shape[-1], bottleneck)
        zeros = torch.zeros(bottleneck, dtype=x.dtype), torch.zeros(x.shape[-1], dtype=x.dtype)
        adapted = bottleneck_adapter(x, down, zeros[0], up, zeros[1], torch.clone)
        torch.testing.assert_close(adapted, lora(x, torch.clone, down.mT, up.mT))

    @given(tensors(axes=2), st.integers(1, 4), seeds)
    def test_biases_are_in_the_right_places(self, x: Tensor, bottleneck: int, seed: int) -> None:
        """For W_up = 0 the change is b_up. For x W_down + b_down = 0 it is b_up too, because GELU(0) = 0."""
        down, down_bias, up, up_bias = bottleneck_weights(seed, x.shape[-1], bottleneck)
        torch.testing.assert_close(bottleneck_adapter(x, down, down_bias, 0 * up, up_bias), x + up_bias)
        torch.testing.assert_close(bottleneck_adapter(x[0], down, -(x[0] @ down), up, up_bias), x[0] + up_bias)
