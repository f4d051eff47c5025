"""A sandbox gives the same outcomes as a call in this process, and it survives everything."""

import inspect
import os
import signal
import textwrap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from operator import attrgetter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minibert.classroom.checking import check_function
from minibert.classroom.exercise import Exercise
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.mistakes import Mistake, source_with, variant_of
from minibert.classroom.mistakes.variants import called_functions
from minibert.classroom.probes import call_all, probes
from minibert.classroom.running import LocalRunner, Outcome
from minibert.classroom.sandbox import SandboxRunner
from minibert.classroom.sandbox.outcomes import TENSORS, TEXTS, decode, encode
from minibert.classroom.trail import Entry
from minibert.sandbox import Limits, Stopped

SOFTMAX = EXERCISES["softmax"]
RIGHT = "import torch\ndef softmax(scores):\n    return torch.softmax(scores, dim=-1)\n"
SCORES = {"scores": torch.tensor([[1.0, 2.0, 4.0], [0.0, -1.0, 3.0]])}


def code_of(exercise: Exercise, *mistakes: Mistake) -> str:
    """Return the code of a learner who has copied the reference and the functions that it calls, and made mistakes."""
    functions = [*reversed(called_functions(exercise.reference)), inspect.unwrap(exercise.reference)]
    lines = ["import importlib"]
    for module in dict.fromkeys(function.__module__ for function in functions):
        names = f"vars(importlib.import_module({module!r}))"
        lines.append(f"globals().update({{name: value for name, value in {names}.items() if name[:2] != '__'}})")
    for function in functions:
        own = [mistake for mistake in mistakes if inspect.unwrap(mistake.function) is function]
        lines.append(source_with(*own) if own else textwrap.dedent(inspect.getsource(function)))
    return "\n".join(lines)


def assert_same_outcomes(exercise: Exercise, mistakes: tuple[Mistake, ...] = ()) -> None:
    function = variant_of(exercise.reference, *mistakes) if mistakes else exercise.reference
    expected = call_all(probes(exercise), LocalRunner(exercise, function))
    with SandboxRunner(exercise, code_of(exercise, *mistakes), exercise.reference.__name__) as runner:
        outcomes = call_all(probes(exercise), runner)
    for probe, outcome, other in zip(probes(exercise), outcomes, expected, strict=True):
        for name in ("error", "gradient_error", "leaves_torch", "repeatable", "printed", "stopped"):
            assert getattr(outcome, name) == getattr(other, name), name
        if probe.case.summary is None:  # random numbers are others in a process that has drawn some before
            for name in TENSORS:
                torch.testing.assert_close(getattr(outcome, name), getattr(other, name), equal_nan=True)


@pytest.mark.parametrize("name", ["softmax", "layer_norm", "split_word", "encoder_layer"])
def test_outcomes_are_those_of_a_call_in_this_process(name: str) -> None:
    exercise = EXERCISES[name]
    for mistakes in [(), *((mistake,) for mistake in exercise.mistakes[:2])]:
        assert_same_outcomes(exercise, mistakes)


@pytest.mark.slow
@pytest.mark.usefixtures("without_shape_checks")  # the other process has none
@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda exercise: exercise.name)
def test_outcomes_of_all_mistakes_are_those_of_a_call_in_this_process(exercise: Exercise) -> None:
    functions = [inspect.unwrap(exercise.reference), *called_functions(exercise.reference)]
    own = [mistake for mistake in exercise.mistakes if inspect.unwrap(mistake.function) in functions]
    for mistakes in [(), *((mistake,) for mistake in own)]:
        assert_same_outcomes(exercise, mistakes)


@pytest.mark.slow
@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda exercise: exercise.name)
def test_the_reference_of_every_exercise_is_a_trap(exercise: Exercise) -> None:
    reference = exercise.reference
    code = f"""
    import importlib
    from operator import attrgetter
    def {exercise.name}(*arguments, **options):
        module = importlib.import_module({reference.__module__!r})
        return attrgetter({reference.__qualname__!r})(module)(*arguments, **options)
    """
    with SandboxRunner(exercise, textwrap.dedent(code)) as runner:
        stopped = runner(probes(exercise)[0].arguments, gradients=False).stopped
    assert stopped == "The code calls the function of minibert that it should replace."
    assert attrgetter(reference.__qualname__)(inspect.getmodule(inspect.unwrap(reference))) is not None


def test_the_trail_is_that_of_a_call_in_this_process(tmp_path) -> None:
    file = tmp_path / "softmax.py"
    file.write_text("def softmax(scores):\n    powers = scores.exp()\n    return powers / powers.sum(dim=-1, keepdim=True)\n")
    space: dict = {}
    exec(compile(file.read_text(), file, "exec"), space)
    expected = LocalRunner(SOFTMAX, space["softmax"])(SCORES, gradients=False, trail=True).trail
    with SandboxRunner(SOFTMAX, file) as runner:
        trail = runner(SCORES, gradients=False, trail=True).trail
    assert [(entry.line, entry.text, entry.label) for entry in trail] == [(e.line, e.text, e.label) for e in expected]
    assert all(torch.equal(entry.value, other.value) for entry, other in zip(trail, expected, strict=True))
    assert len(trail) > 2


def test_the_arguments_of_the_caller_are_not_changed() -> None:
    scores = SCORES["scores"].clone()
    with SandboxRunner(SOFTMAX, "def softmax(scores):\n    return scores.exp_()\n") as runner:
        outcome = runner({"scores": scores}, gradients=False)
    assert torch.equal(scores, SCORES["scores"])
    assert torch.equal(outcome.after["scores"], SCORES["scores"].exp())


FAULTS = {
    "syntax": ("import torch\ndef softmax(scores:\n    return scores\n", "SyntaxError", 2),
    "import": ("import torch\nimport no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'", 2),
    "import time": ("import torch\ndef f():\n    return 1 / 0\nf()\n", "ZeroDivisionError", 3),
    "other name": ("def soft_max(scores):\n    return scores\n", "softmax.py has no function named softmax", None),
    "null characters": ("x = 1\n\0\n", "null bytes", None),
    "empty": ("", "softmax.py has no function named softmax", None),
}


@pytest.mark.parametrize(("code", "error", "line"), FAULTS.values(), ids=FAULTS)
def test_code_that_cannot_be_imported_has_an_error_and_its_line(code: str, error: str, line: int | None) -> None:
    with SandboxRunner(SOFTMAX, code) as runner:
        outcomes = [runner(SCORES, gradients=True) for _ in range(2)]
    for outcome in outcomes:
        assert error in outcome.error
        assert (outcome.line, outcome.stopped) == (line, "")


def test_a_file_can_import_the_files_beside_it(tmp_path) -> None:
    (tmp_path / "helper.py").write_text("from torch import softmax as helped\n")
    (tmp_path / "mine.py").write_text("from helper import helped\ndef softmax(scores):\n    return helped(scores, -1)\n")
    with SandboxRunner(SOFTMAX, tmp_path / "mine.py") as runner:
        assert runner(SCORES, gradients=True).error is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["helper.py", "mine.py"]


def test_the_environment_has_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "secret")
    shown = "*sorted(os.environ), os.listdir('.'), os.path.expanduser('~') == os.getcwd()"
    code = f"import os\ndef softmax(scores):\n    print({shown})\n"
    with SandboxRunner(SOFTMAX, code) as runner:
        printed = runner(SCORES, gradients=False).printed
    assert "PATH" in printed
    assert "TOKEN" not in printed
    assert printed.endswith("['softmax.py'] True\n")


@pytest.mark.slow
def test_a_server_that_is_killed_is_replaced() -> None:
    with SandboxRunner(SOFTMAX, RIGHT) as runner:
        os.kill(runner.server.process.pid, signal.SIGKILL)
        assert "ended the process that supervises it" in runner(SCORES, gradients=False).stopped
    with SandboxRunner(SOFTMAX, RIGHT) as runner:
        assert not runner(SCORES, gradients=False).stopped


@pytest.mark.slow
def test_several_checks_run_at_the_same_time() -> None:
    def sums(number: int) -> list[float]:
        with SandboxRunner(SOFTMAX, f"def softmax(scores):\n    return scores * {number}\n") as runner:
            return [runner(SCORES, gradients=False).outputs["output"].sum().item() for _ in range(5)]

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(sums, range(6))) == [[9.0 * number] * 5 for number in range(6)]


def test_the_time_of_all_calls_is_limited() -> None:
    code = "import time\ndef softmax(scores):\n    time.sleep(0.3)\n    return scores\n"
    with SandboxRunner(SOFTMAX, code, limits=Limits(seconds=1)) as runner:
        stopped = [runner(SCORES, gradients=False).stopped for _ in range(5)]
    assert not stopped[0]
    assert "did not finish in 1 seconds" in stopped[-1]


def test_a_right_function_passes() -> None:
    with SandboxRunner(SOFTMAX, RIGHT) as runner:
        assert check_function(SOFTMAX, runner).passed


def test_all_fields_of_an_outcome_are_sent() -> None:
    outcome = Outcome(
        outputs={"b": torch.ones(2, 3).bfloat16(), "a": torch.zeros(0)},
        gradients={"x": torch.tensor(1.5)},
        after={"x.y": torch.tensor([True]), "": torch.arange(3)},
        error="E: \ud800", line=3, line_text="…", gradient_error="G", is_list=True, leaves_torch=True, repeatable=False,
        printed="p",
        trail=[Entry(1, "x = 1", "x", torch.ones(1))],
    )  # fmt: skip
    received = decode(encode(outcome, Limits()))
    assert {field.name for field in fields(Outcome)} == {*TENSORS, *TEXTS, "trail", "stopped"}
    for name in TENSORS:
        assert list(getattr(received, name)) == list(getattr(outcome, name))
        torch.testing.assert_close(getattr(received, name), getattr(outcome, name), rtol=0, atol=0)
    assert [getattr(received, name) for name in TEXTS] == [getattr(outcome, name) for name in TEXTS]
    (entry,) = received.trail
    assert (entry.line, entry.text, entry.label, entry.value) == (1, "x = 1", "x", torch.ones(1))


@given(st.binary(max_size=200), st.integers(0, 400), st.binary(max_size=20))
def test_damaged_messages_are_refused_or_read(beginning: bytes, place: int, wrong: bytes) -> None:
    """Nothing but `Stopped` is raised, and only fields of the right type are read."""
    right = encode(Outcome({"output": torch.ones(2)}, error="E"), Limits())
    for data in (beginning, right[:place] + wrong + right[place + len(wrong) :], right[:place]):
        try:
            outcome = decode(data)
        except Stopped:
            continue
        assert isinstance(outcome.error, str | None)
        assert all(isinstance(tensor, torch.Tensor) for tensor in outcome.outputs.values())


def test_a_fork_of_this_process_does_not_end_the_idle_server() -> None:
    def right() -> bool:
        with SandboxRunner(SOFTMAX, RIGHT) as runner:
            return not runner(SCORES, gradients=False).stopped

    assert right()
    if (copy := os.fork()) == 0:
        os._exit(0)
    os.waitpid(copy, 0)
    assert right()
