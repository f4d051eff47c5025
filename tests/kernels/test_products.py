"""Tests of the products with the weights of a model."""

from types import SimpleNamespace
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import forward_ad

from minibert import record
from minibert.kernels import products
from minibert.model.linear import Linear
from tests.strategies import normal, seeds

needs_mkl = pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="the blocks are for the kernels of MKL")
needs_onednn = pytest.mark.skipif(not products.onednn_is_faster(), reason="oneDNN is not faster on this processor")


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


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("tokens", [1, 4, 4096])
def test_another_width_is_refused_with_the_error_of_torch(tokens: int) -> None:
    """It says both shapes, also where the number of elements is that of other tokens."""
    hidden, weight = torch.zeros(tokens, 256), torch.zeros(1024, 512)
    with pytest.raises(RuntimeError, match=rf"mat1 and mat2.*\({tokens}x256 and 512x1024\)"):
        products.linear(hidden, weight)


@needs_onednn
@settings(max_examples=30)
@given(
    seeds,
    st.lists(st.integers(1, 5), min_size=1, max_size=2),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sets(st.integers(0, 2)),
)
def test_linear_with_onednn_equals_that_of_torch(
    seed: int, shape: list[int], features: int, width: int, trained: set[int]
) -> None:
    """Values, and the gradients of those inputs that need one, also if the gradient of the output is not contiguous."""
    inputs = [normal(seed, *shape, width), normal(seed + 1, features, width), normal(seed + 2, features)]
    results: list[list[Tensor]] = []
    for dtype, function in ((torch.float32, products.linear), (torch.float64, nn.functional.linear)):
        leaves = [each.to(dtype, copy=True).requires_grad_(number in trained) for number, each in enumerate(inputs)]
        with mock.patch.multiple(products, MANY=1, FEW_TOKENS=0):
            out = function(*leaves)
            needed = [leaf for leaf in leaves if leaf.requires_grad]
            gradients = torch.autograd.grad(out.mT.sin().sum() if out.ndim > 1 else out.sum(), needed) if needed else ()
        results.append([out, *gradients])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-4)


@needs_onednn
def test_derivatives_of_all_kinds_are_those_of_torch() -> None:
    """Second derivatives, directional derivatives, and those of `torch.func`."""
    hidden, weight, bias = (normal(seed, *shape).float() for seed, shape in enumerate(((5, 4), (3, 4), (3,))))
    results = []
    with mock.patch.multiple(products, MANY=1, FEW_TOKENS=0):
        for function in (products.linear, nn.functional.linear):
            leaf = hidden.clone().requires_grad_()
            (first,) = torch.autograd.grad(function(leaf, weight, bias).pow(3).sum(), leaf, create_graph=True)
            found = [*torch.autograd.grad(first.sum(), leaf)]
            with forward_ad.dual_level():
                for tangents in ((hidden, weight, bias), (None, weight, None), (hidden, None, None)):
                    duals = [
                        each if tangent is None else forward_ad.make_dual(each, tangent.cos())
                        for each, tangent in zip((hidden, weight, bias), tangents, strict=True)
                    ]
                    found.append(forward_ad.unpack_dual(function(*duals)).tangent)
            found.append(torch.func.vmap(function, in_dims=(0, None, None))(hidden, weight, bias))
            found.append(torch.func.grad(lambda w, f=function: f(hidden, w, bias).sin().sum())(weight))
            results.append(found)
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@needs_onednn
def test_a_matrix_product_equals_that_of_torch() -> None:
    a, b = normal(0, 9, 7).float(), normal(1, 5, 7).float().mT
    with mock.patch.object(products, "MANY", 1), mock.patch.object(products, "_onednn", wraps=products._onednn) as product:
        torch.testing.assert_close(products.matrix_product(a, b), a @ b)
    assert product.called


def way_of(weight: Tensor, tokens: int) -> str:
    """Return how a linear layer computes its product: "blocks", "onednn" or "torch"."""
    layer = Linear(*weight.shape[::-1], bias=False)
    layer.weight = nn.Parameter(weight)
    with (
        mock.patch("torch.bmm", wraps=torch.bmm) as bmm,
        mock.patch.object(products, "_onednn", wraps=products._onednn) as onednn,
    ):
        layer(torch.ones(1, tokens, weight.shape[1], dtype=weight.dtype))
    return "blocks" if bmm.called else "onednn" if onednn.called else "torch"


@needs_mkl
def test_blocks_are_used_only_where_they_are_faster() -> None:
    """Not for small weights, half precision and transposed weights, nor inside of autocast and a recording."""
    weight = torch.ones(512, 256)
    assert way_of(weight, 1) == way_of(weight, 2) == "blocks"
    assert way_of(weight[:511], 1) == way_of(weight.bfloat16(), 1) == way_of(torch.ones(256, 512).mT, 1) == "torch"
    with record():
        assert way_of(weight, 1) == "torch"
    with torch.autocast("cpu", torch.bfloat16):
        assert way_of(weight, 1) == "torch"


@needs_onednn
def test_onednn_is_used_only_where_it_is_faster() -> None:
    """For many tokens in single precision, but not inside of autocast and a recording."""
    weight = torch.ones(512, 256)
    assert (way_of(weight, 15), way_of(weight, 16)) == ("torch", "onednn")
    assert way_of(weight.double(), 16) == way_of(weight.bfloat16(), 16) == "torch"
    with record():
        assert way_of(weight, 16) == "torch"
    with torch.autocast("cpu", torch.bfloat16):
        assert way_of(weight, 16) == "torch"


def test_without_the_operation_of_onednn_the_products_are_those_of_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not public: another version of PyTorch may lack it, or give it another meaning."""

    def missing(*arguments: object) -> Tensor:
        raise AttributeError("_linear_pointwise")

    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX512")
    for replacement in (missing, lambda *arguments: torch.zeros(2, 2)):
        monkeypatch.setattr(products, "_onednn", replacement)
        assert not products.onednn_is_faster.__wrapped__()


@pytest.mark.parametrize(("maker", "is_faster"), [("AuthenticAMD", True), ("GenuineIntel", False)])
def test_processors_of_intel_use_the_products_of_pytorch(maker: str, is_faster: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the maker of the processor differs."""
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(products, "_onednn", nn.functional.linear)
    monkeypatch.setattr(products, "Path", lambda name: SimpleNamespace(is_file=lambda: True, read_text=lambda encoding: maker))
    assert products.onednn_is_faster.__wrapped__() is is_faster


def test_an_unknown_processor_uses_the_products_of_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(products, "_onednn", nn.functional.linear)
    monkeypatch.setattr(products, "Path", lambda name: SimpleNamespace(is_file=lambda: False))
    assert products.onednn_is_faster.__wrapped__() is False


def test_processors_without_wide_instructions_use_the_products_of_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX2")
    assert not products.onednn_is_faster.__wrapped__()
