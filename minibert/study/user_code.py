"""A user's function in the sandbox: it is called in a subprocess with limits, and returns tensors."""

import pickle
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from minibert.sandbox import Limits, Session, Stopped, guard, linux
from minibert.sandbox.code import Code
from minibert.sandbox.errors import describe, frame_of, line_of
from minibert.sandbox.messages import WROTE_TO_SANDBOX, decode, encode
from minibert.study.checked_attention import UserCodeError

TIME_LIMIT = 60.0
"""Default limit of the time for the user's file and function, in seconds."""
Compute = Callable[..., tuple[Any, Mapping[str, Tensor]]]
"""A function of the user's function and of other arguments. It returns a description, for JSON, and tensors by name."""


def limits_of(seconds: float) -> Limits:
    """Return the limits of code that computes with the tensors of a whole network."""
    return Limits(seconds, memory=8 * 2**30, files=2**30, answer=2 * 2**30)


@dataclass(frozen=True)
class UserWork:
    """The calls of a user's function, in its process."""

    compute: Compute
    file: str
    """The user's file, for messages."""
    folder: str
    """Its folder, as an absolute path. The modules in it can be imported."""
    limits: Limits

    def begin(self, folder: Path) -> None:
        """Let the code import the modules in its own folder."""
        sys.path.insert(1, self.folder)
        guard.watch([str(folder), self.folder])

    def call(self, function: Callable[..., Any], message: bytes) -> bytes:
        """Return what `compute` returns for the arguments in a message."""
        description, tensors = self.compute(function, *pickle.loads(message))
        return encode({"description": description}, tensors, self.limits)

    def failed(self, error: Exception, file: Path) -> bytes:
        """Return the text of an exception, with the last line of the user's file that it passed through."""
        return encode({"error": describe_error(error, str(file), self.file)}, {}, self.limits)


def describe_error(error: Exception, file: str, shown: str) -> str:
    """Describe an exception with its place in a file, which has another name for the user."""
    if isinstance(error, UserCodeError):
        return str(error)
    line, frame = line_of(error, file), frame_of(error, file)
    where = f"{shown}, line {line}" if line else shown
    if isinstance(error, SyntaxError) and frame is None:
        return f"{where}: {type(error).__name__}: {error.msg}"
    return f"{where}, in {frame.name}: {describe(error)}" if frame else f"{where}: {describe(error)}"


class UserCode(Session):
    """A user's function in a subprocess with limits. A context manager: the subprocess ends with the block.

    Args:
        location: file and function, such as `my.py:my_attention`.
        compute: a function of a module, which gets the user's function and the arguments of each call.
        show: a function that receives what the user's code has printed, at the end of the block.
        limits: the limits of the process.
        advice: a sentence about the limit of the time.

    Raises: UserCodeError if there is no such file.
    """

    def __init__(
        self,
        location: str,
        compute: Compute,
        show: Callable[[str], None],
        limits: Limits,
        advice: str = "--time-limit SECONDS changes this limit.",
    ) -> None:
        self.file, _, function = location.rpartition(":")
        self.show, self.advice = show, advice
        path = Path(self.file)
        if not self.file or not path.is_file() or path.suffix != ".py":
            raise UserCodeError(f"Python file {self.file or location} not found: give FILE.py:FUNCTION")
        work = UserWork(compute, self.file, str(path.resolve().parent), limits)
        super().__init__(Code(path.name, {path.name: path.read_bytes()}, function, work, limits), __name__)

    def __call__(self, *arguments: Any) -> tuple[Any, dict[str, Tensor]]:
        """Return what `compute` returns. Raises: UserCodeError if the code fails or exceeds a limit."""
        try:
            head, tensors = decode(self.ask(pickle.dumps(arguments)))
            if "error" not in head:
                return head["description"], tensors
            problem = str(head["error"])
        except Stopped as stopped:
            where = f"{self.file}, line {stopped.line}" if stopped.line else self.file
            advice = f" {self.advice}" if stopped.reason == self.code.limits.too_slow else ""
            problem = f"{where}: {stopped.reason}{advice}"
        except (KeyError, TypeError):
            problem = f"{self.file}: {WROTE_TO_SANDBOX}"
        raise UserCodeError(problem)

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        if self.printed:
            self.show(self.printed.expandtabs().rstrip("\n"))


def prepare() -> None:
    """Leave the network, in the server of the sandbox."""
    linux.isolate()
