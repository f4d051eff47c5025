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
from minibert.kernels import (
    check_attention,
    choose_attention,
    flash_attention,
    fused_attention,
    linear_cross_entropy,
    linear_label_smoothing_loss,
    unfused_attention,
)
from minibert.kernels import objectives as kernel_objectives
from minibert.kernels.attention import weighted_mean, without_cudnn
from tests.strategies import attention_inputs, normal, seeds, tensors

ATTENTIONS = (fused_attention, unfused_attention)
KERNELS = ("layer_norm", "gelu", "gelu_tanh")
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]
TOLERANCES = {torch.float64: 1e-10, torch.float32: 2e-5, torch.float16: 1e-2, torch.bfloat16: 5e-2}


def value_and_gradients(function, *inputs: Tensor) -> list[Tensor]:
    """Return the output, and the gradients of a weighted sum of its elements. All weights differ."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    out = function(*leaves)
    weights = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view(out.shape).to(out)  # float16 counts to 65,504
    (out * weights).sum().backward()
    return [out.detach(), *(leaf.grad for leaf in leaves)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kernel", ATTENTIONS)
@settings(max_examples=100)
@given(inputs=attention_inputs(largest=9, smallest=0), dtype=st.sampled_from(list(TOLERANCES)), masked=st.booleans())
def test_attention_equals_the_equation(kernel, device: str, inputs, dtype: torch.dtype, masked: bool) -> None:
    """The output and the three gradients agree, for all shapes, dtypes and masks, including masks with empty rows."""
    *tensors_, keep = (x.to(device) for x in inputs)
    if dtype in (torch.float16, torch.bfloat16):  # low precision: large scores would differ by rounding
        tensors_ = [x / max(1.0, x.abs().max().item() if x.numel() else 0.0) for x in tensors_]
    query, key, value = (x.to(dtype) for x in tensors_)
    mask = keep if masked else None
    scores = query @ key.mT
    rounding = max(1.0, scores.abs().max().item() / 16 if scores.numel() else 0.0)  # that of the scores grows with them
    explicit, fused = (
        value_and_gradients(lambda q, k, v, f=function: f(q, k, v, mask), query, key, value)
        for function in (equations.scaled_dot_product_attention, kernel)
    )
    for one, other in zip(explicit, fused, strict=True):
        scale = max(1.0, one.abs().max().item() if one.numel() else 0.0)
        assert one.isfinite().all()
        torch.testing.assert_close(other / scale, one / scale, rtol=0, atol=rounding * TOLERANCES[dtype])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kernel", ATTENTIONS)
def test_attention_with_a_bias_equals_the_equation(kernel, device: str, masked: bool) -> None:
    """The output and the four gradients agree, with and without a mask that has an empty row."""
    query, key, value, bias = (normal(seed, 2, 3, 3).to(device) for seed in range(4))
    keep = torch.tensor([[True, True, False], [False, False, False], [True, True, True]], device=device)
    mask = keep.expand(2, 3, 3) if masked else None
    explicit, fused = (
        value_and_gradients(lambda q, k, v, b, f=function: f(q, k, v, mask, bias=b), query, key, value, bias)
        for function in (equations.scaled_dot_product_attention, kernel)
    )
    for one, other in zip(explicit, fused, strict=True):
        torch.testing.assert_close(other, one)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("attention", [equations.scaled_dot_product_attention, *ATTENTIONS])
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


@pytest.mark.parametrize("kernel", ATTENTIONS)
def test_dropout_preserves_the_mean(kernel) -> None:
    """Dropout of attention weights does not change the mean of the output."""
    torch.manual_seed(0)
    query, key, value = torch.zeros(20000, 2), torch.zeros(8, 2), torch.ones(8, 1)
    out = kernel(query, key, value, dropout=0.5)
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


def losses_and_correct(hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    scores = torch.nn.functional.linear(hidden, weight, bias)
    return equations.masked_lm_loss(scores, labels, "sum"), (scores.argmax(dim=-1) == labels).sum()


@pytest.mark.cuda
@pytest.mark.parametrize("tokens", [64, 128, 192, 448])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_gradients_of_fused_attention_with_a_mask_are_finite_on_cuda(tokens: int, dropout: float) -> None:
    """cuDNN's are not, for lengths such as 64 and 192."""
    heads = [torch.randn(4, 2, tokens, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True) for _ in range(3)]
    lengths = torch.tensor([tokens, tokens // 2, 1, tokens - 3], device="cuda")
    keep = (torch.arange(tokens, device="cuda") < lengths[:, None])[:, None, None, :]
    gradients = torch.autograd.grad(fused_attention(*heads, keep, dropout).float().square().sum(), heads)
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_masked_attention_on_a_gpu_does_without_cudnn() -> None:
    with without_cudnn():
        assert not torch.backends.cuda.cudnn_sdp_enabled()
        assert torch.backends.cuda.flash_sdp_enabled()
        assert torch.backends.cuda.mem_efficient_sdp_enabled()
        assert torch.backends.cuda.math_sdp_enabled()


@given(st.integers(1, 5), st.integers(1, 9), seeds)
def test_fused_exponentials_equal_the_others(rows: int, pieces: int, seed: int) -> None:
    """Those of a GPU are shares already. The last piece may have the score -inf."""
    scores = 9 * normal(seed, rows, pieces + 1)
    scores[:, pieces:] = -torch.inf
    ids = torch.arange(rows)[:, None] % pieces
    exponentials, totals, log_totals, best = kernel_objectives._exponentials(scores.clone(), ids)
    shares, ones, log_sums, same = kernel_objectives._fused_exponentials(scores.clone(), ids)
    torch.testing.assert_close(shares / ones, exponentials / totals)
    torch.testing.assert_close(shares, scores.softmax(dim=-1) - torch.nn.functional.one_hot(ids[:, 0], pieces + 1))
    torch.testing.assert_close(log_sums, log_totals)
    torch.testing.assert_close(log_sums[:, 0], scores.logsumexp(dim=-1))
    assert torch.equal(same, best)


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=100)
@given(st.integers(0, 9), st.integers(1, 5), st.integers(1, 4), st.sampled_from(list(TOLERANCES)), seeds)
def test_linear_cross_entropy_equals_the_equation(
    device: str, rows: int, classes: int, width: int, dtype: torch.dtype, seed: int
) -> None:
    """Loss, number of correct predictions and gradients agree, in chunks of any number of rows, with ignored labels."""
    random = torch.Generator().manual_seed(seed)
    hidden, weight, bias = (
        torch.randn(*shape, generator=random).to(device, dtype) for shape in ((rows, width), (classes, width), (classes,))
    )
    labels = torch.randint(-1, classes, (rows,), generator=random).to(device)
    labels[labels < 0] = equations.IGNORE_INDEX
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(kernel_objectives.CHUNKS, device, (1 + seed % 4, 1 + seed % 3))
        own, correct = linear_cross_entropy(hidden, weight, bias, labels)
        one, other = (
            value_and_gradients(lambda *x, f=function: 3 * f(*x, labels)[0], hidden, weight, bias)
            for function in (losses_and_correct, linear_cross_entropy)
        )
    assert not own.requires_grad
    assert correct == losses_and_correct(hidden, weight, bias, labels)[1]
    for left, right in zip(one, other, strict=True):
        scale = max(1.0, left.abs().max().item() if left.numel() else 0.0)
        torch.testing.assert_close(right / scale, left / scale, rtol=0, atol=TOLERANCES[dtype], check_dtype=False)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
@given(st.integers(0, 9), st.integers(1, 5), st.integers(1, 4), st.floats(0, 1), st.booleans(), seeds)
def test_linear_label_smoothing_equals_the_equation(
    dtype: torch.dtype, rows: int, classes: int, width: int, label_smoothing: float, has_bias: bool, seed: int
) -> None:
    """Loss, number of correct predictions and gradients agree, with ignored labels and for the ends of the range."""
    inputs = [normal(seed, rows, width).to(dtype), normal(seed + 1, classes, width).to(dtype)]
    inputs += [normal(seed + 2, classes).to(dtype)] if has_bias else []
    labels = torch.randint(-1, classes, (rows,), generator=torch.Generator().manual_seed(seed))
    labels[labels < 0] = equations.IGNORE_INDEX

    def loss_of_scores(hidden: Tensor, weight: Tensor, *bias: Tensor) -> Tensor:
        scores = torch.nn.functional.linear(hidden, weight, *bias)
        return equations.label_smoothing_loss(scores, labels, label_smoothing, "sum")

    def loss_without_scores(hidden: Tensor, weight: Tensor, *bias: Tensor) -> Tensor:
        bias = bias or (weight.new_zeros(classes),)
        return linear_label_smoothing_loss(hidden, weight, *bias, labels, label_smoothing)[0]

    one, other = (value_and_gradients(function, *inputs) for function in (loss_of_scores, loss_without_scores))
    for left, right in zip(one, other, strict=True):
        scale = max(1.0, left.abs().max().item() if left.numel() else 0.0)
        torch.testing.assert_close(right / scale, left / scale, rtol=0, atol=TOLERANCES[dtype], check_dtype=False)


def test_linear_cross_entropy_of_large_scores_is_finite() -> None:
    hidden = torch.tensor([[1e4]], requires_grad=True)
    loss, _ = linear_cross_entropy(hidden, torch.tensor([[1.0], [-1.0]]), torch.zeros(2), torch.tensor([1]))
    loss.backward()
    assert (loss, hidden.grad) == (2e4, 2)


LOSSES = pytest.mark.parametrize("loss", [linear_cross_entropy, linear_label_smoothing_loss], ids=lambda loss: loss.__name__)


def test_another_backward_pass_of_linear_cross_entropy_gives_the_same_gradients() -> None:
    """The first one hands its gradients over, without a copy, and scales them with that of the loss."""
    inputs = [normal(seed, *shape).requires_grad_() for seed, shape in enumerate([(3, 2), (4, 2), (4,)])]
    loss, _ = linear_cross_entropy(*inputs, torch.tensor([0, equations.IGNORE_INDEX, 2]))
    first = torch.autograd.grad(3 * loss, inputs, retain_graph=True)
    for one, other in zip(first, torch.autograd.grad(3 * loss, inputs, retain_graph=True), strict=True):
        torch.testing.assert_close(other, one)


@LOSSES
def test_second_derivatives_of_losses_of_a_linear_layer(loss: Callable[..., tuple[Tensor, Tensor]]) -> None:
    labels = torch.tensor([3, equations.IGNORE_INDEX, 0, 3])
    leaves = [normal(seed, *shape).requires_grad_() for seed, shape in enumerate([(4, 2), (5, 2), (5,)])]
    assert torch.autograd.gradgradcheck(lambda *x: loss(*x, labels)[0], leaves)


def test_a_gradient_penalty_of_linear_cross_entropy_equals_that_of_the_equation() -> None:
    """The first derivatives are the inputs of another loss, and flow through the layers below."""
    inputs, matrix = normal(0, 6, 3), normal(1, 3, 4).requires_grad_()
    weight, bias, labels = normal(2, 7, 4).requires_grad_(), normal(3, 7), torch.tensor([1, 2, equations.IGNORE_INDEX, 6, 0, 2])
    found, expected = (
        torch.autograd.grad(gradient.square().sum(), (matrix, weight))
        for function in (linear_cross_entropy, losses_and_correct)
        for gradient in torch.autograd.grad(
            function(torch.tanh(inputs @ matrix), weight, bias, labels)[0], matrix, create_graph=True
        )
    )
    torch.testing.assert_close(found, expected)


@LOSSES
def test_losses_of_a_linear_layer_inside_torch_func(loss: Callable[..., tuple[Tensor, Tensor]]) -> None:
    """The gradient of each position, the derivative in a direction, and the second derivatives."""
    hidden, weight, bias, labels = normal(0, 3, 2), normal(1, 4, 2), normal(2, 4), torch.tensor([1, 3, 0])
    leaf = hidden.clone().requires_grad_()
    (expected,) = torch.autograd.grad(loss(leaf, weight, bias, labels)[0], leaf)

    def one_loss(row: Tensor, label: Tensor) -> Tensor:
        return loss(row[None], weight, bias, label[None])[0]

    torch.testing.assert_close(torch.func.vmap(torch.func.grad(one_loss))(hidden, labels), expected)
    slope = torch.func.jvp(lambda x: loss(x, weight, bias, labels)[0], (hidden,), (normal(3, 3, 2),))[1]
    torch.testing.assert_close(slope, (expected * normal(3, 3, 2)).sum())
    hessian = torch.autograd.functional.hessian(lambda x: loss(x, weight, bias, labels)[0], hidden)
    torch.testing.assert_close(torch.func.hessian(lambda x: loss(x, weight, bias, labels)[0])(hidden), hessian)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_in_half_precision_gradients_are_as_exact_as_those_of_the_equation(dtype: torch.dtype) -> None:
    """Weights have the mean 3. That of the rows has only differences of weights, and no rounding error of their mean."""
    inputs = [
        (size * normal(seed, *shape) + mean).to(dtype)
        for seed, (size, shape, mean) in enumerate([(0.02, (20, 16), 0), (0.5, (300, 16), 3), (0.1, (300,), 0)])
    ]

    def gradients(function: Callable[..., tuple[Tensor, Tensor]], inputs: list[Tensor]) -> list[Tensor]:
        return [each.double() for each in value_and_gradients(lambda *x: function(*x, torch.arange(20))[0], *inputs)[1:]]

    exact = gradients(losses_and_correct, [each.double() for each in inputs])
    plain, found = gradients(losses_and_correct, inputs), gradients(linear_cross_entropy, inputs)
    for one, other, truth, factor in zip(found, plain, exact, (1.01, 3, 3), strict=True):
        assert (one - truth).abs().max() <= factor * (other - truth).abs().max()


def test_linear_cross_entropy_uses_the_type_of_autocast() -> None:
    """Its loss is that of scores in this type, and its gradients have the type of the weights."""
    inputs = [normal(seed, 8, 8).float() for seed in range(3)]
    hidden, weight, bias = inputs[0], inputs[1], inputs[2][0]
    labels = torch.arange(8)
    with torch.autocast("cpu", torch.bfloat16):
        one, other = (
            value_and_gradients(lambda *x, f=function: f(*x, labels)[0], hidden, weight, bias)
            for function in (losses_and_correct, linear_cross_entropy)
        )
    assert [each.dtype for each in other] == [torch.float32] * 4
    for left, right in zip(one, other, strict=True):
        torch.testing.assert_close(right, left, rtol=0.02, atol=0.02)


def test_in_autocast_linear_cross_entropy_is_that_of_converted_inputs() -> None:
    """All products are computed in the type of autocast. Loss and gradients are the same, but gradients are not rounded."""
    labels, inputs = torch.arange(8), [normal(0, 8, 16).float(), normal(1, 20, 16).float(), normal(2, 20).float()]
    expected = value_and_gradients(lambda *x: linear_cross_entropy(*(each.bfloat16() for each in x), labels)[0], *inputs)
    with torch.autocast("cpu", torch.bfloat16):
        found = value_and_gradients(lambda *x: linear_cross_entropy(*x, labels)[0], *inputs)
    assert torch.equal(found[0], expected[0])
    for left, right in zip(found[1:], expected[1:], strict=True):
        assert torch.equal(left.bfloat16(), right.bfloat16())


@LOSSES
def test_losses_of_a_linear_layer_store_no_scores(loss: Callable[..., tuple[Tensor, Tensor]]) -> None:
    """Nothing that is kept for the backward pass has a number for each row and class, except in a recording."""
    shapes: list[tuple[int, ...]] = []

    def seen(tensor: Tensor) -> Tensor:
        shapes.append(tuple(tensor.shape))
        return tensor

    inputs = [normal(seed, *shape).requires_grad_() for seed, shape in enumerate([(7, 3), (20, 3), (20,)])]
    with torch.autograd.graph.saved_tensors_hooks(seen, lambda tensor: tensor):
        loss(*inputs, torch.arange(7))
        assert (7, 20) not in shapes
        with record():
            loss(*inputs, torch.arange(7))
    assert (7, 20) in shapes


def test_linear_label_smoothing_is_observed_in_a_recording() -> None:
    """Its scores are recorded, and the results are the same. By default, a tenth of the probability is shared."""
    hidden, weight, bias = normal(0, 4, 3), normal(1, 5, 3), normal(2, 5)
    labels = torch.tensor([0, equations.IGNORE_INDEX, 4, 0])
    labels[3] = torch.nn.functional.linear(hidden, weight, bias)[3].argmax()
    with record() as recording:
        recorded = linear_label_smoothing_loss(hidden, weight, bias, labels)
    torch.testing.assert_close(recording["logits"], torch.nn.functional.linear(hidden, weight, bias))
    torch.testing.assert_close(linear_label_smoothing_loss(hidden, weight, bias, labels), recorded)
    torch.testing.assert_close(linear_label_smoothing_loss(hidden, weight, bias, labels, 0.1), recorded)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_what_smoothing_adds_is_computed_in_single_precision(dtype: torch.dtype) -> None:
    """It is that of the same numbers in double precision."""
    inputs = [normal(seed, *shape).to(dtype) for seed, shape in enumerate([(9, 8), (30, 8), (30,)])]
    labels = torch.arange(9)

    def added(*inputs: Tensor) -> Tensor:
        return linear_label_smoothing_loss(*inputs, labels, 1.0)[0] - linear_cross_entropy(*inputs, labels)[0]

    expected = added(*(each.double() for each in inputs)).float()
    torch.testing.assert_close(added(*inputs), expected, rtol=1e-4, atol=1e-4)


def test_linear_cross_entropy_is_observed_in_a_recording() -> None:
    hidden, weight, bias = (normal(seed, 3, 3) for seed in range(3))
    with record():
        value, correct = linear_cross_entropy(hidden, weight, bias[0], torch.tensor([0, 1, 2]))
    expected = losses_and_correct(hidden, weight, bias[0], torch.tensor([0, 1, 2]))
    assert (value, correct) == expected


@given(seed=seeds, dropout=st.floats(0.01, 0.99), strided=st.booleans())
def test_dropped_weights_have_the_values_and_gradients_of_their_formula(seed: int, dropout: float, strided: bool) -> None:
    scores, value, weights = normal(seed, 2, 3, 5, 7), normal(seed + 1, 2, 3, 7, 4), normal(seed + 2, 2, 3, 5, 4)
    leaves = [(each.mT.contiguous().mT if strided else each).requires_grad_() for each in (scores, value)]
    torch.manual_seed(seed)
    context = weighted_mean(*leaves, dropout)
    torch.manual_seed(seed)
    stays = torch.empty(2, 3, 5, 7, dtype=torch.bool).bernoulli_(1 - dropout)
    expected = (leaves[0].softmax(dim=-1) * stays / (1 - dropout)) @ leaves[1]
    torch.testing.assert_close(context, expected)
    for one, other in zip(*(torch.autograd.grad((each * weights).sum(), leaves) for each in (context, expected)), strict=True):
        torch.testing.assert_close(one, other)


def test_dropped_weights_store_one_byte_for_each_weight_besides_the_weights() -> None:
    """The weights are stored once: those of the softmax are those of the mean."""
    scores, value = (normal(seed, 2, 8, 16, 16).requires_grad_() for seed in range(2))
    stored: dict[int, int] = {}
    with torch.autograd.graph.saved_tensors_hooks(lambda x: stored.update({x.data_ptr(): x.nbytes}) or x, lambda x: x):
        context = weighted_mean(scores, value, 0.1)
    assert sum(stored.values()) == scores.nbytes + scores.numel() + value.nbytes
    assert context.isfinite().all()


@pytest.mark.parametrize("masked", [False, True])
def test_second_derivatives_of_unfused_attention_with_dropout(masked: bool) -> None:
    """They are those of the same dropped weights, also for a loss that is linear in the output."""
    keep = torch.tensor([[True, False, True, True], [False] * 4, [True] * 4])

    def attention(*inputs: Tensor) -> Tensor:
        torch.manual_seed(0)
        return unfused_attention(*inputs, keep if masked else None, dropout=0.3)

    leaves = [normal(seed, *shape).requires_grad_() for seed, shape in enumerate([(2, 3, 2), (2, 4, 2), (2, 4, 2)])]
    assert torch.autograd.gradgradcheck(attention, leaves)
    query, key, value = leaves
    torch.manual_seed(0)
    stays = torch.empty(2, 3, 4, dtype=torch.bool).bernoulli_(0.7)
    scores = query @ key.mT / 2**0.5
    if masked:
        stays, scores = stays & keep, scores.masked_fill(~keep & keep.any(dim=-1, keepdim=True), -torch.inf)
    found, expected = (
        torch.autograd.grad(
            sum(each.square().sum() for each in torch.autograd.grad(out.sum(), leaves, create_graph=True)), leaves
        )
        for out in (attention(*leaves), (scores.softmax(dim=-1) * stays / 0.7) @ value)
    )
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("dropout", [0.0, 1.0])
def test_dropout_of_nothing_and_of_everything(dropout: float) -> None:
    scores, value = normal(0, 2, 3), normal(1, 3, 4)
    torch.testing.assert_close(weighted_mean(scores, value, dropout), (1 - dropout) * scores.softmax(dim=-1) @ value)


def test_on_a_cpu_attention_with_dropout_is_unfused() -> None:
    """There, the fused kernels have no dropout."""
    query = torch.empty(2, 3, 4)
    assert choose_attention("auto", query, 0.1) == (unfused_attention, "unfused: on a CPU, the fused kernels have no dropout")
    others = [
        choose_attention("auto", query),
        choose_attention("auto", query.to("meta"), 0.1),
        choose_attention("fused", query, 0.1),
    ]
    assert {function for function, _ in others} == {fused_attention}
    with record():
        assert choose_attention("auto", query, 0.1)[0] is equations.scaled_dot_product_attention


def test_on_a_cpu_training_with_short_sequences_in_half_precision_is_unfused() -> None:
    """Not in inference, with long sequences, in single precision, or on another device."""
    query = torch.empty(2, 128, 4, dtype=torch.bfloat16, requires_grad=True)
    function, reason = choose_attention("auto", query)
    assert function is unfused_attention
    assert reason == "unfused: on a CPU in bfloat16, it trains faster on up to 128 tokens"
    assert choose_attention("auto", torch.empty(2, 500, 4).bfloat16().requires_grad_(), keys=128)[0] is unfused_attention
    with torch.no_grad():
        assert choose_attention("auto", query)[0] is fused_attention
    others = [query.detach(), *(query.detach().to(each).requires_grad_() for each in (torch.float32, torch.float16, "meta"))]
    for other in others:
        assert choose_attention("auto", other)[0] is fused_attention
    assert choose_attention("auto", others[2], 0.1)[0] is fused_attention  # in float16, unfused scores might overflow
    assert choose_attention("auto", query, keys=129)[0] is fused_attention


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
        *((attention, equations.scaled_dot_product_attention) for attention in (*ATTENTIONS, flash_attention)),
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
    }.get(name, ())
    with record() as expected:
        value = getattr(equations, name)(x, *more)
    with record() as recording:
        torch.testing.assert_close(getattr(kernels, name)(x, *more), value)
    assert list(recording) == list(expected)


@pytest.mark.parametrize("label_smoothing", [-0.1, 1.1])
def test_label_smoothing_outside_its_range_is_refused_by_the_kernels(label_smoothing: float) -> None:
    message = f"label_smoothing is {label_smoothing}, but must be from 0 to 1"
    labels = torch.zeros(1, dtype=torch.int64)
    with pytest.raises(ValueError, match=message):
        linear_label_smoothing_loss(torch.zeros(1, 3), torch.zeros(2, 3), torch.zeros(2), labels, label_smoothing)


def test_only_triton_needs_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ImportError("Triton is not installed")

    monkeypatch.setattr("minibert.kernels.attention.triton_kernels", missing)
    for name in ("auto", "explicit", "fused"):
        check_attention(name)
    with pytest.raises(ImportError, match="Triton is not installed"):
        check_attention("triton")
