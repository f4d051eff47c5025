"""The files that are sent to a sandbox, and the outcomes that come back, without a process."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from minibert.classroom.exercises import EXERCISES
from minibert.classroom.running import CallForm, Outcome
from minibert.classroom.sandbox import SandboxRunner, runner
from minibert.classroom.sandbox.outcomes import encode
from minibert.classroom.sandbox.work import CheckWork
from minibert.sandbox import Limits, Stopped
from minibert.sandbox.code import Code

SOFTMAX = EXERCISES["softmax"]
SCORES = {"scores": torch.ones(2)}
LIMITS = Limits(seconds=3)


def code(file: str, files: dict[str, bytes], function: str, limits: Limits) -> Code:
    return Code(file, files, function, CheckWork(CallForm(SOFTMAX.defaults, SOFTMAX.read), SOFTMAX.reference, limits), limits)


def test_code_in_a_text_is_a_file_with_the_name_of_the_exercise() -> None:
    """A character that is no text is replaced, and files beside it do not replace the code."""
    assert SandboxRunner(SOFTMAX, "a\ud800").code == code("softmax.py", {"softmax.py": b"a?"}, "softmax", Limits())
    files = {"helper.py": b"b", "softmax.py": b"other"}
    expected = code("softmax.py", {"helper.py": b"b", "softmax.py": b"a"}, "mine", LIMITS)
    assert SandboxRunner(SOFTMAX, "a", "mine", LIMITS, files).code == expected


def test_code_in_a_file_comes_with_the_small_python_files_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only so many, the first by name, and the file itself in any case."""
    monkeypatch.setattr(runner, "MAX_SIBLINGS", 2)
    monkeypatch.setattr(runner, "MAX_SIBLING_BYTES", 4)
    for name, text in {"a.py": "333", "b.py": "4444", "c.py": "", "d.py": "1", "z.py": "55555", "a.txt": "1"}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "folder.py").mkdir()
    expected = {"a.py": b"333", "c.py": b"", "z.py": b"55555"}
    assert SandboxRunner(SOFTMAX, tmp_path / "z.py").code == code("z.py", expected, "softmax", Limits())


def test_a_call_sends_its_arguments_and_reads_the_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def answer(self: SandboxRunner, message: bytes) -> bytes:
        asked.append(pickle.loads(message)[1:])
        return encode(Outcome(pickle.loads(message)[0], error="E"), LIMITS)

    monkeypatch.setattr(SandboxRunner, "ask", answer)
    outcome = SandboxRunner(SOFTMAX, "")(SCORES, gradients=True)
    assert (outcome.error, outcome.outputs["scores"].tolist()) == ("E", [1.0, 1.0])
    SandboxRunner(SOFTMAX, "")(SCORES, False, trail=True)
    assert asked == [(True, False), (False, True)]


def test_a_stop_is_an_outcome_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(self: SandboxRunner, message: bytes) -> bytes:
        raise Stopped("too slow", 7)

    monkeypatch.setattr(SandboxRunner, "ask", answer)
    stopping = SandboxRunner(SOFTMAX, "")
    assert stopping(SCORES, gradients=False) == Outcome(stopped="too slow", line=7)
    assert stopping.stopped is not None
    assert stopping.stopped.reason == "too slow"
