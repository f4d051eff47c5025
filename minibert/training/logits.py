"""The logits and predictions of a network with a head, for any number of rows."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from minibert.model.heads import BertWithHead
from minibert.model.modes import evaluation_mode
from minibert.text.batching import IntArray
from minibert.text.labeled.examples import Example, LabeledBatch, sorted_batches
from minibert.text.tokenizer import PAD, token_id
from minibert.training.objective import LossSum
from minibert.training.task_type import HeadObjective, Logits, Prediction, TaskType

RowT = TypeVar("RowT")
EVALUATION_TOKENS = 4096
"""Tokens of a batch in evaluations, including padding."""


class CollectLogits(HeadObjective):
    """The objective of a task, which also collects the logits of every example, without padding."""

    def __init__(self, task_type: TaskType[Any]) -> None:
        self.type, self.term = task_type, task_type.objective.term  # type: ignore[misc]
        self.collected: list[Logits] = []

    def losses(self, output: Any, batch: LabeledBatch) -> dict[str, LossSum]:
        self.collect(output, batch)
        return self.type.objective.losses(output, batch)

    def collect(self, output: Any, batch: LabeledBatch) -> None:
        """Add the logits of a batch."""
        logits = self.type.logits(output).detach().double().cpu().numpy()
        lengths = batch.attention_mask.sum(dim=1).tolist()
        self.collected += [each[:length] if each.ndim > 1 else each for each, length in zip(logits, lengths, strict=True)]

    def target_counts(self, batch: LabeledBatch) -> Mapping[str, Tensor]:
        return self.type.objective.target_counts(batch)

    def in_order(self, indices: Sequence[IntArray]) -> list[Logits]:
        """Return the logits in the order of the examples, of which each batch had these indices."""
        order = np.argsort([index for batch in indices for index in batch.tolist()])
        return [self.collected[position] for position in order]


def predict(
    model: BertWithHead,
    task_type: TaskType[RowT],
    rows: Sequence[RowT],
    tokenizer: Tokenizer,
    max_tokens: int = EVALUATION_TOKENS,
) -> list[Prediction]:
    """Predict rows with a trained model.

    Args:
        max_tokens: tokens of a batch, including padding. With 1, every example is computed by itself.
    """
    examples = task_type.encode(rows, tokenizer)
    return task_type.predict(rows, examples, compute_logits(model, task_type, examples, token_id(tokenizer, PAD), max_tokens))


@torch.no_grad()
def compute_logits(
    model: nn.Module,
    task_type: TaskType[Any],
    examples: Sequence[Example],
    pad_id: int,
    max_tokens: int = EVALUATION_TOKENS,
) -> list[Logits]:
    """Compute the logits of every example, in order and without padding. The arguments are those of `predict`."""
    batches = sorted_batches(examples, pad_id, max_tokens)
    collect, device = CollectLogits(task_type), next(model.parameters()).device
    with evaluation_mode(model):
        for _, batch in batches:
            on_device = batch.to(device)
            collect.collect(model(*on_device.inputs), on_device)
    return collect.in_order([indices for indices, _ in batches])
