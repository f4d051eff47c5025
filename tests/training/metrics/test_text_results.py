"""Results of the classification of texts."""

import numpy as np
import pytest

from minibert.text.labeled.text_rows import TextRow
from minibert.training.metrics.text_results import class_results, class_set_results, number_results


def prediction(label: str, **scores: float) -> dict[str, object]:
    return {"label": label, "score": scores[label], "scores": scores}


ROWS = [TextRow("fine", None, "good", 2), TextRow("so so", "a pair", "mixed", 3), TextRow("awful", None, "bad", 4)]
PREDICTIONS = [
    prediction("good", bad=0.1, good=0.9),
    prediction("bad", bad=0.8, good=0.2),
    prediction("bad", bad=0.7, good=0.3),
]


class TestClasses:
    def test_a_gold_class_that_the_model_lacks_counts_as_missed(self) -> None:
        results = class_results(ROWS, PREDICTIONS, ["bad", "good"], "good")
        assert results.classes == ["bad", "good", "mixed"]
        assert results.values["accuracy"] == pytest.approx(2 / 3)
        assert results.values["macro_f1"] == pytest.approx((2 / 3 + 1 + 0) / 3)
        assert results.counts is not None
        assert [column.tolist() for column in results.counts] == [[1, 1, 0], [2, 1, 0], [1, 1, 1]]

    def test_the_baseline_is_the_most_frequent_gold_class(self) -> None:
        """It is that of the evaluation set, whatever the model predicts, and also if the model does not have this class."""
        rows = [TextRow("a", None, name) for name in ("new", "new", "bad", "good")]
        results = class_results(rows, [prediction("good", bad=0.1, good=0.9)] * 4, ["bad", "good"], None)
        baseline = results.measurements[1]
        assert (baseline.metric.name, baseline.value) == ("majority_accuracy", 0.5)
        assert baseline.note == "if 'new' is always predicted"
        assert results.values["accuracy"] == 0.25
        assert baseline.resampled(np.array([[1.0, 0.0, 3.0, 0.0]])).tolist() == [0.25]

    def test_outcomes_have_texts_labels_and_lines(self) -> None:
        outcome = class_results(ROWS, PREDICTIONS, ["bad", "good"], None).outcomes[1]
        assert (outcome.text, outcome.gold, outcome.predicted) == ("so so | a pair", "mixed", "bad")
        assert (outcome.is_correct, outcome.confidence, outcome.line) == (False, 0.8, 3)

    def test_f1_names_its_class(self) -> None:
        rows = [*ROWS, TextRow("great", None, "good", 5)]
        results = class_results(rows, [*PREDICTIONS, PREDICTIONS[0]], ["bad", "good"], "bad")
        f1 = next(each for each in results.measurements if each.metric.name == "f1")
        assert (f1.value, f1.note) == (pytest.approx(2 / 3), "of the class 'bad'")

    def test_the_main_metric_comes_first_and_no_row_is_no_error(self) -> None:
        assert [*class_results(ROWS, PREDICTIONS, ["bad", "good"], "bad").values][:3] == ["accuracy", "majority_accuracy", "f1"]
        empty = class_results([], [], ["bad", "good"], "bad")
        assert {*empty.values.values()} == {None}


class TestClassSets:
    def test_a_gold_class_that_the_model_lacks_is_never_predicted(self) -> None:
        rows = [TextRow("a", None, ("x", "new")), TextRow("b", None, ())]
        predictions = [{"labels": ["x"], "scores": {"x": 0.9, "y": 0.4}}, {"labels": ["y"], "scores": {"x": 0.2, "y": 0.6}}]
        results = class_set_results(rows, predictions, ["x", "y"])
        assert results.values == {
            "micro_f1": pytest.approx(2 * 1 / (2 + 2)),
            "macro_f1": pytest.approx((1 + 0 + 0) / 3),
            "subset_accuracy": 0.0,
        }
        first, second = results.outcomes
        assert (first.gold, first.predicted, second.gold, second.predicted) == ("new, x", "x", "(none)", "y")

    def test_no_row_is_no_error(self) -> None:
        results = class_set_results([], [], ["x", "y"])
        assert results.values == {"subset_accuracy": None}
        assert results.counts is not None
        assert [column.tolist() for column in results.counts] == [[0, 0]] * 3

    def test_counts_are_those_of_all_rows(self) -> None:
        rows = [TextRow("a", None, ("x", "y")), TextRow("b", None, ("x",))]
        results = class_set_results(rows, [{"labels": ["x"], "scores": {"x": 0.9, "y": 0.4}}] * 2, ["x", "y"])
        assert [column.tolist() for column in results.counts] == [[2, 0], [2, 0], [2, 1]]

    def test_errors_are_sorted_by_the_most_confident_wrong_decision(self) -> None:
        """Class x was wrongly predicted with 0.9; y was wrongly not predicted, with 1 - 0.2."""
        rows = [TextRow("a", None, ("y",))]
        (outcome,) = class_set_results(rows, [{"labels": ["x"], "scores": {"x": 0.9, "y": 0.2}}], ["x", "y"]).outcomes
        assert outcome.confidence == 0.9


def test_errors_of_numbers_are_sorted_by_their_size() -> None:
    results = number_results([TextRow("a", None, "1.5"), TextRow("b", "c", "3")], [{"score": 2.0}, {"score": 3.0}])
    assert [each.confidence for each in results.outcomes] == [0.5, 0.0]
    assert [(each.gold, each.predicted, each.is_correct) for each in results.outcomes] == [
        ("1.5", "2", False),
        ("3", "3", True),
    ]
    assert results.values["mean_squared_error"] == pytest.approx(0.125)
    assert np.isclose(results.values["pearson"], 1)
