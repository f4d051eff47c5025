"""The calls of a check in the process of a learner's code, here in this process."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from minibert.classroom.binding import REQUIRED
from minibert.classroom.results import Unusable
from minibert.classroom.running import CallForm, LocalRunner, Outcome
from minibert.classroom.sandbox import work as module
from minibert.classroom.sandbox.outcomes import TENSORS, TEXTS, decode
from minibert.classroom.sandbox.work import CheckWork
from minibert.sandbox import Limits, Stopped

ARGUMENTS = {"x": torch.tensor([[1.0, 2.0], [0.0, -3.0]])}
FORM, LIMITS = CallForm({"x": REQUIRED}), Limits(memory=2**30, files=2**20)
WORK = CheckWork(FORM, torch.exp, LIMITS)


def failing(x: Tensor) -> Tensor:
    raise ValueError("no")


def double_in_place(x: Tensor) -> Tensor:
    print("doubled")
    return x.mul_(2)


@pytest.mark.parametrize("function", [torch.exp, failing, double_in_place])
@pytest.mark.parametrize("gradients", [True, False])
def test_the_answer_is_the_outcome_of_the_call(function: Callable[..., Any], gradients: bool) -> None:
    found = decode(WORK.call(function, pickle.dumps((ARGUMENTS, gradients, False))))
    expected = LocalRunner(FORM, function)(ARGUMENTS, gradients)
    assert [getattr(found, name) for name in TEXTS] == [getattr(expected, name) for name in TEXTS]
    for name in TENSORS:
        assert_close(getattr(found, name), getattr(expected, name))


def needing_memory(x: Tensor) -> Tensor:
    raise MemoryError


def writing_much_for_gradients(x: Tensor) -> Tensor:
    if x.requires_grad:
        raise OSError(27, "File too large")
    return x


@pytest.mark.parametrize(
    ("function", "reason"),
    [(needing_memory, LIMITS.too_much_memory), (writing_much_for_gradients, LIMITS.too_large_files)],
)
def test_an_error_that_a_limit_caused_stops_the_function(function: Callable[..., Any], reason: str) -> None:
    """Also in the call with gradients."""
    with pytest.raises(Stopped) as stopped:
        WORK.call(function, pickle.dumps((ARGUMENTS, True, False)))
    assert stopped.value.reason == reason


@pytest.mark.parametrize(
    ("error", "text"), [("ValueError('no')", "ValueError: no"), ("Unusable('It returns nothing.')", "It returns nothing.")]
)
def test_an_error_of_the_file_has_its_line(tmp_path: Path, error: str, text: str) -> None:
    """The line is the last one of the file that the exception passed through."""
    file = tmp_path / "softmax.py"
    code = compile(f"def f():\n    raise {error}\n\nf()\n", str(file), "exec")
    with pytest.raises((ValueError, Unusable)) as raised:
        exec(code, {"Unusable": Unusable})
    outcome = decode(WORK.failed(raised.value, file))
    assert (outcome.error, outcome.line) == (text, 2)
    assert outcome == Outcome(error=text, line=2)


def test_beginning_sets_the_trap_for_the_reference(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    traps: list[object] = []
    monkeypatch.setattr(module.reference, "protect", lambda *arguments: traps.append(arguments))
    WORK.begin(tmp_path)
    assert traps == [(torch.exp, tmp_path)]


def test_a_server_imports_everything_and_calls_a_function_before_it_hides_minibert(monkeypatch: pytest.MonkeyPatch) -> None:
    acts: list[object] = []
    monkeypatch.setattr(module.reference, "preload", lambda: acts.append("preload"))
    monkeypatch.setattr(module, "encode", lambda outcome, limits: acts.append([*outcome.outputs, *outcome.gradients]))
    monkeypatch.setattr(module.linux, "isolate", acts.append)
    module.prepare()
    assert acts == ["preload", ["output", "x"], module.reference.PACKAGE]
