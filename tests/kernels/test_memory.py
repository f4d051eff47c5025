"""Tests of the operations that store less for the backward pass."""

from collections.abc import Callable
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import forward_ad

from minibert import kernels
from minibert.kernels import memory, products
from minibert.model.config import ACTIVATIONS, BertConfig
from minibert.model.layers import ACTIVATION_FUNCTIONS, FeedForward
from minibert.model.linear import Dropout
from tests.strategies import normal, seeds

SMALL = BertConfig(hidden_size=8, num_attention_heads=2, num_hidden_layers=1, intermediate_size=20, vocab_size=20)


def plain(hidden: Tensor, activation: Callable[[Tensor], Tensor], weight: Tensor, bias: Tensor | None) -> Tensor:
    return nn.functional.linear(activation(hidden), weight, bias)


def stored_bytes(compute: Callable[[], Tensor]) -> int:
    """Return the bytes that a computation stores for its backward pass. Each tensor counts once."""
    stored: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        stored[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = compute()
    assert result.requires_grad
    return sum(stored.values())


@settings(max_examples=30)
@given(
    seeds,
    st.lists(st.integers(0, 4), min_size=1, max_size=3),
    st.sampled_from(ACTIVATIONS),
    st.booleans(),
    st.sets(st.integers(0, 1)),
)
def test_a_linear_map_of_an_activation_equals_that_of_torch(
    seed: int, shape: list[int], name: str, has_bias: bool, frozen: set[int]
) -> None:
    """Values, gradients of those inputs that need one, and second derivatives."""
    activation = ACTIVATION_FUNCTIONS[name]
    inputs = [normal(seed, *shape, 6), normal(seed + 1, 5, 6), *([normal(seed + 2, 5)] if has_bias else [])]
    results = []
    for function in (kernels.activated_linear, plain):
        hidden, weight, bias = leaves = [
            each.clone().requires_grad_(number == 0 or number - 1 not in frozen) for number, each in enumerate(inputs)
        ] + [None] * (3 - len(inputs))
        out = function(hidden, activation, weight, bias)
        needed = [leaf for leaf in leaves if leaf is not None and leaf.requires_grad]
        first = torch.autograd.grad(out.sin().sum(), needed, create_graph=True)
        again = torch.autograd.grad(sum(each.cos().sum() for each in first), needed)
        alone = torch.autograd.grad(function(hidden, activation, weight, bias).sin().sum(), needed)
        results.append([out, *first, *again, *alone])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.skipif(not products.onednn_is_faster(), reason="oneDNN is not faster on this processor")
def test_second_derivatives_in_single_precision_are_those_of_torch() -> None:
    """The products of oneDNN have no derivative of their own."""
    inputs, found = [normal(0, 6, 5).float(), normal(1, 4, 5).float()], []
    with mock.patch.multiple(products, MANY=1, FEW_TOKENS=0):
        for function in (kernels.activated_linear, plain):
            hidden, weight = (each.clone().requires_grad_() for each in inputs)
            first = torch.autograd.grad(function(hidden, kernels.gelu, weight, None).pow(3).sum(), hidden, create_graph=True)
            found.append(torch.autograd.grad(first[0].pow(2).sum(), (hidden, weight)))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)


def test_its_products_are_the_fast_ones() -> None:
    """In training, the map and both gradients are products of `kernels.products`."""
    hidden, weight = normal(0, 3, 4).float().requires_grad_(), normal(1, 5, 4).float().requires_grad_()
    with (
        mock.patch.object(memory, "linear", wraps=products.linear) as forward,
        mock.patch.object(memory, "matrix_product", wraps=products.matrix_product) as backward,
    ):
        kernels.activated_linear(hidden, kernels.gelu, weight).sum().backward()
    assert (forward.call_count, backward.call_count) == (1, 2)


def test_the_activation_is_not_stored() -> None:
    """Only its input is, which is as large. Autograd stores both."""
    hidden, weight = normal(0, 50, 40).requires_grad_(), nn.Parameter(normal(1, 7, 40))
    size, weights = 8 * hidden.numel(), 8 * weight.numel()
    assert stored_bytes(lambda: kernels.activated_linear(hidden, kernels.gelu, weight)) == size + weights
    assert stored_bytes(lambda: plain(hidden, kernels.gelu, weight, None)) == 2 * size + weights


def test_dropout_stores_one_byte_for_each_number() -> None:
    hidden = normal(0, 50, 40).requires_grad_()
    assert stored_bytes(lambda: kernels.dropout(hidden, 0.5)) == hidden.numel()
    assert stored_bytes(lambda: nn.functional.dropout(hidden, 0.5)) == 8 * hidden.numel()


@given(seeds, st.floats(0.05, 0.95))
@settings(max_examples=20)
def test_dropout_drops_and_scales(seed: int, probability: float) -> None:
    """The share of zeros is the probability, other numbers are divided by that of staying, and so are the gradients."""
    hidden = normal(seed, 200, 30).abs().add(1).requires_grad_()
    torch.manual_seed(seed)
    dropped = kernels.dropout(hidden, probability)
    stays = dropped != 0
    assert abs(stays.double().mean().item() - (1 - probability)) < 5 * (probability * (1 - probability) / 6000) ** 0.5
    scaled = (hidden / (1 - probability)).masked_fill(~stays, 0.0)
    torch.testing.assert_close(dropped, scaled)
    (first,) = torch.autograd.grad(dropped.pow(2).sum(), hidden, create_graph=True)
    torch.testing.assert_close(first, 2 * scaled * stays / (1 - probability))
    (second,) = torch.autograd.grad(first.sum(), hidden)
    torch.testing.assert_close(second, 2 * stays.double() / (1 - probability) ** 2)


def test_dropout_needs_training_and_a_probability() -> None:
    hidden = normal(0, 30, 3).requires_grad_()
    layer = Dropout(0.9)
    assert torch.equal(layer.eval()(hidden), hidden)
    assert torch.equal(kernels.dropout(hidden, 0.0), hidden)
    assert not kernels.dropout(hidden, 1.0).any()
    assert (layer.train()(hidden) == 0).any()
    with torch.no_grad():
        assert (layer(hidden) == 0).any()
    torch.manual_seed(0)
    first = layer(hidden)
    torch.manual_seed(0)
    assert torch.equal(first, layer(hidden))


@pytest.mark.usefixtures("without_shape_checks")
def test_other_derivatives_are_those_of_torch() -> None:
    """Directional derivatives, and those of `torch.func`."""
    hidden, weight, bias = normal(0, 5, 4).requires_grad_(), normal(1, 3, 4), normal(2, 3)
    found = []
    for function in (kernels.activated_linear, plain):
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(hidden, normal(3, 5, 4))
            found.append(forward_ad.unpack_dual(function(dual, kernels.gelu, weight, bias)).tangent)
        found.append(torch.func.grad(lambda w, f=function: f(hidden, kernels.gelu, w, bias).sin().sum())(weight))
    torch.testing.assert_close(found[:2], found[2:])


class TestFeedForward:
    """Where the feed-forward network stores less."""

    @staticmethod
    def stored(network: FeedForward, hidden: Tensor) -> int:
        return stored_bytes(lambda: network(hidden))

    def test_a_training_step_stores_less(self) -> None:
        network, hidden = FeedForward(SMALL), torch.randn(2, 30, 8, requires_grad=True)
        less = self.stored(network, hidden)
        with mock.patch.object(memory, "_is_trained", return_value=False):
            assert self.stored(network, hidden) == less + 4 * 2 * 30 * 20

    def test_hooks_of_its_layers_are_called(self) -> None:
        network, called = FeedForward(SMALL), []
        for layer in (network.intermediate, network.output):
            layer.register_forward_hook(lambda module, args, output: called.append(output.shape))
        network(torch.randn(2, 3, 8, requires_grad=True))
        assert called == [(2, 3, 20), (2, 3, 8)]
