"""Products with the weights of a model, on processors for which PyTorch does not choose the fastest kernel.

PyTorch has two libraries for products on a CPU. In single precision it uses MKL, which does not use the widest instructions
(AVX-512) of processors that are not made by Intel; oneDNN does. On an AMD EPYC with two cores, a training step takes 1.3 (tiny)
to 1.6 times (small) as long without oneDNN (benchmarks/ablation.json).
"""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from minibert.checks import can_check_values
from minibert.observe import is_recording
from minibert.precision import autocast_dtype

FEW_TOKENS = 2
"""Largest number of tokens for which a product of blocks is faster for weights of all shapes."""
LARGE = 2**17
"""Smallest number of weights for which blocks are faster."""
BLOCKS = 16
"""Number of blocks of the weights: enough for all cores of a small machine."""
MANY = 2**21
"""Smallest number of multiplications for which oneDNN is faster."""


def linear(
    hidden: Float[Tensor, "*batch width"],
    weight: Float[Tensor, "features width"],
    bias: Float[Tensor, " features"] | None = None,
) -> Float[Tensor, "*batch features"]:
    """Compute x Wᵀ + b, as `nn.functional.linear` does."""
    # A program that asks for the number of tokens would be compiled anew for another one.
    fits = isinstance(hidden, Tensor) and hidden.shape[-1:] == weight.shape[1:] != (0,)
    if fits and not torch.compiler.is_compiling():
        tokens = hidden.numel() // weight.shape[1]
        if 0 < tokens <= FEW_TOKENS and weight.numel() >= LARGE and _has_fast_blocks(weight):
            return _linear_in_blocks(hidden, weight, bias)
        if tokens * weight.numel() >= MANY and all(each is None or _is_for_onednn(each) for each in (hidden, weight, bias)):
            product: Tensor = _Linear.apply(hidden.reshape(-1, weight.shape[1]), weight, bias)  # type: ignore[no-untyped-call]
            return product.view(*hidden.shape[:-1], len(weight))
    return F.linear(hidden, weight, bias)  # its error for another type or width says what was expected


def matrix_product(a: Float[Tensor, "rows inner"], b: Float[Tensor, "inner columns"]) -> Float[Tensor, "rows columns"]:
    """Compute A B, without a gradient."""
    if a.numel() * b.shape[1] >= MANY and _is_for_onednn(a) and _is_for_onednn(b):
        return _onednn(a, b.mT)
    return a @ b


class _Linear(torch.autograd.Function):
    """A linear map whose three products, of the output and the two gradients, are those of oneDNN."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(hidden, weight)
        ctx.save_for_forward(hidden, weight)
        return _onednn(hidden, weight, bias)

    @staticmethod
    def backward(ctx: Any, d_output: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight = ctx.saved_tensors
        needs_hidden, needs_weight, needs_bias = ctx.needs_input_grad
        product = torch.matmul if torch.is_grad_enabled() else matrix_product  # second derivatives need those of PyTorch
        return (
            product(d_output, weight) if needs_hidden else None,
            product(hidden.mT, d_output).mT if needs_weight else None,
            d_output.sum(dim=0) if needs_bias else None,
        )

    @staticmethod
    def jvp(ctx: Any, d_hidden: Tensor | None, d_weight: Tensor | None, d_bias: Tensor | None) -> Tensor:
        hidden, weight = ctx.saved_tensors
        parts = [
            None if d_hidden is None else d_hidden @ weight.mT,
            None if d_weight is None else hidden @ d_weight.mT,
            None if d_bias is None else d_bias.expand(len(hidden), -1),
        ]
        return sum(part for part in parts if part is not None)  # type: ignore[return-value]


def _onednn(hidden: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(hidden, weight, bias, "none", [], "")
    return product


def _is_for_onednn(tensor: Tensor) -> bool:
    """Return False for other devices, types and processors, and where the plain operation is wanted."""
    return (
        not is_recording()
        and tensor.dtype == torch.float32
        and type(tensor) in (Tensor, nn.Parameter)
        and can_check_values(tensor)
        and autocast_dtype(tensor.device) is None
        and onednn_is_faster()
    )


@cache
def onednn_is_faster() -> bool:
    """Return True on an AMD processor with AVX-512, if this version of PyTorch has the operation."""
    processor = Path("/proc/cpuinfo")
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not processor.is_file():
        return False
    if "AuthenticAMD" not in processor.read_text(encoding="utf-8"):
        return False
    numbers = torch.arange(6.0).view(2, 3)
    try:
        return torch.equal(_onednn(numbers, numbers), F.linear(numbers, numbers))
    except (AttributeError, RuntimeError, TypeError):  # it is not a public operation of PyTorch
        return False


def _linear_in_blocks(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Compute the product of a few tokens, which takes as long as reading the weights.

    PyTorch's kernel for it (that of MKL) does not use all threads. The product of a batch of matrices does. Here these are
    blocks of rows. Without it, a token of GPT-2 takes 1.1 (mini) to 1.4 times (small) as long to generate, with two threads of
    an AMD EPYC (benchmarks/ablation.json).
    """
    tokens = hidden.reshape(-1, weight.shape[1])
    in_blocks = len(weight) // BLOCKS * BLOCKS
    # The kernel is slow unless the tokens are the columns of a transposed matrix.
    blocks = torch.bmm(weight[:in_blocks].view(BLOCKS, -1, weight.shape[1]), tokens.mT.expand(BLOCKS, -1, -1))
    product = blocks.flatten(0, 1).mT
    if in_blocks < len(weight):
        product = torch.cat([product, F.linear(tokens, weight[in_blocks:])], dim=-1)
    return (product if bias is None else product + bias).reshape(*hidden.shape[:-1], len(weight))


def _has_fast_blocks(weight: Tensor) -> bool:
    """Return False for other devices, types and memory layouts, and where the plain operation is wanted."""
    return (
        not is_recording()
        and weight.dtype in (torch.float32, torch.float64)
        and type(weight) in (Tensor, nn.Parameter)
        and can_check_values(weight)
        and weight.is_contiguous()
        and torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
        and autocast_dtype(weight.device) is None
    )
