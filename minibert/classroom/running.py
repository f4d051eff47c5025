"""A call of a learner's function, and all that a check needs to know of it."""

import copy
import dataclasses
import inspect
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from minibert.classroom.exercise import Arguments, Exercise


@dataclass
class Outcome:
    """The results of one call."""

    outputs: dict[str, Tensor] = field(default_factory=dict)
    """The result by name: "output", or one name for each part of a tuple or dataclass."""
    gradients: dict[str, Tensor] = field(default_factory=dict)
    """Gradients of a weighted sum of the outputs with respect to the floating-point arguments. Empty without a graph."""
    after: dict[str, Tensor] = field(default_factory=dict)
    """The tensors of the arguments after the call."""
    error: str | None = None
    """Type and text of the exception, such as "TypeError: …"."""
    line: int | None = None
    """Line of the learner's file that raised the exception."""
    gradient_error: str | None = None
    """The exception of the call with gradients, if only this one failed."""


@runtime_checkable
class Runner(Protocol):
    """A function that can be called: in this process, or in a subprocess with limits."""

    def __call__(self, arguments: Arguments, gradients: bool) -> Outcome: ...


class LocalRunner:
    """Calls a function in this process."""

    def __init__(self, exercise: Exercise, function: Callable[..., Any]) -> None:
        self.exercise, self.function = exercise, function

    def __call__(self, arguments: Arguments, gradients: bool) -> Outcome:
        outcome = _call(self.exercise, self.function, arguments, with_graph=False)
        if gradients and outcome.error is None:
            with_graph = _call(self.exercise, self.function, arguments, with_graph=True)
            outcome.gradients, outcome.gradient_error = with_graph.gradients, with_graph.error
        return outcome


def _call(exercise: Exercise, function: Callable[..., Any], arguments: Arguments, with_graph: bool) -> Outcome:
    """Call the function with copies of the arguments, always with the same random numbers."""
    copied = copy.deepcopy(arguments)
    leaves = dict(_tensors(copied)) if with_graph else {}
    leaves = {name: tensor.requires_grad_() for name, tensor in leaves.items() if tensor.is_floating_point()}
    outcome = Outcome()
    torch.manual_seed(0)
    try:
        result = bind(function, exercise, copied)
        outcome.outputs = outputs_of(exercise.read(result) if exercise.read else result)
        if with_graph:
            outcome.gradients = _gradients(outcome.outputs, leaves)
    except Exception as error:  # the learner's code may raise any
        outcome.error, outcome.line = describe(error), line_of(error, function)
    outcome.after = {name: tensor.detach().clone() for name, tensor in _tensors(copied)}
    outcome.outputs = {name: tensor.detach() for name, tensor in outcome.outputs.items()}
    return outcome


def bind(function: Callable[..., Any], exercise: Exercise, arguments: Arguments) -> Any:
    """Call a function with arguments by name if it has these names, else in the order of the reference.

    An argument that has the default of the reference may be missing in the learner's function.
    """
    parameters = inspect.signature(function).parameters
    given = dict(arguments)
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    own = [name for name in parameters if name in given]
    required = [name for name, parameter in parameters.items() if parameter.default is parameter.empty]
    if takes_any or (own and set(required) <= set(given)):
        for name in set(given) - set(parameters):
            default = exercise.parameters[name].default
            if not takes_any and default is not inspect.Parameter.empty and given[name] is default:
                del given[name]
        return function(**given)
    return function(*(arguments[name] for name in exercise.parameters if name in arguments))


def outputs_of(result: Any, name: str = "output") -> dict[str, Tensor]:
    """Convert a result to tensors by name.

    Raises: TypeError for a result without numbers, such as None.
    """
    if isinstance(result, Tensor):
        return {name: result}
    if isinstance(result, bool | int | float | np.ndarray | np.generic):
        return {name: torch.as_tensor(result)}
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        result = {each.name: getattr(result, each.name) for each in dataclasses.fields(result)}
    if isinstance(result, Mapping):
        parts = [(str(key), value) for key, value in result.items()]
    elif isinstance(result, list | tuple):
        if result and all(isinstance(part, bool | int | float) for part in result):
            return {name: torch.tensor(result)}
        parts = [(str(number), part) for number, part in enumerate(result)]
    else:
        raise TypeError(f"the function returned {_kind(result)}, expected a tensor")
    return {key: tensor for part, value in parts for key, tensor in outputs_of(value, f"{name}.{part}").items()}


def _kind(result: Any) -> str:
    return "None; does it end with `return`?" if result is None else type(result).__name__


def _gradients(outputs: Mapping[str, Tensor], leaves: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the gradients of a weighted sum of all outputs. The weights are fixed and all different."""
    parts = [(output * _weights(output)).sum() for output in outputs.values() if output.requires_grad]
    if not parts or not leaves:
        return {}
    gradients = torch.autograd.grad(torch.stack(parts).sum(), list(leaves.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(leaves, gradients, strict=True))


def _weights(output: Tensor) -> Tensor:
    return torch.cos(torch.arange(output.numel(), dtype=output.dtype)).reshape(output.shape) + 0.5


def _tensors(arguments: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors in arguments by name: tensors, arrays, and parameters of modules."""
    if isinstance(arguments, Tensor):
        yield name, arguments
    elif isinstance(arguments, np.ndarray):
        yield name, torch.from_numpy(arguments)
    elif isinstance(arguments, nn.Module):
        yield from ((f"{name}.{path}", parameter) for path, parameter in arguments.named_parameters())
    elif isinstance(arguments, Mapping):
        for key, value in arguments.items():
            yield from _tensors(value, f"{name}.{key}" if name else str(key))
    elif isinstance(arguments, list | tuple):
        for number, value in enumerate(arguments):
            yield from _tensors(value, f"{name}.{number}")
    elif isinstance(arguments, Optimizer):
        for number, state in enumerate(arguments.state.values()):
            yield from _tensors(state, f"{name}.{number}")


def describe(error: BaseException) -> str:
    """Return type and text of an exception in one line."""
    return " ".join("".join(traceback.format_exception_only(error)).split())


def line_of(error: BaseException, function: Callable[..., Any]) -> int | None:
    """Return the last line of the learner's file that an exception passed through."""
    file = getattr(getattr(inspect.unwrap(function), "__code__", None), "co_filename", None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return lines[-1] if lines else None
