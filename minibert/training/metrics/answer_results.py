"""Results of question answering: the outcome of every question."""

from collections.abc import Mapping, Sequence
from typing import Any

from minibert.text.labeled.squad_checks import Question
from minibert.training.metrics.answers import measure_answers, score_answers
from minibert.training.metrics.results import Outcome, Results

NO_ANSWER_TEXT = "(no answer)"
"""Shown for an unanswerable question."""


def answer_results(rows: Sequence[Question], predictions: Sequence[Mapping[str, Any]]) -> Results:
    """Compare predictions with the correct answers.

    Args:
        predictions: `answer` and `probability` of each question.
    """
    answers, gold = [str(each["answer"]) for each in predictions], [gold_texts(row) for row in rows]
    correct = score_answers(answers, gold).exact_match
    outcomes = [
        Outcome(
            row.question,
            " | ".join(dict.fromkeys(texts)) or NO_ANSWER_TEXT,
            answer or NO_ANSWER_TEXT,
            bool(is_correct),
            float(each["probability"]),
            row.line,
            id=row.id,
        )
        for row, texts, answer, each, is_correct in zip(rows, gold, answers, predictions, correct, strict=True)
    ]
    return Results(measure_answers(answers, gold), outcomes)


def gold_texts(row: Question) -> list[str]:
    """Return the correct answers of a question; none if it is unanswerable."""
    return [answer.text for answer in row.answers or ()]
