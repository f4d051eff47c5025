"""The distance of two outcomes, in small numbers."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from minibert.classroom.distance import (
    NO_MATCH,
    differences,
    gradient_distance,
    largest_difference,
    relative_difference,
    scale_of_gradients,
    summarized,
    value_distance,
)
from minibert.classroom.exercise import Case, Role
from minibert.classroom.running import Outcome

CASE = Case("a case", lambda draw: {})
INF, NAN = math.inf, math.nan


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1, 3], [1, 4], 0.25),
        ([-1, -4], [1, -4], 0.5),
        ([1, 0], [0, 0], 1.0),
        ([5, INF], [4, INF], 0.25),
        ([5, -INF], [4, INF], NO_MATCH),
        ([5, INF], [4, 4], NO_MATCH),
        ([5, NAN], [4, NAN], 0.25),
        ([5, NAN], [4, INF], NO_MATCH),
        ([NAN, INF], [NAN, INF], 0.0),
        ([], [], 0.0),
        ([1, 2], [1], NO_MATCH),
    ],
)
def test_a_difference_is_relative_to_the_largest_finite_number(one, other, expected) -> None:
    assert relative_difference(numbers(*one), numbers(*other)) == expected


def test_a_scale_may_be_given() -> None:
    assert relative_difference(numbers(1, 3), numbers(1, 4), scale=0.5) == 2.0


def test_numbers_of_other_data_types_are_compared_exactly() -> None:
    assert relative_difference(torch.tensor([2**53 + 1]), torch.tensor([2**53])) == 0.0
    assert relative_difference(torch.tensor([True, False]), torch.tensor([True, True])) == 1.0
    assert relative_difference(torch.tensor([1e-8 + 1], dtype=torch.float64), torch.ones(1)) > 0


def test_the_largest_difference_is_that_of_any_tensor() -> None:
    one, other = {"a": numbers(1, 2), "b": numbers(9)}, {"b": numbers(10), "a": numbers(1, 2)}
    assert largest_difference(one, other) == 0.1
    assert largest_difference(one, other, scale=2.0) == 0.5
    assert largest_difference({}, {}) == 0.0
    assert largest_difference({"a": numbers(1)}, one) == largest_difference({"c": numbers(1)}, {"a": numbers(1)}) == NO_MATCH


def test_an_error_equals_another_error_and_nothing_else() -> None:
    error, right = Outcome(error="ValueError"), Outcome({"output": numbers(1)})
    distances = [value_distance(one, other, CASE) for one in (error, right) for other in (Outcome(error="another"), right)]
    assert distances == [0.0, NO_MATCH, NO_MATCH, 0.0]


def test_arguments_that_the_function_changes_count_as_results() -> None:
    one, other = (Outcome({"output": numbers(1)}, after={"a.0": numbers(number), "ab": numbers(number)}) for number in (4, 5))
    assert value_distance(one, other, CASE) == 0.0
    assert value_distance(one, other, CASE, {"b"}) == 0.0
    assert value_distance(one, other, CASE, {"a"}) == 0.2


def test_of_random_results_a_statistic_is_compared_if_it_is_defined() -> None:
    case = Case("a case", lambda draw: {}, summary=lambda tensor: tensor.mean(dim=1))
    matrix, vector = numbers(1, 3)[None], numbers(1, 3)
    assert summarized({"a": matrix}, case)["a"].tolist() == [2]
    assert summarized({"a": matrix, "b": vector}, case) == {"a": matrix, "b": vector}
    assert value_distance(Outcome({"a": matrix}), Outcome({"a": matrix.flip(1)}), case) == 0.0
    assert value_distance(Outcome({"a": matrix}), Outcome({"a": matrix.flip(1)}), CASE) > 0


@pytest.mark.parametrize(
    ("gradients", "scale"),
    [
        ([[3.0], [-4.0, INF]], 4.0),
        ([[1e-4], [0.0]], 1e-3),
        ([[2e-3], [0.0]], 2e-3),
        ([[0.0], [0.0]], 1.0),
        ([[], [0.5]], 0.5),
        ([[INF]], 1.0),
    ],
)
def test_gradients_are_compared_with_the_largest_of_all(gradients, scale) -> None:
    named = {str(number): numbers(*values) for number, values in enumerate(gradients)}
    assert scale_of_gradients(named, CASE) == scale


def test_a_gradient_is_compared_if_both_have_one() -> None:
    one, other, none = Outcome(gradients={"x": numbers(1), "y": numbers(8)}), {"x": numbers(2), "y": numbers(8)}, Outcome()
    assert gradient_distance(one, Outcome(gradients=other), CASE) == 1 / 8
    assert gradient_distance(one, none, CASE) == gradient_distance(none, one, CASE) == 0.0


def test_differences_are_infinite_where_infinite_numbers_differ() -> None:
    own = numbers(1, NAN, NAN, INF, INF, 2, 3, 4)
    other = numbers(3, NAN, 1, INF, -INF, INF, -INF, NAN)
    assert differences(own, other).tolist() == [-2, 0, INF, 0, INF, -INF, INF, INF]
    assert differences(torch.tensor([True]), torch.tensor([False])).tolist() == [1]


@pytest.mark.parametrize(("size", "value", "gradient"), [(0.25, 0.125, 0.125), (4.0, 0.03125, 0.03125)])
def test_at_a_limit_rounding_does_not_shrink_with_the_result(size, value, gradient) -> None:
    """Scores of several hundred are rounded to 1e-5, also if the loss is 1e-6."""
    limit = replace(CASE, role=Role.LIMIT)
    one, other = ({name: numbers(number)} for name, number in (("x", size + 0.125), ("x", size)))
    assert value_distance(Outcome(one), Outcome(other), limit) == value
    assert value_distance(Outcome(one), Outcome(other), CASE) == 0.125 / size
    assert gradient_distance(Outcome(gradients=one), Outcome(gradients=other), limit) == gradient
    assert gradient_distance(Outcome(gradients=one), Outcome(gradients=other), CASE) == 0.125 / size
