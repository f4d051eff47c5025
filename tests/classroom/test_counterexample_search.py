"""The parts of the search for a small input: small numbers, what counts as the same failure, and where it ends."""

import warnings
from collections.abc import Callable
from random import Random
from types import SimpleNamespace

import pytest
import torch
from hypothesis import find, given, settings, strategies
from torch import Tensor

from minibert.classroom import counterexample
from minibert.classroom.counterexample import (
    MAX_CALLS,
    MAX_WHOLE_NUMBERS,
    MORE,
    PATIENCE,
    VISIBLE,
    Enough,
    HypothesisDraw,
    Search,
    SmallDraw,
    is_same_error,
    size_of,
)
from minibert.classroom.draws import Draw, RandomDraw
from minibert.classroom.exercise import Case, Exercise
from minibert.classroom.probes import Probe
from minibert.classroom.questions import Answered, problem_of
from minibert.classroom.running import LocalRunner, Outcome
from tests.classroom.toys import identity

quickly = settings(max_examples=60, deadline=None, database=None, derandomize=True)


def simplest(make: Callable[[HypothesisDraw], object], condition: Callable[[object], bool] = lambda made: True) -> object:
    """Return the simplest value that a recipe draws for which a condition is true."""
    strategy = strategies.composite(lambda draw: make(HypothesisDraw(draw, 2)))()
    with warnings.catch_warnings(action="ignore"):  # the checks of annotations draw random numbers
        return find(strategy, condition, settings=settings(quickly, max_examples=300), random=Random(0))


@quickly
@given(strategies.data())
def test_whole_numbers_are_small(data) -> None:
    draw = HypothesisDraw(data.draw, 2)
    assert 3 <= draw.size(usual=9, least=3) <= 5
    numbers = draw.numbers(2, 3)
    assert (numbers.shape, numbers.dtype, bool((numbers.abs() <= 3).all())) == ((2, 3), torch.float32, True)
    integers = draw.integers(4, 6, 3)
    assert (integers.shape, integers.dtype, set(integers.tolist()) <= {4, 5}) == ((3,), torch.int64, True)
    mask = draw.mask(2, 2, 3)
    assert (mask.shape, mask.dtype, bool(mask.any(-1).all())) == ((2, 2, 3), torch.bool, True)
    assert draw.choice("abc") in "abc"


def test_the_simplest_input_has_zeros_and_masks_nothing() -> None:
    assert simplest(lambda draw: draw.size(9, 3)) == 3
    assert simplest(lambda draw: draw.size(9)) == 1
    assert simplest(lambda draw: draw.numbers(2)).tolist() == [0.0, 0.0]
    assert simplest(lambda draw: draw.mask(2, 2)).tolist() == [[True, True], [True, True]]
    assert simplest(lambda draw: draw.choice("abc")) == "a"


def test_each_small_number_can_be_drawn() -> None:
    assert simplest(lambda draw: draw.size(9, 3), lambda size: size == 5) == 5
    for number in (-3.0, 3.0):
        assert simplest(lambda draw: draw.numbers(1), lambda numbers, number=number: numbers.tolist() == [number]) is not None
    assert simplest(lambda draw: draw.integers(4, 6, 1), lambda integers: integers.tolist() == [5]).tolist() == [5]
    assert simplest(lambda draw: draw.mask(2), lambda mask: not mask.all()).sum() == 1
    assert simplest(lambda draw: draw.choice("abc"), lambda choice: choice == "c") == "c"


@pytest.mark.parametrize(
    ("spread", "mean", "expected"),
    [
        (1.0, 0.0, [1.0, 2.0]),
        (10.0, 10.0, [1.0, 2.0]),
        (0.1, -10.0, [1.0, 2.0]),
        (11.0, 0.0, [11.0, 22.0]),
        (0.0625, 0.0, [0.0625, 0.125]),
        (1.0, 11.0, [12.0, 13.0]),
        (2.0, -11.0, [-9.0, -7.0]),
    ],
)
def test_numbers_that_are_large_or_small_on_purpose_stay_so(spread: float, mean: float, expected: list) -> None:
    draw = HypothesisDraw(lambda strategy: [1, 2], 0)
    assert draw.numbers(2, spread=spread, mean=mean).tolist() == expected


def test_small_random_sizes_are_at_most_two_larger_than_the_least() -> None:
    assert {SmallDraw(seed).size(usual=9, least=4) for seed in range(50)} == {4, 5, 6}
    assert {SmallDraw(seed).size(usual=9) for seed in range(50)} == {1, 2, 3}


def row(draw: Draw) -> dict[str, Tensor]:
    return {"x": draw.numbers(1, draw.size(7))}


def search_for(function: Callable, recipe: Callable = row, reference: Callable = identity, **options) -> Search:
    """Return a search for a function that fails on a usual input."""
    case = Case("usual", recipe, **options)
    exercise, arguments = Exercise("identity", reference, (case,)), recipe(RandomDraw(0))
    own, other = (LocalRunner(exercise, each) for each in (function, reference))
    outcomes = [runner(arguments, case.gradients) for runner in (own, other)]
    call = Answered(exercise, Probe(case, 0, arguments), *outcomes, own)
    return Search(call, problem_of(call), seconds=4.0)


def given_numbers(*numbers: float) -> dict[str, Tensor]:
    return {"x": torch.tensor([numbers])}


def test_the_smallest_failing_input_is_kept() -> None:
    search = search_for(lambda x: x + (x > 0))
    assert [search.fails(given_numbers(*numbers)) for numbers in ((1, 1, 1), (2,), (1,), (3,), (-1,))] == [True] * 4 + [False]
    assert search.smallest[1].probe.arguments["x"].tolist() == [[1]]
    assert search.smallest[2].stage is search.stage
    assert search.calls == 5


def test_an_input_that_cannot_be_made_or_that_the_reference_refuses_is_no_failure() -> None:
    def positive(x: Tensor) -> Tensor:
        if (x < 0).any():
            raise ValueError
        return x

    search = search_for(lambda x: x + 1, lambda draw: {"x": draw.numbers(1, 3).abs()}, reference=positive)
    assert search.fails(given_numbers(1.0))
    assert not search.fails(given_numbers(-1.0))
    assert not search.fails(None)


def test_gradients_are_compared_where_the_right_ones_are_not_all_zero() -> None:
    def wrong(x: Tensor) -> Tensor:
        return x.relu() + 3 * (x - x.detach())

    search = search_for(wrong, reference=lambda x: x.relu())
    assert search.stage == "gradients"
    assert search.fails(given_numbers(1.0, -1.0))
    assert not search.fails(given_numbers(-1.0))


def test_another_problem_is_no_failure() -> None:
    def fails(x: Tensor) -> Tensor:
        if x.shape[1] == 2:
            raise ValueError("other")
        return x.reshape(7919) if x.shape[1] > 1 else 2 * x

    search = search_for(fails)
    assert [search.fails(given_numbers(*[1.0] * size)) for size in (1, 2, 3, 4)] == [False, False, True, True]


@pytest.mark.parametrize(("own", "is_visible"), [(0.99005, False), (1.0099, False), (0.98, True), (1.02, True)])
def test_a_difference_must_be_visible_at_first(own: float, is_visible: bool) -> None:
    """Relative to the right numbers."""
    search = search_for(lambda x: own * x)
    assert search.fails(given_numbers(1.0)) is is_visible
    search.least_difference = 0.0
    assert search.fails(given_numbers(1.0))


def test_another_shape_is_visible_always() -> None:
    assert search_for(lambda x: x[0]).fails(given_numbers(1.0))


def test_a_difference_that_no_table_shows_is_found_at_last() -> None:
    search = search_for(lambda x: x + 1e-6 * (x > 0), tolerance=1e-7, gradients=False)
    assert search.run()[0].probe.arguments["x"].tolist() == [[1.0]]
    assert search.least_difference == 0.0


def test_a_search_ends_after_some_calls_or_some_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of other processes counts less."""
    now = SimpleNamespace(process_time=lambda: 1.0, monotonic=lambda: 100.0)
    monkeypatch.setattr(counterexample, "time", now)
    search = search_for(lambda x: 2 * x)
    assert (search.end, search.calls) == ((5.0, 100 + PATIENCE * 4), 0)
    for name, end in (("process_time", 5.0), ("monotonic", 100 + PATIENCE * 4)):
        with monkeypatch.context() as patch:
            patch.setattr(now, name, lambda end=end: end)
            assert search.fails(given_numbers(1.0))
            patch.setattr(now, name, lambda end=end: end + 0.1)
            with pytest.raises(Enough):
                search.fails(given_numbers(1.0))
    search.calls = MAX_CALLS - 1
    assert search.fails(given_numbers(1.0))
    with pytest.raises(Enough):
        search.fails(given_numbers(1.0))


@pytest.mark.parametrize("count", [MAX_WHOLE_NUMBERS, MAX_WHOLE_NUMBERS + 1])
def test_inputs_with_many_numbers_are_drawn_at_random(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    search, limits = search_for(lambda x: 2 * x, lambda draw: {"x": draw.numbers(1, count)}), []
    monkeypatch.setattr(search, "_search_whole_numbers", lambda more: limits.append((search.least_difference, more)))
    call, _ = search.run()
    is_small = count == MAX_WHOLE_NUMBERS
    assert limits == [(least, more) for least in (VISIBLE, 0.0) for more in MORE if is_small]
    assert search.calls == counterexample.SMALL_RANDOM_INPUTS
    assert call is not search.failed


@pytest.mark.parametrize(
    ("other", "line", "is_same"),
    [
        ("ValueError: shape (2, 30)", 3, True),
        ("ValueError: shape (2, 30)", 4, False),
        ("TypeError: shape (1, 5)", 3, False),
        (None, 3, False),
    ],
)
def test_errors_of_a_line_are_the_same_if_they_differ_in_numbers_only(other: str | None, line: int, is_same: bool) -> None:
    error = Outcome(error="ValueError: shape (1, 5)", line=3)
    assert is_same_error(error, Outcome(error=other, line=line)) is is_same
    assert is_same_error(Outcome(), Outcome())


def test_an_input_is_smaller_with_fewer_or_smaller_numbers() -> None:
    assert size_of({"x": torch.tensor([[1.0, -2.0]]), "y": torch.tensor(3), "z": 7.0, "text": "a"}) == (3.0, 6.0)
    assert size_of({"x": torch.tensor([5.0])}) < size_of({"x": torch.tensor([-1.0, -1.0])})
    assert size_of({}) == (0.0, 0.0)
