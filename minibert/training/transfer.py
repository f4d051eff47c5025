"""Ways to transfer a pretrained encoder to a task: frozen parts, gradual unfreezing, smaller learning rates and new layers.

A network consists of parts, from the input to the output: the embeddings, the layers by number, the pooler, and the head.
Parameters that the checkpoint did not have (`PretrainedModel.initialized`) are always trained.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from torch import nn

from minibert.model.checkpoints.names import without_wrappers
from minibert.model.modes import training_mode
from minibert.model.pretrained import PretrainedModel
from minibert.printable import with_article
from minibert.training.transfer_options import TransferConfig

EMBEDDINGS, POOLER, HEAD = "embeddings", "pooler", "head"
ENCODER = "encoder"
"""Name of all parts but the head."""

Part = str | int
"""A part of a network: "embeddings", the number of a layer, "pooler" or "head"."""


def part_of(model: PretrainedModel, name: str) -> Part:
    """Return the part that a parameter belongs to, also inside wrappers such as DistributedDataParallel."""
    first, *others = model.names.relative(without_wrappers(name)).split(".")
    if first == "layers":
        return int(others[0])
    return first if first in (EMBEDDINGS, POOLER) else HEAD


def parts_of(model: PretrainedModel) -> dict[Part, dict[str, nn.Parameter]]:
    """Return the parameters of each part by name, from the input to the output."""
    parts: dict[Part, dict[str, nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        parts.setdefault(part_of(model, name), {})[name] = parameter
    return parts


def is_new(model: PretrainedModel, name: str) -> bool:
    """Return True for a parameter that the checkpoint did not have. It still has an initial value when training begins."""
    return model.names.relative(name) in model.initialized


def parse_parts(text: str, parts: Sequence[Part]) -> list[Part]:
    """Read a list of parts such as "embeddings,0-3".

    Args:
        text: names of parts, numbers of layers and ranges of numbers, separated by commas; "encoder" for all but the head.
        parts: the parts of the network.

    Raises: ValueError for a part that the network does not have, and for the head, which is always trained.

    >>> parse_parts("embeddings,1-2", ["embeddings", 0, 1, 2, "head"])
    ['embeddings', 1, 2]
    """
    layers = [part for part in parts if isinstance(part, int)]
    found: set[Part] = set()
    for word in (word.strip() for word in text.split(",")):
        limits = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", word)
        chosen: list[Part] = [part for part in parts if part == word and part != HEAD]
        if word == ENCODER:
            chosen = [part for part in parts if part != HEAD]
        elif limits and int(limits[1]) <= int(limits[2] or limits[1]) in layers:
            chosen = [*range(int(limits[1]), int(limits[2] or limits[1]) + 1)]
        if not chosen:
            reason = "the head is always trained" if word == HEAD else f"the network has no part {word!r}"
            names = ", ".join([part for part in parts if isinstance(part, str) and part != HEAD])
            raise ValueError(
                f"--freeze {text}: {reason}; parts: {names}, the layers 0-{max(layers)}, or {ENCODER} for all of these. "
                f"Example: --freeze {EMBEDDINGS},0"
            )
        found.update(chosen)
    return [part for part in parts if part in found]


def freeze(model: PretrainedModel, parts: Sequence[Part]) -> list[str]:
    """Turn off the training of some parts. The optimizer leaves frozen parameters out, so they have no weight decay either.

    Returns: messages about new parameters in these parts. They are trained.
    """
    kept: dict[Part, None] = {}
    for part, parameters in parts_of(model).items():
        for name, parameter in parameters.items() if part in parts else ():
            if is_new(model, name):
                kept[part] = None
            else:
                parameter.requires_grad_(False)
    return [f"{describe_part(part)}: newly initialized, so it is trained, not frozen" for part in kept]


def in_encoder(part: Part) -> bool:
    """Return True for the embeddings and the layers."""
    return part == EMBEDDINGS or isinstance(part, int)


def describe_part(part: Part) -> str:
    """Return the name of a part for display."""
    return f"layer {part}" if isinstance(part, int) else part


def layer_decay_factors(model: PretrainedModel, decay: float) -> dict[str, float]:
    r"""Compute the factor on the learning rate of each parameter, by name. It is smaller for lower layers.

    Eq: $$\eta^{k-1} = \xi \, \eta^k$$
    Source: Sun et al. 2019, section 5.4.3, with ξ = 0.95. Howard and Ruder 2018, section 3.1, call it discriminative
        fine-tuning and divide by 2.6.
    Differs: the papers do not say what the other parts have. Here the head and the pooler have the factor of the top layer,
        1. The embeddings are the layer below layer 0. New parameters have the factor of their part.

    Args:
        decay: ξ, above 0 and at most 1.
    """
    parts = parts_of(model)
    top = max(part for part in parts if isinstance(part, int))
    factors: Mapping[Part, float] = {part: decay ** (top - part) for part in parts if isinstance(part, int)} | {
        EMBEDDINGS: decay ** (top + 1)
    }
    return {name: factors.get(part, 1.0) for part, parameters in parts.items() for name in parameters}


def reinitialize(model: PretrainedModel, layers: int) -> None:
    """Give the pooler and the top layers initial values again. They are new parameters from here on.

    Source: Zhang et al. 2021, "Revisiting few-sample BERT fine-tuning", section 5.

    Args:
        layers: number of layers; 0 for the pooler alone.

    Raises: ValueError for more layers than there are, and for nothing to initialize.
    """
    parts = parts_of(model)
    depth = sum(isinstance(part, int) for part in parts)
    if not 0 <= layers <= depth:
        raise ValueError(f"cannot initialize the top {layers} layers again: the network has {depth}")
    chosen: list[Part] = [part for part in parts if part == POOLER or (isinstance(part, int) and part >= depth - layers)]
    if not chosen:
        raise ValueError(
            f"{with_article(type(model).__name__)} has no pooler to initialize again: give a number of layers, at least 1"
        )
    names = [name for part in chosen for name in parts[part]]
    model.initialize(*(model.get_submodule(module) for module in dict.fromkeys(name.rpartition(".")[0] for name in names)))
    model.initialized = tuple(dict.fromkeys([*model.initialized, *map(model.names.relative, names)]))


class Transfer:
    """The options of transfer, applied to a network.

    Args:
        model: the network with its initial values. Some of its parameters are frozen, or get new values.

    Raises: ValueError for parts that the network does not have, and for options that do not go together.
    """

    def __init__(self, model: PretrainedModel, config: TransferConfig) -> None:
        self.model, self.config = model, config
        if model.adapter is not None and replace(config, layer_decay=1.0) != TransferConfig():
            raise ValueError(
                "an adapter chooses the parameters that are trained: leave out --freeze, --feature-extraction, "
                "--unfreeze-per-epoch and --reinitialize"
            )
        if config.reinitialize is not None:
            reinitialize(model, config.reinitialize)
        parts = parts_of(model)
        frozen = ENCODER if config.feature_extraction else config.freeze
        self.messages = [] if frozen is None else freeze(model, parse_parts(frozen, [*parts]))
        trains_encoder = any(each.requires_grad for name, each in model.named_parameters() if in_encoder(part_of(model, name)))
        if not trains_encoder and config.layer_decay != 1:
            raise ValueError("--layer-decay has no effect: all layers are frozen")
        self.unfreezing = None
        if config.unfreeze_per_epoch is not None:
            self.unfreezing = GradualUnfreezing(model, config.unfreeze_per_epoch)
            if not self.unfreezing.waiting:
                raise ValueError("--unfreeze-per-epoch has no effect: all layers are frozen or new")

    @property
    def learning_rate_factors(self) -> dict[str, float]:
        """Factor on the learning rate of each parameter, by name."""
        return layer_decay_factors(self.model, self.config.layer_decay)

    @property
    def start_epoch(self) -> Callable[[int], None] | None:
        """The function that chooses the parts which an epoch trains; None if they are always the same."""
        return None if self.unfreezing is None else self.unfreezing.start_epoch


class GradualUnfreezing:
    """Gradual unfreezing: the first epoch trains the head and the pooler; layers join from the top, some in each epoch.

    The embeddings are the last ones to join. New parameters are trained from the beginning. Parameters that are frozen when
    this object is created stay frozen.

    Source: Howard and Ruder 2018, section 3.3, where one layer joins per epoch.
    """

    def __init__(self, model: PretrainedModel, layers_per_epoch: int = 1) -> None:
        self.model = model
        self.layers_per_epoch = layers_per_epoch
        waiting = {
            part: [each for name, each in parameters.items() if each.requires_grad and not is_new(model, name)]
            for part, parameters in parts_of(model).items()
            if in_encoder(part)
        }
        self.waiting = {part: parameters for part, parameters in reversed(waiting.items()) if parameters}
        """Parameters of each part, in the order in which the parts join."""

    def __repr__(self) -> str:
        return f"GradualUnfreezing(layers_per_epoch={self.layers_per_epoch}, order={[*self.waiting]})"

    @property
    def epochs(self) -> int:
        """Number of epochs after which all parts have joined."""
        return 1 + -(-len(self.waiting) // self.layers_per_epoch)

    def start_epoch(self, epoch: int) -> None:
        """Choose the parts that this epoch trains; the first epoch is 0. The others are in evaluation mode."""
        for position, parameters in enumerate(self.waiting.values()):
            for parameter in parameters:
                parameter.requires_grad_(position < epoch * self.layers_per_epoch)
        training_mode(self.model)
