"""The check accepts every reference, and describes a stub and a missing `return`."""

import pytest

from minibert.classroom.checking import check
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.report import Stage, Verdict


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda exercise: exercise.name)
def test_the_reference_passes(exercise) -> None:
    assert check(exercise.reference, exercise).verdict is Verdict.PASSED


def test_a_stub_is_not_started() -> None:
    def softmax(scores):
        raise NotImplementedError

    assert check(softmax, EXERCISES["softmax"]).verdict is Verdict.EMPTY


def test_a_missing_return_is_described() -> None:
    def softmax(scores):
        scores.exp()

    report = check(softmax, EXERCISES["softmax"])
    assert (report.verdict, report.failed) == (Verdict.ERROR, Stage.RUNS)
    assert "does it end with `return`" in report.reason
