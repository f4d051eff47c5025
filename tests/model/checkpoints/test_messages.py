"""Error messages about checkpoints: what is wrong, in which file, and what to do."""

import json
import re
from pathlib import Path

import pytest
import safetensors.torch
import torch

from minibert import load
from minibert.model.checkpoints.names import shorten
from tests.model.adapters.networks import base_checkpoint


def test_of_many_names_eight_are_listed_and_the_others_counted() -> None:
    names = [f"n{number}" for number in range(10)]
    assert shorten(names[:1]) == "n0"
    assert shorten(names[:8]) == "n0, n1, n2, n3, n4, n5, n6, n7"
    assert shorten(names) == "n0, n1, n2, n3, n4, n5, n6, n7 and 2 more"


def test_the_config_of_google_is_copied_only_for_weights_of_pytorch(tmp_path: Path) -> None:
    (tmp_path / "bert_config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"copy bert_config\.json to config\.json"):
        load(tmp_path)
    (tmp_path / "bert_model.ckpt.index").touch()
    with pytest.raises(FileNotFoundError, match=r"bert_model\.ckpt\.index is of another library") as raised:
        load(tmp_path)
    assert "copy" not in str(raised.value)


def test_weights_under_another_name_are_shown_the_first_of_them(tmp_path: Path) -> None:
    folder = base_checkpoint(tmp_path)
    weights = folder / "model.safetensors"
    weights.rename(folder / "encoder.safetensors")
    (folder / "second.safetensors").write_bytes((folder / "encoder.safetensors").read_bytes())
    with pytest.raises(FileNotFoundError, match=r"To load encoder.safetensors, give the path of that file"):
        load(folder)


def test_a_prefix_that_all_tensors_have_is_named(tmp_path: Path) -> None:
    """The prefix that most tensors have, not a part of it."""
    folder = base_checkpoint(tmp_path)
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    safetensors.torch.save_file({f"student.net.{name}": weights[name] for name in weights}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"Its tensors begin with 'student.net.': is it another architecture"):
        load(folder)


def test_models_in_subfolders_are_listed_up_to_five(tmp_path: Path) -> None:
    """Checkpoints of one run are not listed; the newest of them is named."""
    names = [f"seed_{number}" for number in range(6)]
    for count, end in (
        (1, "is a model in its subfolders: {}$"),
        (5, "are models in its subfolders: {}$"),
        (6, "{} and 1 more$"),
    ):
        for name in names[:count]:
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / "config.json").touch()
        listed = ", ".join(re.escape(str(tmp_path / name)) for name in names[: min(count, 5)])
        with pytest.raises(FileNotFoundError, match=end.format(listed)):
            load(tmp_path)


def test_of_a_run_that_is_not_finished_the_newest_checkpoint_is_named(tmp_path: Path) -> None:
    """The one with the largest step, not the last name."""
    for step in (900, 1000, 20):
        (tmp_path / f"checkpoints/step-{step}").mkdir(parents=True)
        (tmp_path / f"checkpoints/step-{step}/config.json").touch()
    with pytest.raises(FileNotFoundError, match=r"is not finished: continue its training, or use .*checkpoints/step-1000$"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"the newest checkpoint in it is .*checkpoints/step-1000$"):
        load(tmp_path / "checkpoints")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_type": 50 * "x"}, r"'x{40}'"),
        ({"architectures": ["RobertaModel", "Other"]}, "has no model_type, and RobertaModel, Other is no BERT"),
    ],
)
def test_models_that_are_not_supported(fields: dict[str, object], message: str, tmp_path: Path) -> None:
    folder = base_checkpoint(tmp_path)
    stored = json.loads((folder / "config.json").read_text())
    del stored["model_type"], stored["architectures"]
    (folder / "config.json").write_text(json.dumps(stored | fields))
    with pytest.raises(ValueError, match=message):
        load(folder)


@pytest.mark.filterwarnings("ignore:.*newly initialized")
def test_the_oldest_checkpoints_have_no_model_type(tmp_path: Path) -> None:
    """One of the named networks is a BERT."""
    folder = base_checkpoint(tmp_path)
    stored = json.loads((folder / "config.json").read_text())
    del stored["model_type"]
    (folder / "config.json").write_text(json.dumps(stored | {"architectures": ["Other", "BertModel"]}))
    assert load(folder).architecture == "BertModel"


@pytest.mark.filterwarnings("ignore:.*newly initialized")
def test_the_error_for_a_shape_names_the_file_of_the_tensor(tmp_path: Path) -> None:
    """A tensor of an adapter is in another file than those of its base model."""
    from minibert.model.adapters import BitFit

    torch.manual_seed(0)
    model = load(base_checkpoint(tmp_path), "sequence-classification", labels=["a", "b"], new_head=True)
    BitFit().apply(model)
    model.save_pretrained(tmp_path / "run")
    adapter = next((tmp_path / "run/adapter").glob("*.safetensors"))
    right = safetensors.torch.load_file(adapter)
    bias = next(name for name in right if name.endswith("query.bias"))
    safetensors.torch.save_file(right | {bias: torch.zeros(3)}, adapter)
    with pytest.raises(ValueError, match=re.escape(str(adapter)) + ".*has shape"):
        load(tmp_path / "run/adapter")
    safetensors.torch.save_file(right, adapter)
    base = tmp_path / "base/model.safetensors"
    weights = safetensors.torch.load_file(base)
    weight = next(name for name in weights if name.endswith("query.weight"))
    safetensors.torch.save_file(weights | {weight: torch.zeros(3, 3)}, base)
    with pytest.raises(ValueError, match=re.escape(str(base)) + ".*has shape"):
        load(tmp_path / "run/adapter")
