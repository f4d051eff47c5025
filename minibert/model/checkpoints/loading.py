"""Loading any network from a Hugging Face checkpoint: a folder, a file with weights, or a model on the hub."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import torch
from torch import Tensor

from minibert.files import read_json
from minibert.kernels import AttentionImplementation
from minibert.model.checkpoints.config_file import find_config
from minibert.model.checkpoints.differences import check_depth, check_parameters, expected_shapes, warn_of_differences
from minibert.model.checkpoints.names import shorten
from minibert.model.checkpoints.registry import networks_of
from minibert.model.checkpoints.weights import check_parameter, read_weights
from minibert.printable import with_article

if TYPE_CHECKING:
    from minibert.model.adapters.files import StoredAdapter
    from minibert.model.pretrained import PretrainedModel

ModelT = TypeVar("ModelT", bound="PretrainedModel")

OLDEST_MODEL_TYPE = "bert"
"""Model type of a config.json without `model_type`. Files from before 2020, when BERT was the only one, have none."""

OTHER_FRAMEWORKS = re.compile(r"^(TF|Flax)")
"""Start of the names of classes of transformers for other libraries. Their files may have been converted."""
ENDINGS = (
    *("ForMultipleChoice", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering"),
    *("ForNextSentencePrediction", "ForImageClassification", "ForMaskedImageModeling", "DoubleHeadsModel", "EncoderModel"),
)
"""Ends of the names of classes of transformers whose weights do not fit another class, or mean something else there. The rest
of the name is a family. Others can be read as one of ours: "T5Model" has the weights of "T5ForConditionalGeneration"."""


@overload
def load(
    source: str | Path,
    head: type[ModelT],
    *,
    labels: Sequence[str] | None = None,
    attention: AttentionImplementation = "auto",
    dtype: torch.dtype | None = None,
    new_head: bool = True,
) -> ModelT: ...


@overload
def load(
    source: str | Path,
    head: str | None = None,
    *,
    labels: Sequence[str] | None = None,
    attention: AttentionImplementation = "auto",
    dtype: torch.dtype | None = None,
    new_head: bool = True,
) -> "PretrainedModel": ...


def load(
    source: str | Path,
    head: "str | type[PretrainedModel] | None" = None,
    *,
    labels: Sequence[str] | None = None,
    attention: AttentionImplementation = "auto",
    dtype: torch.dtype | None = None,
    new_head: bool = True,
) -> "PretrainedModel":
    """Load a network from a checkpoint of any supported architecture, in evaluation mode.

    Args:
        source: a folder; a file with weights, next to its config.json; or the id of a model on the hub. Also a folder with an
            adapter, of peft or of minibert, whose settings name the base model.
        head: name of the head ("mlm", "sequence-classification", …) or a network class. Default: the class named in
            config.json if the checkpoint has its head, otherwise the one whose head it has. A class of transformers that
            minibert does not have, such as BertForMultipleChoice, needs a head here.
        labels: class names for a classification head. If the checkpoint has the same names in another order, its classes are
            reordered. A head of another size is initialized.
        attention: how attention is computed; see `PretrainedModel.set_attention`.
        dtype: type of the parameters. Default: float32, or float64 for a float64 checkpoint, so that no digit is lost.
        new_head: if the checkpoint has no such head, initialize it, with a warning that names the parameters. False
            refuses.

    Raises: FileNotFoundError for a missing file; ValueError, naming the file, for one that cannot be used, and for a head
    that is not there.
    """
    return read_checkpoint(source).load(head, labels=labels, attention=attention, dtype=dtype, new_head=new_head)


def read_checkpoint(source: str | Path) -> "Checkpoint":
    """Read the files of a checkpoint, each once; of an adapter, also those of its base model. Raises: as `load`."""
    from minibert.model.adapters.files import find_adapter
    from minibert.model.adapters.loading import read_adapted_checkpoint

    if (folder := find_adapter(source)) is not None:
        return read_adapted_checkpoint(folder)
    config_file = find_config(source)
    tensors, weights_file = read_weights(source)
    return Checkpoint(source, read_json(config_file), config_file, tensors, weights_file)


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint. `load` makes a network of them."""

    source: str | Path
    config: dict[str, Any]
    """The fields of config.json."""
    config_file: Path
    tensors: Mapping[str, Tensor]
    """All tensors, under the names of the file."""
    weights_file: Path
    adapter: "StoredAdapter | None" = None
    """The adapter of the network. Its trained parameters replace tensors of the base model."""

    @property
    def architectures(self) -> list[str]:
        """Names of the network classes that config.json gives."""
        named = self.config.get("architectures")
        return [name for name in named if isinstance(name, str)] if isinstance(named, list) else []

    @property
    def model_type(self) -> str:
        """The architecture. Raises: ValueError if config.json has no `model_type` and names a network that is no BERT."""
        if (model_type := self.config.get("model_type")) is not None:
            return str(model_type)[:40]
        if self.architectures and not any(name.lower().startswith(OLDEST_MODEL_TYPE) for name in self.architectures):
            raise ValueError(f"{self.config_file}: has no model_type, and {shorten(self.architectures)} is no BERT")
        return OLDEST_MODEL_TYPE

    @cached_property
    def networks(self) -> "list[type[PretrainedModel]]":
        """The network classes of this checkpoint's architecture."""
        try:
            return networks_of(self.model_type)
        except ValueError as error:
            raise ValueError(f"{self.config_file}: {error}") from None

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """The tensors, under names without those of wrappers such as DistributedDataParallel; the parameters are checked."""
        names = self.networks[0].names
        try:
            unwrapped = names.unwrap(self.tensors)
        except ValueError as error:
            raise ValueError(f"{self.weights_file}: {error}") from error
        for name, tensor in unwrapped.items():
            if names.ours(name):
                check_parameter(name, tensor, self.weights_file)
        if self.adapter is None:
            return unwrapped
        base = {name: tensor for name, tensor in unwrapped.items() if self.of_adapter.isdisjoint(names.ours(name))}
        return base | {**self.adapter.whole}

    @cached_property
    def of_adapter(self) -> set[str]:
        """The parameters that come from the adapter, under our relative names."""
        return {ours for name in (self.adapter.whole if self.adapter else ()) for ours in self.networks[0].names.ours(name)}

    @cached_property
    def modules(self) -> set[str]:
        """The modules outside the layer stacks that the checkpoint has weights of, by our names."""
        names = self.networks[0].names
        return {ours.split(".")[0] for name in self.weights for ours in names.ours(name)}

    @property
    def heads(self) -> list[str]:
        """Names of the heads that the checkpoint has."""
        return [network.head for network in self.networks if set(network.head_modules) <= self.modules]

    def network(self, head: "str | type[PretrainedModel] | None" = None) -> "type[PretrainedModel]":
        """Choose the network class; `head` as in `load`.

        Raises: ValueError for a head that the architecture lacks, and without a head for a class that is not here.
        """
        if isinstance(head, str):
            found = [network for network in self.networks if network.head == head]
            if not found:
                known = ", ".join(network.head for network in self.networks)
                raise ValueError(f"{self.source}: there is no head {head!r} for this architecture, only {known}")
            return found[0]
        if head is not None:
            supported = head.config_class.model_types
            if self.model_type not in supported:
                raise ValueError(
                    f"{self.config_file}: model_type {self.model_type!r} is not supported here, only "
                    f"{' or '.join(map(repr, supported))}: this is no {supported[0].upper()}"
                )
            return head
        self._check_architectures()
        complete = [network for network in self.networks if set(network.head_modules) <= self.modules]
        named = [network for network in complete if network.architecture in self.architectures]
        # Weights alone do not show whether a classifier is for sequences or for tokens.
        needs = [network.head_modules for network in complete]
        unambiguous = [network for network in complete if needs.count(network.head_modules) == 1]
        return named[0] if named else max(unambiguous, key=lambda network: len(network.head_modules))

    def _check_architectures(self) -> None:
        """Raise ValueError if config.json names a class of this family that is not here, and none that is."""
        known = [network.architecture for network in self.networks]
        names = [OTHER_FRAMEWORKS.sub("", name) for name in self.architectures]
        if not set(names).isdisjoint(known):
            return
        for name in names:
            if name.lower().startswith(self.model_type) and name.endswith(ENDINGS):
                raise ValueError(
                    f"{self.config_file}: minibert has no {name[:80]}, only {', '.join(known)}. To load the weights as one of "
                    "these networks, name it in architectures there, or give its head to `load`"
                )

    def load(
        self,
        head: "str | type[PretrainedModel] | None" = None,
        *,
        labels: Sequence[str] | None = None,
        attention: AttentionImplementation = "auto",
        dtype: torch.dtype | None = None,
        new_head: bool = True,
        adjust: Callable[[Any], Any] | None = None,
        drop: Sequence[str] = (),
    ) -> "PretrainedModel":
        """Make a network; the other arguments are those of `load`.

        Args:
            adjust: a function that returns the config to use, for the config of the checkpoint.
            drop: modules whose weights in the checkpoint are not used, such as a head for other classes.
        """
        network, path = self.network(head), self.weights_file
        config = network.config_class.from_fields(self.config, self.config_file)
        found, config = network.convert_weights(self.weights, config, path)
        for stack, field in network.depth_fields.items():
            check_depth(self, network, found, stack, getattr(config, field))
        if labels is not None:
            if not network.has_classes:
                raise ValueError(f"labels: {with_article(network.__name__)} has no classification head; leave labels out")
            stored, config = config, config.with_labels(labels)
            found = _order_classes(found, network, stored, config)
        if adjust is not None:
            config = adjust(config)
        expected = expected_shapes(self, network, config)
        found = {name: tensor for name, tensor in found.items() if name.split(".")[0] not in drop}
        if labels is not None:
            in_head = tuple(f"{module}." for module in network.head_modules)
            misfits = [name for name in found if name.startswith(in_head) and found[name].shape != expected.get(name)]
            found = {name: tensor for name, tensor in found.items() if name not in misfits}
        check_parameters(self, network, found, expected)
        missing = [name for name in expected if name not in found]
        if not new_head and (lost := [name for name in missing if name.split(".")[0] in network.head_modules]):
            if network.head in self.heads:
                raise ValueError(f"{path}: its {network.head} head has no {shorten([*map(network.names.theirs, lost)])}")
            raise ValueError(f"{self.source}: has no {network.head} head; heads found: {', '.join(self.heads)}")
        model = network(config).set_attention(attention).to(dtype or _widest(found[name] for name in expected if name in found))
        copy_weights(model, found)
        model.freeze_constants()
        model.initialized = tuple(missing)
        model.source = str(Path(self.source).resolve() if Path(self.source).exists() else self.source)
        if self.adapter is not None:
            self.adapter.apply(model)
        own = self.of_adapter if self.adapter is not None else found  # an adapter does not use the head of its base model
        warn_of_differences(self, network, missing, [name for name in found if name not in expected and name in own])
        return model.eval()


@torch.no_grad()
def copy_weights(model: "PretrainedModel", found: Mapping[str, Tensor]) -> None:
    """Copy weights, under relative names, to the parameters of a network.

    Tests: tests/model/checkpoints/test_loading.py::TestCopyWeights
    """
    for name, parameter in model.state_dict().items():
        if (relative := model.names.relative(name)) in found:
            parameter.copy_(found[relative])


def _order_classes(found: dict[str, Tensor], network: "type[PretrainedModel]", stored: Any, wanted: Any) -> dict[str, Tensor]:
    """Put the classes of a head into another order, if both configs have the same names of classes."""
    names, labels = [*stored.id2label.values()], [*wanted.id2label.values()]
    if names == labels or len({*names}) < len(names) or {*names} != {*labels}:
        return found
    order = [names.index(label) for label in labels]
    return {name: each[order] if name.split(".")[0] in network.head_modules else each for name, each in found.items()}


def _widest(tensors: Iterable[Tensor]) -> torch.dtype:
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype
