"""The effect of a function on a training, in words."""

import math

import pytest

from minibert.classroom.report import Verdict
from minibert.classroom.small_pretraining import Curve
from minibert.classroom.training_effect import VISIBLE, TrainingEffect

STEPS = [25, 50, 75, 1_000]


def effect(loss: float, verdict: Verdict = Verdict.WRONG, noise: float = 0.25) -> TrainingEffect:
    """Return the effect of a function with a last loss. The losses of two seeds differ by most in the first half."""
    right, other = [7.0, 6.0, 5.0, 4.0], [3.0, 6.0, 5.0 - noise, 4.0]
    return TrainingEffect(Curve(STEPS, right), Curve(STEPS, [7.0, 6.0, 5.0, loss]), Curve(STEPS, other), verdict)


@pytest.mark.parametrize(
    ("loss", "verdict", "headline"),
    [
        (5.0, Verdict.WRONG, "This bug costs 1 nats"),
        (3.0, Verdict.WRONG, "This bug saves 1 nats"),
        (4.5, Verdict.WRONG, "This bug does not show in the loss, which is why it survives"),
        (4.75, Verdict.ERROR, "This bug costs 0.75 nats"),
        (5.0, Verdict.CONVENTION, "This convention costs 1 nats"),
        (3.5, Verdict.CONVENTION, "This convention does not change the loss"),
        (4.0, Verdict.PASSED, "This function does not change the loss"),
        (4.0, Verdict.WARNING, "This function does not change the loss"),
        (math.inf, Verdict.WRONG, "With this bug the loss is not finite"),
        (math.nan, Verdict.PASSED, "With this function the loss is not finite"),
    ],
)
def test_an_effect_counts_beyond_twice_the_noise(loss: float, verdict: Verdict, headline: str) -> None:
    found = effect(loss, verdict)
    assert found.headline == headline
    assert (found.noise, found.right.losses[-1]) == (0.25, 4.0)
    if math.isfinite(loss):
        assert found.cost == loss - 4.0
        assert found.sentence == (
            f"{headline}: the losses differ by {abs(loss - 4):.3f} nats after 1,000 steps, "
            "and those of two seeds by up to 0.250."
        )
    else:
        assert found.sentence == f"{headline} after 1,000 steps."


def test_a_small_effect_is_not_visible_without_any_noise() -> None:
    assert "does not show" in effect(4.0 + VISIBLE * 0.99, noise=0.0).headline
    assert "costs" in effect(4.0 + VISIBLE * 1.01, noise=0.0).headline


def test_the_last_difference_of_two_seeds_counts() -> None:
    found = effect(4.0)
    found.other_seed.losses[-1] = 3.0
    assert found.noise == 1.0
