"""Outcomes: the predictions for single rows, next to their gold labels."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """The prediction for one row, and whether it is correct."""

    text: str
    """The input, as it is shown: a text, a pair of texts, a sentence, or a question."""
    gold: str
    predicted: str
    is_correct: bool
    confidence: float | None = None
    """Probability of the prediction; for numbers, minus the absolute error. None if it is not known."""
    line: int | None = None
    """Line of the row in its file, starting at 1."""
    scores: Mapping[str, float] | None = None
    """Probabilities of the classes, if a row has exactly one of them."""
