"""Students with the same wrong numbers share one search for the smallest failing input."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from minibert.classroom.counterexample import Enough
from minibert.classroom.questions import Answered, Problem
from minibert.classroom.report import Stage
from minibert.classroom.running import Outcome, Stopped
from minibert.classroom.teaching import examples
from minibert.classroom.teaching.examples import KnownExamples
from tests.classroom.toys import X, answered

PROBLEM = Problem(Stage.VALUES, "The numbers differ.")


class FakeSearch:
    """A search that finds the call itself, and counts. A kept input fails as `answer` says."""

    runs = 0
    answer: Any = True

    def __init__(self, failed: Answered, problem: Problem, seconds: float) -> None:
        assert seconds == examples.SECONDS
        self.found = failed, problem
        self.smallest: tuple[object, Answered, Problem] | None = None

    def fails(self, arguments: object) -> bool:
        assert arguments is self.found[0].probe.arguments
        if isinstance(self.answer, BaseException):
            raise self.answer
        self.smallest = ((0.0,), *self.found) if self.answer else None
        return bool(self.answer)

    def run(self) -> tuple[Answered, Problem]:
        type(self).runs += 1
        return self.found


@pytest.fixture(autouse=True)
def search(monkeypatch) -> type[FakeSearch]:
    fake = type("Fake", (FakeSearch,), {})
    monkeypatch.setattr(examples, "Search", fake)
    return fake


def times(factor: float) -> Callable[..., torch.Tensor]:
    return lambda x: factor * x


def call(function: Callable[..., Any] = lambda x: 2 * x) -> Answered:
    return answered(function, arguments={"x": X})


def test_the_next_student_with_the_same_numbers_needs_no_search(search: type[FakeSearch]) -> None:
    """Each gets a report about the own call. Numbers that differ in the fifth digit are the same."""
    find, calls = KnownExamples(), [call(), call(times(2.0 + 1e-6)), call(times(2.1))]
    arguments = calls[0].probe.arguments
    for each in calls:
        object.__setattr__(each.probe, "arguments", arguments)
    assert find(calls[0], PROBLEM) == (calls[0], PROBLEM)
    assert find(calls[1], PROBLEM) == (calls[1], PROBLEM)
    assert search.runs == 1
    assert find(calls[2], PROBLEM) == (calls[2], PROBLEM)
    assert find(calls[0], Problem(Stage.GRADIENTS, ""))[0] is calls[0]
    assert search.runs == 3


@pytest.mark.parametrize("answer", [False, Enough(), Stopped(Outcome(stopped="It is gone."))], ids=str)
def test_a_kept_input_that_does_not_fail_is_no_example(search: type[FakeSearch], answer: object) -> None:
    find, one = KnownExamples(), call()
    search.answer = answer
    assert [find(one, PROBLEM), find(one, PROBLEM)] == [(one, PROBLEM)] * 2
    assert search.runs == 2


def test_the_oldest_input_is_forgotten(search: type[FakeSearch], monkeypatch) -> None:
    monkeypatch.setattr(examples, "MOST", 2)
    find, calls = KnownExamples(), [call(times(factor)) for factor in (2.0, 3.0, 4.0)]
    runs = []
    for number in (0, 1, 2, 1, 2, 0):
        find(calls[number], PROBLEM)
        runs.append(search.runs)
    assert runs == [1, 2, 3, 3, 3, 4]


def test_complex_numbers_are_not_compared(search: type[FakeSearch]) -> None:
    find = KnownExamples()
    one = call(lambda x: torch.complex(x, x))
    find(one, PROBLEM)
    find(one, PROBLEM)
    assert search.runs == 1
