"""Measurements: the values of metrics on an evaluation set, and their bootstrap intervals."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from minibert.training.records import Column

FloatArray = NDArray[np.float64]

RESAMPLES = 1000
"""Number of resamples of a bootstrap interval."""
LEVEL = 0.95
"""Confidence level of a bootstrap interval."""
MAX_ELEMENTS = 2**22
"""Maximum size of the matrix of counts that is computed at a time."""

Resampled = Callable[[FloatArray], FloatArray]
"""A function that computes a metric on resamples of the rows. Its argument is the number of times that each row is in each
resample (resamples, rows). It returns one value per resample, NaN where the metric is undefined."""


@dataclass(frozen=True)
class Measurement:
    """The value of a metric on an evaluation set."""

    metric: Column
    value: float | None
    """None if the metric is undefined, such as the correlation with a constant."""
    resampled: Resampled
    note: str = ""
    """The reason why the value is undefined, or what is left out of it."""


class Interval(NamedTuple):
    """A percentile bootstrap interval."""

    low: float
    high: float
    resamples: int
    """Number of resamples on which the metric is defined. The interval is computed from these."""


def measure(metric: Column, value: float, resampled: Resampled, note: str = "", undefined: str = "") -> Measurement:
    """Create a measurement. A value that is not finite becomes None, and the note is then `undefined`."""
    if math.isfinite(value):
        return Measurement(metric, float(value), resampled, note)
    return Measurement(metric, None, resampled, undefined or "the value is not finite")


def measure_mean(metric: Column, values: FloatArray) -> Measurement:
    """Measure a metric that is the mean of one number per row, such as accuracy, exact match or squared error."""
    mean = float(values.mean()) if len(values) else math.nan
    undefined = "" if len(values) else "there are no rows"
    return measure(metric, mean, lambda counts: counts @ values / counts.sum(axis=1), undefined=undefined)


def bootstrap(
    measurements: Sequence[Measurement], rows: int, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> list[Interval | None]:
    """Compute percentile bootstrap intervals: the quantiles of each metric over resamples of the rows, with replacement.

    All metrics are computed on the same resamples. One on which a metric is undefined is left out of its interval.

    Source: Efron and Tibshirani 1993, chapter 13.

    Args:
        rows: number of rows of the evaluation set: texts, sentences or questions.

    Returns: an interval for each measurement; None if its value is undefined.
    """
    random, chunk = np.random.default_rng(seed), max(1, MAX_ELEMENTS // max(1, rows))
    values: list[list[FloatArray]] = [[] for _ in measurements]
    for start in range(0, resamples if rows else 0, chunk):
        counts = _draw_counts(random, min(chunk, resamples - start), rows)
        for collected, each in zip(values, measurements, strict=True):
            if each.value is not None:
                collected.append(each.resampled(counts))
    return [_interval(np.concatenate(collected), level) if collected else None for collected in values]


def _draw_counts(random: np.random.Generator, resamples: int, rows: int) -> FloatArray:
    """Draw resamples of the rows, and count how often each row is in each of them."""
    drawn = random.integers(rows, size=(resamples, rows)) + rows * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * rows).reshape(resamples, rows).astype(np.float64)


def _interval(values: FloatArray, level: float) -> Interval | None:
    defined = values[np.isfinite(values)]
    if not len(defined):
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), len(defined))
