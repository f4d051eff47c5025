"""Operations that store less for the backward pass than those of PyTorch.

Together they save a tenth of the memory of a training step of BERT-small (16 sequences of 128 tokens, single precision).
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional as F

from minibert.checks import can_check_values
from minibert.kernels.products import linear, matrix_product
from minibert.observe import is_recording
from minibert.precision import autocast_dtype


def dropout(hidden: Float[Tensor, "*shape"], probability: float, training: bool = True) -> Float[Tensor, "*shape"]:
    """Compute dropout, as `nn.functional.dropout` does.

    On a CPU, PyTorch stores a factor for each number, in the type of the numbers. Here it is one byte for each.
    """
    if training and 0 < probability < 1 and _is_trained(hidden):
        dropped: Tensor = _Dropout.apply(hidden, probability)  # type: ignore[no-untyped-call]
        return dropped
    return F.dropout(hidden, probability, training)


def activated_linear(
    hidden: Float[Tensor, "*batch width"],
    activation: Callable[[Tensor], Tensor],
    weight: Float[Tensor, "features width"],
    bias: Float[Tensor, " features"] | None = None,
) -> Float[Tensor, "*batch features"]:
    """Compute f(x) Wᵀ + b for an activation function f.

    The backward pass computes f(x) again, which takes little time. PyTorch would store both x and f(x), which are usually four
    times as wide as the vectors of the tokens.
    """
    parameters = (each for each in (weight, bias) if each is not None)
    if _is_trained(hidden) and all(map(can_check_values, parameters)) and autocast_dtype(hidden.device) is None:
        output: Tensor = _ActivatedLinear.apply(hidden, activation, weight, bias)  # type: ignore[no-untyped-call]
        return output
    return linear(activation(hidden), weight, bias)


def _is_trained(hidden: Tensor) -> bool:
    """Return True if something is stored for a backward pass, on a CPU. Directional derivatives have no backward pass."""
    return (
        torch.is_grad_enabled()
        and hidden.requires_grad
        and can_check_values(hidden)
        and not is_recording()
        and forward_ad._current_level < 0
    )


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, probability: float) -> Tensor:
        stays = torch.empty_like(hidden, dtype=torch.bool).bernoulli_(1 - probability)
        ctx.save_for_backward(stays)
        ctx.scale = 1 / (1 - probability)
        return (hidden * stays).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, d_output: Tensor) -> tuple[Tensor | None, ...]:
        (stays,) = ctx.saved_tensors
        return d_output * stays * ctx.scale, None


class _ActivatedLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, activation: Callable[[Tensor], Tensor], weight: Tensor, bias: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(hidden, weight)
        ctx.activation = activation
        return linear(activation(hidden), weight, bias)

    @staticmethod
    def backward(ctx: Any, d_output: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight = ctx.saved_tensors
        _, _, needs_weight, needs_bias = ctx.needs_input_grad
        needs_graph = torch.is_grad_enabled()  # for second derivatives
        with torch.enable_grad():
            start = hidden if needs_graph else hidden.detach().requires_grad_()
            activated = ctx.activation(start)
        product = torch.matmul if needs_graph else matrix_product
        d_rows = d_output.reshape(-1, len(weight))
        d_activated = product(d_rows, weight).view_as(activated)
        (d_hidden,) = torch.autograd.grad(activated, start, d_activated, create_graph=needs_graph)
        d_weight = product(d_rows.mT, activated.reshape(-1, weight.shape[1])) if needs_weight else None
        return d_hidden, None, d_weight, d_rows.sum(dim=0) if needs_bias else None
