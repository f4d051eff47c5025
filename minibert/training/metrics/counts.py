"""Counts of true positives, predictions and gold labels, and the metrics that are functions of them.

The counts of all rows are added up before a metric is computed: F1 of a whole set is not the mean of the F1 of its parts. The
same functions measure classes, independent classes (multi-label) and named entities.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from minibert.text.batching import IntArray
from minibert.training.metrics.measurement import FloatArray, Measurement, measure
from minibert.training.records import Column

BoolArray = NDArray[np.bool_]


class Counts(NamedTuple):
    """For each class, in the last axis: the number of true positives, of predictions, and of gold labels."""

    correct: FloatArray
    predicted: FloatArray
    gold: FloatArray

    @property
    def micro(self) -> "Counts":
        """The counts of all classes together."""
        return Counts(*(each.sum(axis=-1) for each in self))

    def weighted_sum(self, weights: FloatArray) -> "Counts":
        """Add up the counts of rows (rows, classes), with weights (…, rows). Returns: counts (…, classes)."""
        return Counts(*(weights @ each for each in self))


def label_counts(gold: IntArray, predicted: IntArray, classes: int) -> Counts:
    """Return the counts of each row, for one gold and one predicted class per row: sparse matrices (rows, classes)."""
    from scipy.sparse import csr_array

    rows, shape = np.arange(len(gold)), (len(gold), classes)
    correct = gold == predicted
    indices = [(rows[correct], gold[correct]), (rows, predicted), (rows, gold)]
    return Counts(*(csr_array((np.ones(len(place[0])), place), shape) for place in indices))


def set_counts(gold: BoolArray, predicted: BoolArray) -> Counts:
    """Return the counts of each row, for any number of gold and predicted classes per row (rows, classes)."""
    return Counts(*(each.astype(np.float64) for each in (gold & predicted, predicted, gold)))


def total(rows: Counts) -> Counts:
    """Add up the counts of all rows (rows, classes)."""
    return rows.weighted_sum(np.ones(rows.gold.shape[0]))


def measure_counts(
    metric: Column,
    rows: Counts,
    function: Callable[[Counts], FloatArray],
    value: float | None = None,
    note: str = "",
    undefined: str = "",
) -> Measurement:
    """Measure a metric that is a function of the sum of the counts of all rows.

    Args:
        rows: the counts of each row (rows, classes).
        value: the value, if a library has computed it; by default `function` does.
        note: see `Measurement`.
        undefined: the note if the value is undefined.
    """
    if value is None:
        value = float(function(total(rows)))
    return measure(metric, value, lambda times: function(rows.weighted_sum(times)), note, undefined)


def ratio(numerator: FloatArray | np.float64, denominator: FloatArray | np.float64) -> FloatArray:
    """Divide element by element. 0 / 0 is undefined, NaN."""
    with np.errstate(invalid="ignore"):
        return np.asarray(numerator / denominator)


def f1(counts: Counts) -> FloatArray:
    """Harmonic mean of precision and recall; NaN for a class without predictions and without gold labels.

    >>> f1(Counts(np.array([2.0, 0.0]), np.array([3.0, 0.0]), np.array([5.0, 0.0])))
    array([0.5, nan])
    """
    return ratio(2 * counts.correct, counts.predicted + counts.gold)


def macro_f1(counts: Counts) -> FloatArray:
    """Mean of the F1 of the classes that have predictions or gold labels; NaN without any."""
    defined = counts.predicted + counts.gold > 0
    return ratio(np.where(defined, f1(counts), 0.0).sum(axis=-1), defined.sum(axis=-1, dtype=np.float64))


def micro_f1(counts: Counts) -> FloatArray:
    """F1 of all classes together."""
    return f1(counts.micro)


def matthews(counts: Counts) -> FloatArray:
    """Matthews correlation for any number of classes, one per row; NaN if all gold or all predicted labels are the same.

    Source: Gorodkin 2004; the form with counts is that of scikit-learn's user guide.
    """
    correct, _, rows = counts.micro
    covariance = correct * rows - (counts.predicted * counts.gold).sum(axis=-1)
    variances = [rows**2 - (each**2).sum(axis=-1) for each in (counts.predicted, counts.gold)]
    return ratio(covariance, np.sqrt(variances[0]) * np.sqrt(variances[1]))
