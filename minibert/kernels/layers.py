"""Layer normalization and GELU, each in one pass over memory."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from minibert import equations
from minibert.observe import is_recording
from minibert.precision import autocast_dtype


def layer_norm(
    hidden: Float[Tensor, "*batch width"],
    gain: Float[Tensor, " width"],
    bias: Float[Tensor, " width"],
    eps: float = 1e-12,
) -> Float[Tensor, "*batch width"]:
    """Compute `equations.layer_norm` with PyTorch's kernel.

    With autocast, a GPU computes it in single precision. The result is stored in half precision, as on a CPU: the next product
    reads it so, and it takes half of the memory.
    """
    if is_recording():
        return equations.layer_norm(hidden, gain, bias, eps)
    normalized = F.layer_norm(hidden, gain.shape, gain, bias, eps)
    dtype = autocast_dtype(hidden.device)
    return normalized if dtype is None else normalized.to(dtype)


def gelu(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Compute `equations.gelu` with PyTorch's kernel."""
    return equations.gelu(x) if is_recording() else F.gelu(x)


def gelu_tanh(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Compute `equations.gelu_tanh` with PyTorch's kernel."""
    return equations.gelu_tanh(x) if is_recording() else F.gelu(x, approximate="tanh")
