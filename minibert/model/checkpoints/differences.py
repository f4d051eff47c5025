"""The comparison of a checkpoint with a network: parameters that are missing, not used, or of another shape."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from minibert.model.checkpoints.names import shorten
from minibert.model.config import ModelConfig
from minibert.printable import with_article

if TYPE_CHECKING:
    from minibert.model.checkpoints.loading import Checkpoint
    from minibert.model.pretrained import PretrainedModel


def expected_shapes(checkpoint: "Checkpoint", network: "type[PretrainedModel]", config: ModelConfig) -> dict[str, torch.Size]:
    """Parameter shapes by relative name. No memory is allocated, however large the sizes in config.json are."""
    try:
        with torch.device("meta"):
            model: PretrainedModel = network(config)
    except (RuntimeError, OverflowError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{checkpoint.config_file}: its sizes cannot be used ({reason})") from error
    return {network.names.relative(name): tensor.shape for name, tensor in model.state_dict().items()}


def check_depth(
    checkpoint: "Checkpoint", network: "type[PretrainedModel]", found: Mapping[str, Tensor], stack: str, depth: int
) -> None:
    """Raise ValueError if the file has another number of layers, before a network of that depth is built."""
    numbers = {name.removeprefix(f"{stack}.").split(".")[0] for name in found if name.startswith(f"{stack}.")}
    if len(numbers) != depth:
        layers = f"has {len(numbers)} layers ({stack}), config.json says {depth}"
        raise ValueError(f"{checkpoint.weights_file}: {layers}. {_hint(checkpoint, network)}")


def _hint(checkpoint: "Checkpoint", network: "type[PretrainedModel]") -> str:
    """Return why a file may lack the tensors of a network, for an error message."""
    if any(".lora_" in name or ".base_layer." in name for name in checkpoint.weights):
        return "It has an adapter of peft: merge it (`merge_and_unload`), or load a folder that its `save_pretrained` wrote"
    if (prefixes := network.names.prefixes(checkpoint.weights)) and prefixes[0]:
        return f"Its tensors begin with {prefixes[0]!r}: is it another architecture? Otherwise remove this prefix"
    names = network.names
    if any(names.theirs(names.relative(name)) and not names.ours(name) for name in checkpoint.weights):
        return "Its tensors have the names of minibert's parameters: write it with `save_pretrained`"
    return f"Is it {with_article(network.architecture)} with the sizes in config.json?"


def check_parameters(
    checkpoint: "Checkpoint", network: "type[PretrainedModel]", found: Mapping[str, Tensor], expected: Mapping[str, torch.Size]
) -> None:
    """Raise ValueError for a tensor of another shape, and for a missing one that is not optional."""
    theirs, path = network.names.theirs, checkpoint.weights_file
    required = [name for name in expected if name.split(".")[0] not in network.optional_modules]
    if lost := [theirs(name) for name in required if name not in found]:
        if untied := [theirs(name) for name in network.tied if name in found and theirs(network.tied[name]) in lost]:
            raise ValueError(
                f"{path}: has no {shorten(lost)}, only {shorten(untied)}, which is another tensor if "
                f"tie_word_embeddings is false, as {checkpoint.config_file} says"
            )
        raise ValueError(f"{path}: has no {shorten(lost)}. {_hint(checkpoint, network)}")
    for name, shape in expected.items():
        if name in found and not found[name].numel():
            raise ValueError(
                f"{path}: tensor {theirs(name)} is empty: its values are in the files of other processes of a "
                "sharded training. Save the whole weights there (with DeepSpeed: zero_to_fp32.py)"
            )
        file = checkpoint.adapter.weights_file if checkpoint.adapter and name in checkpoint.of_adapter else path
        if name in found and found[name].shape != shape:
            raise ValueError(
                f"{file}: tensor {theirs(name)} has shape {tuple(found[name].shape)}, config.json requires "
                f"{tuple(shape)}. Is this the config of another model?"
            )


def warn_of_differences(
    checkpoint: "Checkpoint", network: "type[PretrainedModel]", missing: list[str], unexpected: list[str]
) -> None:
    """Warn of parameters that are newly initialized, and of tensors that are not used."""
    parts = []
    if missing:
        names = shorten([network.names.theirs(name) for name in missing])
        parts.append(f"not in the file, so newly initialized (train them before use): {names}")
    if unexpected:
        names = shorten([network.names.theirs(name) or name for name in unexpected])
        parts.append(f"in the file, but not used by {network.__name__}: {names}")
    if parts:
        warnings.warn(f"{checkpoint.weights_file}: " + "; ".join(parts), stacklevel=4)
