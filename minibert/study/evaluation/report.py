"""The report of an evaluation: scores with intervals, scores by class, confusions, and the rows that are worth looking at."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from minibert.study.evaluation.confusion import ConfusionMatrix, confusion_matrix
from minibert.study.evaluation.errors import confident_errors, likely_mislabeled
from minibert.study.evaluation.receipt import Check
from minibert.training.metrics.counts import Counts, f1, ratio
from minibert.training.metrics.measurement import LEVEL, RESAMPLES, Interval, bootstrap
from minibert.training.metrics.results import Outcome, Results
from minibert.training.records import Column
from minibert.training.task_type import TaskType

MAX_ROWS_LISTED = 100
"""Maximum number of errors, and of likely mislabeled rows, in a report."""


@dataclass(frozen=True)
class ScoreReport:
    """A metric with its value on the evaluation set, and its bootstrap interval."""

    metric: Column
    value: float | None
    interval: Interval | None
    note: str


@dataclass(frozen=True)
class ClassReport:
    """The scores of one class, or of the entities of one type. Precision without predictions is undefined: None."""

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    """Number of gold labels."""
    predicted: int
    """Number of predictions."""


@dataclass(frozen=True)
class Report:
    """The report of an evaluation."""

    model: str
    task: str
    data: str
    """Name of the evaluation data."""
    rows: int
    rows_name: str
    """Name of the rows, such as sentences."""
    resamples: int
    """Number of resamples of the intervals."""
    seed: int
    """Seed of the resamples."""
    scores: Sequence[ScoreReport]
    classes: Sequence[ClassReport]
    confusion: ConfusionMatrix | None
    errors: Sequence[Outcome]
    """The most confident errors."""
    mislabeled: Sequence[tuple[Outcome, str]]
    """Rows whose gold label is likely wrong, and the class that they likely have."""
    receipt: Sequence[Check] = ()

    def to_json(self) -> str:
        """Return the report as JSON."""
        fields: dict[str, Any] = {
            "model": self.model,
            "task": self.task,
            "data": self.data,
            "rows": self.rows,
            "interval": {
                "level": LEVEL,
                "method": f"percentile bootstrap over {self.rows_name}",
                "resamples": self.resamples,
                "seed": self.seed,
            },
            "scores": {score.metric.name: _score_fields(score) for score in self.scores},
            "classes": [asdict(each) for each in self.classes],
            "errors": [_outcome_fields(outcome) for outcome in self.errors],
            "likely_mislabeled": [_outcome_fields(outcome) | {"likely": likely} for outcome, likely in self.mislabeled],
        }
        if self.confusion is not None:
            fields["confusion"] = {"classes": [*self.confusion.classes], "rows": self.confusion.counts.tolist()}
        if self.receipt:
            fields["receipt"] = [check.fields() for check in self.receipt]
        return json.dumps(fields, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def make_report(
    results: Results,
    model: str,
    task_type: TaskType[Any],
    data: str,
    resamples: int = RESAMPLES,
    seed: int = 0,
    receipt: Sequence[Check] = (),
) -> Report:
    """Make the report of an evaluation.

    Args:
        results: predictions compared with gold labels.
        model, data: names for display.
        resamples: number of resamples of the intervals; 0 for no intervals.
        seed: seed of the resamples.
        receipt: checks of the computation.
    """
    rows = len(results.outcomes)
    intervals = bootstrap(results.measurements, rows, resamples, seed)
    scores = [
        ScoreReport(each.metric, each.value, interval, each.note)
        for each, interval in zip(results.measurements, intervals, strict=True)
    ]
    return Report(
        model,
        task_type.command,
        data,
        rows,
        task_type.rows_name,
        resamples,
        seed,
        scores,
        class_reports(results.classes, results.counts) if results.counts is not None else [],
        confusion_matrix(results.pairs, results.classes) if results.pairs else None,
        confident_errors(results.outcomes, MAX_ROWS_LISTED),
        likely_mislabeled(results.outcomes, MAX_ROWS_LISTED),
        receipt,
    )


def class_reports(names: Sequence[str], counts: Counts) -> list[ClassReport]:
    """Compute precision, recall and F1 of each class from its counts."""
    precision, recall = ratio(counts.correct, counts.predicted), ratio(counts.correct, counts.gold)
    columns = zip(names, precision, recall, f1(counts), counts.gold, counts.predicted, strict=True)
    return [
        ClassReport(name, _defined(first), _defined(second), _defined(both), int(gold), int(predicted))
        for name, first, second, both, gold, predicted in columns
    ]


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _score_fields(score: ScoreReport) -> dict[str, Any]:
    interval = None if score.interval is None else [score.interval.low, score.interval.high]
    fields = {"value": score.value, "interval": interval, "higher_is_better": score.metric.higher_is_better}
    if score.interval is not None:
        fields["resamples"] = score.interval.resamples
    return fields | ({"note": score.note} if score.note else {})


def _outcome_fields(outcome: Outcome) -> dict[str, Any]:
    return {
        "line": outcome.line,
        **({"id": outcome.id} if outcome.id else {}),
        "text": outcome.text,
        "gold": outcome.gold,
        "predicted": outcome.predicted,
        "confidence": outcome.confidence if math.isfinite(outcome.confidence) else None,
    }
