"""The way from a file to a report, with a function in this process in the place of the sandbox."""

import json
from typing import ClassVar

import pytest

from minibert.classroom import file_check
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.file_check import check_file, check_own_function
from minibert.classroom.learner_file import LearnerFile
from minibert.classroom.report import Report, Stage, Verdict
from minibert.classroom.running import LocalRunner, Outcome

SOFTMAX = EXERCISES["softmax"]
WRONG = "def softmax(scores):\n    return scores.exp()\n"


class LocalSandbox:
    """Calls a function in this process, as `SandboxRunner` does in another one."""

    function = staticmethod(lambda scores: scores.exp())
    printed = "when the file was read"
    made: ClassVar[list["LocalSandbox"]] = []

    def __init__(self, exercise, path, limits) -> None:
        self.exercise, self.path, self.limits, self.is_closed = exercise, path, limits, False
        self.made.append(self)

    def __enter__(self):
        return LocalRunner(self.exercise, self.function)

    def __exit__(self, *error) -> None:
        self.is_closed = True


@pytest.fixture
def sandbox(monkeypatch) -> type[LocalSandbox]:
    class Sandbox(LocalSandbox):
        made: ClassVar[list[LocalSandbox]] = []

    monkeypatch.setattr(file_check, "SandboxRunner", Sandbox)
    return Sandbox


def test_the_code_of_a_file_runs_in_a_sandbox_with_a_limit(tmp_path, sandbox) -> None:
    (tmp_path / "a.py").write_text(WRONG)
    check_file(SOFTMAX, tmp_path / "a.py", time_limit=7.5, example=False)
    assert [(each.path, each.limits.seconds, each.is_closed) for each in sandbox.made] == [(tmp_path / "a.py", 7.5, True)]


def test_an_example_is_searched_for_unless_it_is_not_wanted(tmp_path, sandbox) -> None:
    (tmp_path / "a.py").write_text(WRONG)
    assert check_file(SOFTMAX, tmp_path / "a.py").example is not None
    assert check_file(SOFTMAX, tmp_path / "a.py", example=False).example is None


def test_what_the_file_prints_is_shown_if_the_function_prints_nothing(tmp_path, sandbox) -> None:
    (tmp_path / "a.py").write_text(WRONG)
    assert check_file(SOFTMAX, tmp_path / "a.py", example=False).printed == "when the file was read"
    sandbox.function = staticmethod(lambda scores: print("in a call") or scores.exp())
    assert check_file(SOFTMAX, tmp_path / "a.py", example=False).printed == "in a call\n"


def test_each_hint_follows_the_last_one_and_a_right_function_has_none(tmp_path, sandbox) -> None:
    (tmp_path / "a.py").write_text(WRONG)
    hints = [check_file(SOFTMAX, tmp_path / "a.py", hints=given, example=False).hint for given in range(4)]
    assert len({*hints}) == 3
    assert hints[2] == hints[3]
    assert check_file(SOFTMAX, tmp_path / "a.py", example=False).hint == hints[0]
    sandbox.function = staticmethod(SOFTMAX.reference)
    report = check_file(SOFTMAX, tmp_path / "a.py", hints=1)
    assert (report.verdict, report.hint) == (Verdict.PASSED, "")


class Failing(LocalSandbox):
    def __enter__(self):
        return lambda arguments, gradients, trail=False: Outcome(error="ValueError: no", line=self.line)


def notebook(*cells: str) -> str:
    made = [{"cell_type": "code", "source": cell, "metadata": {}, "outputs": [], "execution_count": None} for cell in cells]
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def test_an_error_has_the_text_of_its_line_and_its_cell(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(file_check, "SandboxRunner", Failing)
    Failing.line = 2
    (tmp_path / "a.py").write_text(WRONG)
    report = check_file(SOFTMAX, tmp_path / "a.py", example=False)
    assert (report.verdict, report.line, report.line_text, report.cell) == (Verdict.ERROR, 2, "    return scores.exp()", None)
    Failing.line = None
    report = check_file(SOFTMAX, tmp_path / "a.py", example=False)
    assert (report.line, report.line_text) == (None, "")


def test_a_cell_of_a_notebook_has_lines_of_its_own(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(file_check, "SandboxRunner", Failing)
    path = tmp_path / "a.ipynb"
    path.write_text(notebook("import torch", f"x = 1\n{WRONG}"))
    lines = LearnerFile.read(path).lines
    Failing.line = lines.index("    return scores.exp()") + 1
    report = check_file(SOFTMAX, path, example=False)
    assert (report.cell, report.line, report.line_text) == (2, 3, "    return scores.exp()")


def test_a_file_that_cannot_be_read_as_text_has_no_place_in_a_notebook(tmp_path) -> None:
    (tmp_path / "a.py").write_bytes(b"# caf\xe9\n")
    report = check_file(SOFTMAX, tmp_path / "a.py")
    assert (report.exercise, report.verdict, report.failed, report.cell) == ("softmax", Verdict.ERROR, Stage.RUNS, None)


class Callable:
    def __call__(self, scores):
        return scores.softmax(-1)


@pytest.mark.parametrize(
    ("value", "name", "kind"), [(Report, "Report", "the class Report"), (3, "int", "a int"), ("softmax", "str", "a str")]
)
def test_what_is_no_function_is_not_checked(value, name, kind) -> None:
    report = check_own_function(value)
    reason = f"This is {kind}, not a function: write `def softmax(…)`, then `check(softmax)`."
    assert (report.exercise, report.verdict, report.reason, report.hint) == (name, Verdict.UNKNOWN, reason, "")


@pytest.mark.parametrize(
    ("name", "wanted", "argument", "exercise"),
    [("mine", "sofmax", "mine", "softmax"), ("<lambda>", "layernorm", "function", "layer_norm"), ("q", None, "q", "softmax")],
)
def test_a_function_without_an_exercise_is_not_checked(name, wanted, argument, exercise) -> None:
    def function(x):
        return x

    function.__name__ = name
    report = check_own_function(function, wanted)
    assert (report.exercise, report.verdict) == (wanted or name, Verdict.UNKNOWN)
    assert report.reason[0].isupper() or not report.reason[0].isalpha()
    assert report.reason.endswith(f'. Name the exercise: `check({argument}, "{exercise}")`.')


def test_a_function_in_a_notebook_has_the_first_hint(tmp_path) -> None:
    assert check_own_function(Callable(), "softmax").passed
    report = check_own_function(LocalSandbox.function, "softmax")
    assert report.hint == check_own_function(LocalSandbox.function, "softmax").hint != ""
    assert report.hint.startswith("Which part of the value of `exp` does your code not compute?")
