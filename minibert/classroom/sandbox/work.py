"""The calls of a check, in the process of a learner's code."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from minibert.classroom.binding import REQUIRED
from minibert.classroom.running import CallForm, LocalRunner, Outcome, describe
from minibert.classroom.sandbox import reference
from minibert.classroom.sandbox.outcomes import encode
from minibert.sandbox import Limits, Stopped, linux
from minibert.sandbox.errors import line_of


@dataclass(frozen=True)
class CheckWork:
    """Calls of a learner's function with the arguments of an exercise."""

    form: CallForm
    reference: Callable[..., Any]
    """The function that the code must not call."""
    limits: Limits

    def begin(self, folder: Path) -> None:
        """Set the trap for the reference."""
        reference.protect(self.reference, folder)

    def call(self, function: Callable[..., Any], message: bytes) -> bytes:
        """Return the outcome of a call. Raises: Stopped if a limit caused its exception."""
        outcome = LocalRunner(self.form, function)(*pickle.loads(message))
        for error in filter(None, (outcome.error, outcome.gradient_error)):
            if reason := self.limits.exceeded_in(error):
                raise Stopped(reason)
        return encode(outcome, self.limits)

    def failed(self, error: Exception, file: Path) -> bytes:
        """Return the outcome of all calls."""
        return encode(Outcome(error=describe(error), line=line_of(error, str(file))), self.limits)


def prepare() -> None:
    """Import what learners' code may use, use once what every copy uses, and hide the files of minibert."""
    reference.preload()
    encode(LocalRunner(CallForm({"x": REQUIRED}), torch.exp)({"x": torch.ones(1)}, gradients=True), Limits())
    linux.isolate(reference.PACKAGE)
