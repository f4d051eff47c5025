"""`minibert learn` in a terminal: saving a file checks it, keys do what they say, and it does not advance by itself."""

import os
import pty
import select as streams
import signal
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from minibert.classroom.exercises import EXERCISES
from minibert.commands import main

RIGHT = "import torch\n\n\ndef softmax(scores):\n    return torch.softmax(scores, -1)\n"
FIRST, SECOND = list(EXERCISES)[:2]


@dataclass
class Terminal:
    """The other side of a pseudo-terminal."""

    process: int
    stream: int
    shown: bytes = b""

    def wait_for(self, *texts: str) -> str:
        """Read until all texts have appeared."""
        end = time.monotonic() + 120
        wanted = [text.encode() for text in texts]
        while not all(text in self.shown for text in wanted) and time.monotonic() < end:
            if streams.select([self.stream], [], [], 1)[0]:
                try:
                    self.shown += os.read(self.stream, 65536)
                except OSError:  # the process has ended
                    break
        assert all(text in self.shown for text in wanted), self.shown[-3000:].decode(errors="replace")
        return self.shown.decode(errors="replace")

    def press(self, keys: str) -> None:
        self.shown = b""
        os.write(self.stream, keys.encode())

    def save(self, path: Path, text: str) -> None:
        self.shown = b""
        path.write_text(text, encoding="utf-8")

    def exit_code(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """Run the command in a pseudo-terminal, in a copy of this process."""
    monkeypatch.chdir(tmp_path)
    process, stream = pty.fork()
    if process == 0:
        sys.__stdin__, sys.__stdout__ = sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115
        sys.stderr = sys.stdout
        os.environ.update(TERM="xterm", COLUMNS="80", LINES="30")
        code = 9
        try:
            code = main(["learn"])
        finally:
            settings = termios.tcgetattr(0)[3]
            sys.stdout.write(f"restored {bool(settings & termios.ICANON and settings & termios.ECHO)}\n")
            sys.stdout.flush()
            os._exit(code)
    opened = Terminal(process, stream)
    opened.wait_for(f"Write it in exercises/01_{FIRST}.py", "q quit")
    yield opened
    os.close(stream)


@pytest.mark.slow
def test_from_the_first_save_to_the_next_exercise(terminal: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "exercises" / f"01_{FIRST}.py"
    terminal.press("s")
    terminal.wait_for("is not passed yet", "minibert reveal softmax")
    terminal.save(path, RIGHT.replace("-1", "0"))
    terminal.wait_for("✗ softmax: not correct", "Hint", "q quit")
    terminal.press("h")
    terminal.wait_for("softmax, place:", "q quit")
    terminal.press("h")
    terminal.wait_for("softmax, line: Fill the blank:", "q quit")
    saved = tmp_path / "new"
    saved.write_text(RIGHT)
    terminal.shown = b""
    saved.rename(path)
    shown = terminal.wait_for("✓ softmax: passed", "q quit")
    assert SECOND not in shown
    terminal.press("s")
    terminal.wait_for("def softmax(scores", "exponentials.sum", "q quit")
    terminal.press("l")
    terminal.wait_for(f"1 of {len(EXERCISES)} exercises passed", "q quit")
    terminal.press("?")
    terminal.wait_for("h  the next hint: questions", "q  the end", "q quit")
    terminal.press("n")
    terminal.wait_for(f"exercises/02_{SECOND}.py", "q quit")
    terminal.press("xq")
    terminal.wait_for("restored True")
    assert terminal.exit_code() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_quietly(terminal: Terminal, number: int) -> None:
    terminal.shown = b""
    os.kill(terminal.process, number)
    shown = terminal.wait_for("restored True")
    assert "Traceback" not in shown
    assert "minibert" not in shown
    assert terminal.exit_code() == 128 + number
