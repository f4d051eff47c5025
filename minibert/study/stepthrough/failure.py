"""The end of a forward pass that fails: the operation, the shapes that did not fit, and the results before it."""

import inspect
import linecache
import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from torch import Tensor

from minibert import observe, trace
from minibert.observe import Recording
from minibert.study.checked_attention import CheckedAttention, UserCodeError
from minibert.study.equations.registry import REPOSITORY
from minibert.study.stepthrough.step import Failure
from minibert.trace import Leaf, Operation

LIBRARIES = ("minibert.", "torch.", "jaxtyping", "beartype")
"""Beginnings of the names of modules that are not the user's code."""


@dataclass(frozen=True, eq=False)
class UnobservedResult:
    """The result of an operation that no `observe` has named, because the forward pass failed before or it has no name."""

    path: str
    """Path of the module, and the name of the user's variable or of the operation."""
    output: Tensor
    expression: Operation
    """The operation, with earlier results as leaves."""


def describe_failure(error: Exception, recording: Recording) -> tuple[Failure, list[UnobservedResult]]:
    """Describe an exception in a recorded forward pass, and the results since the last recorded step."""
    frames = [*traceback.walk_tb(error.__traceback__)]
    owners = [frame.f_locals.get("self") for frame, _ in frames]
    path = next((found for owner in reversed(owners) if (found := recording.path_of(owner))), "")
    checked = next((owner for owner in owners if isinstance(owner, CheckedAttention)), None)
    earlier: dict[int, Leaf] = {}
    results = [*_results(path, recording, _variables(frame for frame, _ in frames), earlier)]
    operation = recording.failed_operation(error)
    if operation is None and isinstance(error, UserCodeError):
        operation = _first_not_finite(results)
    file, line = _location(frames, checked)
    message = " ".join("".join(traceback.format_exception_only(error)).split())
    if isinstance(error, UserCodeError) and checked is not None:
        message = str(error).removeprefix(f"{checked.where}: ")
    failure = Failure(
        path=path,
        error=message,
        code=f"{_shown(file)}:{line}",
        line=linecache.getline(file, line).strip(),
        operation="" if operation is None else operation.name,
        arguments=() if operation is None else tuple(_described(earlier.get(id(each), each)) for each in operation.arguments),
    )
    return failure, results


def _is_library(frame: FrameType) -> bool:
    return _module(frame).startswith(LIBRARIES)


def _module(frame: FrameType) -> str:
    """Return the name of the module of a frame, also of one that runs as `__main__`."""
    name = str(frame.f_globals.get("__name__", ""))
    spec = frame.f_globals.get("__spec__")
    return str(spec.name) if name == "__main__" and spec is not None else name


def _location(frames: list[tuple[FrameType, int]], checked: CheckedAttention | None) -> tuple[str, int]:
    """Return file and line of the user's code; if none raised the exception, of the function with the invalid result."""
    own = [(frame.f_code.co_filename, line) for frame, line in frames if not _is_library(frame)]
    if own:
        return own[-1]
    if checked is not None and (code := getattr(inspect.unwrap(checked.function), "__code__", None)):
        return code.co_filename, code.co_firstlineno
    ours = [(frame.f_code.co_filename, line) for frame, line in frames if _module(frame).startswith("minibert.")]
    between = (observe.__file__, trace.__file__)
    return [(file, line) for file, line in ours if file not in between and not file.startswith("<")][-1]  # "<": generated


def _shown(file: str) -> str:
    """Return a file's path relative to the repository or to the current folder, if it is inside."""
    folders = [REPOSITORY]
    with suppress(FileNotFoundError):  # the user's code may have deleted the current folder
        folders.append(Path.cwd())
    folder = next((folder for folder in folders if Path(file).is_relative_to(folder)), None)
    return file if folder is None else Path(file).relative_to(folder).as_posix()


def _variables(frames: Iterator[FrameType]) -> dict[int, str]:
    """Return the names of the tensors in the variables of the user's functions, by the id of the tensor."""
    names: dict[int, str] = {}
    for frame in frames:
        variables = {} if _is_library(frame) else frame.f_locals
        if isinstance(frame.f_locals.get("self"), CheckedAttention):
            variables = {"result": frame.f_locals.get("result")}
        for name, value in variables.items():
            if isinstance(value, Tensor):
                names.setdefault(id(value), name)
    return names


def _results(
    path: str, recording: Recording, variables: Mapping[int, str], earlier: dict[int, Leaf]
) -> Iterator[UnobservedResult]:
    """Yield the results since the last recorded step, each with the operation that has the earlier ones as leaves.

    Args:
        earlier: gets the leaf of each result, by the id of its operation.
    """
    taken = {*recording.paths}
    for operation, tensor in recording.operations(unobserved=True):
        name = unused = f"{path}.{variables.get(id(tensor), operation.name)}".lstrip(".")
        number = 1
        while unused in taken:
            number += 1
            unused = f"{name}_{number}"
        taken.add(unused)
        expression = replace(operation, arguments=tuple(earlier.get(id(each), each) for each in operation.arguments))
        earlier[id(operation)] = Leaf("step", unused, tensor)
        yield UnobservedResult(unused, tensor, expression)


def _first_not_finite(results: list[UnobservedResult]) -> Operation | None:
    """Return the first operation with a NaN, or else with an infinity. Minus infinity is the score of a masked key."""
    for is_invalid in (Tensor.isnan, Tensor.isposinf):
        for result in results:
            if is_invalid(result.output).any():
                return result.expression
    return None


def _described(argument: Any) -> str:
    if isinstance(argument, Leaf):
        return f"{argument.name.rpartition('.')[2] or 'a constant'} {tuple(argument.value.shape)}"
    return f"{argument.name} {argument.shape}" if isinstance(argument, Operation) else repr(argument)
