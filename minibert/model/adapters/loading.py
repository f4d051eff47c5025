"""Loading adapters: onto a network, or together with the base model that their files name."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minibert.files import read_json
from minibert.model.adapters.files import MODEL_CONFIG_FILE, StoredAdapter, base_model_of, find_adapter, read_adapter
from minibert.model.adapters.peft_config import PEFT_CONFIG_FILE
from minibert.model.adapters.peft_files import TASK_TYPES
from minibert.model.checkpoints.loading import Checkpoint, read_checkpoint

if TYPE_CHECKING:
    from minibert.model.pretrained import PretrainedModel

HEAD_WEIGHT = "classifier.weight"
"""Name in transformers of the matrix that has a row for each class."""


def load_adapter(model: "PretrainedModel", source: str | Path) -> None:
    """Insert an adapter that was trained on `model`, and copy its parameters, also those of its head.

    Args:
        source: a folder with an adapter of peft or of minibert; or one on the hub.

    Raises: ValueError that names the file, if it is damaged, not supported, or belongs to another model; FileNotFoundError if
        there is no adapter.
    """
    if (folder := find_adapter(source)) is None:
        raise FileNotFoundError(f"{source}: has no adapter ({PEFT_CONFIG_FILE})")
    stored = read_adapter(folder, model.names)
    found, _ = model.convert_weights(stored.whole, model.config, stored.weights_file)
    parameters = {model.names.relative(name): parameter for name, parameter in model.state_dict().items()}
    for name in found.keys() & parameters.keys():
        if found[name].shape != parameters[name].shape:
            raise ValueError(
                f"{stored.weights_file}: tensor {model.names.theirs(name)} has shape {tuple(found[name].shape)}, the network "
                f"requires {tuple(parameters[name].shape)}. Has its head the same classes?"
            )
    stored.apply(model)
    for name in found.keys() & parameters.keys():
        parameters[name].copy_(found[name])


def read_adapted_checkpoint(folder: Path) -> Checkpoint:
    """Read an adapter and its base model, which is another checkpoint. Raises: as `load`."""
    base = base_model_of(folder)
    if base is None:
        raise ValueError(f"{folder}: does not name its base model: load that, and use `load_adapter(model, {str(folder)!r})`")
    try:
        checkpoint = read_checkpoint(base)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{folder}: its base model cannot be loaded: {error}. If it is in another place, load it there and use "
            "`load_adapter`, or correct its path in the settings of the adapter"
        ) from error
    if checkpoint.adapter is not None:
        raise ValueError(f"{folder}: its base model {base} is an adapter itself; merge that one first")
    adapter = read_adapter(folder, checkpoint.networks[0].names)
    config_file = folder / MODEL_CONFIG_FILE
    if config_file.is_file():
        return replace(checkpoint, adapter=adapter, config=read_json(config_file), config_file=config_file)
    return replace(checkpoint, adapter=adapter, config=_config(checkpoint, adapter))


def _config(checkpoint: Checkpoint, adapter: StoredAdapter) -> dict[str, Any]:
    """Return the config of the base model with the head of the adapter. peft does not store the names of the classes."""
    fields = dict(checkpoint.config)
    settings = adapter.folder / PEFT_CONFIG_FILE
    task = read_json(settings).get("task_type") if settings.is_file() else None
    if named := [network.architecture for network in checkpoint.networks if TASK_TYPES.get(network.head, "") == task]:
        fields["architectures"] = named
    if HEAD_WEIGHT in adapter.whole:
        fields["num_labels"] = len(adapter.whole[HEAD_WEIGHT])
    return fields
