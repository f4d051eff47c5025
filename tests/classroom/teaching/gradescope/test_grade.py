"""The results of an autograder, without any grading: who submitted, what was graded in time, and what Gradescope reads."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from minibert.classroom.teaching.course import Assignment, Course, write_course
from minibert.classroom.teaching.feedback import section
from minibert.classroom.teaching.gradescope import grade as grading
from minibert.classroom.teaching.grading import Graded, State
from tests.classroom.teaching.synthetic_results import right, unknown

COURSE = Course("Test", "a secret", (Assignment("softmax", 2.5), Assignment("relu", 5.0), Assignment("gelu", 1.0)))


def entry(number: str, name: str, score: float, most: float, status: str, output: str) -> dict[str, object]:
    return {
        "number": number,
        "name": name,
        "score": score,
        "max_score": most,
        "status": status,
        "output": output,
        "output_format": "md",
        "visibility": "visible",
    }


@pytest.fixture(autouse=True)
def signals_are_as_before() -> Iterator[None]:
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.parametrize(("text", "student"), [
    ('{"users": [{"email": "b@x.org", "id": 2}, {"email": "a@x.org"}]}', "a@x.org b@x.org"), ('{"users": [{"id": 7}]}', "7"),
    ('{"users": [7]}', ""), ('{"users": null}', ""), ("{", ""), ("[]", ""),
])  # fmt: skip
def test_the_student_is_read_from_the_metadata(tmp_path: Path, text: str, student: str) -> None:
    (tmp_path / "metadata.json").write_text(text, encoding="utf-8")
    assert grading.student_of(tmp_path / "metadata.json") == student
    assert grading.student_of(tmp_path / "missing.json") == ""


def test_the_results_have_a_test_with_feedback_for_each_exercise() -> None:
    graded = [right("ann", "softmax"), unknown("ann", "relu", 1.0), Graded("ann", "gelu", State.MISSING)]
    outputs = [section(COURSE, each) for each in graded]
    assert grading.results_of(COURSE, graded, "A message.") == {
        "score": 3.0,
        "output": "A message.",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": [
            entry("1", "softmax", 2.5, 2.5, "passed", outputs[0]),
            entry("2", "relu", 0.5, 5.0, "failed", outputs[1]),
            entry("3", "gelu", 0.0, 1.0, "failed", outputs[2]),
        ],
    }


def test_the_score_has_two_decimal_places() -> None:
    course = Course("", "", (Assignment("softmax", 0.1), Assignment("relu", 0.2)))
    assert grading.results_of(course, [right("ann", "softmax"), right("ann", "relu")])["score"] == 0.3  # the sum has more


@pytest.mark.parametrize(("files", "message"), [([], grading.NOTHING), (["a.py"], "")])
def test_a_submission_without_code_is_described(tmp_path: Path, monkeypatch, files: list[str], message: str) -> None:
    def fake(course, submission, save) -> None:
        assert (course, submission.student) == (COURSE, "ann")
        assert [submission.name_of(path) for path in submission.paths] == files
        for each in course.assignments:
            save(right("ann", each.name))

    for name in files:
        (tmp_path / name).touch()
    monkeypatch.setattr(grading, "grade_submission", fake)
    found = grading.grade(COURSE, tmp_path, "ann")
    assert (found["score"], found["output"]) == (8.5, message)


def test_exercises_that_were_graded_before_the_end_of_time_count(tmp_path: Path, monkeypatch) -> None:
    """SIGTERM ends the grading. The others could not be graded, and a second SIGTERM does not stop the writing."""

    def until_the_end(course, submission, save) -> None:
        save(right(submission.student, "softmax"))
        signal.raise_signal(signal.SIGTERM)

    clock = iter([100.0, 102.34])
    monkeypatch.setattr(grading, "grade_submission", until_the_end)
    monkeypatch.setattr(grading.time, "monotonic", lambda: next(clock))
    write_course(COURSE, tmp_path / "course.toml")
    (tmp_path / "metadata.json").write_text('{"users": [{"id": 7}]}', encoding="utf-8")
    grading.main(*(tmp_path / name for name in ("course.toml", "submission", "metadata.json", "results.json")))
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    graded = [right("7", "softmax"), Graded("7", "relu", State.FAILED), Graded("7", "gelu", State.FAILED)]
    expected = grading.results_of(COURSE, graded, grading.OUT_OF_TIME) | {"execution_time": 2.3}
    assert (tmp_path / "results.json").read_text(encoding="utf-8") == json.dumps(expected, indent=1) + "\n"
