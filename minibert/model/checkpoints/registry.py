"""The network classes, by the architecture of their checkpoints."""

import importlib
import pkgutil
from typing import TYPE_CHECKING

from minibert import model as networks

if TYPE_CHECKING:
    from minibert.model.pretrained import PretrainedModel

_networks: "list[type[PretrainedModel]]" = []


def register(network: "type[PretrainedModel]") -> None:
    """Make a network class known to `load`. `PretrainedModel` does this for every subclass with an `architecture`."""
    _networks.append(network)


def networks_of(model_type: str) -> "list[type[PretrainedModel]]":
    """Return the network classes for a `model_type` of config.json, after importing every module of `minibert.model`.

    Raises: ValueError that lists the known types.
    """
    for module in pkgutil.iter_modules(networks.__path__, f"{networks.__name__}."):
        importlib.import_module(module.name)
    found = [network for network in _networks if model_type in network.config_class.model_types]
    if not found:
        known = sorted({name for network in _networks for name in network.config_class.model_types})
        only = ", ".join(map(repr, known))
        raise ValueError(f"model_type {model_type!r} is not supported, only {only}: give a checkpoint of one of these types")
    return found
