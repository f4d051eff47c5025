"""Errors that end a command, and signals that end it after the current step."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minibert.files import describe


class UsageError(Exception):
    """Invalid options or files. The message contains the problem, its place and a solution. Exit code 2."""

    def __init__(self, problem: str | Exception) -> None:
        super().__init__(problem if isinstance(problem, str) else describe(problem))


def check_text(text: str) -> None:
    """Raise `UsageError` for an argument with bytes that are not UTF-8, as from a terminal with another encoding."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        if _is_utf8(text):
            encoding = sys.getfilesystemencoding()
            advice = "set LC_ALL=C.UTF-8, and do not set PYTHONUTF8=0"
            raise UsageError(f"the text is UTF-8, but Python reads it as {encoding}: {advice}") from None
        raise UsageError(f"the text is not UTF-8 (at character {error.start + 1}: {text!r}); give it in UTF-8") from None


def _is_utf8(argument: str) -> bool:
    """Return True if the bytes of an argument are UTF-8, also if Python has read them in another encoding."""
    try:
        os.fsencode(argument).decode("utf-8")
    except UnicodeError:
        return False
    return True


def check_new_folder(path: Path) -> None:
    """Raise `UsageError` for a folder whose name is that of an option that does not exist, before the folder is made."""
    if str(path).startswith("-"):
        raise UsageError(f"{path}: no such option; a folder of this name is ./{path}")


def check_figure(path: Path) -> None:
    """Raise `UsageError` for a figure file whose extension is no format, before the work begins."""
    from minibert.study.drawing import figure_format

    try:
        figure_format(path)
    except ValueError as error:
        raise UsageError(error) from error


class WorkFailed(Exception):
    """Failure during the work. The message contains the reason and the saved results. Exit code 1."""


class Stopped(BaseException):
    """Ctrl-C or SIGTERM, after the work has been saved. The message contains the command to continue. Exit code 130 or 143.

    Like KeyboardInterrupt it is no Exception: code that handles any error must not handle it.
    """

    def __init__(self, number: int, message: str = "minibert: stopped") -> None:
        super().__init__(message)
        self.number = number
        self.exit_code = 128 + number


class StopSignal:
    """The signal that was received inside `deferred_signals`, if any."""

    number: int | None = None

    def check(self) -> None:
        """Raise `Stopped` if a signal was received. For places where stopping loses no work."""
        if self.number is not None:
            raise Stopped(self.number)


@contextmanager
def deferred_signals() -> Iterator[StopSignal]:
    """Store Ctrl-C and SIGTERM instead of stopping immediately. A second signal raises `Stopped`."""
    received = StopSignal()

    def handler(number: int, frame: object) -> None:
        if received.number is not None:
            raise Stopped(number)
        received.number = number

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, old_handler in before.items():
            signal.signal(number, old_handler)
