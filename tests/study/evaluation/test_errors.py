"""Confident errors, and rows whose gold label is likely wrong."""

import pytest

from minibert.study.evaluation.errors import confident_errors, likely_mislabeled
from minibert.training.metrics.results import Outcome


def outcome(text: str, gold: str, **scores: float) -> Outcome:
    predicted = max(scores, key=scores.__getitem__)
    return Outcome(text, gold, predicted, predicted == gold, scores[predicted], None, scores)


def test_the_most_confident_errors_come_first() -> None:
    outcomes = [
        outcome("unsure", "a", a=0.4, b=0.6),
        outcome("right", "a", a=1.0, b=0.0),
        outcome("sure", "a", a=0.1, b=0.9),
        outcome("almost", "b", a=0.7, b=0.3),
    ]
    assert [each.text for each in confident_errors(outcomes, 2)] == ["sure", "almost"]


def test_a_row_that_looks_like_another_class_is_likely_mislabeled() -> None:
    """The thresholds are the mean probabilities of the gold class: a 0.65 = (0.9 + 0.9 + 0.15)/3, b 0.65.

    The row "flipped" is as probable a b as the rows of b are. The row "hard" is an error, but less probable than they are.
    """
    outcomes = [
        outcome("a1", "a", a=0.9, b=0.1),
        outcome("a2", "a", a=0.9, b=0.1),
        outcome("flipped", "a", a=0.15, b=0.85),
        outcome("b1", "b", a=0.2, b=0.8),
        outcome("hard", "b", a=0.5, b=0.5),
    ]
    assert [(each.text, likely) for each, likely in likely_mislabeled(outcomes, 10)] == [("flipped", "b")]


def test_the_clearest_case_comes_first() -> None:
    outcomes = [outcome("a", "a", a=0.5, b=0.5), outcome("b", "b", a=0.5, b=0.5)]
    outcomes += [outcome("clear", "a", a=0.0, b=1.0), outcome("less", "a", a=0.3, b=0.7)]
    assert [each.text for each, _ in likely_mislabeled(outcomes, 1)] == ["clear"]


@pytest.mark.parametrize(
    "outcomes",
    [[], [outcome("new", "c", a=0.9, b=0.1)], [Outcome("number", "1", "2", False, 1.0)]],
    ids=["no rows", "a class that the model lacks", "no probabilities"],
)
def test_without_probabilities_of_the_gold_class_nothing_is_found(outcomes: list[Outcome]) -> None:
    assert likely_mislabeled(outcomes, 10) == []
