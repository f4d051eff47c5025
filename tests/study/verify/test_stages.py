"""Recording of both libraries: what is left as it was, what is stored, and which inputs are refused."""

import logging
import sys
import warnings
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers.utils import logging as their_logging

from minibert import Bert
from minibert.study.verify.stages import (
    ReferenceStages,
    _hooks,
    _initialized_stages,
    _store_output,
    minibert_stages,
    silent_transformers,
)
from minibert.study.verify.user_attention import probes
from tests.model.adapters.networks import CONFIG, inputs


class Network(nn.Sequential):
    """A network that is its own base model, as transformers names it."""

    @property
    def base_model(self) -> nn.Module:
        return self


def test_an_input_of_another_network_is_refused() -> None:
    wrong = inputs() | {"decoder_input_ids": torch.ones(2, 3), "labels": torch.ones(2)}
    with pytest.raises(ValueError, match="Bert has no input decoder_input_ids, labels: the input is for another network"):
        minibert_stages(Bert(CONFIG), wrong)


def test_stages_after_new_weights_are_found_and_the_network_stays_as_it_was() -> None:
    """The embeddings do not depend on the weights of a layer; later stages do."""
    model = Bert(CONFIG).eval()
    model.embeddings.requires_grad_(False)
    before = [parameter.requires_grad for parameter in model.parameters()]
    assert _initialized_stages(model, inputs()) == set()
    model.initialized = ("layers.1.attention.query.weight",)
    found = _initialized_stages(model, inputs())
    assert "layers.1.attention.query" in found
    assert "layers.2.output" in found
    assert not [path for path in found if path.startswith(("embeddings", "layers.0")) or path.endswith("1.attention.key")]
    assert [parameter.requires_grad for parameter in model.parameters()] == before
    assert not any(parameter.requires_grad for parameter in model.embeddings.parameters())


@pytest.mark.parametrize("error", [None, ZeroDivisionError])
def test_transformers_is_silent_only_inside(error: type[Exception] | None, capsys: pytest.CaptureFixture[str]) -> None:
    before = their_logging.get_verbosity()
    try:
        their_logging.set_verbosity(logging.INFO)
        with pytest.raises(error) if error else nullcontext(), silent_transformers():
            assert their_logging.get_verbosity() == logging.ERROR
            print("progress", file=sys.stderr)
            if error:
                raise error
        assert their_logging.get_verbosity() == logging.INFO
    finally:
        their_logging.set_verbosity(before)
    print("after", file=sys.stderr)
    assert capsys.readouterr().err == "after\n"


def test_hooks_are_gone_afterwards() -> None:
    """What they store is the input or the first output of a module."""
    network = Network(nn.Linear(2, 2), nn.ReLU())
    stages: dict[str, torch.Tensor] = {}
    with _hooks(network, {"before": "<0", "after": "1"}, stages):
        network(torch.ones(1, 2))
    assert stages["before"].tolist() == [[1, 1]]
    assert torch.equal(stages["after"], network(torch.ones(1, 2)))
    stages.clear()
    network(torch.ones(1, 2))
    assert stages == {}
    _store_output(stages, "x", network, (), (torch.ones(1), torch.zeros(1)))
    assert stages["x"].item() == 1


def test_a_reference_of_a_folder_with_an_undecodable_name_is_saved(tmp_path: Path) -> None:
    reference = ReferenceStages(inputs(), {"b": torch.ones(2), "a": torch.ones(3)}, "folder\udcff", "transformers 5")
    reference.save(tmp_path / "r.safetensors")
    loaded = ReferenceStages.load(tmp_path / "r.safetensors")
    assert loaded.checkpoint.startswith("folder")
    assert [*loaded.stages] == ["b", "a"]
    assert loaded.made_with == "transformers 5"


def test_probes_tell_rows_and_columns_apart() -> None:
    """Every row and every column of the first mask has kept and masked entries, and no two rows are equal."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        keep = probes(torch.float64)["rows"][3]
    for mask in keep[:, 0]:
        for lines in (mask, mask.mT):
            assert all(0 < int(line.sum()) < len(line) for line in lines)
            assert len({tuple(line.tolist()) for line in lines}) == len(lines)
