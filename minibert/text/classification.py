"""Labeled texts, as examples and batches for sequence classification."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from tokenizers import Tokenizer
from torch import Tensor

from minibert.equations import IGNORE_INDEX
from minibert.text.batching import BatchSampler, IntArray, pad_rows
from minibert.text.tokenizer import PAD, token_id, without_special_tokens


@dataclass(frozen=True)
class LabeledText:
    """A text and the index of its class."""

    text: str
    label: int


@dataclass(frozen=True)
class ClassificationBatch:
    """Arguments of `BertForSequenceClassification`."""

    input_ids: Int[Tensor, "batch tokens"]
    attention_mask: Bool[Tensor, "batch tokens"]
    labels: Int[Tensor, " batch"]

    def to(self, device: torch.device) -> "ClassificationBatch":
        """Copy the batch to a device."""
        return ClassificationBatch(*(column.to(device, non_blocking=True) for column in vars(self).values()))


@dataclass(frozen=True)
class ClassificationEpoch:
    """One pass over labeled texts, tokenized as [CLS] … [SEP]."""

    rows: list[list[int]]
    labels: list[int]
    pad_id: int
    seed: tuple[int, ...]

    @property
    def lengths(self) -> IntArray:
        """Number of tokens of each text."""
        return np.array([len(ids) for ids in self.rows], dtype=np.int64)

    def batch_indices(self, batch_sampler: BatchSampler) -> list[IntArray]:
        """Return the indices of the texts in each batch, in this epoch's random order."""
        return batch_sampler(self.lengths, np.random.default_rng(self.seed))

    def batch(self, indices: IntArray) -> ClassificationBatch:
        """Return a batch of texts. Without indices, return one text that has no label."""
        rows = indices.tolist() or [0]
        input_ids, attention_mask = pad_rows([self.rows[row] for row in rows], self.pad_id)
        labels = torch.tensor([self.labels[row] if len(indices) else IGNORE_INDEX for row in rows])
        return ClassificationBatch(input_ids, attention_mask, labels)


class ClassificationExamples:
    """Tokenized labeled texts: the same texts in every epoch, in a different order. A literal [MASK] in a text is text.

    Args:
        max_length: maximum number of tokens. The end of a longer text is cut off.
        seed: seed of the order.
    """

    def __init__(self, texts: Sequence[LabeledText], tokenizer: Tokenizer, max_length: int, seed: int) -> None:
        encodings = without_special_tokens(tokenizer).encode_batch([text.text for text in texts])
        self.rows = [encoding.ids[:-1][: max_length - 1] + encoding.ids[-1:] for encoding in encodings]
        self.labels = [text.label for text in texts]
        self.pad_id, self.seed = token_id(tokenizer, PAD), seed

    def epoch(self, number: int) -> ClassificationEpoch:
        """Return an epoch; numbers start at 0."""
        return ClassificationEpoch(self.rows, self.labels, self.pad_id, (self.seed, number))
