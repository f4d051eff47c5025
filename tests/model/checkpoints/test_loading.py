"""Tests of checkpoint files: weights, older file formats, and errors for files that cannot be loaded."""

import json
import math
import pickle
import re
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings

from minibert import Bert, BertConfig, BertForPreTraining, BertForSequenceClassification
from minibert.model import load, read_checkpoint
from minibert.model.checkpoints.loading import _widest
from tests.model.random_checkpoints import CLASSES, configs, inputs_for, largest_difference
from tests.strategies import seeds

CONFIG = BertConfig(
    vocab_size=40, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12, max_position_embeddings=9
)


class TestCopyWeights:
    @settings(max_examples=20)
    @given(configs(), seeds)
    def test_value(self, config: BertConfig, seed: int) -> None:
        """Parameters equal their tensors in the file, without transposition."""
        torch.manual_seed(seed)
        with tempfile.TemporaryDirectory() as folder:
            BertForPreTraining(config).save_pretrained(folder)
            file = safetensors.torch.load_file(Path(folder) / "model.safetensors")
            model = BertForPreTraining.from_pretrained(folder)
        parameters = dict(model.bert.named_parameters())
        for number in range(config.num_hidden_layers):
            for ours, theirs in (("query", "self.query"), ("output", "output.dense")):
                expected = file[f"bert.encoder.layer.{number}.attention.{theirs}.weight"]
                assert torch.equal(parameters[f"layers.{number}.attention.{ours}.weight"], expected)

    @settings(max_examples=20)
    @given(configs(), seeds)
    def test_loaded_model_computes_the_same_outputs(self, config: BertConfig, seed: int) -> None:
        """All outputs are equal bit for bit."""
        torch.manual_seed(seed)
        model = BertForPreTraining(config).eval()
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            other = BertForPreTraining.from_pretrained(folder)
        inputs = inputs_for(config, seed)
        assert largest_difference(model(**inputs), other(**inputs)) == 0


@pytest.mark.parametrize("ours", CLASSES)
def test_saved_model_is_loaded_unchanged(tmp_path: Path, ours) -> None:
    """All weights are equal bit for bit. The loaded model is in evaluation mode."""
    model = ours(CONFIG)
    model.save_pretrained(tmp_path)
    loaded = ours.from_pretrained(tmp_path, attention="explicit")
    assert loaded.config == CONFIG
    assert not loaded.training
    assert loaded.attention_in_use() == "explicit: as requested"
    for (name, one), other in zip(model.state_dict().items(), loaded.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


def test_missing_head_is_initialized_with_a_warning(tmp_path: Path) -> None:
    """One warning lists the parameters of the new classifier and the heads that are not used."""
    pretrained = BertForPreTraining(CONFIG)
    pretrained.save_pretrained(tmp_path)
    assert read_checkpoint(tmp_path).heads == ["encoder", "pretraining", "mlm", "nsp"]
    with pytest.warns(
        UserWarning, match=r"newly initialized.*classifier.weight.*not used by BertForSequenceClassification: cls\."
    ) as caught:
        model = BertForSequenceClassification.from_pretrained(tmp_path)
    assert len(caught) == 1
    torch.testing.assert_close(model.bert.pooler.dense.weight, pretrained.bert.pooler.dense.weight)
    assert model.classifier.weight.std() > 0


def save(tmp_path: Path, **changes: torch.Tensor | None) -> None:
    """Save a checkpoint with some tensors replaced, or left out where `changes` has None."""
    BertForPreTraining(CONFIG).save_pretrained(tmp_path)
    tensors = safetensors.torch.load_file(tmp_path / "model.safetensors") | changes
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    safetensors.torch.save_file(tensors, tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bert.embeddings.LayerNorm.weight": None}, "has no embeddings.LayerNorm.weight"),
        ({"bert.embeddings.word_embeddings.weight": None}, "has no embeddings.word_embeddings.weight. Is it a Bert"),
        (
            {"cls.seq_relationship.bias": torch.tensor([0.0, math.nan])},
            "tensor cls.seq_relationship.bias has infinite or",
        ),
        ({"bert.pooler.dense.weight": torch.zeros(16, 16)}, r"pooler.dense.weight has shape \(16, 16\).*\(8, 8\)"),
        ({"bert.embeddings.word_embeddings.weight": torch.zeros(41, 8)}, r"shape \(41, 8\), config.json requires \(40, 8\)"),
    ],
)
def test_missing_and_mismatched_tensors_are_rejected(
    tmp_path: Path, changes: dict[str, torch.Tensor | None], message: str
) -> None:
    save(tmp_path, **changes)
    with pytest.raises(ValueError, match=message) as error:
        BertForPreTraining.from_pretrained(tmp_path)
    assert "model.safetensors" in str(error.value)


def test_truncated_file_is_rejected(tmp_path: Path) -> None:
    save(tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"model.safetensors: is not a complete safetensors file"):
        Bert.from_pretrained(tmp_path)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_folder_without_checkpoint_is_rejected(tmp_path: Path, missing: str) -> None:
    save(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(FileNotFoundError, match=f"is not a checkpoint, it has no.* {missing}"):
        Bert.from_pretrained(tmp_path)


def loads_unchanged(model: BertForPreTraining, folder: Path) -> bool:
    """Return True if the model in a folder loads without a warning and computes the same outputs as `model`, bit for bit."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other = BertForPreTraining.from_pretrained(folder)
    inputs = inputs_for(CONFIG, 0)
    return largest_difference(model.eval()(**inputs), other(**inputs)) == 0


def save_and_remove_weights(folder: Path) -> tuple[BertForPreTraining, dict[str, torch.Tensor]]:
    """Create and save a model; return it and its tensors, and remove the file with the weights."""
    model = BertForPreTraining(CONFIG)
    model.save_pretrained(folder)
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    return model, tensors


def test_weights_may_be_pickled(tmp_path: Path) -> None:
    model, tensors = save_and_remove_weights(tmp_path)
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    assert loads_unchanged(model, tmp_path)


def test_weights_may_be_sharded(tmp_path: Path) -> None:
    """An index lists the shards. A missing shard and an index with a path outside the folder are rejected."""
    model, tensors = save_and_remove_weights(tmp_path)
    names = sorted(tensors)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, shard in parts.items():
        safetensors.torch.save_file({name: tensors[name] for name in shard}, tmp_path / file)
    index = {"weight_map": {name: file for file, shard in parts.items() for name in shard}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert loads_unchanged(model, tmp_path)
    (tmp_path / "b.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"lists b.safetensors, which is missing"):
        Bert.from_pretrained(tmp_path)
    index["weight_map"][names[0]] = "../a.safetensors"
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"'../a.safetensors' is not a plain file name"):
        Bert.from_pretrained(tmp_path)


@pytest.mark.parametrize("change", ["no prefix", "gamma and beta", "tied copy", "position ids", "path of the file"])
def test_older_file_formats_load_the_same_model(tmp_path: Path, change: str) -> None:
    model, tensors = save_and_remove_weights(tmp_path)
    words = tensors["bert.embeddings.word_embeddings.weight"]
    if change == "no prefix":
        tensors = {name.removeprefix("bert."): tensor for name, tensor in tensors.items()}
    if change == "gamma and beta":
        old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
        tensors = {re.sub("|".join(old), lambda found: old[found[0]], name): tensor for name, tensor in tensors.items()}
        assert any("gamma" in name for name in tensors)
    if change == "tied copy":
        bias = tensors["cls.predictions.bias"].clone()
        tensors |= {"cls.predictions.decoder.weight": words.clone(), "cls.predictions.decoder.bias": bias}
    if change == "position ids":
        tensors["bert.embeddings.position_ids"] = torch.arange(9)[None]
    safetensors.torch.save_file(tensors, tmp_path / "model.safetensors")
    assert loads_unchanged(model, tmp_path / "model.safetensors" if change == "path of the file" else tmp_path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_files_are_loaded_in_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    model, tensors = save_and_remove_weights(tmp_path)
    safetensors.torch.save_file({name: tensor.to(dtype) for name, tensor in tensors.items()}, tmp_path / "model.safetensors")
    loaded = Bert.from_pretrained(tmp_path / "model.safetensors")
    weight = model.bert.embeddings.words.weight
    assert loaded.embeddings.words.weight.dtype == torch.float32
    torch.testing.assert_close(loaded.embeddings.words.weight, weight.to(dtype).float(), rtol=0, atol=0)


def test_pickle_with_code_is_rejected(tmp_path: Path) -> None:
    """No code in the file is executed."""
    save_and_remove_weights(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Hostile(str(tmp_path / "created"))))
    with pytest.raises(ValueError, match=r"pytorch_model.bin: is not a complete file of PyTorch weights"):
        Bert.from_pretrained(tmp_path)
    assert not (tmp_path / "created").exists()


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.zeros(8, 8).to_sparse(), "is not stored as a dense tensor"),
        (torch.zeros(1).expand(10**5, 10**5), "has a shape larger than its stored data"),
        (torch.zeros(8, 8, dtype=torch.int8), "has the type int8: quantized weights are not supported"),
        (torch.full((8, 8), 1e300, dtype=torch.float64), "has infinite or NaN values"),
        (torch.zeros(8, 8, dtype=torch.complex64), "has the type complex64"),
    ],
)
def test_unsupported_tensors_are_rejected(tmp_path: Path, tensor: torch.Tensor, message: str) -> None:
    """They are rejected before they are expanded in memory."""
    _, tensors = save_and_remove_weights(tmp_path)
    torch.save(tensors | {"bert.pooler.dense.weight": tensor}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=f"tensor bert.pooler.dense.weight {message}"):
        Bert.from_pretrained(tmp_path)


def test_layers_without_weights_are_rejected(tmp_path: Path) -> None:
    """No memory is allocated for the layers in config.json before the shapes of the tensors are checked."""
    _, tensors = save_and_remove_weights(tmp_path)
    extra = {f"bert.encoder.layer.{n}.attention.self.query.weight": torch.zeros(0) for n in range(2, 300)}
    safetensors.torch.save_file(tensors | extra, tmp_path / "model.safetensors")
    config = json.loads((tmp_path / "config.json").read_text()) | {"num_hidden_layers": 300}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"has no encoder.layer.2.attention.self.query.bias.* and .* more"):
        Bert.from_pretrained(tmp_path)


class Hostile:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (self.path, "w")


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model_type": "roberta"}, "model_type 'roberta' is not supported here, only 'bert'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type 'relative_key' is not supported"),
        ({"add_cross_attention": True}, "add_cross_attention True is not supported"),
        ({"is_decoder": True}, "is_decoder True is not supported"),
        ({"hidden_act": "mish"}, "hidden_act 'mish' is unknown; choose one of gelu, gelu_new"),
        ({"num_hidden_layers": 10**9}, r"has 2 layers \(layers\), config.json says 1000000000"),
        ({"vocab_size": 10**15}, r"config.json requires \(1000000000000000, 8\)"),
        ({"id2label": None, "num_labels": 10**9}, "num_labels must be from 1 to 100000"),
        ({"layer_norm_eps": "small"}, "layer_norm_eps must be a number from 0 to 1e\\+06, not 'small'"),
        ({"hidden_size": "8"}, "hidden_size must be a whole number, not '8'"),
    ],
)
def test_unsupported_config_is_rejected(tmp_path: Path, changed: dict[str, object], message: str) -> None:
    """The error is raised before anything of the stated size is allocated."""
    BertForPreTraining(CONFIG).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text()) | changed
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=message) as error:
        BertForPreTraining.from_pretrained(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_pad_token_id_may_be_null(tmp_path: Path) -> None:
    """Then every word embedding is trained, as in transformers. It is null again when saved."""
    Bert(CONFIG).save_pretrained(tmp_path)
    changed = json.loads((tmp_path / "config.json").read_text()) | {"pad_token_id": None}
    (tmp_path / "config.json").write_text(json.dumps(changed))
    transformers = pytest.importorskip("transformers")
    ours, theirs = Bert.from_pretrained(tmp_path).train(), transformers.BertModel.from_pretrained(tmp_path).train()
    for model in (ours, theirs):
        model(torch.tensor([[0, 1]])).last_hidden_state.square().sum().backward()
    assert ours.embeddings.words.weight.grad[0].any()
    assert theirs.embeddings.word_embeddings.weight.grad[0].any()
    ours.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["pad_token_id"] is None


def test_labels_have_default_names(tmp_path: Path) -> None:
    """Older files have `num_labels` but no class names."""
    config = BertForSequenceClassification(CONFIG.with_labels(["a", "b", "c"]))
    config.save_pretrained(tmp_path)
    fields = json.loads((tmp_path / "config.json").read_text()) | {"id2label": None, "num_labels": 3}
    (tmp_path / "config.json").write_text(json.dumps(fields))
    loaded = BertForSequenceClassification.from_pretrained(tmp_path)
    assert loaded.config.id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}


def test_saved_config_has_the_fields_of_hugging_face(tmp_path: Path) -> None:
    CONFIG.with_labels(["no", "yes"]).save_json(tmp_path / "config.json", "BertForSequenceClassification")
    stored = json.loads((tmp_path / "config.json").read_text())
    assert stored["model_type"] == "bert"
    assert stored["architectures"] == ["BertForSequenceClassification"]
    assert stored["id2label"] == {"0": "no", "1": "yes"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_parameters_have_the_type_that_is_asked_for(dtype: torch.dtype, tmp_path: Path) -> None:
    Bert(CONFIG).save_pretrained(tmp_path)
    assert {parameter.dtype for parameter in load(tmp_path, dtype=dtype).parameters()} == {dtype}


@pytest.mark.parametrize(
    ("dtypes", "widest"),
    [
        ([], torch.float32),
        ([torch.bfloat16, torch.float16], torch.float32),
        ([torch.float32, torch.float64, torch.float16], torch.float64),
        ([torch.float16, torch.float32, torch.float64], torch.float64),
    ],
)
def test_no_tensor_loses_precision(dtypes: list[torch.dtype], widest: torch.dtype) -> None:
    """The type of a network is at least float32, and that of the most precise tensor, wherever it stands."""
    assert _widest(torch.ones(1, dtype=dtype) for dtype in dtypes) == widest


def test_a_head_has_the_classes_of_the_labels(tmp_path: Path) -> None:
    """A head of another size is initialized. Without labels, its size must be that of the config."""
    BertForSequenceClassification(CONFIG).save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match=r"newly initialized .*: classifier.weight, classifier.bias$"):
        model = load(tmp_path, labels=["a", "b", "c"])
    assert model.classifier.weight.shape == (3, 8)
    stored = json.loads((tmp_path / "config.json").read_text()) | {"id2label": {str(n): str(n) for n in range(3)}}
    (tmp_path / "config.json").write_text(json.dumps(stored))
    with pytest.raises(ValueError, match=r"classifier.* has shape \(2, 8\)"):
        load(tmp_path)


def test_a_config_can_be_adjusted(tmp_path: Path) -> None:
    """After the labels are known. The weights are those of the file."""
    saved = BertForSequenceClassification(CONFIG)
    saved.save_pretrained(tmp_path)
    seen = []

    def without_dropout(config: BertConfig) -> BertConfig:
        seen.append(config)
        return replace(config, hidden_dropout_prob=0.0)

    model = read_checkpoint(tmp_path).load(labels=["LABEL_1", "LABEL_0"], adjust=without_dropout)
    assert model.config == replace(seen[0], hidden_dropout_prob=0.0)
    assert [*seen[0].id2label.values()] == ["LABEL_1", "LABEL_0"]
    torch.testing.assert_close(model.classifier.weight, saved.classifier.weight.flip(0), rtol=0, atol=0)
