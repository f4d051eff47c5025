"""The linear layer of all networks."""

from jaxtyping import Float
from torch import Tensor, nn

from minibert import kernels


class Linear(nn.Linear):
    """A linear map x Wᵀ + b, as `nn.Linear`, which libraries such as peft expect. Its product is `kernels.linear`."""

    def forward(self, hidden: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch features"]:
        return kernels.linear(hidden, self.weight, self.bias)


LINEAR = (nn.Linear, Linear)
"""Types of linear layers without an adapter."""
