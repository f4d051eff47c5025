"""The training loop and the evaluation loop, shared by pretraining, fine-tuning and translation.

A loss is a sum of terms, such as "mlm" and "nsp". Each term is a mean over its targets, the labels that are not -100.
Losses are in nats: they use natural logarithms.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from minibert.model.modes import evaluation_mode, training_mode
from minibert.training.distributed import (
    SINGLE_PROCESS,
    Processes,
    clip_gradients,
    copy_numbers,
    read_numbers,
    set_gradient_sync,
)
from minibert.training.objective import Objective
from minibert.training.optimizer import update

BatchT = TypeVar("BatchT")
MAX_SKIPPED_STEPS = 5
"""Training stops with an error after this many consecutive steps whose loss or gradient is infinite or NaN."""


@dataclass(frozen=True)
class Step:
    """Results of one training step: one batch, and one optimizer update unless the step was skipped."""

    number: int
    """Number of the step, starting at 1."""
    losses: dict[str, float | None]
    """Mean of each loss term in nats per target, over all micro-batches and processes; None for a term without targets."""
    accuracies: dict[str, float | None]
    """Accuracy of each classification term; None for a term without targets."""
    gradient_norm: float
    """Global L2 norm of the gradient before clipping."""
    learning_rate: float | list[float]
    """Learning rate of this step. If the parameter groups of the optimizer have different ones, the list of them."""
    skipped: bool
    """True if the loss or the gradient was not finite, so that the weights were not updated."""


class DivergenceError(ArithmeticError):
    """Error for a loss or gradient that was not finite in several consecutive steps."""

    def __init__(self, step: int) -> None:
        first = step - MAX_SKIPPED_STEPS + 1
        super().__init__(f"loss or gradient was not finite in steps {first} to {step}")
        self.step = step


def train(
    model: nn.Module,
    batches: Iterable[Sequence[BatchT]],
    objective: Objective[BatchT],
    optimizer: Optimizer,
    schedule: LRScheduler,
    max_grad_norm: float = 1.0,
    first_step: int = 1,
    skipped_in_a_row: int = 0,
    autocast_dtype: torch.dtype | None = None,
    processes: Processes = SINGLE_PROCESS,
) -> Iterator[Step]:
    """Run the training steps and yield a `Step` for each. The caller does the logging, evaluation and saving.

    Modules whose parameters are all frozen are in evaluation mode, without dropout; see `training_mode`.

    Args:
        batches: the batch of each step, as a sequence of micro-batches. A loss term is summed over all micro-batches and
            processes and divided by its total number of targets. The gradient is therefore that of one large batch, up to
            rounding.
        max_grad_norm: maximum global norm of the gradient, for clipping.
        first_step: number of the first step; more than 1 for a resumed run.
        skipped_in_a_row: number of consecutive steps before the first one that were skipped, in a resumed run.
        autocast_dtype: dtype of matrix products, such as torch.bfloat16; None for the dtype of the weights.
        processes: the processes that train together. With several, `model` must come from `parallelize`.

    Raises: DivergenceError after `MAX_SKIPPED_STEPS` consecutive steps whose loss or gradient is not finite.
    """
    training_mode(model)
    processes = replace(processes, device=_device(model))  # the sums of a step are computed where the model is
    for number, micro_batches in enumerate(batches, start=first_step):
        # Each loss below is divided by the target counts of the whole step.
        target_counts = processes.all_reduce_sum(total_target_counts(objective, micro_batches))
        local_losses: dict[str, Tensor | float] = dict.fromkeys(target_counts, 0.0)
        local_correct: dict[str, Tensor | float] = {}
        for position, batch in enumerate(micro_batches, start=1):
            is_last = position == len(micro_batches)
            set_gradient_sync(model, enabled=is_last)  # exchange the gradients of all processes only once per step
            with _autocast(model, autocast_dtype):
                sums = objective.loss_sums(model, batch)  # the forward pass
            contributions = {term: _divide(sums[term].loss, target_counts[term]) for term in sums}
            loss = torch.stack(list(contributions.values())).sum()
            # DDP and FSDP average the gradients over the processes. The factor makes it their sum.
            torch.autograd.backward(processes.world_size * loss)
            for term in sums:
                local_losses[term] += contributions[term].detach()
                if (correct_count := sums[term].correct) is not None:
                    local_correct[term] = local_correct.get(term, 0) + correct_count
        losses, correct = processes.all_reduce_sum(local_losses), processes.all_reduce_sum(local_correct)
        norm = clip_gradients(model, max_grad_norm)
        read = copy_numbers(losses, correct, target_counts, {"norm": norm})
        rates = [group["lr"] for group in optimizer.param_groups]
        update(optimizer, if_finite=[*losses.values(), norm])
        schedule.step()  # also in a skipped step: the learning rate depends on the step number alone
        optimizer.zero_grad()
        # Here the host waits for the device, once per step: for the numbers of the log, while the device updates the weights.
        means, correct_counts, counts, gradient = read()
        is_finite = all(math.isfinite(value) for value in (gradient["norm"], *means.values()))
        yield Step(
            number,
            losses={term: mean if counts[term] else None for term, mean in means.items()},
            accuracies={term: _mean(correct_counts[term], counts[term]) for term in correct_counts},
            gradient_norm=gradient["norm"],
            learning_rate=rates[0] if len(set(rates)) == 1 else rates,
            skipped=not is_finite,
        )
        skipped_in_a_row = 0 if is_finite else skipped_in_a_row + 1
        if skipped_in_a_row == MAX_SKIPPED_STEPS:
            raise DivergenceError(number)


def total_target_counts(objective: Objective[BatchT], batches: Iterable[BatchT]) -> dict[str, float | Tensor]:
    """Count the targets of each term in all `batches` together, or sum their weights."""
    total: dict[str, float | Tensor] = {}
    for batch in batches:
        for term, count in objective.target_counts(batch).items():
            total[term] = total.get(term, 0) + count
    return total


@dataclass(frozen=True)
class Score:
    """Loss and accuracy of one term on evaluation data."""

    loss: float | None
    """Mean loss in nats per target; None without targets."""
    accuracy: float | None
    """Share of correct predictions; None without targets, and for a term that is not a classification."""
    count: float
    """Number of targets, or the sum of their weights."""


@torch.no_grad()
def evaluate(
    model: nn.Module,
    batches: Iterable[BatchT],
    objective: Objective[BatchT],
    autocast_dtype: torch.dtype | None = None,
) -> dict[str, Score]:
    """Compute the mean loss and the accuracy of each term over all `batches`, without dropout.

    Afterwards every module is in its previous mode (training or evaluation) again.

    Args:
        autocast_dtype: as in `train`.
    """
    losses: dict[str, Tensor | float] = {}
    correct: dict[str, Tensor | float] = {}
    target_counts: dict[str, Tensor | float] = {}
    with evaluation_mode(model), _autocast(model, autocast_dtype):
        for batch in batches:
            batch_counts = objective.target_counts(batch)
            for term, (loss_sum, correct_count) in objective.loss_sums(model, batch).items():
                losses[term] = losses.get(term, 0.0) + loss_sum.double()
                if correct_count is not None:
                    correct[term] = correct.get(term, 0.0) + correct_count.double()
                target_counts[term] = target_counts.get(term, 0) + batch_counts[term]
    process = Processes(device=_device(model))
    sums, correct_counts, counts = read_numbers(*map(process.all_reduce_sum, (losses, correct, target_counts)))
    return {
        term: Score(_mean(sums[term], count), _mean(correct_counts[term], count) if term in correct_counts else None, count)
        for term, count in counts.items()
    }


def _autocast(model: nn.Module, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    """Return the context for matrix products in `dtype`, on the device of the model's parameters. None changes nothing."""
    return nullcontext() if dtype is None else torch.autocast(_device(model).type, dtype)


def _device(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def _divide(total: Tensor, count: Tensor) -> Tensor:
    """Divide a sum by the number of its targets. A term may have none in a step: NSP, if no example has a sentence pair."""
    return total / count.masked_fill(count == 0, 1).to(total.dtype)


def _mean(total: float, count: float) -> float | None:
    """Divide a sum by the number of its addends. The mean of nothing is None, not 0."""
    return total / count if count else None
