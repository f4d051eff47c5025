"""BitFit: only biases and the new head move; the result is a plain checkpoint."""

import copy
from pathlib import Path

import pytest
import torch

from minibert import BertForSequenceClassification, load
from minibert.model.adapters import BitFit
from tests.model.adapters.networks import base_checkpoint, inputs, new_network, outputs

pytestmark = pytest.mark.filterwarnings("ignore:.*newly initialized")


def train(model: torch.nn.Module) -> set[str]:
    """Train for ten steps with weight decay. Return the names of the parameters that have moved."""
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1, weight_decay=0.5)
    for _ in range(10):
        model(**inputs(), labels=torch.tensor([0, 2])).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}


def test_only_biases_and_the_new_head_move(tmp_path: Path) -> None:
    """Every bias moves, except that of the keys, which has no influence on attention."""
    model = new_network(base_checkpoint(tmp_path))
    trained = BitFit().apply(model)
    moved = train(model)
    new = {name for name, _ in model.named_parameters() if "pooler" in name or "classifier" in name}
    assert {*trained} == {name for name, _ in model.named_parameters() if name.endswith("bias")} | new
    assert moved <= {*trained}
    assert moved >= {name for name in trained if "key" not in name}


def test_targets(tmp_path: Path) -> None:
    """The two biases of section 4 of the paper."""
    model = new_network(base_checkpoint(tmp_path, pooler=True))
    trained = BitFit(targets=("query", "intermediate")).apply(model)
    parts = ("attention.query", "feed_forward.intermediate")
    biases = [f"bert.layers.{number}.{part}.bias" for number in range(3) for part in parts]
    assert trained == (*biases, "classifier.weight", "classifier.bias")


def test_saved_and_loaded_exactly(tmp_path: Path) -> None:
    """The folder is a plain checkpoint, and the folder `adapter` in it has the biases and the head alone."""
    model = new_network(base_checkpoint(tmp_path))
    BitFit().apply(model)
    train(model)
    model.save_pretrained(tmp_path / "run")
    plain, adapted = load(tmp_path / "run"), load(tmp_path / "run/adapter")
    assert isinstance(plain, BertForSequenceClassification)
    assert plain.adapter is None
    assert adapted.adapter_parameters == model.adapter_parameters
    for again in (plain, adapted):
        assert torch.equal(outputs(again)[0], outputs(model)[0])
