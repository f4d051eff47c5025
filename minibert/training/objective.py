"""Training objectives: their interface, and the functions shared by the objectives of all tasks."""

from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

from torch import Tensor, nn

from minibert.equations import IGNORE_INDEX

BatchT = TypeVar("BatchT", contravariant=True)


class LossSum(NamedTuple):
    """One loss term, summed over the targets of a batch."""

    loss: Tensor
    """Sum of the losses of all targets, in nats."""
    correct: Tensor | None = None
    """Number of correct predictions; None for a term without correct and incorrect predictions."""


@runtime_checkable
class Objective(Protocol[BatchT]):
    """A training objective: a sum of loss terms, each averaged over its own targets."""

    def target_counts(self, batch: BatchT) -> dict[str, int]:
        """Count the targets of each term in `batch`. The model is not needed for this."""
        ...

    def loss_sums(self, model: nn.Module, batch: BatchT) -> dict[str, LossSum]:
        """Compute each term on `batch`: the sum of its losses and the number of correct predictions."""
        ...


def count_targets(labels: Tensor) -> int:
    """Count the labels that are not `IGNORE_INDEX`; of floating-point labels, those that are not NaN."""
    return int((~labels.isnan() if labels.is_floating_point() else labels != IGNORE_INDEX).sum())


def count_correct(logits: Tensor, labels: Tensor) -> Tensor:
    """Count the predictions (largest logits) that equal their labels."""
    return (logits.argmax(dim=-1) == labels).sum()
