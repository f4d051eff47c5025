"""Adapters that are damaged, unsupported, or of another model: an error that names the file and what to do."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from minibert import BertForMaskedLM, load
from minibert.commands import main
from minibert.model.adapters import BitFit, Bottleneck, LoRA, load_adapter
from tests.model.adapters.networks import CONFIG as BASE_CONFIG
from tests.model.adapters.networks import base_checkpoint, move, new_network, outputs

pytestmark = pytest.mark.filterwarnings("ignore:.*newly initialized")
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
QUERY = "base_model.model.bert.encoder.layer.1.attention.self.query"


def written(tmp_path: Path, adapter: Any = None) -> Path:
    """Write the adapter of a moved network; return its folder."""
    if not (tmp_path / "run").exists():
        model = new_network(base_checkpoint(tmp_path))
        (adapter or LoRA(rank=2)).apply(model)
        move(model)
        model.save_pretrained(tmp_path / "run")
    return tmp_path / "run/adapter"


def change_config(folder: Path, **changes: Any) -> None:
    path = folder / CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def change_weights(folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    path = folder / WEIGHTS
    safetensors.torch.save_file(change(safetensors.torch.load_file(path)), path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "IA3"}, "peft_type is 'IA3'; only LORA is supported"),
        ({"peft_type": None}, "peft_type is None; only LORA"),
        ({"use_dora": True}, "DoRA is not supported. Merge the adapter with peft"),
        ({"lora_bias": True}, "'lora_bias' is True, which is not supported. Merge the adapter"),
        ({"layer_replication": [[0, 2]]}, "'layer_replication' is .* not supported"),
        ({"trainable_token_indices": [1]}, "'trainable_token_indices' is .* not supported"),
        ({"target_parameters": ["x"]}, "'target_parameters' is .* not supported"),
        ({"something_new": {"a": 1}}, "'something_new' is .* not supported"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights 'pissa' changes the weights of the base model"),
        ({"init_lora_weights": "olora"}, "init_lora_weights 'olora' changes the weights"),
        ({"r": 4}, "LoRA of bert.encoder.layer.0.attention.self.query has rank 2, but .*adapter_config.json says 4"),
        ({"r": "2"}, "r must be a whole number, not '2'"),
        ({"r": True}, "r must be a whole number, not True"),
        ({"rank_pattern": {"query": 3}}, "has rank 2, but .* says 3"),
        ({"rank_pattern": {"(": 3}}, r"'\(.*' is not a regular expression"),
        ({"rank_pattern": [2]}, "rank_pattern must be an object with ranks"),
        ({"alpha_pattern": {"query": "x"}}, "alpha_pattern must be an object with numbers"),
        ({"lora_alpha": 0}, "alpha must be a finite number other than 0"),
        ({"lora_alpha": [1]}, r"lora_alpha must be a number, not \[1\]"),
        ({"lora_dropout": 1.5}, "dropout must be from 0 to below 1"),
        ({"bias": "most"}, "bias must be none or lora_only or all, not 'most'"),
        ({"target_modules": ["key"]}, "has LoRA for .*query, which the target_modules of .* do not name"),
        (
            {"target_modules": ["query", "value", "key"]},
            "has no parameters for layers.0.attention.key",
        ),
        ({"target_modules": "[qv"}, "is not a regular expression"),
        ({"target_modules": {"query": 1}}, "target_modules must be a list of names or a regular expression"),
        ({"target_modules": [1]}, "target_modules must be a list of names"),
        ({"layers_to_transform": ["0"]}, "layers_to_transform must be a list of whole numbers"),
        ({"base_model_name_or_path": None}, "does not name its base model: load that, and use `load_adapter"),
        ({"base_model_name_or_path": "/no/such/model"}, "its base model cannot be loaded: /no/such/model: no such folder"),
    ],
)
def test_settings_that_cannot_be_used(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = written(tmp_path)
    change_config(folder, **changes)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as raised:
        load(folder)
    assert str(folder) in str(raised.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: {n: t[n] for n in t if n != f"{QUERY}.lora_B.weight"}, "query has no lora_B; the file is not complete"),
        (lambda t: {n: t[n] for n in t if not n.startswith(QUERY)}, "has no parameters for layers.1.attention.query"),
        (lambda t: {n: t[n] for n in t if "lora_" not in n}, "has no LoRA matrices"),
        (lambda t: t | {f"{QUERY}.lora_A.weight": torch.zeros(2, 9)}, "lora_a has shape .2, 9., the network .* require .2, 8."),
        (lambda t: t | {f"{QUERY}.lora_A.weight": torch.zeros(3, 8)}, r"shapes \(3, 8\) and \(8, 2\), which do not fit"),
        (lambda t: t | {f"{QUERY}.lora_A.weight": torch.zeros(0, 8)}, r"shapes \(0, 8\) and \(8, 2\), which do not fit"),
        (lambda t: t | {f"{QUERY}.lora_A.weight": torch.zeros(16)}, "which do not fit"),
        (lambda t: t | {f"{QUERY}.lora_A.weight": torch.full((2, 8), torch.nan)}, "lora_A.weight has infinite or NaN values"),
        (lambda t: t | {f"{QUERY}.lora_A.weight": torch.zeros(2, 8).int()}, "quantized weights are not supported"),
        (lambda t: t | {f"{QUERY}.lora_magnitude_vector": torch.zeros(8)}, "lora_magnitude_vector is not supported"),
        (lambda t: t | {"base_model.model.bert.other.weight": torch.zeros(8)}, "bert.other.weight is not supported"),
        (lambda t: {n.replace("layer.1", "layer.7"): t[n] for n in t}, "has no parameters for|cannot be|matches no module"),
        (lambda t: {n.replace(".query.", ".q_proj."): t[n] for n in t}, "is no module of the base model|do not name"),
        (lambda t: t | {"base_model.model.classifier.weight": torch.zeros(3, 9)}, "classifier.weight has shape .3, 9."),
        (lambda t: t | {"base_model.model.classifier.weight": torch.zeros(5, 8)}, "classifier.weight has shape .5, 8."),
        (lambda t: t | {"base_model.model.bert.pooler.dense.weight": torch.zeros(2, 2)}, "pooler.dense.weight has shape"),
    ],
)
def test_weights_that_cannot_be_used(change: Any, message: str, tmp_path: Path) -> None:
    """The error names the file of the adapter, whether it is loaded with its base model or onto a network."""
    folder = written(tmp_path)
    change_weights(folder, change)
    for use in (load, lambda folder: load_adapter(new_network(tmp_path / "base"), folder)):
        with pytest.raises(ValueError, match=message) as raised:
            use(folder)
        assert str(folder) in str(raised.value)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, "model_config.json"])
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_loaded_or_rejected(name: str, data: st.DataObject, tmp_path: Path) -> None:
    """Bytes cut off or changed: no other error than ValueError and FileNotFoundError."""
    path = written(tmp_path) / name
    original = path.read_bytes()
    place = data.draw(st.integers(0, len(original) - 1))
    damaged = original[:place] + data.draw(st.sampled_from([b"", b"\x00", b"\xff", b'"', b"{", original[place + 1 :]]))
    path.write_bytes(damaged)
    message = str(tmp_path)
    try:
        load(path.parent)
    except (ValueError, FileNotFoundError) as error:
        message = str(error)
    finally:
        path.write_bytes(original)
    assert str(tmp_path) in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "houlsby"}, "is not an adapter of minibert: kind must be one of bitfit, bottleneck"),
        ({"settings": None}, "is not an adapter of minibert"),
        ({"settings": {"rank": 3}}, "unknown settings rank"),
        ({"settings": {"targets": ["quary"]}}, "matches no module; similar names: query.*adapter of another model"),
        ({"base_model": 3}, "does not name its base model"),
    ],
)
def test_settings_of_own_format(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = written(tmp_path, BitFit()) / "adapter.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(ValueError, match=message) as raised:
        load(path.parent)
    assert str(path.parent) in str(raised.value)


def test_a_parameter_that_the_network_has_no_place_for(tmp_path: Path) -> None:
    """It is not dropped without a word."""
    folder = written(tmp_path, Bottleneck(size=2))
    name = "layers.9.attention.output.bottleneck_up.weight"
    tensors = safetensors.torch.load_file(folder / "adapter.safetensors")
    safetensors.torch.save_file(tensors | {name: torch.ones(2)}, folder / "adapter.safetensors")
    with pytest.raises(ValueError, match=f"adapter.safetensors: has {name}, which the network has no place for"):
        load(folder)


def test_the_config_next_to_an_adapter_is_named_if_it_is_damaged(tmp_path: Path) -> None:
    """Not that of the base model."""
    folder = written(tmp_path)
    path = folder / "model_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_attention_heads": 3}))
    with pytest.raises(ValueError, match="num_attention_heads") as raised:
        load(folder)
    assert str(path) in str(raised.value)


def test_missing_files(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / WEIGHTS).unlink()
    with pytest.raises(FileNotFoundError, match=r"adapter: has adapter_config.json, but no adapter_model.safetensors"):
        load(folder)
    with pytest.raises(FileNotFoundError, match=r"base: has no adapter"):
        load_adapter(new_network(tmp_path / "base"), tmp_path / "base")


def test_adapter_on_an_adapter_is_rejected(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (tmp_path / "other").mkdir()
    for file in folder.iterdir():
        (tmp_path / "other" / file.name).write_bytes(file.read_bytes())
    change_config(tmp_path / "other", base_model_name_or_path=str(folder))
    with pytest.raises(ValueError, match="is an adapter itself; merge that one first"):
        load(tmp_path / "other")


def test_pickled_weights_are_loaded(tmp_path: Path) -> None:
    """As older versions of peft wrote them."""
    folder = written(tmp_path)
    expected = outputs(load(folder))[0]
    torch.save(safetensors.torch.load_file(folder / WEIGHTS), folder / "adapter_model.bin")
    (folder / WEIGHTS).unlink()
    assert torch.equal(outputs(load(folder))[0], expected)


def test_names_of_classes_are_kept_and_otherwise_counted(tmp_path: Path) -> None:
    """peft does not store them, so without our config they are numbered."""
    folder = written(tmp_path)
    assert load(folder).config.id2label == {0: "bad", 1: "good", 2: "ugly"}
    (folder / "model_config.json").unlink()
    assert load(folder).config.id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}


def test_heads_of_the_base_model_are_no_warning(tmp_path: Path) -> None:
    """The adapter has a head of its own."""
    BertForMaskedLM(BASE_CONFIG).save_pretrained(tmp_path / "base")
    model = new_network(tmp_path / "base")
    LoRA().apply(model)
    model.save_pretrained(tmp_path / "run")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(tmp_path / "run/adapter")


def test_verify_refuses_an_adapter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """transformers would load the base model, which computes something else."""
    assert main(["verify", str(written(tmp_path)), "--ids", "1", "2"]) == 2
    assert "is an adapter; compare the whole model that it is merged into" in capsys.readouterr().err
