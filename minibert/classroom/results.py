"""Results and arguments of a learner's function, as tensors by name."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

NUMBERS = (bool, int, float, np.generic)


class Unusable(TypeError):
    """A function that cannot be called with the arguments of the exercise, or that returns no numbers."""


def outputs_of(result: Any, name: str = "output") -> dict[str, Tensor]:
    """Convert a result to tensors by name: "output", or "output.0", "output.1" for the parts of a tuple.

    Arrays, numbers and lists of lists of numbers become tensors. Dataclasses and mappings give the names of their parts.

    Raises: Unusable for a result without numbers, such as None.
    """
    if (tensor := as_tensor(result)) is not None:
        return {name: tensor}
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        result = {each.name: getattr(result, each.name) for each in dataclasses.fields(result)}
    if isinstance(result, Mapping):
        parts: Iterable[tuple[Any, Any]] = result.items()
    elif isinstance(result, list | tuple):
        parts = enumerate(result)
    else:
        raise Unusable(f"the function returned {_kind(result)}")
    return {key: tensor for part, value in parts for key, tensor in outputs_of(value, f"{name}.{part}").items()}


def as_tensor(value: Any) -> Tensor | None:
    """Return a tensor, array, number, or list of lists of numbers as a tensor; None for anything else."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, NUMBERS) or _is_list_of_numbers(value):
        value = np.array(value)
        if value.dtype == np.float64 and value.ndim:  # a list of Python numbers has no data type of its own
            value = value.astype(np.float32)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc" and value.dtype.itemsize <= 16:
        return torch.from_numpy(np.array(value))
    return None


def _is_list_of_numbers(value: Any) -> bool:
    """Return True for numbers in a list, or in a list of lists of the same length."""
    if not isinstance(value, list | tuple) or not value:
        return False
    if all(isinstance(part, NUMBERS) for part in value):
        return True
    return all(_is_list_of_numbers(part) and len(part) == len(value[0]) for part in value)


def _kind(result: Any) -> str:
    if result is None:
        return "None; does it end with `return`?"
    return f"an object of type {type(result).__name__}, which has no numbers"


def tensors_in(arguments: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors in arguments by name: tensors, arrays, parameters of modules, and states of optimizers."""
    if isinstance(arguments, Tensor):
        yield name, arguments
    elif isinstance(arguments, np.ndarray):
        yield name, torch.from_numpy(arguments)
    elif isinstance(arguments, nn.Module):
        yield from ((f"{name}.{path}", parameter) for path, parameter in arguments.named_parameters())
    elif isinstance(arguments, Mapping):
        for key, value in arguments.items():
            yield from tensors_in(value, f"{name}.{key}" if name else str(key))
    elif isinstance(arguments, list | tuple):
        for number, value in enumerate(arguments):
            yield from tensors_in(value, f"{name}.{number}")
    elif isinstance(arguments, Optimizer):
        for number, state in enumerate(arguments.state.values()):
            yield from tensors_in(state, f"{name}.{number}")
