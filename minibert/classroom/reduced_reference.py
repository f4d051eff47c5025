"""The reference of an exercise, reduced to what the exercise asks for."""

import inspect
from collections.abc import Mapping
from types import FunctionType
from typing import Any

from torch import nn

from minibert.classroom.draws import RandomDraw
from minibert.classroom.exercise import Exercise
from minibert.classroom.reduction import TRANSPARENT, Reduction


def reduced(exercise: Exercise, transparent: Mapping[str, int] = TRANSPARENT) -> Reduction:
    """Reduce the reference: without the parameters that no test input has, and without settings that the stub does not have.

    Args:
        transparent: functions to leave out, such as `observe`; see `Reduction`.
    """
    from minibert.classroom.exercises import EXERCISES

    reference = inspect.unwrap(exercise.reference)
    parameters = inspect.signature(reference).parameters
    module = exercise.cases[0].recipe(RandomDraw(0))["self"] if "self" in parameters else None
    kept = frozenset(inspect.unwrap(other.reference) for other in EXERCISES.values()) - {reference}
    reduction = Reduction(kept, module, hidden_settings(module) if module else {}, transparent)
    known = {name: parameter.default for name, parameter in parameters.items() if name not in exercise.parameters}
    reduction.add(reference, known, exercise.name)
    return reduction


def hidden_settings(module: nn.Module) -> dict[str, Any]:
    """Return the settings of a module that a stub does not have: switches that are off, and names of implementations."""
    return {name: value for name, value in settings(module).items() if not value or isinstance(value, str)}


def settings(module: nn.Module) -> dict[str, Any]:
    """Return the attributes of a module that are numbers, texts or functions, and those that are None."""
    attributes = {**module._modules, **module._parameters, **vars(module)}
    kinds = (int, float, str, type(None), FunctionType)
    return {
        name: value
        for name, value in attributes.items()
        if isinstance(value, kinds) and not name.startswith("_") and name not in ("training", "call_super_init", "dump_patches")
    }
