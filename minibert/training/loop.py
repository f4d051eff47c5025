"""The training loop and the evaluation loop. Pretraining and fine-tuning differ only in their batches and their objective."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from minibert.training.distributed import SINGLE_PROCESS, Processes, clip_gradients, set_gradient_sync
from minibert.training.objective import Objective

BatchT = TypeVar("BatchT")
MAX_SKIPPED_STEPS = 5
"""Number of consecutive steps without a finite loss and gradient after which training stops with an error."""


@dataclass(frozen=True)
class Step:
    """Results of one optimizer update."""

    number: int
    """Number of the update, starting at 1."""
    losses: dict[str, float]
    """Mean loss of each term in nats per target, over all micro-batches and processes."""
    accuracies: dict[str, float]
    """Accuracy of each term that has correct and incorrect predictions."""
    gradient_norm: float
    """Norm of the whole gradient before clipping."""
    learning_rate: float
    """Learning rate of this update."""
    skipped: bool
    """True if the loss or the gradient was not finite. The weights were then not updated."""


class DivergenceError(ArithmeticError):
    """Error for a loss or gradient that was not finite in several consecutive steps."""

    def __init__(self, step: int) -> None:
        super().__init__(f"loss or gradient was not finite in {MAX_SKIPPED_STEPS} consecutive steps, the last one step {step}")
        self.step = step


def train(
    model: nn.Module,
    steps: Iterable[Sequence[BatchT]],
    objective: Objective[BatchT],
    optimizer: Optimizer,
    schedule: LRScheduler,
    max_grad_norm: float = 1.0,
    first_step: int = 1,
    autocast: torch.dtype | None = None,
    processes: Processes = SINGLE_PROCESS,
) -> Iterator[Step]:
    """Run the training steps and yield one `Step` per optimizer update. Logging, evaluation and saving are the caller's.

    Args:
        steps: the micro-batches of each update. Each loss term is divided by its number of targets in all micro-batches
            and processes, so that several micro-batches give the same gradient as one large batch.
        max_grad_norm: maximum norm of the whole gradient; a longer gradient is scaled down to it.
        first_step: number of the first update; more than 1 for a resumed run.
        autocast: dtype of matrix products, such as torch.bfloat16; None for the dtype of the weights.
        processes: the processes that train the model together, each on its own micro-batches.

    Raises: DivergenceError after `MAX_SKIPPED_STEPS` consecutive steps without a finite loss and gradient.
    """
    model.train()
    skipped_in_a_row = 0
    for number, micro_batches in enumerate(steps, start=first_step):
        targets = processes.sum(total_target_counts(objective, micro_batches))  # known before the first backward pass
        losses: dict[str, Tensor | float] = dict.fromkeys(targets, 0.0)
        correct: dict[str, Tensor | float] = {}
        for position, batch in enumerate(micro_batches, start=1):
            set_gradient_sync(model, position == len(micro_batches))
            with torch.autocast(processes.device.type, autocast, enabled=autocast is not None):
                sums = objective.loss_sums(model, batch)
            means = {term: sums[term].loss / max(1, targets[term]) for term in sums}
            # DDP and FSDP average the gradients over the processes. Multiplying by their number gives the sum.
            torch.autograd.backward(processes.count * torch.stack(list(means.values())).sum())
            for term in sums:
                losses[term] += means[term].detach()
                if (correct_here := sums[term].correct) is not None:
                    correct[term] = correct.get(term, 0) + correct_here
        mean_losses = processes.sum(losses)
        accuracies = {term: count / max(1, targets[term]) for term, count in processes.sum(correct).items()}
        gradient_norm = clip_gradients(model, max_grad_norm)
        learning_rate = optimizer.param_groups[0]["lr"]
        skipped = not all(map(math.isfinite, (gradient_norm, *mean_losses.values())))
        if not skipped:
            optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        yield Step(number, mean_losses, accuracies, gradient_norm, learning_rate, skipped)
        skipped_in_a_row = skipped_in_a_row + 1 if skipped else 0
        if skipped_in_a_row == MAX_SKIPPED_STEPS:
            raise DivergenceError(number)


def total_target_counts(objective: Objective[BatchT], batches: Iterable[BatchT]) -> dict[str, int]:
    """Count the targets of each term in all `batches` together."""
    total: dict[str, int] = {}
    for batch in batches:
        for term, count in objective.target_counts(batch).items():
            total[term] = total.get(term, 0) + count
    return total


@dataclass(frozen=True)
class Score:
    """Loss and accuracy of one term on evaluation data."""

    loss: float
    """Mean loss in nats per target."""
    accuracy: float
    """Share of correct predictions; 0 for a term without correct and incorrect predictions."""
    count: int
    """Number of targets."""


@torch.no_grad()
def evaluate(model: nn.Module, batches: Iterable[BatchT], objective: Objective[BatchT]) -> dict[str, Score]:
    """Compute the mean loss and the accuracy of each term over all `batches`, without dropout.

    The model is returned to the mode (training or evaluation) it was in.
    """
    was_training = model.training
    model.eval()
    totals: dict[str, Tensor] = {}  # of each term: loss, correct predictions, targets
    for batch in batches:
        targets = objective.target_counts(batch)
        for term, (loss, correct) in objective.loss_sums(model, batch).items():
            row = [loss.item(), 0.0 if correct is None else correct.item(), targets[term]]
            totals[term] = totals.get(term, torch.zeros(3, dtype=torch.float64)) + torch.tensor(row, dtype=torch.float64)
    model.train(was_training)
    return {
        term: Score(loss / max(1, count), correct / max(1, count), int(count))
        for term, (loss, correct, count) in ((term, total.tolist()) for term, total in totals.items())
    }
