"""Bootstrap intervals."""

import math

import numpy as np
import pytest

from minibert.training.metrics import measurement
from minibert.training.metrics.classification import ACCURACY, CALIBRATION_ERROR, measure_classes
from minibert.training.metrics.measurement import bootstrap, measure, measure_mean
from minibert.training.metrics.regression import measure_numbers


def test_the_interval_of_a_mean_is_that_of_its_distribution() -> None:
    """For 400 rows, 300 of them right: 0.75 ± 1.96 · √(0.75 · 0.25 / 400), the normal approximation."""
    (interval,) = bootstrap([measure_mean(ACCURACY, np.repeat([1.0, 0.0], [300, 100]))], rows=400, resamples=4000)
    half = 1.96 * math.sqrt(0.75 * 0.25 / 400)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((0.75 - half, 0.75 + half), abs=0.004)
    assert interval.resamples == 4000


def test_the_seed_determines_the_interval() -> None:
    found = [measure_mean(ACCURACY, np.arange(50) / 50)]
    assert bootstrap(found, 50, seed=1) == bootstrap(found, 50, seed=1) != bootstrap(found, 50, seed=2)


def test_the_default_seed_is_0() -> None:
    found = [measure_mean(ACCURACY, np.arange(50) / 50)]
    assert bootstrap(found, 50) == bootstrap(found, 50, seed=0)


@pytest.mark.parametrize(("values", "note"), [([], "there are no rows"), ([1.0, math.nan], "the value is not finite")])
def test_an_undefined_mean_has_a_reason(values: list[float], note: str) -> None:
    found = measure_mean(ACCURACY, np.array(values))
    assert (found.value, found.note) == (None, note)


def test_chunks_do_not_change_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """The matrix of counts is computed in parts, of which the last one is smaller."""
    sizes = []
    found = measure(ACCURACY, 0.5, lambda times: sizes.append(times.shape) or times[:, 0])
    monkeypatch.setattr(measurement, "MAX_ELEMENTS", 70)
    (interval,) = bootstrap([found], rows=10, resamples=16)
    assert sizes == [(7, 10), (7, 10), (2, 10)]
    assert interval is not None
    assert interval.resamples == 16


def test_resamples_on_which_a_metric_is_undefined_are_left_out() -> None:
    """With three rows, many resamples have a single class, for which there is no Matthews correlation."""
    found = measure_classes(np.array([0, 1, 1]), np.array([0, 1, 1]))
    intervals = dict(zip([each.metric.name for each in found], bootstrap(found, 3), strict=True))
    assert (intervals["matthews"].low, intervals["matthews"].high) == (1, 1)
    assert 0 < intervals["matthews"].resamples < 1000 == intervals["accuracy"].resamples


def test_an_undefined_value_has_no_interval() -> None:
    assert bootstrap(measure_numbers(np.ones(3), np.arange(3.0))[:2], 3) == [None, None]
    assert bootstrap([measure_mean(ACCURACY, np.empty(0))], 0) == [None]


def test_the_rows_are_resampled_not_the_columns_of_one_class() -> None:
    """Every resample has as many rows as the set."""
    found = measure(ACCURACY, 0.5, lambda times: times.sum(axis=1))
    (interval,) = bootstrap([found], rows=7)
    assert (interval.low, interval.high) == (7, 7)


@pytest.mark.parametrize("value", [None, math.nan])
def test_an_undefined_value_is_never_the_best(value: float | None) -> None:
    for metric in (ACCURACY, CALIBRATION_ERROR):
        assert not metric.is_better(value, than=0.5)
        assert not metric.is_better(value, than=None)
        assert metric.is_better(0.5, than=value)
        assert not metric.is_better(0.5, than=0.5)
