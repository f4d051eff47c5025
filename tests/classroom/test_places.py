"""The places at which a learner's numbers are wrong, along one axis or by the sign of the expected numbers."""

import math

import pytest
import torch

from minibert.classroom.places import wrong_places


def sentence(places, *sizes: int) -> str:
    """Return the sentence for numbers that are wrong at places along the last axis."""
    pairs = []
    for size in sizes:
        expected = torch.arange(1.0, 2 * size + 1).reshape(2, size)
        mine = expected.clone()
        mine[:, places] += 1
        pairs.append((mine, expected))
    return wrong_places(pairs, 1e-5, lambda axis, axes: f"axis {axis} of {axes}")


@pytest.mark.parametrize(
    ("places", "words"),
    [
        (slice(0, 1), "at the first place"),
        (slice(-1, None), "at the last place"),
        (slice(1, None), "after the first place"),
        (slice(None, -1), "before the last place"),
        (slice(0, None, 2), "at the places 0, 2, 4, …"),
        (slice(1, None, 2), "at the places 1, 3, 5, …"),
    ],
)
def test_places_along_an_axis(places, words: str) -> None:
    assert sentence(places, 4, 7) == f"Your numbers are wrong only {words} along axis 1 of 2."


def test_halves_of_an_axis() -> None:
    assert "in the first half" in sentence(slice(0, 4), 8)
    assert "in the second half" in sentence(slice(4, None), 8)


def test_other_places_have_no_sentence() -> None:
    assert sentence(slice(None), 4, 7) == sentence(slice(1, 3), 6) == sentence(slice(0, 1), 3) == sentence(slice(0, 0), 5) == ""
    assert wrong_places([(torch.ones(2), torch.ones(3))], 1e-5, lambda axis, axes: "") == ""


@pytest.mark.parametrize(("value", "sign"), [(0.0, "zero"), (-1.0, "negative"), (2.0, "positive")])
def test_places_by_the_sign_of_the_expected_numbers(value: float, sign: str) -> None:
    expected = torch.tensor([0.0, -1.0, 2.0, 0.0, 0.0, -1.0, -1.0, 2.0])
    mine = torch.where(expected == value, 9.0, expected)
    assert wrong_places([(mine, expected)], 1e-5, str) == f"Your numbers are wrong only where the expected ones are {sign}."


def test_the_last_axis_is_named_if_it_could_be_two() -> None:
    expected = torch.arange(1.0, 26.0).reshape(5, 5)
    mine = expected.clone()
    mine[0, 0] = 0
    assert wrong_places([(mine, expected)], 1e-5, lambda axis, axes: f"axis {axis}").endswith(
        "at the first place along axis 1."
    )


def test_results_with_different_numbers_of_axes_have_no_places() -> None:
    pairs = [(torch.zeros(4), torch.tensor([1.0, 0, 0, 0])), (torch.zeros(4, 1), torch.tensor([[1.0], [0], [0], [0]]))]
    assert wrong_places(pairs[:1], 1e-5, lambda axis, axes: f"axis {axis}")
    assert wrong_places(pairs, 1e-5, lambda axis, axes: f"axis {axis}") == ""


def test_a_part_is_wrong_if_any_of_its_numbers_is() -> None:
    expected = torch.arange(1.0, 11.0).reshape(2, 5)
    mine = expected.clone()
    mine[1, 0] = 0
    assert "at the first place along axis 1" in wrong_places([(mine, expected)], 1e-5, lambda axis, axes: f"axis {axis}")


def test_rounding_is_relative_to_the_largest_number_of_either_sign() -> None:
    """A difference of rounding is at no wrong place."""
    expected = torch.tensor([1.0, 2.0, 3.0, -1000.0, math.inf])
    for error, words in ((0.005, ""), (0.05, "Your numbers are wrong only at the first place along axis 0.")):
        mine = expected + torch.tensor([error, 0, 0, 0, 0])
        assert wrong_places([(mine, expected)], 1e-5, lambda axis, axes: f"axis {axis}") == words
