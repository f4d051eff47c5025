"""The one loop. Pretraining and fine-tuning differ in their batches and their objective, and in nothing else."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

Batch = TypeVar("Batch", contravariant=True)


@runtime_checkable
class Objective(Protocol[Batch]):
    """What training makes small: a sum of terms, each a mean over its own number of predictions."""

    def counts(self, batch: Batch) -> dict[str, int]:
        """How many predictions each term has in `batch`: known without running the model."""
        ...

    def sums(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The loss of each term, summed over its predictions in `batch`."""
        ...


@dataclass(frozen=True)
class Step:
    """What happened in one update of the weights."""

    number: int
    """Of this update, counted from 1."""
    losses: dict[str, float]
    """Of each term, in nats per prediction, over all micro-batches."""
    gradient_norm: float
    """Of all gradients together, before clipping."""
    learning_rate: float
    """With which this update was made."""


def train(
    model: nn.Module,
    steps: Iterable[Sequence[Batch]],
    objective: Objective[Batch],
    optimizer: Optimizer,
    schedule: LRScheduler,
    clip: float = 1.0,
    first: int = 1,
) -> Iterator[Step]:
    """Yields one `Step` per update. What to log, when to evaluate, where to save is the caller's business.

    Args:
        steps: the micro-batches of each update. Their gradients are added up exactly as if they were one batch: a term
            is divided by its count over all of them, which is known before the first backward pass.
        clip: longest gradient, over all parameters together (Devlin et al.'s code: 1.0).
        first: number of the first step, for a run that goes on.
    """
    model.train()
    for number, micro_batches in enumerate(steps, start=first):
        counts = total_counts(objective, micro_batches)
        losses = dict.fromkeys(counts, 0.0)
        for batch in micro_batches:
            means = {term: total / max(1, counts[term]) for term, total in objective.sums(model, batch).items()}
            torch.autograd.backward(torch.stack(list(means.values())).sum())
            for term, mean in means.items():
                losses[term] += mean.item()
        gradient_norm = nn.utils.clip_grad_norm_(model.parameters(), clip)
        learning_rate = optimizer.param_groups[0]["lr"]
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        yield Step(number, losses, gradient_norm.item(), learning_rate)


def total_counts(objective: Objective[Batch], batches: Iterable[Batch]) -> dict[str, int]:
    """How many predictions each term has in all `batches` together."""
    counts: dict[str, int] = {}
    for batch in batches:
        for term, count in objective.counts(batch).items():
            counts[term] = counts.get(term, 0) + count
    return counts
