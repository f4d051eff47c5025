"""Metrics of regression: the correlations of Pearson and Spearman, and the mean squared error."""

import math
import warnings

import numpy as np

from minibert.training.metrics.counts import ratio
from minibert.training.metrics.measurement import FloatArray, Measurement, measure, measure_mean
from minibert.training.records import Column

PEARSON = Column("Pearson", "validation_pearson", ".3f")
SPEARMAN = Column("Spearman", "validation_spearman", ".3f")
MEAN_SQUARED_ERROR = Column("mean squared error", "validation_mean_squared_error", ".3f", higher_is_better=False)

ROUNDING = 1e-12
"""Standard deviation, relative to the range of the values, below which values are constant up to rounding."""


def measure_numbers(gold: FloatArray, predicted: FloatArray) -> list[Measurement]:
    """Measure predictions of one number per row."""
    from scipy.stats import pearsonr, spearmanr

    undefined = _why_undefined(gold, predicted)
    with warnings.catch_warnings(action="ignore"):  # the measurements have notes instead
        pearson_value, spearman_value = (
            math.nan if undefined else correlation(gold, predicted).statistic for correlation in (pearsonr, spearmanr)
        )
        squares = np.square(gold - predicted)
    return [
        measure(PEARSON, pearson_value, lambda times: pearson(gold, predicted, times), undefined=undefined),
        measure(SPEARMAN, spearman_value, lambda times: spearman(gold, predicted, times), undefined=undefined),
        measure_mean(MEAN_SQUARED_ERROR, squares),
    ]


def _why_undefined(gold: FloatArray, predicted: FloatArray) -> str:
    """Return the reason why a correlation is undefined, "" if it is not."""
    for name, values in (("gold", gold), ("predicted", predicted)):
        if len(values) < 2:
            return f"a correlation needs two rows, and there is {len(values)}" if len(values) else "there are no rows"
        if wrong := int((~np.isfinite(values)).sum()):
            return f"{wrong} of {len(values)} {name} numbers are not finite"
        if (values == values[0]).all():
            return f"all {name} numbers are {values[0]:g}"
    return ""


def pearson(x: FloatArray, y: FloatArray, times: FloatArray) -> FloatArray:
    """Pearson correlation on resamples; NaN where x or y is constant.

    Args:
        x, y: numbers (rows), or other numbers for each resample (resamples, rows).
        times: the number of times that each row is in each resample (resamples, rows).
    """
    x, y = (_center(values, times) for values in (x, y))
    variances = [(times * values**2).sum(axis=1) for values in (x, y)]
    product = np.sqrt(variances[0]) * np.sqrt(variances[1])
    is_constant = np.minimum(*variances) <= ROUNDING**2 * times.sum(axis=1)
    return np.where(is_constant, math.nan, ratio((times * x * y).sum(axis=1), product))


def _center(values: FloatArray, times: FloatArray) -> FloatArray:
    """Scale values to a range of 1, and subtract the mean of each resample (resamples, rows)."""
    low, high = values.min(axis=-1, keepdims=True), values.max(axis=-1, keepdims=True)
    scaled = ratio(values - low, high - low)
    return np.asarray(scaled - ((times * scaled).sum(axis=1) / times.sum(axis=1))[:, None])


def spearman(x: FloatArray, y: FloatArray, times: FloatArray) -> FloatArray:
    """Spearman correlation on resamples: the Pearson correlation of the ranks in each resample."""
    return pearson(ranks(x, times), ranks(y, times), times)


def ranks(values: FloatArray, times: FloatArray) -> FloatArray:
    """Rank of each value in each resample (resamples, rows). Equal values have the mean of their ranks.

    >>> ranks(np.array([7.0, 5.0, 9.0]), np.array([[1.0, 1.0, 1.0], [2.0, 1.0, 0.0]]))
    array([[2. , 1. , 3. ],
           [2.5, 1. , 3.5]])
    """
    order = np.argsort(values, kind="stable")
    _, starts, group = np.unique(values[order], return_index=True, return_inverse=True)
    sizes = np.add.reduceat(times[:, order], starts, axis=1)  # of the groups of equal values
    mean_ranks = np.cumsum(sizes, axis=1) - (sizes - 1) / 2
    result = np.empty_like(times)
    result[:, order] = mean_ranks[:, group]
    return result
