"""Bottleneck adapters: small networks between the frozen layers (Houlsby et al. 2019)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor, nn

from minibert import kernels
from minibert.model.adapters.adapter import ADAPTER_FOLDER, Adapter, replace_module
from minibert.model.adapters.targets import find_modules
from minibert.model.checkpoints.config_file import CONFIG_FILE
from minibert.model.layers import LayerNorm
from minibert.model.linear import LINEAR, Linear
from minibert.observe import observe

if TYPE_CHECKING:
    from minibert.model.pretrained import PretrainedModel


class AdaptedLinear(Linear):
    r"""A frozen linear layer, followed by a bottleneck adapter. The formula is `equations.bottleneck_adapter`.

    Steps:
        bottleneck (*batch bottleneck): $$z = f(x W_{\mathrm{down}}^\top + b_{\mathrm{down}})$$ The few features of the
            bottleneck.
    Tests: tests/model/adapters/test_bottleneck.py::TestAdaptedLinear
    """

    def __init__(self, linear: nn.Linear, size: int, std: float) -> None:
        super().__init__(linear.in_features, linear.out_features, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self.bottleneck_down = Linear(linear.out_features, size)
        self.bottleneck_up = Linear(size, linear.out_features)
        for projection in (self.bottleneck_down, self.bottleneck_up):
            nn.init.trunc_normal_(projection.weight, std=std, a=-2 * std, b=2 * std)
            nn.init.zeros_(projection.bias)
            projection.to(linear.weight)

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch output"]:
        hidden = super().forward(x)
        features = observe("bottleneck", kernels.gelu(self.bottleneck_down(hidden)))
        adapted: Tensor = hidden + self.bottleneck_up(features)
        return adapted


@dataclass(frozen=True, kw_only=True)
class Bottleneck(Adapter):
    """Put an adapter after both sublayers, before their residual connections, and train it with all layer normalizations.

    Source: Houlsby et al. 2019, section 2.1 and figure 2; the head and layer normalization are trained too. The weights begin
        with a truncated normal distribution, so that the adapter is nearly the identity (section 3.6).
    Differs: here the dropout of the sublayer follows the adapter; in Google's code (adapter-bert) the adapter follows the
        dropout, and its initial standard deviation is 0.001.
    """

    kind = "bottleneck"
    inserted = ("bottleneck_down", "bottleneck_up")

    size: int = 64
    """Number of features in the bottleneck."""
    initial_std: float = 0.01
    """Standard deviation of the initial weights."""
    targets: Sequence[str] = ("attention.output", "feed_forward.output")
    """Names of the linear layers that an adapter follows, as in `find_modules`."""

    def __post_init__(self) -> None:
        if not isinstance(self.size, int) or self.size < 1:
            raise ValueError(f"size must be a whole number of at least 1, not {self.size!r}")
        if not 0 < self.initial_std < 1:
            raise ValueError(f"initial_std must be between 0 and 1, not {self.initial_std!r}")

    def insert(self, model: "PretrainedModel", whole: Collection[str]) -> list[str]:
        targets = find_modules(model, self.targets, lambda module: type(module) in LINEAR, whole=whole)
        for name in targets:
            linear = model.get_submodule(name)
            assert isinstance(linear, nn.Linear)
            replace_module(model, name, AdaptedLinear(linear, self.size, self.initial_std))
        norms = [name for name, module in model.named_modules() if isinstance(module, LayerNorm)]
        own = [f"{name}.{part}" for name in targets for part in self.inserted]
        return [f"{name}.{leaf}" for name in (*norms, *own) for leaf in ("weight", "bias")]

    def save(self, model: "PretrainedModel", weights: Mapping[str, Tensor], folder: Path) -> None:
        """Write the adapter to a folder in `folder`. No weights without adapter compute the same, so there are none."""
        model.config.save_json(folder / CONFIG_FILE, model.architecture)
        self.write(model, weights, folder / ADAPTER_FOLDER)
