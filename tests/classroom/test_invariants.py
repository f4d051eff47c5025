"""Properties that many exercises share."""

import pytest
import torch

from minibert.classroom.exercises.invariants import equal, first_rows_equal, independent, reordered

X = torch.arange(6.0).reshape(3, 2)


@pytest.mark.parametrize(
    ("output_axis", "right", "wrong"), [(None, X, X.flip(0)), (0, X.flip(0), X), (1, X.flip(1), X.flip(0))]
)
def test_reversed_inputs_reverse_an_axis_of_the_output_or_change_nothing(output_axis, right, wrong) -> None:
    invariant = reordered("a name", "heads", {"x": 0, "y": 1}, output_axis)
    changed = invariant.changed({"x": X, "z": X})
    assert {name: value.tolist() for name, value in changed.items()} == {"x": X.flip(0).tolist(), "z": X.tolist()}
    assert invariant.holds(X, right, {})
    assert not invariant.holds(X, wrong, {})
    words = "Both results must be equal." if output_axis is None else f"in reverse order along axis {output_axis}."
    assert invariant.relation.endswith(words)


def test_another_last_part_changes_the_last_part_of_the_output_only() -> None:
    invariant = independent("tokens", ("x", "n", "other"), axis=0)
    changed = invariant.changed({"x": X, "n": torch.tensor([3, 0, 2]), "y": X})
    assert {name: value.tolist() for name, value in changed.items()} == {
        "x": [[0, 1], [2, 3], [-7, -9]],
        "n": [3, 0, 0],
        "y": X.tolist(),
    }
    last = torch.tensor([[0.0], [0.0], [1.0]])
    assert invariant.holds(X, X + last, {})
    assert not invariant.holds(X, X + last.flip(0), {})


@pytest.mark.parametrize("axis", [1, -1])
def test_the_last_part_is_that_of_its_axis(axis: int) -> None:
    invariant = independent("columns", ("x",), axis)
    assert invariant.changed({"x": X})["x"].tolist() == [[0, -1], [2, -5], [4, -9]]
    last = torch.tensor([0.0, 1.0])
    assert invariant.holds(X, X + last, {})
    assert not invariant.holds(X, X + last.flip(0), {})


def test_equal_is_equal_up_to_rounding() -> None:
    assert equal(X, X + 5e-5)
    assert not equal(X, X + 2e-3)
    assert not equal(X, X[:1])
    assert first_rows_equal(X, X[:1] + 5e-5, {})
    assert not first_rows_equal(X, X[1:2], {})
