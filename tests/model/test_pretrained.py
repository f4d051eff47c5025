"""What all networks have in common."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from minibert import Bert, BertForSequenceClassification
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


def test_a_network_is_loaded_with_the_settings_that_are_given(tmp_path: Path) -> None:
    BertForSequenceClassification(replace(CONFIG, id2label={0: "a", 1: "b"})).save_pretrained(tmp_path)
    model = BertForSequenceClassification.from_pretrained(tmp_path, "explicit", torch.float64, ["b", "a"])
    assert model.attention_in_use() == "explicit: as requested"
    assert model.classifier.weight.dtype == torch.float64
    assert model.config.id2label == {0: "b", 1: "a"}
