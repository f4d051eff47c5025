"""Results of grading: points, delays, files and fingerprints, and what a submission is asked for. No code runs in a sandbox."""

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from minibert.classroom.exercises import EXERCISES
from minibert.classroom.probes import expected, probes
from minibert.classroom.report import Report, Verdict
from minibert.classroom.running import LocalRunner, Outcome
from minibert.classroom.sandbox import SandboxRunner
from minibert.classroom.teaching import grading
from minibert.classroom.teaching.course import Assignment, Course
from minibert.classroom.teaching.grading import (
    FORMAT,
    MAX_NUMBERS,
    Fingerprint,
    Graded,
    Recorder,
    State,
    fingerprint,
    grade_submission,
)
from minibert.classroom.teaching.submissions import read_submission
from minibert.sandbox import Limits
from tests.classroom.teaching.small_class import COURSE, RESULTS

ALL = [each for graded in RESULTS.values() for each in graded]
SOFTMAX = EXERCISES["softmax"]
CODE = "def softmax(scores):\n    return scores\n"


@pytest.mark.parametrize("graded", ALL, ids=lambda graded: f"{graded.student} {graded.exercise}")
def test_a_result_is_read_as_it_was_written(graded: Graded) -> None:
    assert Graded.from_json(graded.as_json()) == graded
    assert graded.as_json()["format"] == FORMAT


@pytest.mark.parametrize(
    "values", [{}, {"format": FORMAT}, {**ALL[0].as_json(), "format": 0}, {**ALL[0].as_json(), "state": "x"}]
)
def test_any_other_object_is_no_result(values: Any) -> None:
    with pytest.raises(ValueError, match=r"format 0, not 1|no result of grading|is not a valid State"):
        Graded.from_json(values)


@pytest.mark.parametrize(
    ("due", "modified", "days"),
    [
        (None, datetime(2030, 2, 1), 0),
        (datetime(2030, 1, 31, 12), None, 0),
        (datetime(2030, 1, 31, 12), datetime(2030, 1, 31, 12), 0),
        (datetime(2030, 1, 31, 12), datetime(2030, 1, 31, 12, 1), 1),
        (datetime(2030, 1, 31, 12), datetime(2030, 2, 1, 12), 1),
        (datetime(2030, 1, 31, 12), datetime(2030, 2, 1, 12, 1), 2),
        (datetime(2030, 1, 31, 12), datetime(2030, 1, 1), 0),
        (date(2030, 1, 31), datetime(2030, 1, 31, 23, 59), 0),
    ],
)
def test_begun_days_after_the_deadline_are_late(due: date | None, modified: datetime | None, days: int) -> None:
    course = Course("", "a secret", (Assignment("gelu"), Assignment("softmax", due=due)))
    graded = Graded("ann", "softmax", State.GRADED, modified=modified and modified.timestamp())
    assert graded.days_late(course) == days


def test_points_are_those_of_the_correct_parts() -> None:
    assert [each.points(COURSE) for each in RESULTS["ann"]] == [5.0, 1.0, 0.0]


def test_a_fingerprint_has_numbers_at_equal_distances_and_the_mean() -> None:
    """Infinity and NaN are None, complex numbers are pairs, and there are at most 32 numbers, of six digits."""
    assert fingerprint(3, {"a": torch.tensor([[1.0, 2 / 3]]), "b": torch.tensor(2)}) == Fingerprint(
        3, (1, 2), (1.0, 0.666667, 2.0, 1.22222)
    )
    assert fingerprint(0, {"a": torch.tensor([math.inf, 1.0])}).numbers == (None, 1.0, None)
    assert fingerprint(0, {"a": torch.tensor([1 + 3j])}) == Fingerprint(0, (1,), (1.0, 3.0, 2.0))
    assert fingerprint(0, {"a": torch.ones(0)}) == Fingerprint(0, (0,), ())
    many = fingerprint(0, {"a": torch.arange(301.0)}).numbers
    assert many == (*(float(number) for number in range(0, 301, 10)), 150.0)
    assert len(many) == MAX_NUMBERS


class Box(SandboxRunner):
    """Takes the place of a sandbox: a function runs in this process, and code does not run."""

    def __init__(self, exercise: Any, code: Any, **options: Any) -> None:
        self.code, self.options, self.entered = code, options, []
        self.local = LocalRunner(exercise, code) if callable(code) else None

    def __call__(self, arguments: Any, gradients: bool, trail: bool = False) -> Outcome:
        return self.local(arguments, gradients, trail)

    def __enter__(self) -> "Box":
        self.entered.append("enter")
        return self

    def __exit__(self, *error: Any) -> None:
        self.entered.append("exit")


@pytest.mark.parametrize(
    ("function", "number"),
    [
        (lambda scores: scores.softmax(-1), None),
        (lambda scores: scores.softmax(-1) * 2, 0),
        (lambda scores: scores.softmax(-1) * (2 if scores.ndim == 2 else 1), "first with two axes"),
        (lambda scores: 1 / 0, None),
        (lambda scores: scores.softmax(-1).detach() + 0 * scores.sum(), 0),
    ],
)
def test_a_recorder_keeps_the_first_wrong_numbers(function: Callable, number: int | str | None) -> None:
    """Of the visible inputs only; an error has none, gradients count too, and rounding does not, as in the check itself."""
    box = Box(SOFTMAX, function)
    with Recorder(SOFTMAX, box) as recorder:
        assert box.entered == ["enter"]
        for probe in (*probes(SOFTMAX), *probes(SOFTMAX)):
            recorder(probe.arguments, gradients=True)
    assert (box.entered, len(recorder.outcomes)) == (["enter", "exit"], len(probes(SOFTMAX)))
    if isinstance(number, str):
        number = [probe.arguments["scores"].ndim for probe in probes(SOFTMAX)].index(2)
    found = recorder.fingerprint()
    assert (found and found.input) == number
    if found and "detach" not in str(function):
        assert found.shape in {tuple(expected(SOFTMAX)[number].outputs["output"].shape)}


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Checks of code are noted, and passed without running it."""
    calls: list[Any] = []

    def check_code(exercise: Any, file: Any, recorder: Recorder, hidden_seeds: Any, find: Any) -> Report:
        calls.append((exercise.name, recorder.sandbox.code, recorder.sandbox.options, hidden_seeds))
        return Report(exercise.name, Verdict.PASSED)

    monkeypatch.setattr(grading, "SandboxRunner", Box)
    monkeypatch.setattr(grading, "check_code", check_code)
    return calls


def test_a_function_is_checked_with_its_file_and_the_students_inputs(tmp_path: Path, checked: list[Any]) -> None:
    (tmp_path / "mine.py").write_text(f"import other\n{CODE}K = other.x\n")
    (tmp_path / "other.py").write_text("x = 1\n")
    (tmp_path / "all.py").write_text(CODE.replace("return scores", "import other\n    return other"))
    (tmp_path / "mine.py").unlink()
    submission = replace(read_submission(tmp_path, "ann"), notes=("a note",))
    saved: list[Graded] = []
    limits = Limits(seconds=3.0)
    graded = grade_submission(COURSE, submission, limits, save=saved.append)
    assert saved == graded
    assert [(each.exercise, each.state, each.file, each.notes) for each in graded] == [
        ("softmax", State.GRADED, "all.py", ["a note"]),
        ("gelu", State.MISSING, "", ["a note"]),
        ("layer_norm", State.MISSING, "", ["a note"]),
    ]
    assert graded[0].report == Report("softmax", Verdict.PASSED)
    assert graded[0].modified == (tmp_path / "all.py").stat().st_mtime
    ((name, code, options, seeds),) = checked
    assert (name, code.startswith("def softmax"), seeds) == ("softmax", True, COURSE.seeds("ann", "softmax"))
    assert (options["limits"], [*options["siblings"]]) == (limits, ["all.py", "other.py"])


def test_a_result_is_used_again_until_something_changes(tmp_path: Path, checked: list[Any]) -> None:
    """The place and the time of the file, and the notes, are always those of the submission."""
    file = tmp_path / "all.py"
    file.write_text(CODE, encoding="utf-8")
    submission = read_submission(tmp_path, "ann")
    course = replace(COURSE, assignments=COURSE.assignments[:1])
    (first,) = grade_submission(course, submission)
    (tmp_path / "new").mkdir()
    file.rename(tmp_path / "new" / "all.py")
    moved = replace(read_submission(tmp_path, "ann"), notes=("moved",))
    (again,) = grade_submission(course, moved, stored={"softmax": first})
    assert len(checked) == 1
    assert again == replace(first, file="new/all.py", modified=moved.paths[0].stat().st_mtime, notes=["moved"])
    own = tmp_path / "own.txt"
    own.write_text("1")
    for changed in (
        lambda: grade_submission(course, moved),
        lambda: grade_submission(course, moved, Limits(seconds=1.5), {"softmax": first}),
        lambda: grade_submission(replace(course, secret="another secret"), moved, stored={"softmax": first}),
        lambda: grade_submission(replace(course, files=(own,)), moved, stored={"softmax": first}),
        lambda: grade_submission(course, replace(moved, student="bob"), stored={"softmax": first}),
    ):
        before = len(checked)
        changed()
        assert len(checked) == before + 1


def test_after_a_crash_nothing_is_checked_again(tmp_path: Path, checked: list[Any]) -> None:
    """A result of the same code is used."""
    (tmp_path / "all.py").write_text(CODE, encoding="utf-8")
    submission = replace(read_submission(tmp_path, "ann"), notes=("a note",))
    known = grade_submission(COURSE, submission)
    stored = {each.exercise: each for each in known}
    assert grade_submission(COURSE, submission, stored=stored, has_crashed=True) == known
    stored["softmax"] = replace(known[0], key="of other code")
    failed = grade_submission(COURSE, submission, stored=stored, has_crashed=True)
    notes = ["a note", "the process that graded it crashed"]
    assert failed == [replace(known[0], state=State.FAILED, report=None, notes=notes, key=""), *known[1:]]
    assert len(checked) == 1


def test_a_file_that_is_damaged_is_reported(tmp_path: Path, checked: list[Any]) -> None:
    (tmp_path / "softmax.py").write_text("def softmax(:\n")
    graded = grade_submission(COURSE, read_submission(tmp_path, "ann"))[0]
    assert (graded.state, graded.report.verdict, graded.report.line, graded.key) == (State.GRADED, Verdict.ERROR, 1, "")
    assert checked == []


@pytest.mark.parametrize(
    ("error", "note"),
    [
        (OSError("no access"), "a file cannot be read: OSError: no access"),
        (ValueError("a bug"), "minibert could not grade it: ValueError: a bug"),
    ],
)
def test_an_error_of_minibert_does_not_stop_the_rest(tmp_path: Path, monkeypatch, checked, error: Exception, note: str) -> None:
    (tmp_path / "all.py").write_text(CODE)

    def fails(*given: Any, **options: Any) -> Tensor:
        raise error

    monkeypatch.setattr(grading, "check_code", fails)
    graded = grade_submission(COURSE, read_submission(tmp_path, "ann"))
    assert graded[0] == Graded("ann", "softmax", State.FAILED, notes=[note])
    assert [each.state for each in graded[1:]] == [State.MISSING, State.MISSING]


def test_a_recorder_asks_for_no_trail_by_default() -> None:
    asked: list[tuple[bool, bool]] = []

    class Asked(Box):
        def __call__(self, arguments: Any, gradients: bool, trail: bool = True) -> Outcome:
            asked.append((gradients, trail))
            return Outcome()

    recorder = Recorder(SOFTMAX, Asked(SOFTMAX, torch.exp))
    recorder({}, gradients=True)
    recorder({}, gradients=False, trail=True)
    assert asked == [(True, False), (False, True)]
