"""Draws of test inputs: random, of equal sizes, small, and by Hypothesis."""

import inspect

import pytest
import torch

from minibert.classroom.counterexample import HypothesisDraw, SmallDraw
from minibert.classroom.draws import EQUAL_SIZE, MORE, Draw, EqualSizes, RandomDraw


@pytest.mark.parametrize("kind", [RandomDraw, EqualSizes, SmallDraw, HypothesisDraw])
@pytest.mark.parametrize("method", ["size", "numbers", "integers", "mask", "choice"])
def test_every_draw_has_the_same_parameters_and_defaults(kind: type, method: str) -> None:
    """A recipe means the same for each of them."""
    assert inspect.signature(getattr(kind, method)) == inspect.signature(getattr(Draw, method))


def test_every_size_counts_from_1_and_numbers_are_standard_normal_by_default() -> None:
    assert inspect.signature(Draw.size).parameters["least"].default == 1
    assert [inspect.signature(Draw.numbers).parameters[name].default for name in ("spread", "mean")] == [1.0, 0.0]


def test_random_sizes_are_the_usual_one_or_a_little_more() -> None:
    assert {RandomDraw(seed).size(5, 3) for seed in range(50)} == {5, 6, 5 + MORE}


def test_equal_sizes_are_equal_unless_one_must_be_larger() -> None:
    draw = EqualSizes(0)
    assert [draw.size(usual, least) for usual, least in [(2, 1), (9, 3), (2, EQUAL_SIZE + 1)]] == [EQUAL_SIZE] * 2 + [5]


def test_numbers_have_the_spread_and_the_mean() -> None:
    numbers = RandomDraw(0).numbers(200, 50, spread=2.0, mean=3.0)
    assert numbers.dtype == torch.float32
    assert numbers.mean().item() == pytest.approx(3.0, abs=0.1)
    assert numbers.std().item() == pytest.approx(2.0, abs=0.1)


def test_a_mask_is_true_in_three_of_five_places_and_at_least_once_in_each_row() -> None:
    assert RandomDraw(0).mask(100, 100).float().mean().item() == pytest.approx(0.6, abs=0.02)
    assert RandomDraw(0).mask(200, 1).all()
    assert RandomDraw(0).mask(5, 40, 2).any(-1).all()


def test_integers_have_the_bounds_and_every_option_is_drawn() -> None:
    draw = RandomDraw(0)
    assert set(draw.integers(-1, 3, 10, 10).flatten().tolist()) == {-1, 0, 1, 2}
    assert {draw.choice("abc") for _ in range(50)} == {"a", "b", "c"}
