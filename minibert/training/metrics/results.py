"""Results of an evaluation: metrics, counts by class, and the outcome of every row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from minibert.training.metrics.counts import Counts
from minibert.training.metrics.measurement import Measurement


@dataclass(frozen=True)
class Outcome:
    """The prediction for one row, and its comparison with the gold label."""

    text: str
    """The input, as it is shown: a text, a pair of texts, a sentence, or a question."""
    gold: str
    predicted: str
    is_correct: bool
    confidence: float
    """Number by which errors are sorted: the probability of the prediction, or the absolute error of a number."""
    line: int | None = None
    """Line of the row in its file, starting at 1."""
    scores: Mapping[str, float] | None = None
    """Probabilities of the classes, if a row has exactly one of them."""
    id: str = ""
    """Identifier of the row in its file, if it has one. A SQuAD file often is a single line."""


@dataclass(frozen=True)
class Results:
    """Predictions compared with the gold labels of all rows of an evaluation set."""

    measurements: Sequence[Measurement]
    """The metrics. The main one comes first."""
    outcomes: Sequence[Outcome]
    """The outcome of each row."""
    classes: Sequence[str] = ()
    """Names of the classes, or types of entities, in the order of `counts`; empty if there are none."""
    counts: Counts | None = None
    """For each class, the number of true positives, predictions and gold labels in all rows."""
    unknown: Mapping[str, int] = field(default_factory=dict)
    """Gold labels that the model does not have, with their number of rows. They count as errors."""
    pairs: Sequence[tuple[str, str]] = ()
    """Gold and predicted class of each row or word, for a confusion matrix; empty if that is not one class."""

    @property
    def values(self) -> dict[str, float | None]:
        """The values of the metrics by name."""
        return {each.metric.name: each.value for each in self.measurements}
