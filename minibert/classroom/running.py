"""A call of a learner's function, and its outcome: results, gradients, errors, and changes of the arguments.

This module imports neither the equations nor the catalogue, so that a subprocess can call a function without them.
"""

import copy
import io
import linecache
import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from minibert.classroom.binding import call as call_function
from minibert.classroom.results import Unusable, outputs_of, tensors_in
from minibert.classroom.trail import Entry, Trail, code_of
from minibert.sandbox import errors

Arguments = dict[str, Any]
"""Arguments of a function by name."""
MAX_PRINTED = 2_000
"""Number of characters that are kept of what a function prints."""


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
    line_text: str = ""
    """Source of that line."""
    gradient_error: str | None = None
    """The exception of the call with gradients, if only this one failed."""
    is_list: bool = False
    """True if the result is a list or tuple."""
    leaves_torch: bool = False
    """True if the function computes with NumPy or with Python's numbers, so that no gradient can flow."""
    repeatable: bool = True
    """False if the call with gradients returned other numbers than the call without."""
    printed: str = ""
    """The beginning of what the function printed."""
    trail: list[Entry] = field(default_factory=list)
    """The values that each line computed, if they were asked for."""
    stopped: str = ""
    """The reason, if the process of the function was stopped. No further call is possible then."""


@runtime_checkable
class Runner(Protocol):
    """A function that can be called: in this process, or in a subprocess with limits."""

    def __call__(self, arguments: Arguments, gradients: bool, trail: bool = False) -> Outcome: ...


class Stopped(BaseException):
    """The process of a function was stopped. It passes through code that handles other exceptions."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.stopped)
        self.outcome = outcome


def watched(runner: Runner) -> Runner:
    """Return a runner that raises `Stopped` if the process of the function was stopped."""

    def call(arguments: Arguments, gradients: bool, trail: bool = False) -> Outcome:
        outcome = runner(arguments, gradients, trail)
        if outcome.stopped:
            raise Stopped(outcome)
        return outcome

    return call


@runtime_checkable
class Interface(Protocol):
    """The part of an exercise that a call needs."""

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Parameters of the reference in order, with their default values or `REQUIRED`."""
        ...

    @property
    def read(self) -> Callable[[Any], Any] | None:
        """Converts a result to tensors, if it is something else."""
        ...


@dataclass(frozen=True)
class CallForm:
    """An `Interface` that can be sent to another process."""

    defaults: Mapping[str, Any]
    read: Callable[[Any], Any] | None = None


class LocalRunner:
    """Calls a function in this process."""

    def __init__(self, interface: Interface, function: Callable[..., Any]) -> None:
        self.interface, self.function = interface, function

    def __call__(self, arguments: Arguments, gradients: bool, trail: bool = False) -> Outcome:
        outcome = self._call(arguments, with_graph=False, trail=trail)
        if gradients and outcome.error is None:
            graph = self._call(arguments, with_graph=True)
            outcome.gradients, outcome.gradient_error = graph.gradients, graph.error
            outcome.leaves_torch = graph.leaves_torch
            outcome.repeatable = graph.error is not None or same_numbers(graph.outputs, outcome.outputs)
        return outcome

    def _call(self, arguments: Arguments, with_graph: bool, trail: bool = False) -> Outcome:
        """Call the function with copies of the arguments, always with the same random numbers."""
        copied = copy.deepcopy(arguments)
        leaves = dict(tensors_in(copied)) if with_graph else {}
        leaves = {name: tensor.requires_grad_() for name, tensor in leaves.items() if tensor.is_floating_point()}
        outcome, printed, watch = Outcome(), Printed(), _Departures()
        recorder = Trail(self.function) if trail else None
        with settings_kept(), redirect_stdout(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.default_generator.manual_seed(0)  # torch.manual_seed takes 3 ms, for other devices
            try:
                with recorder or (watch if with_graph else nullcontext()):
                    result = call_function(self.function, copied, self.interface.defaults)
                outcome.is_list = isinstance(result, list | tuple)
                outputs = outputs_of(self.interface.read(result) if self.interface.read else result)
                if with_graph:
                    outcome.gradients = _gradients(outputs, leaves)
                outcome.outputs = {name: output.detach().clone() for name, output in outputs.items()}
            except (Exception, SystemExit) as error:  # the learner's code may raise any
                outcome.error, outcome.line = describe(error), self._line_of(error)
                outcome.line_text = self._text_of(outcome.line)
        outcome.after = {name: tensor.detach().clone() for name, tensor in tensors_in(copied)}
        outcome.printed, outcome.leaves_torch = printed.getvalue(), watch.happened
        outcome.trail = recorder.entries if recorder else []
        return outcome

    def _line_of(self, error: BaseException) -> int | None:
        """Return the last line of the learner's file that an exception passed through."""
        code = code_of(self.function)
        return errors.line_of(error, code.co_filename) if code else None

    def _text_of(self, line: int | None) -> str:
        code = code_of(self.function)
        return linecache.getline(code.co_filename, line).strip() if code and line else ""


class Printed(io.StringIO):
    """A stream that keeps the first characters that are written to it."""

    def write(self, text: str) -> int:
        super().write(text[: max(0, MAX_PRINTED - self.tell())])
        return len(text)


class _Departures(TorchFunctionMode):
    """A context that notices when numbers of tensors become arrays or numbers of Python, which have no gradient."""

    happened = False

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        leaves = function.__name__ in ("numpy", "__array__", "tolist", "item", "__float__")
        self.happened |= leaves and args[0].is_floating_point()  # labels and counts never have a gradient
        return function(*args, **(kwargs or {}))


@contextmanager
def settings_kept() -> Iterator[None]:
    """Restore the random generators and the settings of PyTorch that a function may change."""
    dtype = torch.get_default_dtype()
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            yield
    finally:
        torch.set_default_dtype(dtype)
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002


def _gradients(outputs: Mapping[str, Tensor], leaves: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the gradients of a weighted sum of all outputs. The weights are fixed and all different."""
    with torch.enable_grad():  # the function may have disabled it
        parts = [(output.double() * _weights(output)).sum() for output in outputs.values() if output.requires_grad]
    if not parts or not leaves:
        return {}
    gradients = torch.autograd.grad(parts, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(leaves, gradients, strict=True))


def _weights(output: Tensor) -> Tensor:
    return torch.cos(torch.arange(output.numel(), dtype=torch.float64)).reshape(output.shape) + 0.5


def same_numbers(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Return True if the tensors have the same names, shapes and numbers up to rounding."""
    return one.keys() == other.keys() and all(
        tensor.shape == other[name].shape
        and torch.allclose(tensor.double(), other[name].double(), rtol=1e-4, atol=1e-6, equal_nan=True)
        for name, tensor in one.items()
    )


def describe(error: BaseException) -> str:
    """Return type and text of an exception in one line. An unusable function has a sentence only."""
    return str(error) if isinstance(error, Unusable) else errors.describe(error)
