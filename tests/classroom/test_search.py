"""The search for a small input, step by step: drawn numbers, limits, and which input is remembered."""

import re
import time
from dataclasses import replace

import pytest
import torch

from minibert.classroom import counterexample
from minibert.classroom.counterexample import (
    MAX_CALLS,
    PATIENCE,
    Enough,
    HypothesisDraw,
    Search,
    SmallDraw,
    is_same_error,
    size_of,
)
from minibert.classroom.exercise import Case
from minibert.classroom.probes import Probe
from minibert.classroom.questions import Answered, Problem, problem_of
from minibert.classroom.report import Stage
from minibert.classroom.running import LocalRunner, Outcome
from tests.classroom.small_exercise import case, exercise

USUAL = exercise()
X = torch.tensor([[1.0, 2.0], [3.0, 4.0]])


def search_for(function, of=USUAL, stage: Stage | None = None, x=X, usual=None, **options) -> Search:
    runner, other = LocalRunner(of, function), LocalRunner(of, of.reference)({"x": x}, True)
    call = Answered(of, Probe(usual or case(), 0, {"x": x}), runner({"x": x}, True), other, runner)
    return Search(call, Problem(stage, "") if stage else problem_of(call), **options)


def chosen(pick, more: int = 2) -> HypothesisDraw:
    """Return a draw that picks an element of each strategy of Hypothesis; a size of a list is known from its strategy."""
    asked = []

    def draw(strategy):
        asked.append(re.sub(r"(min|max)_value=", "", repr(strategy)))
        return pick(strategy)

    made = HypothesisDraw(draw, more)
    made.asked = asked
    return made


def test_sizes_and_choices_are_drawn_from_the_least_or_the_first_on() -> None:
    draw = chosen(lambda strategy: 1)
    assert (draw.size(7), draw.size(7, least=3), draw.choice("abc")) == (1, 1, "b")
    assert draw.asked == [f"integers({low}, {high})" for low, high in ((1, 3), (3, 5), (0, 2))]


@pytest.mark.parametrize(
    ("spread", "mean", "expected"),
    [
        (1.0, 0.0, 2.0),
        (10.0, 0.0, 2.0),
        (10.1, 0.0, 20.2),
        (0.1, -10.0, 2.0),
        (0.09, 0.0, 0.18),
        (1.0, -10.5, -8.5),
        (1.0, 11.0, 13.0),
    ],
)
def test_numbers_are_whole_unless_they_are_very_large_or_small_on_purpose(spread, mean, expected) -> None:
    draw = chosen(lambda strategy: [2] * 6)
    numbers = draw.numbers(2, 3, spread=float(spread), mean=float(mean))
    assert numbers.dtype == torch.float32
    assert torch.allclose(numbers, torch.full((2, 3), float(expected)))
    assert draw.asked == ["lists(integers(-3, 3), min_size=6, max_size=6)"]


def test_integers_and_masks_have_their_shapes() -> None:
    draw = chosen(lambda strategy: [2, 1])
    assert draw.integers(1, 4, 2).tolist() == [2, 1]
    assert draw.asked == ["lists(integers(1, 3), min_size=2, max_size=2)"]
    answers = iter([[0] * 6, [2, 1]])
    draw = chosen(lambda strategy: next(answers))
    assert draw.mask(2, 3).tolist() == [[False, False, True], [False, True, False]]
    assert draw.asked[1] == "lists(integers(0, 2), min_size=2, max_size=2)"


def test_a_small_size_is_at_most_two_more_than_the_least() -> None:
    assert {SmallDraw(seed).size(9, least=2) for seed in range(30)} == {2, 3, 4}
    assert {SmallDraw(seed).size(9) for seed in range(30)} == {1, 2, 3}


def test_the_size_of_an_input_is_the_count_of_its_numbers_and_then_their_sum() -> None:
    assert size_of({"x": torch.tensor([1, -2]), "y": [torch.tensor(3.5)], "name": "a"}) == (3.0, 6.5)


def test_errors_are_the_same_in_the_same_line_whichever_numbers_they_name() -> None:
    error = Outcome(error="ValueError: size 3, not 12", line=4)
    assert is_same_error(error, replace(error, error="ValueError: size 12, not 7"))
    assert not is_same_error(error, replace(error, line=5))
    assert not is_same_error(error, replace(error, error="ValueError: shape 3, not 12"))


def test_the_smallest_failing_input_is_remembered() -> None:
    search = search_for(lambda x: 3 * x)
    for x in (X, X[:1], 2 * X[:1], X[:1] / 2, X):
        assert search.fails({"x": x})
    assert (search.calls, torch.equal(search.smallest[1].probe.arguments["x"], X[:1] / 2)) == (5, True)
    assert search.smallest[0] == (2.0, 1.5)
    assert torch.equal(search.smallest[1].own.outputs["output"], 1.5 * X[:1])
    assert "expected" in search.smallest[2].text
    assert not search.fails(None)
    assert not search.fails({"x": 0 * X})


def test_another_problem_is_no_example() -> None:
    search = search_for(lambda x: 3 * x if len(x) > 1 else x[0])
    assert not search.fails({"x": X[:1]})
    assert search.fails({"x": X})
    search = search_for(lambda x: x.reshape(7) if len(x) > 1 else x.no_such_method())
    assert not search.fails({"x": X[:1]})
    assert search.fails({"x": X[:, :1]})
    assert not search_for(lambda x: 3 * x).fails({"x": X, "factor": "text"})  # the reference raises an error


def test_gradients_are_examples_only_where_the_right_ones_are_not_zero() -> None:
    search = search_for(lambda x, factor=2.0: (x * factor).detach(), stage=Stage.GRADIENTS)
    assert search.fails({"x": X})
    assert search.smallest[1].other.gradients
    assert not search.fails({"x": X, "factor": 0.0})
    assert not search_for(lambda x: 3 * x).reference({"x": X}, False).gradients


@pytest.mark.parametrize(("difference", "is_visible"), [(0.009, False), (0.011, True)])
def test_a_difference_must_be_large_enough_to_be_seen(difference, is_visible) -> None:
    search = search_for(lambda x: 2 * x * (1 + difference))
    assert search.fails({"x": X}) is is_visible
    search.least_difference = 0.0
    assert search.fails({"x": X})
    assert search_for(lambda x: x[0] * (1 + difference), stage=Stage.SHAPE).fails({"x": X})


def test_a_search_ends_after_so_many_calls_or_seconds(monkeypatch) -> None:
    search = search_for(lambda x: 2 * x, stage=Stage.VALUES, seconds=10.0)
    for _ in range(MAX_CALLS):
        search.fails(None)
    with pytest.raises(Enough):
        search.fails(None)
    for clock, seconds in (("process_time", 10.0), ("monotonic", 10.0 * PATIENCE)):
        search = search_for(lambda x: 2 * x, stage=Stage.VALUES, seconds=10.0)
        now = getattr(time, clock)()
        for later, ends in ((-0.5, False), (0.5, True)):
            with monkeypatch.context() as patch:
                patch.setattr(counterexample.time, clock, lambda: now + seconds + later)  # noqa: B023
                if ends:
                    with pytest.raises(Enough):
                        search.fails(None)
                else:
                    search.fails(None)


def test_the_failed_call_is_the_example_if_no_small_input_fails() -> None:
    search = search_for(lambda x: 3 * x if x.numel() == 4 and x[0, 1] == 2.25 else 2 * x, x=X + 0.25, seconds=0.2)
    assert search.run() == (search.failed, search.problem)
    impossible = Case("too large", lambda draw: {"x": torch.ones(0, 0)[draw.size(1)]})
    search = search_for(lambda x: 3 * x, usual=impossible)
    assert search.run() == (search.failed, search.problem)
    assert not search._may_be_small()


def test_a_small_input_of_whole_numbers_is_found() -> None:
    call, problem = search_for(lambda x: 3 * x).run()
    assert call.probe.arguments["x"].abs().tolist() == [[1.0]]
    assert problem.text == "The result is 3, expected 2."


@pytest.mark.parametrize(("columns", "may_be_small"), [(300, True), (301, False)])
def test_large_inputs_are_not_drawn_by_hypothesis(columns, may_be_small) -> None:
    large = Case("large", lambda draw: {"x": draw.numbers(1, columns)})
    search = search_for(lambda x: 3 * x, usual=large)
    assert search._may_be_small() is may_be_small
    if not may_be_small:
        call, _ = search.run()
        assert search.calls == 30
        assert not torch.equal(call.probe.arguments["x"], call.probe.arguments["x"].round())
