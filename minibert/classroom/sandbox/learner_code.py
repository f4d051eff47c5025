"""A learner's code and the form of its calls, as they are sent to the server."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minibert.classroom.running import CallForm
from minibert.classroom.sandbox.limits import Limits


@dataclass(frozen=True)
class LearnerCode:
    """A learner's code."""

    form: CallForm
    """The form of a call."""
    reference: Callable[..., Any]
    """The function that the code must not call."""
    file: str
    """Name of the file that contains the function."""
    files: dict[str, bytes]
    """Names and contents of this file and of the others in its folder."""
    function: str
    """Name of the function."""
    limits: Limits
