"""Metrics of classification, compared with loops over the definitions."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.training.metrics.classification import measure_calibration, measure_class, measure_class_sets, measure_classes
from minibert.training.metrics.measurement import Measurement

PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)
"""Gold and predicted classes of several rows."""


def measured_sets(gold: list[list[bool]], predicted: list[list[bool]], classes: list[str]) -> dict[str, Measurement]:
    return {each.metric.name: each for each in measure_class_sets(np.array(gold), np.array(predicted), classes)}


def values(measurements: dict[str, Measurement]) -> dict[str, float | None]:
    return {name: each.value for name, each in measurements.items()}


def measured(pairs: list[tuple[int, int]], positive: int = 1) -> dict[str, Measurement]:
    gold, predicted = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    found = [*measure_classes(gold, predicted), measure_class(gold == positive, predicted == positive, "positive")]
    return {each.metric.name: each for each in found}


def f1_of(pairs: list[tuple[int, int]], name: int) -> float | None:
    """F1 of one class: 2 TP / (2 TP + FP + FN); None if the class does not occur."""
    true_positives = sum(1 for gold, predicted in pairs if gold == name and predicted == name)
    false_positives = sum(1 for gold, predicted in pairs if gold != name and predicted == name)
    false_negatives = sum(1 for gold, predicted in pairs if gold == name and predicted != name)
    total = 2 * true_positives + false_positives + false_negatives
    return 2 * true_positives / total if total else None


def correlation_of_indicators(pairs: list[tuple[int, int]]) -> float | None:
    """Matthews correlation (Gorodkin 2004): the correlation of the matrices of indicators, over rows and classes."""

    def covariance(one: int, other: int) -> float:
        total = 0.0
        for name in range(4):
            means = [sum(float(pair[side] == name) for pair in pairs) / len(pairs) for side in (one, other)]
            for pair in pairs:
                total += (float(pair[one] == name) - means[0]) * (float(pair[other] == name) - means[1])
        return total

    variances = covariance(0, 0), covariance(1, 1)
    return None if min(variances) < 1e-12 else covariance(0, 1) / math.sqrt(variances[0] * variances[1])


class TestOneClassPerRow:
    @given(PAIRS)
    def test_values_are_those_of_the_definitions(self, pairs: list[tuple[int, int]]) -> None:
        found = measured(pairs)
        accuracy = sum(gold == predicted for gold, predicted in pairs) / len(pairs)
        per_class = [value for name in range(4) if (value := f1_of(pairs, name)) is not None]
        assert found["accuracy"].value == pytest.approx(accuracy)
        assert found["micro_f1"].value == pytest.approx(accuracy)
        assert found["macro_f1"].value == pytest.approx(sum(per_class) / len(per_class))
        assert found["f1"].value == (None if f1_of(pairs, 1) is None else pytest.approx(f1_of(pairs, 1)))
        expected = correlation_of_indicators(pairs)
        assert found["matthews"].value == (None if expected is None else pytest.approx(expected))

    @given(PAIRS, st.data())
    def test_a_resample_is_measured_as_its_rows_are(self, pairs: list[tuple[int, int]], data: st.DataObject) -> None:
        """The function for resamples gives what measuring the repeated rows gives."""
        times = data.draw(st.lists(st.integers(0, 3), min_size=len(pairs), max_size=len(pairs)).filter(any))
        repeated = [pair for pair, count in zip(pairs, times, strict=True) for _ in range(count)]
        expected = measured(repeated)
        for name, each in measured(pairs).items():
            (value,) = each.resampled(np.array([times], dtype=np.float64))
            assert value == pytest.approx(math.nan if expected[name].value is None else expected[name].value, nan_ok=True)

    def test_f1_of_resamples_counts_each_row_as_often_as_it_was_drawn(self) -> None:
        """A true positive, a false positive, a false negative, and a row of another class."""
        f1 = measured([(1, 1), (0, 1), (1, 0), (0, 0)])["f1"]
        times = np.array([[1, 1, 1, 1], [3, 1, 0, 0], [1, 0, 2, 1], [0, 2, 2, 0]], dtype=np.float64)
        assert f1.resampled(times).tolist() == pytest.approx([2 / 4, 6 / 7, 2 / 4, 0])

    def test_a_gold_class_that_the_model_lacks_is_missed(self) -> None:
        """Rows of class 2, which is never predicted, are errors, and count in macro F1."""
        found = values(measured([(0, 0), (1, 1), (2, 0), (2, 1)]))
        assert found["accuracy"] == 0.5
        assert found["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)

    def test_f1_of_a_set_is_not_the_mean_of_batches(self) -> None:
        """Two halves with F1 of 1 and 0, of which one has a single positive row, have an F1 of 1/3 together."""
        first, second = [(1, 1), (0, 0)], [(1, 0), (1, 0), (1, 0), (1, 0)]
        halves = [measured(rows)["f1"].value for rows in (first, second)]
        assert halves == [1.0, 0.0]
        assert measured([*first, *second])["f1"].value == pytest.approx(2 / (2 + 4))

    @pytest.mark.parametrize(
        ("pairs", "note"),
        [
            ([(0, 0), (0, 1)], "all gold labels are of one class"),
            ([(0, 1), (1, 1)], "all predicted labels are of one class"),
            ([(1, 1), (1, 1)], "all gold and all predicted labels are of one class"),
        ],
    )
    def test_one_class_has_no_matthews_correlation(self, pairs: list[tuple[int, int]], note: str) -> None:
        """scikit-learn returns 0, as for predictions that are right by chance."""
        found = measured(pairs)["matthews"]
        assert (found.value, found.note) == (None, note)

    def test_a_positive_class_that_does_not_occur_has_no_f1(self) -> None:
        found = measured([(0, 0), (2, 0)])["f1"]
        assert found.value is None
        assert found.note == "no row is 'positive', and none was predicted as it"

    def test_without_rows_there_is_no_value(self) -> None:
        assert measured([])["accuracy"].value is None


class TestClassSets:
    @given(st.integers(1, 4), st.integers(1, 6), st.data())
    def test_values_are_those_of_the_definitions(self, classes: int, rows: int, data: st.DataObject) -> None:
        """Also with a single class, which scikit-learn's functions for matrices take for a binary classification."""
        table = st.lists(st.lists(st.booleans(), min_size=classes, max_size=classes), min_size=rows, max_size=rows)
        gold, predicted = data.draw(table), data.draw(table)
        found = values(
            {
                each.metric.name: each
                for each in measure_class_sets(np.array(gold), np.array(predicted), [*map(str, range(classes))])
            }
        )
        columns = [
            [(int(one[name]), int(other[name])) for one, other in zip(gold, predicted, strict=True)] for name in range(classes)
        ]
        per_class = [value for pairs in columns if (value := f1_of(pairs, 1)) is not None]
        micro = f1_of([pair for pairs in columns for pair in pairs], 1)
        assert found["subset_accuracy"] == pytest.approx(sum(map(list.__eq__, gold, predicted)) / rows)
        assert found["micro_f1"] == (None if micro is None else pytest.approx(micro))
        assert found["macro_f1"] == (pytest.approx(sum(per_class) / len(per_class)) if per_class else None)

    def test_a_class_that_never_occurs_is_left_out_and_named(self) -> None:
        macro = measured_sets([[True, False]], [[True, False]], ["good", "bad"])["macro_f1"]
        assert macro.value == 1
        assert macro.note.endswith(": bad")

    def test_intervals_of_matrices_are_those_of_rows(self) -> None:
        gold, predicted = [[True, False], [True, True]], [[True, True], [False, True]]
        repeated = values(measured_sets([gold[0], *gold], [predicted[0], *predicted], ["a", "b"]))
        for name, each in measured_sets(gold, predicted, ["a", "b"]).items():
            assert each.resampled(np.array([[2.0, 1.0]])) == pytest.approx(repeated[name])


class TestCalibrationError:
    def test_value_is_that_of_the_equation(self) -> None:
        """Guo et al. 2017, equation 3: bins ((m-1)/15, m/15]; the mean of |accuracy - confidence|, weighted by size."""
        confidence = [0.0, 1 / 15, 0.07, 0.5, 0.52, 0.95, 1.0]
        correct = [True, False, True, False, True, True, False]
        error = 0.0
        for number in range(15):
            low, high = number / 15, (number + 1) / 15
            in_bin = [row for row, each in enumerate(confidence) if low < each <= high or (number == 0 and each == 0)]
            if in_bin:
                accuracy = sum(correct[row] for row in in_bin) / len(in_bin)
                mean_confidence = sum(confidence[row] for row in in_bin) / len(in_bin)
                error += len(in_bin) / len(confidence) * abs(accuracy - mean_confidence)
        found = measure_calibration(np.array(correct), np.array(confidence))
        assert found.value == pytest.approx(error)

    def test_errors_of_one_bin_cancel_but_not_those_of_different_bins(self) -> None:
        same = measure_calibration(np.array([True, False]), np.array([0.5, 0.5]))
        different = measure_calibration(np.array([True, False]), np.array([0.6, 0.4]))
        assert (same.value, different.value) == (pytest.approx(0.0), pytest.approx(0.4))

    @pytest.mark.parametrize("confidence", [[], [math.nan]])
    def test_without_probabilities_it_is_undefined(self, confidence: list[float]) -> None:
        found = measure_calibration(np.ones(len(confidence), dtype=bool), np.array(confidence))
        assert found.value is None
        assert found.note

    def test_without_rows_it_is_undefined(self) -> None:
        with warnings.catch_warnings(action="error"):
            found = measure_calibration(np.empty(0, dtype=np.bool_), np.empty(0))
        assert (found.value, found.note) == (None, "there are no rows")

    def test_lower_is_better(self) -> None:
        metric = measure_calibration(np.array([True]), np.array([1.0])).metric
        assert metric.is_better(0.1, than=0.2)
