"""Half precision: every equation gives what its kernel gives, also for large inputs, so that a recording changes nothing."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minibert import BertConfig, BertForPreTraining, Transformer, TransformerConfig, equations, kernels, record
from minibert.kernels import fused_attention
from tests.strategies import normal

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]
HALF = [torch.float16, torch.bfloat16]
every_half = pytest.mark.parametrize("dtype", HALF)
every_device = pytest.mark.parametrize("device", DEVICES)

Function = Callable[..., Tensor]
LABELS = torch.tensor([3, equations.IGNORE_INDEX, 0, 6])
KEEP = torch.tensor([[True, True, False, True], [False] * 4, [True] * 4, [True, False, False, False]])


def masked(attention: Function) -> Function:
    return lambda query, key, value: attention(query, key, value, KEEP.to(query.device))


def labeled(loss: Function) -> Function:
    return lambda logits: loss(logits, LABELS.to(logits.device))


PAIRS: dict[str, tuple[Function, Function, int]] = {
    "softmax": (equations.softmax, lambda x: F.softmax(x, dim=-1), 1),
    "relu": (equations.relu, F.relu, 1),
    "gelu": (equations.gelu, kernels.gelu, 1),
    "gelu_tanh": (equations.gelu_tanh, kernels.gelu_tanh, 1),
    "layer_norm": (
        lambda x: equations.layer_norm(x, torch.full_like(x[0], 2), torch.ones_like(x[0])),
        lambda x: kernels.layer_norm(x, torch.full_like(x[0], 2), torch.ones_like(x[0])),
        1,
    ),
    "attention": (equations.scaled_dot_product_attention, fused_attention, 3),
    "attention with a mask": (masked(equations.scaled_dot_product_attention), masked(fused_attention), 3),
    "attention in blocks": (lambda *x: equations.online_softmax_attention(*x, block_size=2), fused_attention, 3),
    "cross_entropy": (
        labeled(equations.cross_entropy),
        labeled(lambda logits, labels: F.cross_entropy(logits.float(), labels, reduction="none")),
        1,
    ),
    "masked_lm_loss": (
        labeled(equations.masked_lm_loss),
        labeled(lambda logits, labels: F.cross_entropy(logits.float(), labels)),
        1,
    ),
    "binary_cross_entropy": (
        lambda x: equations.binary_cross_entropy(x, (x > 0).to(x.dtype)),
        lambda x: F.binary_cross_entropy_with_logits(x.float(), (x > 0).float(), reduction="none"),
        1,
    ),
}


def value_and_gradients(function: Function, inputs: list[Tensor]) -> list[Tensor]:
    leaves = [x.clone().requires_grad_() for x in inputs]
    out = function(*leaves)
    weights = torch.linspace(0.5, 1, out.numel(), device=out.device).view(out.shape)
    (out.float() * weights).sum().backward()
    return [out.detach(), *(leaf.grad for leaf in leaves)]


@every_device
@every_half
@pytest.mark.parametrize("size", [1e-3, 1.0, 30.0, 300.0, 1e3, 3e4])
@pytest.mark.parametrize("name", PAIRS)
def test_an_equation_equals_its_kernel(name: str, size: float, dtype: torch.dtype, device: str) -> None:
    """Values and gradients have the same type and are finite, and those of the equation are at least as accurate."""
    equation, kernel, count = PAIRS[name]
    inputs = [(size * normal(number, 4, 7)).clamp(-6e4, 6e4).to(device, dtype) for number in range(count)]
    exact = value_and_gradients(equation, [x.double() for x in inputs])
    single_precision = 1e-5 * size ** (count - 1)  # rounding errors of the products in the gradient of attention
    for one, other, truth in zip(*(value_and_gradients(f, inputs) for f in (equation, kernel)), exact, strict=True):
        assert one.dtype == other.dtype
        assert one.isfinite().all()
        error, allowed = ((x.double() - truth).abs().max().item() for x in (one, other))
        assert error <= allowed + torch.finfo(dtype).eps * truth.abs().max().item() + single_precision


@every_device
@every_half
@pytest.mark.parametrize("gradient", [0.0, 1e-3, 300.0, 6e4])
def test_one_step_of_adamw_equals_that_of_torch(gradient: float, dtype: torch.dtype, device: str) -> None:
    """In float16 the square of 300 is infinite, and an eps of 1e-8 is zero."""
    parameter = nn.Parameter(torch.linspace(-2, 2, 5, device=device, dtype=dtype))
    parameter.grad = torch.full_like(parameter, gradient)
    zeros = torch.zeros_like(parameter)
    step = equations.adamw_step(parameter.detach(), parameter.grad, zeros, zeros, step=1, learning_rate=0.1)
    torch.optim.AdamW([parameter], lr=0.1, fused=True).step()
    assert [part.dtype for part in step] == [dtype] * 3
    torch.testing.assert_close(step[0], parameter.detach(), rtol=2 * torch.finfo(dtype).eps, atol=0)


@every_half
def test_clipping_of_gradients_whose_squares_overflow(dtype: torch.dtype) -> None:
    gradients = [torch.full((3,), 300.0, dtype=dtype), torch.full((1,), 400.0, dtype=dtype)]
    clipped, norm = equations.clip_by_global_norm(gradients, max_norm=1.0)
    assert [part.dtype for part in clipped] == [dtype] * 2
    torch.testing.assert_close(norm.float(), torch.tensor([300.0, 300.0, 300.0, 400.0]).norm())
    torch.testing.assert_close(torch.cat(clipped).float().norm(), torch.tensor(1.0), rtol=torch.finfo(dtype).eps, atol=0)


SIZES = {"vocab_size": 30, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 16}
IDS = torch.tensor([[5, 6, 7, 8, 9], [9, 4, 4, 11, 12]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
MODELS: dict[str, Callable[[], nn.Module]] = {
    "BERT": lambda: BertForPreTraining(BertConfig(**SIZES, num_hidden_layers=2)),
    "BERT, gelu_new": lambda: BertForPreTraining(BertConfig(**SIZES, num_hidden_layers=2, hidden_act="gelu_new")),
    "ALiBi": lambda: Transformer(TransformerConfig(**SIZES, encoder_layers=1, decoder_layers=1, positions="alibi")),
    "rotary": lambda: Transformer(TransformerConfig(**SIZES, encoder_layers=1, decoder_layers=1, positions="rotary")),
}


@every_device
@every_half
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("scale", [1.0, 1e3])
@pytest.mark.parametrize("name", MODELS)
def test_a_recording_does_not_change_the_numbers(
    name: str, scale: float, autocast: bool, dtype: torch.dtype, device: str
) -> None:
    """The losses agree with half-precision weights and with autocast, also where queries and keys are large."""
    torch.manual_seed(0)
    model = MODELS[name]().to(device).eval()
    for path, module in model.named_modules():
        if path.endswith(("attention.query", "attention.key")):
            nn.init.normal_(module.weight, std=scale * 32**-0.5)
    if not autocast:
        model.to(dtype)
    ids, mask = IDS.to(device), MASK.to(device)
    with torch.autocast(device, dtype, enabled=autocast):
        plain = model(ids, mask, labels=ids).loss
        with record(model) as recording:
            recorded = model(ids, mask, labels=ids).loss
    assert any(path.endswith("attention.scores") for path in recording)
    assert recorded.isfinite()
    # Scores of a million have a rounding error of 0.1 in single precision, and the kernels of a GPU add in another order.
    rounding = 0.1 if scale > 1 and device == "cuda" else 8 * torch.finfo(dtype).eps
    torch.testing.assert_close(recorded, plain, rtol=rounding, atol=0)
