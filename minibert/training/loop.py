"""The one loop. Pretraining and fine-tuning differ in their batches and their objective, and in nothing else."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from minibert.training.distributed import SINGLE_PROCESS, Processes, gradient_norm, set_gradient_sync

Batch = TypeVar("Batch", contravariant=True)
MAX_SKIPPED_STEPS = 5
"""Steps in a row without a finite loss and gradient, after which there is no hope."""


class LossSum(NamedTuple):
    """What a batch adds to one term of the loss."""

    loss: Tensor
    """Summed over the predictions, in nats."""
    correct: Tensor | None = None
    """How many predictions are right, where they can be right or wrong."""


@runtime_checkable
class Objective(Protocol[Batch]):
    """What training makes small: a sum of terms, each a mean over its own number of predictions."""

    def target_counts(self, batch: Batch) -> dict[str, int]:
        """How many predictions each term has in `batch`: known without running the model."""
        ...

    def loss_sums(self, model: nn.Module, batch: Batch) -> dict[str, LossSum]:
        """The loss of each term, summed over its predictions in `batch`, and how many of them are right."""
        ...


@dataclass(frozen=True)
class Step:
    """What happened in one update of the weights."""

    number: int
    """Of this update, counted from 1."""
    losses: dict[str, float]
    """Of each term, in nats per prediction, over all micro-batches and processes."""
    accuracies: dict[str, float]
    """Of each term whose predictions can be right or wrong: the share that is right."""
    gradient_norm: float
    """Of all gradients together, before clipping."""
    learning_rate: float
    """With which this update was made."""
    skipped: bool
    """Whether the loss or a gradient was no finite number, so that the weights were left as they were."""


class DivergenceError(ArithmeticError):
    """The loss is no finite number, again and again."""

    def __init__(self, step: int) -> None:
        super().__init__(f"loss or gradient was not finite in {MAX_SKIPPED_STEPS} steps in a row, the last of them step {step}")
        self.step = step


def train(
    model: nn.Module,
    steps: Iterable[Sequence[Batch]],
    objective: Objective[Batch],
    optimizer: Optimizer,
    schedule: LRScheduler,
    max_grad_norm: float = 1.0,
    first: int = 1,
    autocast: torch.dtype | None = None,
    processes: Processes = SINGLE_PROCESS,
) -> Iterator[Step]:
    """Yields one `Step` per update. What to log, when to evaluate, where to save is the caller's business.

    Args:
        steps: the micro-batches of each update. Their gradients are added up exactly as if they were one batch: a term
            is divided by its count over all of them, in all processes, which is known before the first backward pass.
        clip: longest gradient, over all parameters together (Devlin et al.'s code: 1.0).
        first: number of the first step, for a run that goes on.
        autocast: the type that matrix products are computed in, such as torch.bfloat16; None for that of the weights.
        processes: that train together, each with its own share of the micro-batches.

    Raises: Diverged after `MAX_SKIPPED_STEPS` steps in a row without a finite loss and gradient.
    """
    model.train()
    skipped_in_a_row = 0
    for number, micro_batches in enumerate(steps, start=first):
        target_counts = processes.total(total_target_counts(objective, micro_batches))
        losses: dict[str, Tensor | float] = dict.fromkeys(target_counts, 0.0)
        correct: dict[str, Tensor | float] = {}
        for place, batch in enumerate(micro_batches, start=1):
            set_gradient_sync(model, now=place == len(micro_batches))
            with torch.autocast(processes.device.type, autocast, enabled=autocast is not None):
                loss_sums = objective.loss_sums(model, batch)
            means = {term: some.loss / max(1, target_counts[term]) for term, some in loss_sums.items()}
            # Gradients come as the mean over processes, and are to be the sum: each loss is a part of the whole one.
            torch.autograd.backward(processes.count * torch.stack(list(means.values())).sum())
            for term, some in loss_sums.items():
                losses[term] += means[term].detach()
                if some.correct is not None:
                    correct[term] = correct.get(term, 0) + some.correct
        whole = processes.total(losses)
        right = {term: total / max(1, target_counts[term]) for term, total in processes.total(correct).items()}
        norm = gradient_norm(model, max_grad_norm)
        learning_rate = optimizer.param_groups[0]["lr"]
        skipped = not all(map(math.isfinite, (norm, *whole.values())))
        if not skipped:
            optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        yield Step(number, whole, right, norm, learning_rate, skipped)
        skipped_in_a_row = skipped_in_a_row + 1 if skipped else 0
        if skipped_in_a_row == MAX_SKIPPED_STEPS:
            raise DivergenceError(number)


def total_target_counts(objective: Objective[Batch], batches: Iterable[Batch]) -> dict[str, int]:
    """How many predictions each term has in all `batches` together."""
    target_counts: dict[str, int] = {}
    for batch in batches:
        for term, count in objective.target_counts(batch).items():
            target_counts[term] = target_counts.get(term, 0) + count
    return target_counts


@dataclass(frozen=True)
class Score:
    """How well one term of an objective is done."""

    loss: float
    """In nats per prediction."""
    accuracy: float
    """The share of predictions that are right; 0 where there is no right and wrong."""
    count: int
    """Of predictions that were scored."""


@torch.no_grad()
def evaluate(model: nn.Module, batches: Iterable[Batch], objective: Objective[Batch]) -> dict[str, Score]:
    """The mean over all predictions in `batches`, without dropout; the model is left as it was."""
    totals: dict[str, Tensor] = {}
    training = model.training
    model.eval()
    for batch in batches:
        target_counts = objective.target_counts(batch)
        for term, (loss, correct) in objective.loss_sums(model, batch).items():
            some = torch.tensor(
                [loss.item(), 0.0 if correct is None else correct.item(), target_counts[term]], dtype=torch.float64
            )
            totals[term] = totals.get(term, torch.zeros(3, dtype=torch.float64)) + some
    model.train(training)
    scores = {}
    for term, (loss, right, count) in ((term, total.tolist()) for term, total in totals.items()):
        scores[term] = Score(loss / max(1, count), right / max(1, count), int(count))
    return scores
