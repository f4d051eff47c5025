"""The interface of LoRA, BitFit and bottleneck adapters."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from minibert.model.adapters.targets import HEAD, find_modules

if TYPE_CHECKING:
    from minibert.model.pretrained import PretrainedModel

ADAPTER_FOLDER = "adapter"
"""Folder with the adapter, in the folder of a model that has one."""


@dataclass(frozen=True, kw_only=True)
class Adapter(ABC):
    """A way to train few parameters of a network. Its fields are its settings."""

    kind: ClassVar[str]
    """Name on the command line and in files."""
    inserted: ClassVar[tuple[str, ...]] = ()
    """Names of the parameters or modules that the adapter adds to a module."""

    train: Sequence[str] = field(default=(HEAD,))
    """Modules that are trained as a whole; "head" is the head of the network. Modules with parameters that the checkpoint did
    not have, such as a new head or pooler, are always trained."""

    def apply(self, model: "PretrainedModel") -> tuple[str, ...]:
        """Insert the adapter into a network and freeze all other parameters. Return the names of those that are trained.

        Raises: ValueError if the network has an adapter already, and for a name that matches no module, with similar names.
            The network is then unchanged.
        """
        if model.adapter is not None:
            raise ValueError(
                f"the network has an adapter already ({model.adapter.kind}): load its base model again, or, to train another "
                "adapter on top, save it with `save_pretrained` and load that folder"
            )
        modules = self._whole_modules(model)
        whole = [name for name, _ in model.named_parameters() if name.startswith(tuple(f"{module}." for module in modules))]
        trained = {*whole, *self.insert(model, whole)}
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in trained)
        model.adapter = replace(self, train=tuple(modules))
        model.adapter_parameters = tuple(name for name, _ in model.named_parameters() if name in trained)
        return model.adapter_parameters

    @abstractmethod
    def insert(self, model: "PretrainedModel", whole: Collection[str]) -> Collection[str]:
        """Insert the modules of the adapter. Return the names of the parameters that it trains.

        Args:
            whole: parameters that are trained anyway, such as those of the head.
        """

    def save(self, model: "PretrainedModel", weights: Mapping[str, Tensor], folder: Path) -> None:
        """Write the network without adapter, which computes the same, to a folder, and the adapter to a folder in it.

        Args:
            weights: the parameters of `model`, by name, such as those gathered from several processes.
        """
        model.write_checkpoint(self.merged(model, weights), folder)
        self.write(model, weights, folder / ADAPTER_FOLDER)

    def merged(self, model: "PretrainedModel", weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the weights with which the network without adapter computes the same."""
        return weights

    def write(self, model: "PretrainedModel", weights: Mapping[str, Tensor], folder: Path) -> None:
        """Write the trained parameters and the settings to a folder. The base model is needed to load them."""
        from minibert.model.adapters.files import write_adapter

        write_adapter(model, weights, folder)

    def is_inserted(self, name: str) -> bool:
        """Return True for the name of a parameter that the adapter adds to a network."""
        return not {*self.inserted}.isdisjoint(name.split("."))

    def _whole_modules(self, model: "PretrainedModel") -> list[str]:
        """Return the names of the modules that are trained as a whole."""
        if isinstance(self.train, str):
            raise TypeError(f"train must be names of modules, such as [{self.train!r}]")
        named = [name for each in self.train for name in (model.head_modules if each == HEAD else [each])]
        new = {name.rpartition(".")[0] for name in model.initialized}
        found = find_modules(model, named) if named else ()
        return [name for name, _ in model.named_modules() if name in found or model.names.relative(name) in new]


def replace_module(model: nn.Module, name: str, new: nn.Module) -> None:
    """Put a module in the place of the submodule `name`."""
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, new.train(model.get_submodule(name).training))
