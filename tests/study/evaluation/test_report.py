"""The report of an evaluation."""

import json
import math

import numpy as np
import pytest

from minibert.commands.evaluation_report import show_report
from minibert.study.evaluation.receipt import Check, Difference
from minibert.study.evaluation.report import MAX_ROWS_LISTED, class_reports, make_report
from minibert.text.labeled.squad_checks import Answer, Question
from minibert.text.labeled.text_rows import TextRow
from minibert.training.answering import Answering
from minibert.training.classification import Classification
from minibert.training.metrics.counts import Counts
from minibert.training.metrics.results import Results
from tests.trained_models import CLASSES


def results(pairs: list[tuple[str, str]], task_type: Classification = CLASSES) -> Results:
    rows = [TextRow(f"text {number}", None, gold, number + 2) for number, (gold, _) in enumerate(pairs)]
    predictions = [
        {"label": label, "score": 0.8, "scores": {name: 0.8 if name == label else 0.2 for name in task_type.labels}}
        for _, label in pairs
    ]
    return task_type.results(rows, predictions)


def test_scores_of_a_class_are_those_of_its_counts() -> None:
    """4 of 5 predictions are right, and 4 of 8 gold labels found: precision 0.8, recall 0.5, F1 2·4/(5 + 8)."""
    counts = Counts(np.array([4.0, 0.0, 0.0]), np.array([5.0, 0.0, 1.0]), np.array([8.0, 3.0, 0.0]))
    full, missed, invented = class_reports(["full", "missed", "invented"], counts)
    assert (full.precision, full.recall, full.f1) == pytest.approx((0.8, 0.5, 8 / 13))
    assert (full.support, full.predicted) == (8, 5)
    assert (missed.precision, missed.recall, missed.f1) == (None, 0.0, 0.0)
    assert (invented.precision, invented.recall, invented.f1) == (0.0, None, 0.0)


def test_a_report_is_json_with_null_for_what_is_undefined() -> None:
    """All gold labels are of one class, so there is no Matthews correlation."""
    stored = json.loads(make_report(results([("good", "good"), ("good", "bad")]), "model", CLASSES, "data").to_json())
    assert stored["scores"]["matthews"] == {
        "value": None,
        "interval": None,
        "higher_is_better": True,
        "note": "all gold labels are of one class",
    }
    assert stored["scores"]["accuracy"]["value"] == 0.5
    assert stored["scores"]["calibration_error"]["higher_is_better"] is False
    assert stored["interval"]["method"] == "percentile bootstrap over texts"
    assert stored["confusion"] == {"classes": ["bad", "good"], "rows": [[0, 0], [1, 1]]}
    assert stored["errors"] == [{"line": 3, "text": "text 1", "gold": "good", "predicted": "bad", "confidence": 0.8}]


def test_the_error_of_a_question_has_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    """All questions of a SQuAD file may be on one line."""
    task_type = Answering()
    row = Question("5733", "Who?", "Ann did.", (Answer("Ann", 0),), 1, "dev.json")
    wrong = {"answer": "did", "probability": 0.5}
    report = make_report(task_type.results([row], [wrong]), "model", task_type, "dev.json", 0)
    assert json.loads(report.to_json())["errors"][0]["id"] == "5733"
    show_report(report, 1)
    assert "line 1, 5733: Ann → did (0.5): Who?" in capsys.readouterr().out


def test_the_seed_and_the_number_of_resamples_are_stored() -> None:
    found = results([("good", "good"), ("bad", "good"), ("bad", "bad")])
    one, same, other = (make_report(found, "model", CLASSES, "data", 50, seed) for seed in (1, 1, 2))
    assert one.to_json() == same.to_json() != other.to_json()
    assert json.loads(one.to_json())["interval"] == {
        "method": "percentile bootstrap over texts",
        "level": 0.95,
        "resamples": 50,
        "seed": 1,
    }


def test_without_resamples_there_are_no_intervals() -> None:
    report = make_report(results([("good", "good"), ("bad", "good")]), "model", CLASSES, "data", 0)
    assert [score.interval for score in report.scores] == [None] * len(report.scores)


def test_long_lists_of_errors_are_cut() -> None:
    report = make_report(results([("good", "bad")] * (MAX_ROWS_LISTED + 1)), "model", CLASSES, "data", 0)
    assert len(report.errors) == MAX_ROWS_LISTED


def test_a_receipt_with_infinite_differences_is_json() -> None:
    difference = Difference(0, None, "text", math.nan, {"label": "bad"}, {"label": "bad"}, differs=False)
    check = Check("check", 1e-5, 1, math.nan, [difference])
    report = make_report(results([("good", "good")]), "model", CLASSES, "data", 10, 0, [check])
    (stored,) = json.loads(report.to_json())["receipt"]
    assert stored["largest_difference"] is stored["differences"][0]["difference"] is None
