"""Metrics of regression, compared with loops over the definitions."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.training.metrics.measurement import Measurement
from minibert.training.metrics.regression import measure_numbers, ranks

NUMBERS = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=12)
"""Gold and predicted numbers of several rows, many of them equal."""


def values(measurements: dict[str, Measurement]) -> dict[str, float | None]:
    return {name: each.value for name, each in measurements.items()}


def measured(gold: list[float], predicted: list[float]) -> dict[str, Measurement]:
    return {each.metric.name: each for each in measure_numbers(np.array(gold, dtype=float), np.array(predicted, dtype=float))}


def correlation(x: list[float], y: list[float]) -> float | None:
    """Pearson correlation by its definition."""
    mean_x, mean_y = math.fsum(x) / len(x), math.fsum(y) / len(y)
    covariance = math.fsum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    variances = math.fsum((a - mean_x) ** 2 for a in x), math.fsum((b - mean_y) ** 2 for b in y)
    return covariance / math.sqrt(variances[0] * variances[1]) if min(variances) > 1e-12 else None


def ranks_of(values: list[float]) -> list[float]:
    """The rank of each value: one more than the number of smaller ones, plus half the number of other equal ones."""
    return [1 + sum(other < each for other in values) + (sum(other == each for other in values) - 1) / 2 for each in values]


@given(NUMBERS)
def test_values_are_those_of_the_definitions(rows: list[tuple[int, int]]) -> None:
    gold, predicted = ([float(row[side]) for row in rows] for side in (0, 1))
    found = values(measured(gold, predicted))
    for name, expected in (
        ("pearson", correlation(gold, predicted)),
        ("spearman", correlation(ranks_of(gold), ranks_of(predicted))),
        ("mean_squared_error", sum((a - b) ** 2 for a, b in rows) / len(rows)),
    ):
        assert found[name] == (None if expected is None else pytest.approx(expected, abs=1e-12))


@given(NUMBERS, st.data())
def test_a_resample_is_measured_as_its_rows_are(rows: list[tuple[int, int]], data: st.DataObject) -> None:
    times = data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)).filter(any))
    repeated = [row for row, count in zip(rows, times, strict=True) for _ in range(count)]
    expected = values(measured(*zip(*repeated, strict=True)))
    for name, each in measured(*zip(*rows, strict=True)).items():
        if each.value is not None:
            (value,) = each.resampled(np.array([times], dtype=np.float64))
            wanted = math.nan if expected[name] is None else expected[name]
            assert value == pytest.approx(wanted, abs=1e-9, nan_ok=True)


def test_each_resample_is_measured_by_itself() -> None:
    gold, predicted = [1.0, 2.0, 3.0, 5.0], [2.0, 1.0, 3.0, 9.0]
    times = [[1, 1, 1, 1], [2, 1, 3, 0], [0, 0, 4, 5]]
    for each in measured(gold, predicted).values():
        together = each.resampled(np.array(times, dtype=np.float64))
        alone = [each.resampled(np.array([row], dtype=np.float64))[0] for row in times]
        assert together.tolist() == pytest.approx(alone, abs=1e-12)


def test_numbers_that_differ_by_rounding_only_have_no_correlation_in_any_number() -> None:
    """The deviation is that of one number, not the sum of all. No warning is shown."""
    small = np.array([0.5 - 1e-12 / 2, 0.5 + 1e-12 / 2] * 50)
    numbers = np.array([0.0, 1.0, *small])
    with warnings.catch_warnings(action="error"):
        found = measure_numbers(numbers, numbers)[0]
        measure_numbers(np.array([0.5, np.nextafter(0.5, 1)] * 50), np.arange(100.0))
    assert found.value == pytest.approx(1)
    assert np.isnan(found.resampled(np.array([[0.0, 0.0] + [1.0] * 100]))).all()


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12))
def test_ranks_are_those_of_the_definition(values: list[int]) -> None:
    assert ranks(np.array(values, dtype=float), np.ones((1, len(values))))[0].tolist() == ranks_of([*map(float, values)])


@pytest.mark.parametrize("offset", [0.0, 1e8, -1e12])
def test_a_large_mean_does_not_change_the_correlation_of_resamples(offset: float) -> None:
    gold, predicted = [0.0, 1.0, 2.0, 4.0], [offset + each for each in (1.0, 0.0, 3.0, 3.0)]
    found = measured(gold, predicted)["pearson"]
    assert found.resampled(np.ones((1, 4))) == pytest.approx(
        correlation(gold, [1.0, 0.0, 3.0, 3.0]), abs=1e-3 if offset else 1e-12
    )


@pytest.mark.parametrize(
    ("gold", "predicted", "note"),
    [
        ([1.0, 2.0], [0.1, 0.1], "all predicted numbers are 0.1"),
        ([2.5, 2.5, 2.5], [0.1, 0.2, 0.3], "all gold numbers are 2.5"),
        ([1.0, 2.0], [math.nan, 0.1], "1 of 2 predicted numbers are not finite"),
        ([1.0, 2.0], [math.inf, 0.1], "1 of 2 predicted numbers are not finite"),
        ([1.0], [1.0], "a correlation needs two rows, and there is 1"),
        ([], [], "there are no rows"),
    ],
)
def test_an_undefined_correlation_has_a_reason(gold: list[float], predicted: list[float], note: str) -> None:
    """It is None, not 0 and not NaN."""
    found = measured(gold, predicted)
    assert [(found[name].value, found[name].note) for name in ("pearson", "spearman")] == [(None, note)] * 2


def test_directions() -> None:
    found = measured([1.0, 2.0], [1.0, 3.0])
    assert found["pearson"].metric.is_better(0.9, than=0.8)
    assert found["mean_squared_error"].metric.is_better(0.8, than=0.9)
