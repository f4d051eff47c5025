"""Training objectives: their interface, and the functions shared by the objectives of all tasks."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor, nn

from minibert.equations import IGNORE_INDEX, cross_entropy

BatchT = TypeVar("BatchT", contravariant=True)


class LossSum(NamedTuple):
    """One loss term, summed over the targets of a batch."""

    loss: Tensor
    """Sum of the losses of all targets, in nats."""
    correct: Tensor | None = None
    """Number of correct predictions; None for a term without correct and incorrect predictions. If targets have weights, it is
    the sum of the weights of those that are predicted correctly."""


@runtime_checkable
class Objective(Protocol[BatchT]):
    """A training objective: a sum of loss terms, each averaged over its own targets."""

    def target_counts(self, batch: BatchT) -> Mapping[str, float | Tensor]:
        """Count the targets of each term in `batch`, or sum their weights. The model is not needed for this."""
        ...

    def loss_sums(self, model: nn.Module, batch: BatchT) -> dict[str, LossSum]:
        """Compute each term on `batch`: the sum of its losses and the number of correct predictions."""
        ...


def count_targets(labels: Tensor) -> Int[Tensor, ""]:
    """Count the labels that are not `IGNORE_INDEX`; of floating-point labels, those that are not NaN."""
    return (~labels.isnan() if labels.is_floating_point() else labels != IGNORE_INDEX).sum()


def target_weights(labels: Tensor, class_weights: Sequence[float] | None = None) -> Tensor:
    """Return the weight of each target: that of its class, by default 1; 0 where the label is `IGNORE_INDEX`.

    The weighted mean of the losses is then sum(w l) / sum(w), as in PyTorch's `CrossEntropyLoss(weight=...)`.
    """
    has_label = labels != IGNORE_INDEX
    if class_weights is None:
        return has_label.double()
    return has_label * _on_device(tuple(class_weights), labels.device)[labels.clamp(min=0)]


@cache
def _on_device(class_weights: tuple[float, ...], device: torch.device) -> Tensor:
    """Copy the weights to a device, once: a GPU would wait in every step."""
    return torch.tensor(class_weights, dtype=torch.float64, device=device)


def class_losses(logits: Tensor, labels: Tensor, class_weights: Sequence[float] | None = None) -> LossSum:
    """Compute the cross-entropy of classes, with the weights of `target_weights`.

    Args:
        logits: (..., classes).
        labels: (...), the number of a class, or `IGNORE_INDEX`.
    """
    weights = target_weights(labels, class_weights)
    losses = weights.to(logits.dtype) * cross_entropy(logits, labels)
    return LossSum(losses.sum(), (weights * (logits.argmax(dim=-1) == labels)).sum())


def balanced_class_weights(labels: Iterable[int], classes: int) -> tuple[float, ...]:
    """Compute n / (K n_k) for each class: n labels of K classes, n_k of them of class k. The sum over each class is n / K.

    This is `class_weight="balanced"` of scikit-learn. A class without labels is not counted in K and has weight 1.

    >>> balanced_class_weights([0, 0, 0, 1], classes=2)
    (0.6666666666666666, 2.0)
    """
    counts = Counter(labels)
    return tuple(counts.total() / (len(counts) * counts[each]) if counts[each] else 1.0 for each in range(classes))


def scale_gradient(loss: Tensor, factor: float) -> Tensor:
    """Return the same loss with a gradient that is multiplied by `factor`: the weight of a term in the sum of all terms.

    >>> loss = torch.tensor(3.0, requires_grad=True)
    >>> scale_gradient(loss, 50.0), torch.autograd.grad(scale_gradient(loss, 50.0), loss)
    (tensor(3., grad_fn=<AddBackward0>), (tensor(50.),))
    """
    return loss.detach() + factor * (loss - loss.detach())


def count_correct(logits: Tensor, labels: Tensor) -> Tensor:
    """Count the predictions (largest logits) that equal their labels."""
    return (logits.argmax(dim=-1) == labels).sum()
