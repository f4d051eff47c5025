"""A learner's code, and what is done with its function, as they are sent to the server."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from minibert.sandbox.limits import Limits


@runtime_checkable
class Work(Protocol):
    """The use of a learner's function in its process. It can be sent there."""

    def begin(self, folder: Path) -> None:
        """Prepare the process, before the code is imported from a folder."""

    def call(self, function: Callable[..., Any], message: bytes) -> bytes:
        """Return the answer to a message."""
        ...

    def failed(self, error: Exception, file: Path) -> bytes:
        """Return the answer to a message if the import of the file, or `call`, has raised an exception."""
        ...


@dataclass(frozen=True)
class Code:
    """A learner's code."""

    file: str
    """Name of the file that contains the function."""
    files: dict[str, bytes]
    """Names and contents of this file and of others that it can import."""
    function: str
    """Name of the function."""
    work: Work
    limits: Limits
