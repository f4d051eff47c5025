"""Reports on a training run: the parameters that are trained, the modules in evaluation mode, and what has really moved."""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import torch
from torch import Tensor

from minibert.model.checkpoints.names import insert_number, shorten, split_number, without_wrappers
from minibert.model.modes import training_mode
from minibert.model.pretrained import PretrainedModel
from minibert.training.transfer import ENCODER, GradualUnfreezing, Part, Transfer, describe_part, is_new, part_of, parts_of


class TransferReport:
    """Lines that a run prints about the parameters that it trains.

    Args:
        transfer: the options, applied to the network before its first step.
        epochs: length of the run.
    """

    def __init__(self, transfer: Transfer, epochs: float) -> None:
        self.transfer, self.epochs = transfer, epochs
        self.fingerprints = fingerprints(transfer.model.state_dict())

    def before(self, epoch: int = 0) -> list[str]:
        """Describe what an epoch trains. Afterwards the parameters and modules are those of this epoch."""
        transfer, model = self.transfer, self.transfer.model
        if transfer.start_epoch is not None:
            transfer.start_epoch(epoch)
        lines = [*transfer.messages, *describe_trained(model)]
        if transfer.unfreezing is not None:
            lines += describe_unfreezing(transfer.unfreezing, self.epochs)
        if (decay := transfer.config.layer_decay) != 1:
            lowest = min(transfer.learning_rate_factors.values())
            lines.append(f"Learning rates: times {decay:g} for each layer below the top layer, down to {lowest:.2g}.")
        return lines

    def after(self, weights: Mapping[str, Tensor]) -> list[str]:
        """Describe which parameters have moved since the first step.

        Args:
            weights: all parameters of the network, by name.
        """
        return describe_moved(self.transfer.model, self.fingerprints, fingerprints(weights))


def describe_unfreezing(unfreezing: GradualUnfreezing, epochs: float) -> list[str]:
    """Describe the order in which parts join, and name those that never do."""
    order = ", ".join(map(describe_part, unfreezing.waiting))
    lines = [f"Gradual unfreezing, {unfreezing.layers_per_epoch} in each epoch after the first: {order}."]
    if never := [*unfreezing.waiting][max(0, math.ceil(epochs) - 1) * unfreezing.layers_per_epoch :]:
        parts = describe_parts(never[::-1])
        lines.append(f"In {epochs:.3g} epochs, these are never trained: {parts}. It takes {unfreezing.epochs} epochs.")
    return lines


def describe_trained(model: PretrainedModel) -> list[str]:
    """Describe what the next step trains: numbers of parameters by part, and the modules in evaluation mode.

    Afterwards the modules are in the modes of `training_mode`.
    """
    training_mode(model)
    groups: dict[str, list[Part]] = {"trained": [], "partly trained": [], "frozen": []}
    for part, parameters in parts_of(model).items():
        trained = [parameter.requires_grad for parameter in parameters.values()]
        groups["trained" if all(trained) else "partly trained" if any(trained) else "frozen"].append(part)
    total = sum(parameter.numel() for parameter in model.parameters())
    count = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    shown = [f"{name}: {describe_parts(parts)}" for name, parts in groups.items() if parts]
    lines = [f"{count:,} of {total:,} parameters are trained ({count / total:.1%}). {_sentence(shown)}"]
    if new := dict.fromkeys(part_of(model, name) for name, _ in model.named_parameters() if is_new(model, name)):
        lines.append(f"Newly initialized, and trained: {describe_parts([*new])}.")
    if resting := modules_in_evaluation_mode(model):
        lines.append(f"In evaluation mode, without dropout: {', '.join(shorten_numbers(resting))}.")
    return lines


def modules_in_evaluation_mode(model: PretrainedModel) -> list[str]:
    """Return the names of the modules in evaluation mode, without those that are inside another one of them."""
    found: list[str] = []
    for name, module in model.named_modules():
        if name and not module.training and not name.startswith(tuple(f"{outer}." for outer in found)):
            found.append(name)
    encoder = model.names.our_prefix.removesuffix(".")
    return [ENCODER if name == encoder else model.names.relative(without_wrappers(name)) for name in found]


def describe_parts(parts: Sequence[Part]) -> str:
    """Join the names of parts; the numbers of consecutive layers become a range.

    >>> describe_parts(["embeddings", 0, 1, 2, 5, "head"])
    'embeddings, layers 0-2, layer 5, head'
    """
    layers = [part for part in parts if isinstance(part, int)]
    ranges = [f"{'layers' if '-' in each else 'layer'} {each}" for each in number_ranges(layers)]
    first = layers[0] if layers else None
    names = [part if isinstance(part, str) else ", ".join(ranges) for part in parts if isinstance(part, str) or part == first]
    return ", ".join(names)


def number_ranges(numbers: Iterable[int]) -> list[str]:
    """Write numbers as ranges.

    >>> number_ranges([5, 0, 1, 2])
    ['0-2', '5']
    """
    runs = [[*run] for _, run in groupby(enumerate(sorted(numbers)), key=lambda pair: pair[1] - pair[0])]
    return [f"{run[0][1]}-{run[-1][1]}" if len(run) > 1 else str(run[0][1]) for run in runs]


def shorten_numbers(names: Iterable[str]) -> list[str]:
    """Merge names that differ in the number of the layer only.

    >>> shorten_numbers(["embeddings", "layers.0.query", "layers.1.query"])
    ['embeddings', 'layers.0-1.query']
    """
    numbers: dict[str, list[str]] = {}
    for pattern, number in map(split_number, names):
        numbers.setdefault(pattern, []).append(number)
    return [
        insert_number(pattern, each)
        for pattern, found in numbers.items()
        for each in (number_ranges(map(int, filter(None, found))) or [""])
    ]


def fingerprints(weights: Mapping[str, Tensor]) -> dict[str, str]:
    """Compute a checksum of the bytes of each tensor. Two tensors of one type are equal in every bit if their checksums are."""
    return {
        without_wrappers(name): hashlib.sha256(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data).hexdigest()
        for name, tensor in weights.items()
    }


def describe_moved(model: PretrainedModel, before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Describe which parameters have moved, and name those that have not moved although they are trained.

    Args:
        model: tells which parameters are trained.
        before, after: `fingerprints` of its weights.
    """
    moved = [name for name, _ in model.named_parameters() if before[name] != after[name]]
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    parts = dict.fromkeys(part_of(model, name) for name in moved)
    total = sum(1 for _ in model.parameters())
    where = f": {describe_parts([*parts])}" if parts else ""
    lines = [f"Moved: {len(moved)} of {total} parameter tensors{where}."]
    for fault, names in (
        ("Trained, but not moved", [name for name in trained if name not in moved]),
        ("Frozen, but moved", [name for name in moved if name not in trained]),
    ):
        if names:
            lines.append(f"{fault}: {shorten(shorten_numbers(map(model.names.relative, names)))}.")
    return lines


def _sentence(parts: Sequence[str]) -> str:
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."
