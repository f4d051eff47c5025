"""Layer normalization and GELU, each in one pass over memory."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from minibert import equations
from minibert.observe import is_recording


def layer_norm(
    hidden: Float[Tensor, "*batch width"],
    gain: Float[Tensor, " width"],
    bias: Float[Tensor, " width"],
    eps: float = 1e-12,
) -> Float[Tensor, "*batch width"]:
    """Compute `equations.layer_norm` with PyTorch's kernel."""
    if is_recording():
        return equations.layer_norm(hidden, gain, bias, eps)
    return F.layer_norm(hidden, gain.shape, gain, bias, eps)


def gelu(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Compute `equations.gelu` with PyTorch's kernel."""
    return equations.gelu(x) if is_recording() else F.gelu(x)


def gelu_tanh(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Compute `equations.gelu_tanh` with PyTorch's kernel."""
    return equations.gelu_tanh(x) if is_recording() else F.gelu(x, approximate="tanh")
