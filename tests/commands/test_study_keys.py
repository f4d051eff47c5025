"""The keys of the step-through: where they lead, and a terminal that is as before at the end."""

import os
import pty
import select as streams
import signal
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from minibert import BertConfig, BertForMaskedLM
from minibert.commands import study_keys
from minibert.commands.errors import Stopped
from minibert.commands.keys import SEQUENCE, _name
from minibert.study import walk
from minibert.study.stepthrough.selection import Selection, select
from minibert.study.subject import random_network, tokenizer_of

TEXT = "the cat sat [MASK] ."
TOKENIZER = tokenizer_of([TEXT])
SIZES = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
MODEL = random_network(BertForMaskedLM, BertConfig(**SIZES, max_position_embeddings=20), TOKENIZER)
STEPS = walk(MODEL, TOKENIZER, TEXT)


def after(*pressed: str, start: str = "layers.0.attention.scores") -> Selection:
    selection = select(STEPS, start, cell="1,2")
    for key in pressed:
        selection = study_keys._moved(selection, key)
    return selection


@pytest.mark.parametrize(
    ("pressed", "path"),
    [
        ("n", "layers.0.attention.masked_scores"),
        ("p", "layers.0.attention.dot_products"),
        ("1", "layers.0.attention.dot_products"),
        ("down", "layers.1.attention.scores"),
        ("up", "layers.0.attention.scores"),
        ("home", "text.characters"),
        ("end", "mlm.probabilities"),
        ("x", "layers.0.attention.scores"),
        ("9", "layers.0.attention.scores"),
        ("", "layers.0.attention.scores"),
    ],
)
def test_a_key_leads_to_a_step(pressed: str, path: str) -> None:
    assert after(pressed).step.path == path


def test_the_first_and_the_last_step_stay() -> None:
    assert after("home", "p").number == 0
    assert after("end", "n").number == len(STEPS) - 1


def test_heads_and_cells() -> None:
    assert [after(*"]" * times).head for times in (1, 2)] == [1, 1]
    assert after("]", "[", "[").head == 0
    moved = after("j", "l", "l")
    assert (moved.row, moved.column) == (2, 4)
    border = after(*"kkkhhh")
    assert (border.row, border.column) == (0, 0)
    assert after("]", "n").head == 1
    assert (after("n").row, after("n").column) == (1, 2)


def test_the_number_and_the_arithmetic_follow_the_keys() -> None:
    """From a predicted piece back to the characters, along the first input of each step."""
    selection = Selection(STEPS, len(STEPS) - 1).at_largest()
    for _ in range(60):
        selection = study_keys._moved(selection, "1")
    assert selection.step.path == "text.ids"


def test_escape_sequences_are_keys() -> None:
    assert [_name(key) for key in SEQUENCE.findall(b"n\x1b[A\x1bOB\x1b[1;5C\x1b[3~q\x1b\xff")] == [
        "n", "up", "down", "right", "other", "q", "\x1b", "\ufffd",
    ]  # fmt: skip


@dataclass
class Terminal:
    """The other side of a pseudo-terminal."""

    process: int
    stream: int
    shown: bytes = b""

    def wait_for(self, text: bytes) -> None:
        """Read until a text appears."""
        end = time.monotonic() + 120
        while text not in self.shown and time.monotonic() < end:
            if streams.select([self.stream], [], [], 1)[0]:
                try:
                    self.shown += os.read(self.stream, 65536)
                except OSError:  # the process has ended
                    break
        assert text in self.shown, self.shown[-2000:]

    def press(self, keys: bytes) -> None:
        self.shown = b""
        os.write(self.stream, keys)

    def exit_code(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """Show a step in a pseudo-terminal, in a copy of this process."""
    process, stream = pty.fork()
    if process == 0:
        sys.__stdin__, sys.__stdout__ = sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115
        os.environ.update(TERM="xterm", COLUMNS="80", LINES="30")
        code = 9
        try:
            study_keys.step_through(select(STEPS, "layers.0.attention.scores"), 4)
            code = 0
        except Stopped as stopped:
            code = stopped.exit_code
        finally:
            settings = termios.tcgetattr(0)[3]
            sys.stdout.write(f"restored {bool(settings & termios.ICANON and settings & termios.ECHO)}\n")
            sys.stdout.flush()
            os._exit(code)
    opened = Terminal(process, stream)
    opened.wait_for(b"layers.0.attention.scores")
    yield opened
    os.close(stream)


def test_keys_of_a_terminal(terminal: Terminal) -> None:
    terminal.press(b"n")
    terminal.wait_for(b"layers.0.attention.masked_scores")
    terminal.press(b"\x1b[B]")
    terminal.wait_for(b"layers.1.attention.masked_scores")
    terminal.wait_for(b"head 1")
    terminal.press(b"?")
    terminal.wait_for(b"largest number of the matrix")
    terminal.press(b"?")
    terminal.wait_for(b"layers.1.attention.masked_scores")
    terminal.press(b"bq")
    terminal.wait_for(b"\x1b[?1049l")
    terminal.wait_for(b"restored True")
    assert terminal.exit_code() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_restores_the_terminal(terminal: Terminal, number: int) -> None:
    os.kill(terminal.process, number)
    terminal.wait_for(b"\x1b[?1049l")
    terminal.wait_for(b"restored True")
    assert terminal.exit_code() == 128 + number


def test_an_exception_restores_the_terminal(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr(study_keys, "_moved", lambda selection, key: 1 / 0 if key == "n" else selection)
    terminal: Terminal = request.getfixturevalue("terminal")
    terminal.press(b"n")
    terminal.wait_for(b"\x1b[?1049l")
    terminal.wait_for(b"restored True")
    assert terminal.exit_code() == 9
