"""The properties of exercises hold for right results, and for no others."""

import pytest
import torch

from minibert.classroom.exercises import EXERCISES, adapters, attention
from minibert.classroom.exercises.invariants import equal, first_rows_equal, independent, reordered, unchanged_by_shift
from minibert.classroom.running import LocalRunner
from tests.classroom.test_exercise_inputs import LargerSizes

ROWS = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])


@pytest.mark.parametrize(("difference", "is_equal"), [(0.0, True), (9e-5, True), (4e-4, False), (torch.nan, False)])
def test_results_are_equal_up_to_rounding(difference, is_equal) -> None:
    assert equal(torch.ones(2), torch.ones(2) + difference) is is_equal
    assert equal(torch.tensor([torch.nan]), torch.tensor([torch.nan]))
    assert not equal(torch.ones(2), torch.ones(1, 2))
    assert not equal(torch.ones(2), torch.ones(1))


def test_the_result_of_one_row_is_the_first_row() -> None:
    assert first_rows_equal(ROWS, ROWS[:1], {})
    assert not first_rows_equal(ROWS, ROWS[1:2], {})
    assert not first_rows_equal(ROWS, ROWS, {})
    assert not first_rows_equal(ROWS, ROWS[:1, :1], {})


def test_another_last_part_changes_the_last_part_only() -> None:
    rows = independent("rows", ("x", "ids", "mask"), axis=0)
    given = {"x": ROWS, "ids": torch.tensor([3, 2, 0]), "y": ROWS}
    changed = rows.changed(given)
    assert changed["x"].tolist() == [[1, 2], [3, 4], [-9, -11]]
    assert changed["ids"].tolist() == [3, 2, 1]
    assert changed["y"] is ROWS
    assert rows.changed({"ids": torch.tensor([0, 7])})["ids"].tolist() == [0, 0]
    assert rows.holds(ROWS, changed["x"], given)
    assert not rows.holds(ROWS, ROWS.flip(0), given)
    assert not rows.holds(ROWS, ROWS[:2], given)
    assert rows.relation == "Here, the last of the rows (axis 0) is another one. Only its result may be another one."


def test_a_reversed_axis_reverses_the_result_or_changes_nothing() -> None:
    both = reordered("a name", "columns", {"x": 1, "mask": 0}, output_axis=0)
    assert both.changed({"x": ROWS, "y": ROWS})["x"].tolist() == [[2, 1], [4, 3], [6, 5]]
    assert both.changed({"x": ROWS, "y": ROWS})["y"] is ROWS
    assert both.holds(ROWS, ROWS.flip(0), {})
    assert not both.holds(ROWS, ROWS, {})
    one = reordered("a name", "columns", {"x": 1})
    assert one.holds(ROWS, ROWS, {})
    assert not one.holds(ROWS, ROWS.flip(0), {})
    assert one.relation == "Here, the columns are in reverse order. Both results must be equal."


def test_a_shift_says_nothing_about_large_numbers() -> None:
    shift = unchanged_by_shift("a name", "x")
    assert torch.equal(shift.changed({"x": ROWS})["x"], ROWS + 1)
    assert shift.changed({"x": torch.tensor([-99.0])}) is not None
    assert shift.changed({"x": torch.tensor([-100.0])}) is None


def test_weights_are_positive_and_sum_to_one() -> None:
    right = torch.tensor([[0.25, 0.75], [0.0, 1.0]])
    assert attention.weights_are_a_distribution(right, right, {})
    assert not attention.weights_are_a_distribution(right.T, right, {})
    assert not attention.weights_are_a_distribution(torch.tensor([[-0.5, 1.5]]), right, {})


def test_a_frozen_map_is_the_result_without_an_update() -> None:
    inputs = adapters.low_rank_update(LargerSizes())
    right = inputs["frozen"](inputs["x"])
    assert adapters.is_frozen(right + 1, right, inputs)
    assert not adapters.is_frozen(right, right + 1, inputs)


CASES = [
    pytest.param(exercise, invariant, id=f"{exercise.name}: {invariant.name}")
    for exercise in EXERCISES.values()
    for invariant in exercise.invariants
]


@pytest.mark.parametrize(("exercise", "invariant"), CASES)
def test_a_property_holds_for_the_reference_and_not_for_another_result(exercise, invariant) -> None:
    said = 0
    for case in exercise.cases:
        arguments = case.recipe(LargerSizes())
        changed = invariant.changed(dict(arguments))
        if changed is not None and case.role in ("typical input", "edge case"):
            runner = LocalRunner(exercise, exercise.reference)
            one, two = (next(iter(runner(each, False).outputs.values())) for each in (arguments, changed))
            assert invariant.holds(one, two, arguments)
            wrong = [each.logical_not() if each.dtype is torch.bool else each + 1 for each in (one, two)]
            assert not invariant.holds(one, wrong[1], arguments) or not invariant.holds(wrong[0], two, arguments)
            said += 1
    assert said
