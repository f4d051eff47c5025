"""The comparison of two checkpoints of one architecture: their settings and their parameters.

Their stages are compared by `comparison.compare`. Equal stages are not enough: a row of the word embeddings that the input does
not use may differ.
"""

import math
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from minibert.model.pretrained import PretrainedModel
from minibert.printable import with_article
from minibert.study.verify.comparison import TOLERANCES, difference
from minibert.study.verify.diagnosis import Names


@dataclass(frozen=True)
class ParameterDifference:
    """A parameter that two checkpoints do not share."""

    name: str
    absolute: float
    """Largest absolute difference, NaN if the shapes differ or only one side has the parameter."""
    relative: float
    """Largest absolute difference, divided by the largest absolute value or by 1, whichever is larger."""
    description: tuple[str, ...] = ()
    """The shapes, the side that has the parameter, or the parameter of the reference that has these values."""


@dataclass(frozen=True)
class CheckpointDifferences:
    """The settings and the parameters that differ between two checkpoints."""

    settings: dict[str, tuple[Any, Any]]
    """Fields of the config with other values: those of the reference and ours. They need not change any number."""
    parameters: list[ParameterDifference]
    parameters_compared: int

    @property
    def agrees(self) -> bool:
        return not self.parameters


def check_same_architecture(reference: PretrainedModel, ours: PretrainedModel, names: Names) -> None:
    """Raise ValueError unless two networks have the same architecture. Their heads and sizes may differ."""
    if type(reference.config) is not type(ours.config):
        kinds = [with_article(type(model).__name__) for model in (ours, reference)]
        raise ValueError(
            f"{names.ours} is {kinds[0]} and {names.reference} {kinds[1]}: give two checkpoints of the same architecture"
        )


def compare_checkpoints(reference: PretrainedModel, ours: PretrainedModel, names: Names) -> CheckpointDifferences:
    """Compare the settings and the parameters of two networks. Newly initialized parameters are left out."""
    settings = {
        each.name: (getattr(reference.config, each.name), getattr(ours.config, each.name))
        for each in fields(ours.config)
        if each.compare
    }
    expected, actual = _stored_parameters(reference), _stored_parameters(ours)
    tolerance = TOLERANCES[next(ours.parameters()).dtype]
    differences = []
    for name in dict.fromkeys([*expected, *actual]):
        if name not in expected or name not in actual:
            side = names.reference if name in expected else names.ours
            differences.append(ParameterDifference(name, math.nan, math.nan, (f"only in {side}",)))
        elif expected[name].shape != actual[name].shape:
            shapes = f"{tuple(expected[name].shape)} in {names.reference}, {tuple(actual[name].shape)} in {names.ours}"
            differences.append(ParameterDifference(name, math.nan, math.nan, (shapes,)))
        else:
            absolute, relative, _ = difference(expected[name].double(), actual[name].double())
            if not relative <= tolerance:
                description = _origin(actual[name], expected, names.reference)
                differences.append(ParameterDifference(name, absolute, relative, description))
    different_settings = {name: values for name, values in settings.items() if values[0] != values[1]}
    return CheckpointDifferences(different_settings, differences, len(expected.keys() | actual.keys()))


def _stored_parameters(model: PretrainedModel) -> dict[str, Tensor]:
    """Return the parameters that were in the file, by their names relative to the base model."""
    named = {model.names.relative(name): tensor for name, tensor in model.state_dict().items()}
    return {name: tensor for name, tensor in named.items() if name not in model.initialized}


def _origin(ours: Tensor, expected: dict[str, Tensor], reference: str) -> tuple[str, ...]:
    """Name the one parameter of the reference that equals a parameter of ours, perhaps transposed."""
    same = [name for name, tensor in expected.items() if torch.equal(tensor, ours)]
    transposed = [
        f"{name}, transposed" for name, tensor in expected.items() if tensor.dim() == 2 and torch.equal(tensor.T, ours)
    ]
    found = same + transposed
    return (f"equal to {found[0]} of {reference}",) if len(found) == 1 else ()
