"""Products of one or two tokens with the weights of a model, as in text generation."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from minibert.observe import is_recording
from minibert.precision import autocast_dtype

FEW_TOKENS = 2
"""Largest number of tokens for which blocks are faster for weights of all shapes."""
LARGE = 2**17
"""Smallest number of weights for which blocks are faster."""
BLOCKS = 16
"""Number of blocks of the weights: enough for all cores of a small machine."""


class FewTokens(TorchFunctionMode):
    """Inside a `with` block, every `nn.functional.linear` is the function `linear` below: in layers, heads and adapters.

    It costs about a microsecond for each operation of PyTorch. Modules stay `nn.Linear`, as libraries such as peft expect.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return linear(*args) if func is F.linear and not kwargs else func(*args, **(kwargs or {}))


def linear(
    hidden: Float[Tensor, "*batch width"],
    weight: Float[Tensor, "features width"],
    bias: Float[Tensor, " features"] | None = None,
) -> Float[Tensor, "*batch features"]:
    """Compute x Wᵀ + b, as `nn.functional.linear` does.

    The product of a few tokens takes as long as reading the weights. For it, PyTorch's kernel on a CPU (that of MKL) reads them
    at 17 GB/s with one or two threads; as the product of a batch of matrices, here blocks of rows, it reads them at 30 GB/s
    with one thread and at 60 GB/s with two, nearly the speed of the memory (AMD EPYC, float32).
    """
    tokens = hidden.reshape(-1, weight.shape[1])
    if not 0 < len(tokens) <= FEW_TOKENS or weight.numel() < LARGE or not _has_fast_blocks(weight):
        return F.linear(hidden, weight, bias)
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
        weight.device.type == "cpu"
        and weight.dtype in (torch.float32, torch.float64)
        and type(weight) in (Tensor, nn.Parameter)
        and weight.is_contiguous()
        and torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
        and autocast_dtype(weight.device) is None
        and not torch.compiler.is_compiling()
        and not is_recording()
    )
