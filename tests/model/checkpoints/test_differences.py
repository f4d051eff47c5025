"""Differences between a checkpoint and a network: tensors that are missing, unused, or of another shape."""

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from minibert import BertForMaskedLM, BertForSequenceClassification
from minibert.model.checkpoints.loading import Checkpoint
from minibert.model.pretrained import PretrainedModel
from tests.model.adapters.networks import CONFIG, LABELS

WORDS, OUTPUT = "embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"


def stored(model: PretrainedModel) -> Checkpoint:
    """Return the checkpoint of a network, in memory."""
    config = {"architectures": [model.architecture], "model_type": "bert", **model.config.hub_fields()}
    tensors = model.export_weights(model.state_dict(), model.config)
    return Checkpoint("memory", config, Path("config.json"), tensors, Path("file.safetensors"))


def test_of_tied_parameters_the_one_that_is_there_is_named() -> None:
    checkpoint = stored(BertForMaskedLM(replace(CONFIG, tie_word_embeddings=False)))
    checkpoint.tensors.pop(f"bert.{WORDS}")
    with pytest.raises(ValueError, match=rf"^file.safetensors: has no {WORDS}, only {OUTPUT}, which is another tensor if"):
        checkpoint.load()


def test_a_tensor_without_a_place_in_the_network_is_named() -> None:
    """Under the name of the file."""
    checkpoint = stored(BertForMaskedLM(CONFIG))
    checkpoint.tensors["classifier.weight"] = torch.ones(3, 8)
    with pytest.warns(UserWarning, match=r"^file.safetensors: in the file, but not used by BertForMaskedLM: classifier.weight"):
        checkpoint.load("mlm")
    with warnings.catch_warnings(action="error"):
        stored(BertForMaskedLM(CONFIG)).load("mlm")


def test_a_head_of_another_size_is_new_only_with_labels() -> None:
    """The names of the classes tell that the size is meant."""
    model = BertForSequenceClassification(CONFIG.with_labels(LABELS))
    with pytest.warns(UserWarning, match=r"newly initialized .*: classifier.weight, classifier.bias$"):
        assert stored(model).load(labels=["a", "b"]).config.num_labels == 2
    checkpoint = stored(model)
    checkpoint.tensors["classifier.weight"] = torch.ones(2, 8)
    with pytest.raises(ValueError, match=r"tensor classifier.weight has shape \(2, 8\), config.json requires \(3, 8\)"):
        checkpoint.load()


@pytest.mark.parametrize(
    ("named", "architectures"), [(["A", 1, "B"], ["A", "B"]), ("AB", []), ({"A": "B"}, []), (None, []), ([], [])]
)
def test_architectures_are_a_list_of_names(named: object, architectures: list[str]) -> None:
    checkpoint = Checkpoint("memory", {"architectures": named}, Path("config.json"), {}, Path("file.safetensors"))
    assert checkpoint.architectures == architectures


def test_constants_of_a_loaded_network_are_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen: list[PretrainedModel] = []
    monkeypatch.setattr(BertForMaskedLM, "freeze_constants", lambda model: frozen.append(model))
    assert stored(BertForMaskedLM(CONFIG)).load("mlm") is frozen[0]
