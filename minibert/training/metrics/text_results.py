"""Results of the classification of texts: one class, independent classes, or a number for each text."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from minibert.text.labeled.text_rows import TextRow
from minibert.training.metrics.classification import (
    measure_class,
    measure_class_sets,
    measure_classes,
    measure_majority,
)
from minibert.training.metrics.counts import label_counts, set_counts, total
from minibert.training.metrics.regression import measure_numbers
from minibert.training.metrics.results import Outcome, Results

NO_CLASS = "(none)"
"""Shown for a text without any of the independent classes."""


def class_results(
    rows: Sequence[TextRow], predictions: Sequence[Mapping[str, Any]], labels: Sequence[str], positive: str | None
) -> Results:
    """Compare predictions of one class per text with the gold classes.

    Args:
        predictions: `label`, `score` (its probability) and `scores` of each text.
        labels: the classes of the model. A gold class that is not one of them counts as an error.
        positive: the class whose F1 is measured.
    """
    gold, predicted = [str(row.label) for row in rows], [each["label"] for each in predictions]
    classes = [*labels, *sorted({*gold} - {*labels})]
    numbers = {name: number for number, name in enumerate(classes)}
    gold_numbers, predicted_numbers = (
        np.array([numbers[name] for name in names], dtype=np.int64) for names in (gold, predicted)
    )
    confidence = np.array([each["score"] for each in predictions], dtype=np.float64)
    measurements = measure_classes(gold_numbers, predicted_numbers, confidence)
    if positive is not None:
        is_gold, is_predicted = (np.array([name == positive for name in names], dtype=np.bool_) for names in (gold, predicted))
        measurements.insert(1, measure_class(is_gold, is_predicted, positive))
    measurements.insert(1, measure_majority(gold))
    outcomes = [
        Outcome(shown(row), name, each["label"], name == each["label"], each["score"], row.line, each["scores"])
        for row, name, each in zip(rows, gold, predictions, strict=True)
    ]
    counts = total(label_counts(gold_numbers, predicted_numbers, len(classes)))
    unknown = Counter(name for name in gold if name not in labels)
    return Results(measurements, outcomes, classes, counts, unknown, list(zip(gold, predicted, strict=True)))


def class_set_results(rows: Sequence[TextRow], predictions: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> Results:
    """Compare predictions of independent classes with the gold classes.

    Args:
        predictions: `labels` and `scores` (the probability of each class) of each text.
        labels: the classes of the model. A gold class that is not one of them is never predicted.
    """
    gold = [{*cast("tuple[str, ...]", row.label)} for row in rows]
    classes = [*labels, *sorted({name for names in gold for name in names} - {*labels})]
    gold_table, predicted_table = (
        np.array([[name in names for name in classes] for names in sets], dtype=np.bool_).reshape(len(rows), len(classes))
        for sets in (gold, [{*each["labels"]} for each in predictions])
    )
    measurements = measure_class_sets(gold_table, predicted_table, classes)
    outcomes = [
        Outcome(
            shown(row),
            ", ".join(sorted(names)) or NO_CLASS,
            ", ".join(sorted(each["labels"])) or NO_CLASS,
            names == {*each["labels"]},
            _confidence(names, each),
            row.line,
        )
        for row, names, each in zip(rows, gold, predictions, strict=True)
    ]
    unknown = Counter(name for names in gold for name in names - {*labels})
    return Results(measurements, outcomes, classes, total(set_counts(gold_table, predicted_table)), unknown)


def _confidence(gold: set[str], prediction: Mapping[str, Any]) -> float:
    """Return the highest probability of a wrong decision about a class, 0 if there is no wrong one."""
    predicted = {*prediction["labels"]}
    scores = [
        (score if name in predicted else 1 - score) for name, score in prediction["scores"].items() if name in gold ^ predicted
    ]
    return max(scores, default=0.0)


def number_results(rows: Sequence[TextRow], predictions: Sequence[Mapping[str, Any]]) -> Results:
    """Compare predictions of one number per text (`score`) with the gold numbers."""
    gold = np.array([float(cast("str", row.label)) for row in rows], dtype=np.float64)
    predicted = np.array([each["score"] for each in predictions], dtype=np.float64)
    outcomes = [
        Outcome(shown(row), f"{one:g}", f"{other:.4g}", bool(one == other), abs(one - other), row.line)
        for row, one, other in zip(rows, gold.tolist(), predicted.tolist(), strict=True)
    ]
    return Results(measure_numbers(gold, predicted), outcomes)


def shown(row: TextRow) -> str:
    """Return a text or a pair of texts in one line."""
    return row.text if row.pair is None else f"{row.text} | {row.pair}"
