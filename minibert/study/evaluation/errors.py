"""The rows that are worth looking at: confident errors, and rows whose gold label is likely wrong."""

import math
from collections import defaultdict
from collections.abc import Sequence

from minibert.training.metrics.results import Outcome


def confident_errors(outcomes: Sequence[Outcome], count: int) -> list[Outcome]:
    """Return the errors with the highest confidence, at most `count` of them."""
    errors = [outcome for outcome in outcomes if not outcome.is_correct]
    return sorted(errors, key=lambda outcome: -outcome.confidence)[:count]


def likely_mislabeled(outcomes: Sequence[Outcome], count: int) -> list[tuple[Outcome, str]]:
    """Return rows whose gold label is likely wrong, each with the class that it likely has, at most `count` of them.

    A row likely has another class if the probability of that class is at least as high as it is on average on the rows with
    that gold label. The rows with the largest difference from the probability of the gold label come first. The model must not
    have been trained on these rows.

    Source: confident learning, Northcutt et al. 2021, equations 1 and 2.
    """
    thresholds = _mean_self_confidence(outcomes)
    found: list[tuple[float, Outcome, str]] = []
    for outcome in outcomes:
        if outcome.scores is None or outcome.gold not in outcome.scores:
            continue
        confident = {name: score for name, score in outcome.scores.items() if score >= thresholds.get(name, math.inf)}
        likely = max(confident, key=confident.__getitem__, default=outcome.gold)
        if likely != outcome.gold:
            found.append((outcome.scores[likely] - outcome.scores[outcome.gold], outcome, likely))
    return [(outcome, likely) for _, outcome, likely in sorted(found, key=lambda each: -each[0])[:count]]


def _mean_self_confidence(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Return, for each class, the mean of its probability over the rows with this gold label."""
    of_class: dict[str, list[float]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.scores is not None and outcome.gold in outcome.scores:
            of_class[outcome.gold].append(outcome.scores[outcome.gold])
    return {name: math.fsum(scores) / len(scores) for name, scores in of_class.items()}
