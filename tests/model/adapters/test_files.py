"""Where an adapter is found, and which modules it needs in the network that loads it."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from minibert import BertForMaskedLM, load
from minibert.model.adapters import BitFit, Bottleneck, LoRA, files, load_adapter
from minibert.model.adapters.adapter import Adapter
from minibert.model.adapters.files import find_adapter
from minibert.model.checkpoints.weights import read_tensors, write_weights
from tests.model.adapters.networks import CONFIG, base_checkpoint, move, new_network, outputs

pytestmark = pytest.mark.filterwarnings("ignore:.*newly initialized")


def trained(tmp_path: Path, adapter: Adapter) -> Path:
    """Write the merged network and, in a folder of it, the moved adapter; return the folder of the network."""
    model = new_network(base_checkpoint(tmp_path))
    adapter.apply(model)
    move(model)
    model.save_pretrained(tmp_path / "run")
    return tmp_path / "run"


def test_an_adapter_is_a_folder_or_the_folder_adapter_in_it(tmp_path: Path) -> None:
    """Unless a whole model is around it, with its config and weights: that has the adapter in its weights."""
    run = trained(tmp_path, LoRA())
    assert find_adapter(run / "adapter") == find_adapter(str(run / "adapter")) == run / "adapter"
    assert find_adapter(tmp_path / "base") is find_adapter(run) is None
    for name in ("config.json", "model.safetensors"):
        hidden = (run / name).rename(tmp_path / name)
        assert find_adapter(run) == run / "adapter"
        hidden.rename(run / name)


class TestOnTheHub:
    """The files of a repository are downloaded one by one."""

    def fetched(self, monkeypatch: pytest.MonkeyPatch, *existing: str) -> list[str]:
        """Replace the download. Return the list of the names that are asked for."""
        asked: list[str] = []

        def fetch(source: str, name: str) -> Path | None:
            assert source == "somebody/model"
            asked.append(name)
            return Path("/cache/snapshot", name) if name in existing else None

        monkeypatch.setattr(files, "fetch", fetch)
        return asked

    def test_an_adapter_is_a_folder_of_the_cache(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The config of the network is downloaded with the settings."""
        asked = self.fetched(monkeypatch, "adapter_config.json", "model_config.json")
        assert find_adapter("somebody/model") == Path("/cache/snapshot")
        assert asked[-2:] == ["adapter_config.json", "model_config.json"]

    def test_an_adapter_without_a_config_of_the_network(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fetched(monkeypatch, "adapter_config.json")
        assert find_adapter("somebody/model") == Path("/cache/snapshot")

    @pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
    def test_a_repository_with_weights_is_no_adapter(self, weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its adapter is not asked for."""
        asked = self.fetched(monkeypatch, weights, "adapter_config.json")
        assert find_adapter("somebody/model") is None
        assert "adapter_config.json" not in asked

    def test_a_repository_without_anything(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = self.fetched(monkeypatch)
        assert find_adapter("somebody/model") is None
        assert "model_config.json" not in asked


def test_a_file_is_no_adapter(tmp_path: Path) -> None:
    """It is not looked for on the hub either."""
    (tmp_path / "file").touch()
    assert find_adapter(tmp_path / "file") is None


def test_trained_modules_that_the_network_does_not_have_are_left_out(tmp_path: Path) -> None:
    """An encoder alone has no head, but can have the updates of its layers."""
    run = trained(tmp_path, LoRA(targets=("query",)))
    encoder = load(tmp_path / "base")
    load_adapter(encoder, run / "adapter")
    expected = load(run / "adapter").bert
    ids = torch.arange(1, 7)[None]
    assert torch.equal(encoder.eval()(ids).last_hidden_state, expected.eval()(ids).last_hidden_state)
    assert len(outputs(encoder)) == 1


@pytest.mark.parametrize("adapter", [BitFit(targets=("query", "key")), Bottleneck(size=2)], ids=lambda each: each.kind)
def test_an_adapter_is_loaded_with_its_settings(adapter: Adapter, tmp_path: Path) -> None:
    run = trained(tmp_path, adapter)
    loaded = load(run / "adapter").adapter
    assert loaded is not None
    assert loaded.train == ("bert.pooler.dense", "classifier")
    assert replace(loaded, train=adapter.train) == adapter


def test_a_tied_matrix_is_not_written_with_the_head(tmp_path: Path) -> None:
    """The word embeddings are frozen, so the output matrix that is the same tensor is no part of the adapter."""
    model = BertForMaskedLM(CONFIG)
    BitFit(train=("mlm",)).apply(model)
    model.save_pretrained(tmp_path)
    names = read_tensors(tmp_path / "adapter/adapter.safetensors").keys()
    assert "cls.predictions.transform.dense.weight" in names
    assert not [name for name in names if "decoder.weight" in name or "word_embeddings" in name]


@pytest.mark.parametrize("module", ["mlm", "mlm.norm"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_tied_matrix_is_a_part_of_its_head_on_request(module: str, tied: bool) -> None:
    """It is the output matrix, whether it is the one of the word embeddings or not."""
    model = BertForMaskedLM(replace(CONFIG, tie_word_embeddings=tied))
    BitFit(train=(module,)).apply(model)
    found = files.whole_tensors(model, model.state_dict(), with_tied=True)
    if tied or module == "mlm":
        output = model.bert.embeddings.words if tied else model.mlm.decoder
        assert torch.equal(found["cls.predictions.decoder.weight"], output.weight)
    else:
        assert "cls.predictions.decoder.weight" not in found


def test_tensors_of_an_adapter_are_numbers(tmp_path: Path) -> None:
    (tmp_path / files.SETTINGS_FILE).write_text(json.dumps({"kind": "bitfit", "settings": {}}))
    write_weights({"bert.x.bias": torch.tensor([0.0, math.nan])}, tmp_path / files.WEIGHTS_FILE)
    with pytest.raises(ValueError, match=rf"{files.WEIGHTS_FILE}: tensor bert.x.bias has infinite or NaN values"):
        files._read_own(tmp_path)
