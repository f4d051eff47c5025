"""The best answers to a question: spans of tokens with the highest scores, in all windows of its context.

Source: Devlin et al. 2019, section 4.2 and 4.3, and Google's run_squad.py, which transformers' run_squad.py follows.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from minibert.text.labeled.question_windows import NO_ANSWER, QuestionWindow
from minibert.training.metrics.measurement import FloatArray


class Candidate(NamedTuple):
    """A possible answer: a part of the context, or none."""

    score: float
    """Start score plus end score, in logits."""
    answer: str
    start: int | None
    """Index of its first character in the context; None for no answer."""
    end: int | None
    """Index after its last character."""


class BestAnswers(NamedTuple):
    """The best answers to a question."""

    candidates: list[Candidate]
    """Different answers, the best one first."""
    null_score: float
    """Score of "no answer": that of [CLS], the lowest one of all windows."""

    @property
    def null_difference(self) -> float:
        """Null score minus the score of the best answer. The higher, the less probable it is that there is an answer."""
        return self.null_score - self.candidates[0].score if self.candidates else np.inf


def best_spans(start: FloatArray, end: FloatArray, count: int, max_tokens: int) -> list[tuple[float, int, int]]:
    """Return the score, the first and the last token of the spans with the highest sum of start and end scores.

    Args:
        start, end: the scores of each token.
        count: maximum number of spans.
        max_tokens: maximum number of tokens of a span.

    >>> best_spans(np.array([0.0, 3.0]), np.array([5.0, 1.0]), count=2, max_tokens=2)
    [(5.0, 0, 0), (4.0, 1, 1)]
    """
    size = len(start)
    max_tokens = max(1, min(max_tokens, size))
    padded = np.concatenate([end, np.full(max_tokens, -np.inf)])
    ends = np.lib.stride_tricks.sliding_window_view(padded, max_tokens)[:size]  # row i: the end scores of tokens i, i + 1, …
    scores = (start[:, None] + ends).ravel()
    best = np.argsort(-scores, kind="stable")[:count]
    return [
        (float(scores[index]), int(index) // max_tokens, int(index) // max_tokens + int(index) % max_tokens)
        for index in best
        if scores[index] > -np.inf
    ]


def best_answers(
    context: str, windows: Sequence[QuestionWindow], logits: Sequence[FloatArray], n_best: int, max_tokens: int
) -> BestAnswers:
    """Find the best answers to a question in all windows of its context. They are parts of the original text.

    The same text at several places, or in several windows, is one answer. It has the place and the score of the best one.

    Args:
        logits: start and end score of each token, for each window (tokens, 2).
        n_best: maximum number of answers.
        max_tokens: maximum number of tokens of an answer.
    """
    found: list[Candidate] = []
    for window, scores in zip(windows, logits, strict=True):
        start, end = scores[window.first : window.first + len(window.spans)].T
        for score, first, last in best_spans(start, end, n_best, max_tokens):
            place = window.spans[first][0], window.spans[last][1]
            found.append(Candidate(score, context[slice(*place)], *place))
    found.sort(key=lambda each: (-each.score, each.start, each.end))
    different: dict[str, Candidate] = {}
    for candidate in found:
        different.setdefault(candidate.answer, candidate)
    null_score = min(float(scores[NO_ANSWER].sum()) for scores in logits)
    return BestAnswers([*different.values()][:n_best], null_score)


def with_probabilities(candidates: Sequence[Candidate]) -> list[dict[str, object]]:
    """Return answers as JSON values, each with its share of the softmax over the scores of all of them.

    Source: run_squad.py of Google and transformers. The probabilities compare the given answers only: those that are not among
    the best have none.
    """
    shares = softmax([each.score for each in candidates]) if candidates else []
    return [
        {"answer": each.answer, "start": each.start, "end": each.end, "score": each.score, "probability": float(share)}
        for each, share in zip(candidates, shares, strict=True)
    ]
