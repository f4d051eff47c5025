"""The best evaluation of a run, for early stopping and for the choice of the model that is exported."""

from dataclasses import dataclass, replace

from minibert.training.records import Column


@dataclass(frozen=True)
class BestEvaluation:
    """The best evaluation so far, and the number of evaluations after it.

    >>> best = BestEvaluation()
    >>> for step, accuracy in ((10, 0.5), (20, 0.7), (30, float("nan")), (40, 0.7)):
    ...     best = best.after(step, accuracy, Column("accuracy", "validation_accuracy", ".1%"))
    >>> best
    BestEvaluation(step=20, value=0.7, evaluations_since=2)
    """

    step: int = 0
    """Number of the step before it; 0 if there is none yet."""
    value: float | None = None
    evaluations_since: int = 0

    def after(self, step: int, value: float | None, metric: Column) -> "BestEvaluation":
        """Return the best evaluation after one more. NaN and None are never the best; of equal values, the first one is."""
        if metric.is_better(value, self.value):
            return BestEvaluation(step, value)
        return replace(self, evaluations_since=self.evaluations_since + 1)
