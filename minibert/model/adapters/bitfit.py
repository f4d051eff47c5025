"""BitFit: only the biases are trained (Ben Zaken et al. 2022)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from minibert.model.adapters.adapter import Adapter
from minibert.model.adapters.targets import find_modules

if TYPE_CHECKING:
    from minibert.model.pretrained import PretrainedModel


@dataclass(frozen=True, kw_only=True)
class BitFit(Adapter):
    """Train the biases of linear layers and of layer normalization, and the head.

    >>> from minibert import BertForSequenceClassification, PRESETS
    >>> model = BertForSequenceClassification(PRESETS["tiny"])
    >>> trained = BitFit().apply(model)
    >>> trained[:2], sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    (('bert.embeddings.norm.bias', 'bert.layers.0.attention.query.bias'), 3330)

    Source: Ben Zaken et al. 2022, section 3. Training the biases of "query" and "feed_forward.intermediate" alone is nearly as
        good (section 4).
    """

    kind = "bitfit"

    targets: Sequence[str] = ("all",)
    """Names of the modules whose biases are trained, as in `find_modules`."""

    def insert(self, model: "PretrainedModel", whole: Collection[str]) -> list[str]:
        return [f"{name}.bias" for name in find_modules(model, self.targets, _has_bias, whole=whole)]


def _has_bias(module: nn.Module) -> bool:
    return getattr(module, "bias", None) is not None
