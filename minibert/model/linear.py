"""The linear layer and the dropout of all networks."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from minibert import kernels


class Linear(nn.Linear):
    """A linear map x Wᵀ + b, as `nn.Linear`, which libraries such as peft expect. Its product is `kernels.linear`."""

    def forward(self, hidden: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch features"]:
        return kernels.linear(hidden, self.weight, self.bias)


class ActivatedLinear(Linear):
    """The linear map after an activation function. If it applies that function itself, training stores less."""

    def forward(
        self, hidden: Float[Tensor, "*batch width"], activation: Callable[[Tensor], Tensor] | None = None
    ) -> Float[Tensor, "*batch features"]:
        if activation is None:
            return super().forward(hidden)
        return kernels.activated_linear(hidden, activation, self.weight, self.bias)


class Dropout(nn.Dropout):
    """Dropout, as `nn.Dropout`, by `kernels.dropout`."""

    def forward(self, hidden: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return kernels.dropout(hidden, self.p, self.training)


LINEAR = (nn.Linear, Linear, ActivatedLinear)
"""Types of linear layers without an adapter."""
