"""How a command ends before its work is done."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class UsageError(Exception):
    """What was asked for cannot be done; the message says what is wrong, where, and what to do. Exit code 2."""


class WorkFailed(Exception):
    """What was begun cannot be finished; the message says what is wrong, and what is left. Exit code 1."""


class Stopped(Exception):
    """Ctrl-C or SIGTERM, after what was done has been saved; the message says how to go on. Exit code 130 or 143."""

    def __init__(self, number: int, message: str = "minibert: stopped") -> None:
        super().__init__(message)
        self.number = number
        self.exit_code = 128 + number


class StopSignal:
    """Whether somebody has asked to stop."""

    number: int | None = None

    def check(self) -> None:
        """Raises: Stopped, if so. To be called where stopping loses nothing."""
        if self.number is not None:
            raise Stopped(self.number)


@contextmanager
def stopping_gently() -> Iterator[StopSignal]:
    """Inside the block Ctrl-C and SIGTERM are only noted, for `check` to act on; a second one stops at once."""
    noted = StopSignal()

    def note(number: int, frame: object) -> None:
        if noted.number is not None:
            raise Stopped(number)
        noted.number = number

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
