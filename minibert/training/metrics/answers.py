"""Exact match and F1 of answers, as in the evaluation scripts of SQuAD 1.1 and 2.0.

Source: Rajpurkar et al. 2016, section 6.1, and 2018; the scripts evaluate-v1.1.py and evaluate-v2.0.py.

In all functions, `gold` has the correct answers of each question. An unanswerable question has none. A prediction that a
question is unanswerable is "".
"""

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from minibert.training.metrics.measurement import FloatArray, Measurement, measure, measure_mean
from minibert.training.records import Column

EXACT_MATCH = Column("exact match", "validation_exact_match", ".1%")
F1 = Column("F1", "validation_f1", ".1%")
ANSWERABLE_F1 = Column("F1 answerable", "validation_answerable_f1", ".1%")
UNANSWERABLE_F1 = Column("F1 unanswerable", "validation_unanswerable_f1", ".1%")
NO_ANSWER_F1 = Column("F1 of always no answer", "validation_no_answer_f1", ".1%")

PUNCTUATION = str.maketrans("", "", string.punctuation)
ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalize_answer(text: str) -> str:
    """Return an answer in lower case, without ASCII punctuation, English articles and additional white space.

    >>> normalize_answer("The  Panthers' defense.")
    'panthers defense'
    """
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def answer_f1(prediction: str, answer: str) -> float:
    """Compute F1 of the words that a prediction and an answer share, after normalization.

    If one of them has no words, F1 is 1 if both have none, and else 0.

    >>> answer_f1("the Panthers defense", "Panthers")  # precision 1/2, recall 1
    0.6666666666666666
    """
    predicted, gold = normalize_answer(prediction).split(), normalize_answer(answer).split()
    if not predicted or not gold:
        return float(predicted == gold)
    shared = sum((Counter(predicted) & Counter(gold)).values())
    precision, recall = shared / len(predicted), shared / len(gold)
    return 2 * precision * recall / (precision + recall) if shared else 0.0


class AnswerScores(NamedTuple):
    """Scores of each question, from 0 to 1."""

    exact_match: FloatArray
    f1: FloatArray


def score_answers(predictions: Sequence[str], gold: Sequence[Sequence[str]]) -> AnswerScores:
    """Compare each prediction with the best-matching correct answer, as in the script of SQuAD 2.0.

    Correct answers without words, such as "The", are left out. If there are no others, the prediction should be "".
    """
    exact, f1 = [], []
    for prediction, answers in zip(predictions, gold, strict=True):
        usable = [answer for answer in answers if normalize_answer(answer)] or [""]
        exact.append(max(float(normalize_answer(prediction) == normalize_answer(answer)) for answer in usable))
        f1.append(max(answer_f1(prediction, answer) for answer in usable))
    return AnswerScores(np.array(exact), np.array(f1))


def squad_v1(predictions: Sequence[str], gold: Sequence[Sequence[str]]) -> dict[str, float]:
    """Compute the results of evaluate-v1.1.py, in percent. Raises: ValueError for a question without answers.

    It differs from version 2.0 for answers without words, such as "The": their F1 is 0.
    """
    exact, f1 = [], []
    for prediction, answers in zip(predictions, gold, strict=True):
        exact.append(max(normalize_answer(prediction) == normalize_answer(answer) for answer in answers))
        f1.append(max(answer_f1(prediction, answer) if normalize_answer(answer) else 0.0 for answer in answers))
    return {"exact_match": 100.0 * float(np.mean(exact)), "f1": 100.0 * float(np.mean(f1))}


def squad_v2(
    predictions: Sequence[str],
    gold: Sequence[Sequence[str]],
    null_scores: Sequence[float] | None = None,
    threshold: float = 1.0,
) -> dict[str, float]:
    """Compute the results of evaluate-v2.0.py, in percent.

    Args:
        null_scores: for each question, a score that is higher the more likely it has no answer (`--na-prob-file`). With them,
            the best thresholds are computed, for which `predictions` should contain an answer to every question.
        threshold: a question with a higher score counts as predicted to be unanswerable (`--na-prob-thresh`).
    """
    raw, has_answer = score_answers(predictions, gold), np.array([bool(answers) for answers in gold], dtype=bool)
    is_null = np.array(null_scores if null_scores is not None else np.zeros(len(gold))) > threshold
    exact, f1 = (np.where(is_null, ~has_answer, values) for values in raw)
    results: dict[str, float] = {}
    for name, part in (("", np.ones(len(gold), dtype=bool)), ("HasAns_", has_answer), ("NoAns_", ~has_answer)):
        if part.any():
            results |= {f"{name}exact": 100.0 * float(exact[part].mean()), f"{name}f1": 100.0 * float(f1[part].mean())}
            results[f"{name}total"] = int(part.sum())
    for name, values in zip(("exact", "f1"), raw, strict=True) if null_scores is not None else ():
        best, best_at = best_threshold(values, has_answer, [bool(text) for text in predictions], null_scores or ())
        results |= {f"best_{name}": best, f"best_{name}_thresh": best_at}
    return results


def best_threshold(
    scores: FloatArray | Sequence[float],
    has_answer: NDArray[np.bool_] | Sequence[bool],
    is_answered: Sequence[bool],
    null_scores: Sequence[float] | FloatArray,
    no_answers: float = 0.0,
) -> tuple[float, float]:
    """Return the best mean score that any threshold on the null scores gives, in percent, and the lowest such threshold.

    A question is answered if its null score is not above the threshold.

    Source: `find_best_thresh` of evaluate-v2.0.py.

    Args:
        scores: score of the answer to each question, such as F1.
        has_answer: False for the unanswerable questions.
        is_answered: False for questions to which the answer is "".
        no_answers: the threshold that is returned if it is best to answer no question. In the script it is 0, because its null
            scores are probabilities.
    """
    order = np.argsort(null_scores, kind="stable")
    current = best = float(len(order) - np.count_nonzero(has_answer))
    threshold = no_answers
    for index in order:
        current += scores[index] if has_answer[index] else -float(is_answered[index])
        if current > best:
            best, threshold = current, float(null_scores[index])
    return 100.0 * best / max(1, len(order)), threshold


def measure_answers(predictions: Sequence[str], gold: Sequence[Sequence[str]]) -> list[Measurement]:
    """Measure F1 and exact match; and the F1 of answerable and unanswerable questions, if there are both, and of no answers."""
    scores = score_answers(predictions, gold)
    has_answer = np.array([bool(answers) for answers in gold], dtype=bool)
    measured = [measure_mean(F1, scores.f1), measure_mean(EXACT_MATCH, scores.exact_match)]
    if has_answer.any() and not has_answer.all():
        measured.insert(1, measure_mean(NO_ANSWER_F1, (~has_answer).astype(np.float64)))
        measured += [
            _measure_part(ANSWERABLE_F1, scores.f1, has_answer),
            _measure_part(UNANSWERABLE_F1, scores.f1, ~has_answer),
        ]
    return measured


def _measure_part(metric: Column, values: FloatArray, part: NDArray[np.bool_]) -> Measurement:
    """Measure the mean over a part of the rows. A resample without rows of this part has no value."""

    def resampled(counts: FloatArray) -> FloatArray:
        totals, rows = counts[:, part] @ values[part], counts[:, part].sum(axis=1)
        means: FloatArray = np.divide(totals, rows, out=np.full(len(rows), np.nan), where=rows > 0)
        return means

    return measure(metric, float(values[part].mean()), resampled)
