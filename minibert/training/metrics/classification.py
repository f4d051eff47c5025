"""Metrics of classification: accuracy, F1, Matthews correlation and calibration error.

Classes are numbers. A gold class that the model does not have needs a number above those of the model's classes. It is never
predicted, so its rows count as errors.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from minibert.text.batching import IntArray
from minibert.training.metrics.counts import (
    BoolArray,
    label_counts,
    macro_f1,
    matthews,
    measure_counts,
    micro_f1,
    set_counts,
)
from minibert.training.metrics.measurement import FloatArray, Measurement, measure, measure_mean
from minibert.training.records import Column

ACCURACY = Column("accuracy", "validation_accuracy", ".1%")
MAJORITY_ACCURACY = Column("majority-class accuracy", "validation_majority_accuracy", ".1%")
F1 = Column("F1", "validation_f1", ".1%")
MACRO_F1 = Column("macro F1", "validation_macro_f1", ".1%")
MICRO_F1 = Column("micro F1", "validation_micro_f1", ".1%")
MATTHEWS = Column("Matthews", "validation_matthews", ".3f")
SUBSET_ACCURACY = Column("subset accuracy", "validation_subset_accuracy", ".1%")
CALIBRATION_ERROR = Column("calibration error", "validation_calibration_error", ".1%", higher_is_better=False)

CALIBRATION_BINS = 15
"""Number of bins of the calibration error, as in Guo et al. 2017."""


def measure_classes(gold: IntArray, predicted: IntArray, confidence: FloatArray | None = None) -> list[Measurement]:
    """Measure predictions of one class per row.

    Macro F1 is the mean over the classes that occur in `gold` or `predicted`, as in scikit-learn. Micro F1 equals accuracy.

    Args:
        confidence: probability of the predicted class of each row, for the calibration error.
    """
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    if not len(gold):
        return [measure_mean(ACCURACY, np.empty(0))]
    counts = label_counts(gold, predicted, 1 + int(max(gold.max(), predicted.max())))
    constant = [name for name, labels in (("gold", gold), ("predicted", predicted)) if len(np.unique(labels)) == 1]
    undefined = f"all {' and all '.join(constant)} labels are of one class"
    matthews_value = math.nan if constant else matthews_corrcoef(gold, predicted)
    measured = [
        measure_counts(ACCURACY, counts, micro_f1, accuracy_score(gold, predicted)),
        measure_counts(MACRO_F1, counts, macro_f1, f1_score(gold, predicted, average="macro")),
        measure_counts(MICRO_F1, counts, micro_f1, f1_score(gold, predicted, average="micro")),
        measure_counts(MATTHEWS, counts, matthews, matthews_value, undefined=undefined),
    ]
    if confidence is not None:
        measured.append(measure_calibration(gold == predicted, confidence))
    return measured


def measure_majority(gold: Sequence[str]) -> Measurement:
    """Measure the accuracy of a constant prediction: the most frequent gold class. A baseline for the accuracy of a model."""
    if not gold:
        return measure_mean(MAJORITY_ACCURACY, np.empty(0))
    majority, _ = Counter(gold).most_common(1)[0]
    is_majority = np.array([name == majority for name in gold], dtype=np.float64)
    return replace(measure_mean(MAJORITY_ACCURACY, is_majority), note=f"if {majority!r} is always predicted")


def measure_class(gold: BoolArray, predicted: BoolArray, name: str) -> Measurement:
    """Measure the F1 of one class, the positive one of two.

    Args:
        gold: True for the rows of this class.
        predicted: True for the rows that were predicted as it.
    """
    from sklearn.metrics import f1_score

    value = f1_score(gold, predicted, zero_division=math.nan) if len(gold) else math.nan
    counts, undefined = set_counts(gold[:, None], predicted[:, None]), f"no row is {name!r}, and none was predicted as it"
    return measure_counts(F1, counts, micro_f1, value, f"of the class {name!r}", undefined)


def measure_class_sets(gold: BoolArray, predicted: BoolArray, classes: Sequence[str]) -> list[Measurement]:
    """Measure predictions of independent classes (multi-label): micro and macro F1, and subset accuracy.

    Subset accuracy is the share of rows with all classes right. Macro F1 is the mean over the classes that occur.

    Args:
        gold: True for the classes of each row (rows, classes).
        predicted: True for the classes predicted for each row.
        classes: names of the classes, for notes.
    """
    from sklearn.metrics import f1_score

    if not len(gold):
        return [measure_mean(SUBSET_ACCURACY, np.empty(0))]
    counts, occurs = set_counts(gold, predicted), np.any(gold | predicted, axis=0)
    micro = f1_score(gold.ravel(), predicted.ravel(), zero_division=math.nan)
    per_class = [f1_score(gold[:, column], predicted[:, column]) for column in np.flatnonzero(occurs)]
    absent = [name for name, found in zip(classes, occurs, strict=True) if not found]
    left_out = f"left out, because no row has them and none was predicted: {', '.join(absent)}" if absent else ""
    undefined = "no row has a class, and none was predicted"
    return [
        measure_counts(MICRO_F1, counts, micro_f1, micro, undefined=undefined),
        measure_counts(MACRO_F1, counts, macro_f1, np.mean(per_class) if per_class else math.nan, left_out, undefined),
        measure_mean(SUBSET_ACCURACY, (gold == predicted).all(axis=1).astype(np.float64)),
    ]


def measure_calibration(correct: BoolArray, confidence: FloatArray) -> Measurement:
    """Measure the expected calibration error: the mean difference between confidence and accuracy, over bins of confidence.

    Source: Guo et al. 2017, equation 3, with 15 bins of equal width.

    Args:
        correct: True for the rows whose predicted class is the gold class.
        confidence: probability of the predicted class of each row.
    """
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS) - 1, 0, CALIBRATION_BINS - 1)  # bin m is ((m-1)/M, m/M]
    gaps = (bins[:, None] == np.arange(CALIBRATION_BINS)) * (correct - confidence)[:, None]

    def error(times: FloatArray) -> FloatArray:
        return np.asarray(np.abs(times @ gaps).sum(axis=-1) / times.sum(axis=-1))

    value = float(error(np.ones(len(correct)))) if len(correct) else math.nan
    return measure(CALIBRATION_ERROR, value, error, undefined="" if len(correct) else "there are no rows")
