"""FlashAttention with the kernels of `triton_attention`, for batches with padding and for sequences without it.

Triton is an optional dependency. It is imported when it is first used.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from minibert.observe import observe


def triton_kernels() -> Callable[..., Tensor]:
    """Return the function that runs the kernels. Raises: ImportError if Triton is not installed."""
    try:
        from minibert.kernels.triton_attention import run_kernels
    except ModuleNotFoundError as error:
        raise ImportError('attention="triton" needs Triton, for Linux: pip install triton, or choose another one') from error
    kernels: Callable[..., Tensor] = run_kernels
    return kernels


def flash_attention(
    query: Float[Tensor, "*batch queries width"],
    key: Float[Tensor, "*batch keys width"],
    value: Float[Tensor, "*batch keys value_width"],
    keep: Bool[Tensor, "*#batch #queries keys"] | None = None,
    dropout: float = 0.0,
    bias: Float[Tensor, "*#batch #queries keys"] | None = None,
) -> Float[Tensor, "*batch queries value_width"]:
    """Compute `equations.scaled_dot_product_attention` by FlashAttention, written by hand. Only `context` can be observed.

    Raises: ValueError for a bias that needs a gradient, for tensors that are not on a CUDA device, and for bfloat16 in
        Triton's interpreter; RuntimeError for second derivatives.
    """
    if bias is not None and bias.requires_grad:
        raise ValueError('attention="triton" computes no gradient of the bias: choose "fused" or "explicit"')
    *batch, queries, _ = query.shape
    keys = key.shape[-2]
    mask = bias
    if keep is not None:
        mask = keep.view(torch.uint8) if bias is None else bias.masked_fill(~keep, -math.inf)
    if mask is not None:
        mask = mask.expand(*batch, queries, keys)[(None,) * (2 - len(batch))].flatten(0, -4)
    count = torch.arange(math.prod(batch) + 1, device=query.device)
    options = {"mask": mask, "heads": batch[-1] if batch else 1, "causal": False, "dropout": dropout}
    return observe(
        "context",
        triton_kernels()([query, key, value], [count * queries, count * keys], [queries, keys], **options),
    )


def ragged_flash_attention(
    query: Float[Tensor, "1 heads tokens width"],
    key: Float[Tensor, "1 heads tokens width"],
    value: Float[Tensor, "1 heads tokens value_width"],
    offsets: Int[Tensor, " sequences_and_end"],
    causal: bool = False,
    dropout: float = 0.0,
    longest: int | None = None,
) -> Float[Tensor, "1 heads tokens value_width"]:
    """Compute the attention of sequences without padding: each token attends to the tokens of its own sequence.

    The kernels are those of `flash_attention`, and so are the errors.

    Args:
        offsets: the number of the first token of each sequence, and last the number of all tokens.
        causal: a token attends to itself and to earlier tokens only.
        longest: the largest length, or more. None: it is computed from `offsets`, which waits for the GPU.
    """
    if longest is None:
        longest = max(offsets.diff().tolist(), default=0)
    heads, tokens = query.shape[1:3]
    begins = torch.arange(heads, device=query.device)[:, None] * tokens + offsets[:-1]
    begins = F.pad(begins.flatten(), (0, 1), value=heads * tokens)
    options = {"mask": None, "heads": heads, "causal": causal, "dropout": dropout}
    return triton_kernels()([query, key, value], [begins, begins], [longest, longest], **options)
