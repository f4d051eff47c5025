"""Tests of the kernels: values and gradients equal those of the equations, on every device."""

import inspect
from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from minibert import equations, kernels, record
from minibert.kernels import choose_attention, fused_attention
from tests.strategies import attention_inputs, normal, seeds, tensors

KERNELS = ("layer_norm", "gelu", "gelu_tanh", "label_smoothing_loss")
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]
TOLERANCES = {torch.float64: 1e-10, torch.float32: 2e-5, torch.float16: 1e-2, torch.bfloat16: 5e-2}


def value_and_gradients(function, *inputs: Tensor) -> list[Tensor]:
    """Return the output, and the gradients of a weighted sum of its elements. All weights differ."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    out = function(*leaves)
    weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype, device=out.device).view(out.shape)
    (out * weights).sum().backward()
    return [out.detach(), *(leaf.grad for leaf in leaves)]


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=100)
@given(inputs=attention_inputs(largest=9, smallest=0), dtype=st.sampled_from(list(TOLERANCES)), masked=st.booleans())
def test_fused_attention_equals_the_equation(device: str, inputs, dtype: torch.dtype, masked: bool) -> None:
    """The output and the three gradients agree, for all shapes, dtypes and masks, including masks with empty rows."""
    *tensors_, keep = (x.to(device) for x in inputs)
    if dtype in (torch.float16, torch.bfloat16):  # low precision: large scores would differ by rounding
        tensors_ = [x / max(1.0, x.abs().max().item() if x.numel() else 0.0) for x in tensors_]
    query, key, value = (x.to(dtype) for x in tensors_)
    mask = keep if masked else None
    explicit, fused = (
        value_and_gradients(lambda q, k, v, f=function: f(q, k, v, mask), query, key, value)
        for function in (equations.scaled_dot_product_attention, fused_attention)
    )
    for one, other in zip(explicit, fused, strict=True):
        scale = max(1.0, one.abs().max().item() if one.numel() else 0.0)
        assert one.isfinite().all()
        torch.testing.assert_close(other / scale, one / scale, rtol=0, atol=TOLERANCES[dtype])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("masked", [False, True])
def test_fused_attention_with_a_bias_equals_the_equation(device: str, masked: bool) -> None:
    """The output and the four gradients agree, with and without a mask that has an empty row."""
    query, key, value, bias = (normal(seed, 2, 3, 3).to(device) for seed in range(4))
    keep = torch.tensor([[True, True, False], [False, False, False], [True, True, True]], device=device)
    mask = keep.expand(2, 3, 3) if masked else None
    explicit, fused = (
        value_and_gradients(lambda q, k, v, b, f=function: f(q, k, v, mask, bias=b), query, key, value, bias)
        for function in (equations.scaled_dot_product_attention, fused_attention)
    )
    for one, other in zip(explicit, fused, strict=True):
        torch.testing.assert_close(other, one)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("attention", [equations.scaled_dot_product_attention, fused_attention])
def test_query_without_keys_has_output_zero(attention, device: str, dtype: torch.dtype) -> None:
    """Its output and its gradient are zero and never NaN, for every path and dtype."""
    x = torch.randn(1, 2, 3, 8, device=device, dtype=dtype)
    keep = torch.ones(1, 1, 3, 3, dtype=torch.bool, device=device)
    keep[..., 1, :] = False
    out, *gradients = value_and_gradients(lambda q, k, v: attention(q, k, v, keep), x, x, x)
    assert not out[..., 1, :].any()
    assert out[..., 0, :].any()
    assert not gradients[0][..., 1, :].any()
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_fused_dropout_preserves_the_mean() -> None:
    """Dropout of attention weights does not change the mean of the output."""
    torch.manual_seed(0)
    query, key, value = torch.zeros(20000, 2), torch.zeros(8, 2), torch.ones(8, 1)
    out = fused_attention(query, key, value, dropout=0.5)
    assert abs(out.mean().item() - 1) < 0.02
    assert out.std() > 0.1


@given(tensors(axes=2), seeds)
def test_layer_norm_and_gelu_equal_the_equations(x: Tensor, seed: int) -> None:
    """Values and gradients agree, including those of gain and bias."""
    gain, bias = torch.randn(2, x.shape[-1], generator=torch.Generator().manual_seed(seed), dtype=x.dtype)
    for eps in (1e-12, 1e-3):
        pairs = [
            value_and_gradients(lambda *args, f=function, e=eps: f(*args, e), x, gain, bias)
            for function in (equations.layer_norm, kernels.layer_norm)
        ]
        for one, other in zip(*pairs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6 * max(1.0, one.abs().max().item()))
    torch.testing.assert_close(*(value_and_gradients(function, x) for function in (equations.gelu, kernels.gelu)))


@given(st.integers(0, 5), st.integers(1, 6), st.floats(0, 1), st.sampled_from(["mean", "sum"]), seeds)
def test_label_smoothing_equals_the_equation(
    rows: int, classes: int, label_smoothing: float, reduction: str, seed: int
) -> None:
    """Values and gradients agree, also with ignored labels and without any label."""
    random = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, rows, classes, generator=random, dtype=torch.float64)
    labels = torch.randint(-1, classes, (2, rows), generator=random)
    labels[labels < 0] = equations.IGNORE_INDEX
    one, other = (
        value_and_gradients(lambda z, f=function: f(z, labels, label_smoothing, reduction), logits)
        for function in (equations.label_smoothing_loss, kernels.label_smoothing_loss)
    )
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_requested_attention_is_chosen() -> None:
    """Explicit and fused are always followed. Auto is fused, or explicit during a recording."""
    explicit, fused = equations.scaled_dot_product_attention, fused_attention
    assert [choose_attention(name)[0] for name in ("auto", "explicit", "fused")] == [fused, explicit, fused]
    with record():
        assert [choose_attention(name)[0] for name in ("auto", "explicit", "fused")] == [explicit, explicit, fused]
        assert "recording" in choose_attention("auto")[1]


@pytest.mark.parametrize(
    ("kernel", "equation"),
    [
        (fused_attention, equations.scaled_dot_product_attention),
        *((getattr(kernels, name), getattr(equations, name)) for name in KERNELS),
    ],
    ids=lambda function: function.__name__,
)
def test_a_kernel_has_the_arguments_and_defaults_of_its_equation(
    kernel: Callable[..., Tensor], equation: Callable[..., Tensor]
) -> None:
    """Either can be called in place of the other."""
    signatures = (inspect.signature(inspect.unwrap(each)) for each in (kernel, equation))
    ours, theirs = ([(p.name, p.default) for p in each.parameters.values()] for each in signatures)
    assert ours == theirs


def test_the_function_of_a_user_is_named() -> None:
    assert choose_attention(equations.scaled_dot_product_attention)[1].startswith("scaled_dot_product_attention: passed")
    assert choose_attention(partial(fused_attention, dropout=0.1))[1].startswith("a function: passed")


@pytest.mark.parametrize("name", KERNELS)
def test_during_a_recording_the_equation_is_computed(name: str) -> None:
    """With all its arguments, so that its intermediate tensors are seen."""
    x = torch.linspace(-2, 2, 6).view(2, 3).double()
    more = {
        "layer_norm": (torch.tensor([1.0, 2.0, 3.0]).double(), torch.tensor([0.1, 0.2, 0.3]).double(), 0.5),
        "label_smoothing_loss": (torch.tensor([2, equations.IGNORE_INDEX]), 0.3, "sum"),
    }.get(name, ())
    with record() as expected:
        value = getattr(equations, name)(x, *more)
    with record() as recording:
        torch.testing.assert_close(getattr(kernels, name)(x, *more), value)
    assert list(recording) == list(expected)


@pytest.mark.parametrize("label_smoothing", [-0.1, 1.1])
def test_label_smoothing_outside_its_range_is_refused_by_the_kernel(label_smoothing: float) -> None:
    with pytest.raises(ValueError, match="label_smoothing"):
        kernels.label_smoothing_loss(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64), label_smoothing)
