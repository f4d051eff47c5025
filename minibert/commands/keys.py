"""Single keys of the terminal, without waiting for the end of a line."""

import os
import re
import select
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from minibert.commands.errors import deferred_signals

SEQUENCE = re.compile(rb"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)
"""One key: an escape sequence or a byte."""
NAMES = {b"A": "up", b"B": "down", b"C": "right", b"D": "left", b"H": "home", b"F": "end"}
"""Keys by the last byte of their escape sequence."""
SECONDS = 0.1
"""Time between two looks at signals and at the size of the terminal."""
ESCAPE_SECONDS = 0.03
"""Longest time between the bytes of one key."""


def are_available() -> bool:
    """Return True if keys can be read: the input and the output are a terminal of a Unix system."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and os.name == "posix"


def keys() -> Generator[str]:
    """Yield the names of pressed keys: a character, or "up", "down", "left", "right", "home", "end"; "" if nothing was pressed.

    The terminal has its settings again when the generator is closed.

    Raises: Stopped after Ctrl-C or SIGTERM.
    """
    with deferred_signals() as signals, _single_keys():
        while True:
            signals.check()
            if not _is_ready(SECONDS):
                yield ""
                continue
            pressed = os.read(sys.stdin.fileno(), 1024)
            if not pressed:
                return
            while pressed[-1:] == b"\x1b" or pressed[-2:] in (b"\x1b[", b"\x1bO"):
                if not _is_ready(ESCAPE_SECONDS):
                    break
                pressed += os.read(sys.stdin.fileno(), 1024)
            yield from map(_name, SEQUENCE.findall(pressed))


def _name(key: bytes) -> str:
    return key.decode("ascii", "replace") if len(key) == 1 else NAMES.get(key[-1:], "other")


def _is_ready(seconds: float) -> bool:
    return bool(select.select([sys.stdin], [], [], seconds)[0])


@contextmanager
def _single_keys() -> Iterator[None]:
    """Switch off the line buffer and the echo of the terminal, and the key that suspends the process."""
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        settings = termios.tcgetattr(terminal)
        settings[6][termios.VSUSP] = b"\0"
        termios.tcsetattr(terminal, termios.TCSADRAIN, settings)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
