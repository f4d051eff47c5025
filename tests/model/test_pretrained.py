"""What all networks have in common."""

import pytest
import torch

from minibert import Bert
from minibert.model import pretrained
from minibert.model.layers import LayerNorm
from tests.model.adapters.networks import CONFIG


def test_a_network_with_an_architecture_of_its_own_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A subclass that inherits the architecture is not: it is loaded as its base class."""
    registered: list[type] = []
    monkeypatch.setattr(pretrained, "register", registered.append)
    own = type("Own", (Bert,), {"architecture": "Own"})
    type("Inherited", (Bert,), {})
    assert registered == [own]


def test_a_class_has_no_settings() -> None:
    with pytest.raises(TypeError, match="takes no keyword arguments"):
        type("Own", (Bert,), {}, setting=1)


def test_initialization_does_not_depend_on_earlier_values() -> None:
    norm = LayerNorm(3, 1e-12)
    torch.nn.init.constant_(norm.weight, 7.0)
    torch.nn.init.constant_(norm.bias, 7.0)
    Bert(CONFIG).initialize(norm)
    assert (norm.weight.tolist(), norm.bias.tolist()) == ([1, 1, 1], [0, 0, 0])
