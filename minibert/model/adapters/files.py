"""Files of adapters: the parameters that an adapter has trained, without the base model.

LoRA is stored in the format of peft (`peft_files`). The format here is for adapters that peft does not have. Each folder also
has the config of the network, with the names of the classes.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from minibert import __version__
from minibert.files import read_json, write_atomically
from minibert.hub import fetch
from minibert.model.adapters.adapter import ADAPTER_FOLDER, Adapter
from minibert.model.adapters.bitfit import BitFit
from minibert.model.adapters.bottleneck import Bottleneck
from minibert.model.adapters.peft_config import PEFT_CONFIG_FILE
from minibert.model.adapters.targets import their_name
from minibert.model.checkpoints.config_file import CONFIG_FILE
from minibert.model.checkpoints.names import NameTable, shorten
from minibert.model.checkpoints.weights import FORMS, check_parameter, read_tensors, write_weights

if TYPE_CHECKING:
    from minibert.model.pretrained import PretrainedModel

SETTINGS_FILE, WEIGHTS_FILE = "adapter.json", "adapter.safetensors"
MODEL_CONFIG_FILE = "model_config.json"
"""The config of the network. Its name is not config.json, because transformers takes a folder with that for a whole model."""
BASE_FIELDS = {PEFT_CONFIG_FILE: "base_model_name_or_path", SETTINGS_FILE: "base_model"}
"""The field of the settings that names the base model."""
KINDS: dict[str, type[Adapter]] = {kind.kind: kind for kind in (BitFit, Bottleneck)}


@dataclass(frozen=True)
class StoredAdapter:
    """An adapter that was read from files, for a network without one."""

    folder: Path
    weights_file: Path
    adapter: Adapter
    whole: Mapping[str, Tensor]
    """Trained parameters of the network itself, such as its head, under the names of checkpoint files."""
    inserted: Mapping[str, Tensor]
    """Parameters of the adapter, under our relative names."""
    is_target: Callable[[str], bool] = lambda name: False
    """Returns True for a module, by its name in transformers, that must have an update."""

    def apply(self, model: "PretrainedModel") -> None:
        """Insert the adapter into a network that has the weights in `whole`, and copy its parameters.

        Raises: ValueError that names the file, if it belongs to another network or is not complete.
        """
        modules = {model.names.relative(name) for name, _ in model.named_modules()}
        train = tuple(name for name in self.adapter.train if model.names.relative(name) in modules)
        try:
            replace(self.adapter, train=train).apply(model)
        except ValueError as error:
            raise ValueError(f"{self.folder}: {error}. Is this the adapter of another model?") from error
        parameters = {
            model.names.relative(name): parameter
            for name, parameter in model.named_parameters()
            if self.adapter.is_inserted(name)
        }
        lost = [name for name in self._targets(model) if not any(each.startswith(f"{name}.") for each in self.inserted)]
        if missing := lost + sorted(parameters.keys() - self.inserted.keys()):
            raise ValueError(f"{self.weights_file}: has no parameters for {shorten(missing)}; the file is not complete")
        if unknown := sorted(self.inserted.keys() - parameters.keys()):
            raise ValueError(f"{self.weights_file}: has {shorten(unknown)}, which the network has no place for")
        for name, parameter in parameters.items():
            if (shape := self.inserted[name].shape) != parameter.shape:
                raise ValueError(
                    f"{self.weights_file}: {name} has shape {tuple(shape)}, the network and the settings of the adapter "
                    f"require {tuple(parameter.shape)}. Is this the adapter of another model?"
                )
            with torch.no_grad():
                parameter.copy_(self.inserted[name])

    def _targets(self, model: "PretrainedModel") -> list[str]:
        linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
        return [model.names.relative(name) for name in linear if (theirs := their_name(model, name)) and self.is_target(theirs)]


def find_adapter(source: str | Path) -> Path | None:
    """Return the folder of the adapter, if a checkpoint is one: the folder itself or `adapter` in it, without a whole model."""
    folder = Path(source)
    if os.path.isdir(folder):
        if (folder / CONFIG_FILE).is_file() and any((folder / name).is_file() for name in FORMS):
            return None
        both = [each for each in (folder, folder / ADAPTER_FOLDER) if _settings_file(each)]
        return both[0] if both else None
    if os.path.exists(folder) or any(fetch(source, name) for name in FORMS):
        return None
    settings = fetch(source, PEFT_CONFIG_FILE)  # a folder of the hub's cache
    if settings is not None:
        fetch(source, MODEL_CONFIG_FILE)
    return None if settings is None else settings.parent


def read_adapter(folder: Path, names: NameTable) -> StoredAdapter:
    """Read the files of an adapter. Raises: ValueError that names the file, if they are damaged or not supported.

    Args:
        names: the names of the base model's architecture.
    """
    from minibert.model.adapters.peft_files import read_peft

    return read_peft(folder, names) if _settings_file(folder) == PEFT_CONFIG_FILE else _read_own(folder)


def base_model_of(folder: Path) -> str | None:
    """Return the folder or hub id of the model that an adapter was trained on, according to its settings."""
    file = _settings_file(folder)
    base = read_json(folder / file).get(BASE_FIELDS[file]) if file else None
    return base if isinstance(base, str) and base else None


def write_adapter(model: "PretrainedModel", weights: Mapping[str, Tensor], folder: Path) -> None:
    """Write the trained parameters and the settings of a network's adapter to a folder.

    Args:
        weights: the parameters of `model`, by name.
    """
    adapter = model.adapter
    assert adapter is not None
    tensors = {model.names.relative(name): weights[name] for name in model.adapter_parameters if adapter.is_inserted(name)}
    write_weights(tensors | whole_tensors(model, weights), folder / WEIGHTS_FILE)
    settings = {
        "kind": adapter.kind,
        "settings": asdict(adapter),
        "base_model": model.source,
        "minibert_version": __version__,
    }
    write_atomically(folder / SETTINGS_FILE, json.dumps(settings, indent=2) + "\n")
    write_model_config(model, folder)


def whole_tensors(model: "PretrainedModel", weights: Mapping[str, Tensor], with_tied: bool = False) -> dict[str, Tensor]:
    """Return the trained parameters of the network itself, under the names of checkpoint files.

    Args:
        with_tied: also the tied parameters of trained modules, such as the word embeddings as the output matrix of a head.
    """
    assert model.adapter is not None
    own = {name: weights[name] for name in model.adapter_parameters if not model.adapter.is_inserted(name)}
    if with_tied and model.text_config.tie_word_embeddings:
        relative = {model.names.relative(name): tensor for name, tensor in weights.items()}
        trained = {module.split(".")[0] for module in model.adapter.train}
        own |= {name: relative[source] for name, source in model.tied.items() if name.split(".")[0] in trained}
    return model.export_weights(own, model.config)


def write_model_config(model: "PretrainedModel", folder: Path) -> None:
    """Write the config of the network next to its adapter."""
    model.config.save_json(folder / MODEL_CONFIG_FILE, model.architecture)


def _settings_file(folder: Path) -> str | None:
    return next((name for name in (PEFT_CONFIG_FILE, SETTINGS_FILE) if (folder / name).is_file()), None)


def _read_own(folder: Path) -> StoredAdapter:
    settings_file, weights_file = folder / SETTINGS_FILE, folder / WEIGHTS_FILE
    stored = read_json(settings_file)
    adapter = _make(stored, settings_file)
    tensors = read_tensors(weights_file)
    for name, tensor in tensors.items():
        check_parameter(name, tensor, weights_file)
    inserted = {name: tensor for name, tensor in tensors.items() if adapter.is_inserted(name)}
    whole = {name: tensor for name, tensor in tensors.items() if name not in inserted}
    return StoredAdapter(folder, weights_file, adapter, whole, inserted)


def _make(stored: Mapping[str, Any], path: Path) -> Adapter:
    kind, settings = stored.get("kind"), stored.get("settings")
    if kind not in KINDS or not isinstance(settings, dict):
        raise ValueError(f"{path}: is not an adapter of minibert: kind must be one of {', '.join(KINDS)}, with its settings")
    if unknown := settings.keys() - {field.name for field in fields(KINDS[kind])}:
        raise ValueError(f"{path}: unknown settings {', '.join(sorted(map(str, unknown)))}")
    try:
        return KINDS[kind](**{name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
