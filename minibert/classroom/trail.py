"""The trail of a call: the values that each line of a function computes."""

import functools
import inspect
import linecache
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from minibert.classroom.results import as_tensor
from minibert.observe import observe

MAX_NUMBERS = 5_000
"""Larger tensors are left out."""
MAX_ENTRIES = 500
MAX_EVENTS = 50_000
"""Number of lines and operations after which nothing more is recorded, so that a long loop takes no longer than usual."""
NUMBERS_PER_EVENT = 100
"""Number of numbers in variables that take as long as one event."""
OBSERVE = inspect.unwrap(observe).__code__
FORMULAS = [str(Path(__file__).parents[1] / floor) for floor in ("equations", "model", "training")]
"""Folders of the functions that references call."""


@dataclass(frozen=True, eq=False)
class Entry:
    """A value that a line has computed."""

    line: int
    """Line of the learner's file."""
    text: str
    """Source of the line, empty if it is not known."""
    label: str
    """Name of the local variable, name given to `observe`, "return" for a result of the function, or empty."""
    value: Tensor
    repeated: bool = False
    """True if it was computed several times, as in a loop. The value is the last one then."""


class Trail:
    """A context that records local variables after each line, return values, and the results of PyTorch's operations.

    Of a value that is computed several times, as in a loop, the last one stays.

    Args:
        function: its file, and the equations of minibert, are recorded.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.code = code_of(function)
        self.file = self.code.co_filename if self.code else ""
        self.events = 0
        self._entries: dict[tuple[Any, ...], Entry] = {}
        self._known: dict[FrameType, dict[str, Tensor]] = {}
        """The variables of each frame before the line that runs."""
        self._lines: dict[FrameType, int] = {}
        """The line of each frame that runs."""
        self._mode = _Operations(self)

    @property
    def entries(self) -> list[Entry]:
        """The values in the order in which they were computed last."""
        return [*self._entries.values()]

    def __enter__(self) -> "Trail":
        self._before = sys.gettrace()
        self._mode.__enter__()  # type: ignore[no-untyped-call]
        sys.settrace(self._enter)
        return self

    def __exit__(self, *exception: Any) -> None:
        sys.settrace(self._before)
        self._mode.__exit__(None, None, None)  # type: ignore[no-untyped-call]
        self._known, self._lines = {}, {}

    def is_recorded(self, code: CodeType) -> bool:
        """Return True for code of the learner's file, of minibert's functions, and of their variants."""
        file = code.co_filename
        return file == self.file or file.endswith(", edited>") or any(file.startswith(folder) for folder in FORMULAS)

    def add(self, key: tuple[Any, ...], frame: FrameType, label: str, value: Any, line: int | None = None) -> None:
        """Record a value that was computed in a frame, or in a function called from there."""
        tensor = _recordable(value)
        while frame.f_code.co_filename != self.file and frame.f_back is not None:
            frame, line = frame.f_back, None
        if tensor is None or frame.f_code.co_filename != self.file:
            return
        line = line or frame.f_lineno
        earlier = self._entries.pop(key, None)  # so that it is the last one now
        if earlier is not None or len(self._entries) < MAX_ENTRIES:
            text, repeated = linecache.getline(self.file, line).strip(), earlier is not None
            self._entries[key] = Entry(line, text, label, tensor.detach().clone(), repeated)

    def add_result(self, result: Any) -> None:
        """Record the result of an operation of PyTorch."""
        frame: FrameType | None = sys._getframe(2)
        while frame is not None and not self.is_recorded(frame.f_code):
            frame = frame.f_back
        if frame is not None and self._go_on():
            self.add((frame.f_code, frame.f_lasti), frame, "", result)

    def _go_on(self) -> bool:
        self.events += 1
        return self.events <= MAX_EVENTS

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        """Python calls this at the beginning of every function."""
        if not self._go_on():
            return None
        if frame.f_code is OBSERVE and frame.f_back is not None:
            name = frame.f_locals["name"]
            with _unrecorded():
                self.add((frame.f_back.f_code, name), frame.f_back, name, frame.f_locals["tensor"])
        elif self.is_recorded(frame.f_code):
            with _unrecorded():
                self._lines[frame], self._known[frame] = frame.f_lineno, _variables(frame)
            return self._step
        return None

    def _step(self, frame: FrameType, event: str, argument: Any) -> Any:
        """Python calls this before every line of a recorded function, and when it returns."""
        if not self._go_on():
            return None
        with _unrecorded():
            line, known, now = self._lines[frame], self._known[frame], _variables(frame)
            self.events += sum(tensor.numel() for tensor in now.values()) // NUMBERS_PER_EVENT
            for name, tensor in now.items():
                if name not in known or not _equal(known[name], tensor):
                    self.add((frame.f_code, line, name), frame, name, tensor, line)
            if event == "return":
                label = "return" if frame.f_code is self.code else ""
                for number, part in enumerate(argument if isinstance(argument, tuple) else (argument,)):
                    self.add((frame.f_code, "return", number), frame, label, part)
        self._lines[frame], self._known[frame] = frame.f_lineno, now
        return self._step


class _Operations(TorchFunctionMode):
    """A context in which a trail records the results of PyTorch's operations."""

    def __init__(self, trail: Trail) -> None:
        super().__init__()
        self.trail = trail

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        with _unrecorded():
            self.trail.add_result(result)
        return result


def code_of(function: Callable[..., Any]) -> CodeType | None:
    """Return the code of a function, of a method, or of an object that can be called; None if it is not written in Python."""
    if isinstance(function, functools.partial):
        return code_of(function.func)
    function = inspect.unwrap(function)
    for candidate in (function, type(function).__call__):
        if isinstance(code := getattr(candidate, "__code__", None), CodeType):
            return code
    return None


def _unrecorded() -> AbstractContextManager[Any]:
    """Return a context in which the recorder may use PyTorch."""
    return torch._C.DisableTorchFunction()


def _variables(frame: FrameType) -> dict[str, Tensor]:
    """Return the local variables that have numbers, as copies."""
    variables = {name: _recordable(value) for name, value in frame.f_locals.items() if not name.startswith(".")}
    return {name: tensor.detach().clone() for name, tensor in variables.items() if tensor is not None}


def _recordable(value: Any) -> Tensor | None:
    """Return a value as a tensor, if it is neither large nor a size or counter."""
    if isinstance(value, bool | int | torch.Size) or _length(value) > MAX_NUMBERS:
        return None
    tensor = as_tensor(value)
    return tensor if tensor is not None and tensor.numel() <= MAX_NUMBERS else None


def _length(value: Any) -> int:
    """Return how many numbers a list of lists of the same length has, without a look at all of them; 1 for anything else."""
    return len(value) * _length(value[0]) if isinstance(value, list | tuple) and value else 1


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one.nan_to_num(), other.nan_to_num())
