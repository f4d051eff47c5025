"""Labeled model inputs: examples and batches of every fine-tuning task."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from minibert.device import to_device
from minibert.equations import IGNORE_INDEX
from minibert.kernels import Sequences, worthwhile_sequences
from minibert.text.batching import BatchSampler, IntArray, pad_rows, split_by_tokens

Target = int | float | Sequence[int] | Sequence[float]
"""A class; a number; one class per token; or one number per class. -100 and NaN mean "no target"."""


@dataclass(frozen=True)
class Example:
    """One input of a model, with its targets."""

    shares_padding: ClassVar[bool] = False
    """True if the loss depends on the padding, so that all parts of a batch must be padded to the same length."""

    input_ids: Sequence[int]
    """Token ids, with special tokens."""
    token_type_ids: Sequence[int]
    """Segment of each token: 0 for the first text, 1 for the second one."""
    targets: Mapping[str, Target]
    """Targets, by the name of the network's argument, such as `labels`."""
    row: int = 0
    """Index of the row of the labeled data that the example was made from. A long row can give several examples."""
    is_cut: bool = False
    """True if tokens of the row were left out because it is too long."""


@dataclass(frozen=True)
class LabeledBatch:
    """Arguments of a network with a head, for several examples."""

    input_ids: Int[Tensor, "batch tokens"]
    attention_mask: Bool[Tensor, "batch tokens"]
    token_type_ids: Int[Tensor, "batch tokens"]
    targets: Mapping[str, Tensor]
    sequences: Sequences | None = None
    """The tokens of `attention_mask`, if nobody reads the vectors of padding and it saves time to leave it out."""

    def to(self, device: torch.device) -> "LabeledBatch":
        """Copy the batch to a device."""
        columns = (self.input_ids, self.attention_mask, self.token_type_ids)
        input_ids, attention_mask, token_type_ids = (to_device(column, device) for column in columns)
        targets = {name: to_device(target, device) for name, target in self.targets.items()}
        sequences = None if self.sequences is None else self.sequences.to(device)
        return LabeledBatch(input_ids, attention_mask, token_type_ids, targets, sequences)

    @property
    def inputs(self) -> tuple[Tensor, Tensor | Sequences, Tensor]:
        """The arguments of the encoder."""
        return self.input_ids, self.sequences or self.attention_mask, self.token_type_ids


def make_batch(examples: Sequence[Example], pad_id: int, length: int = 0) -> LabeledBatch:
    """Pad examples to the length of the longest one and stack them. A list of whole numbers has one number per token.

    Args:
        length: minimum number of tokens to pad to.
    """
    input_ids, attention_mask = pad_rows([example.input_ids for example in examples], pad_id, length)
    token_type_ids, _ = pad_rows([example.token_type_ids for example in examples], 0, length)
    names = examples[0].targets
    targets = {name: _stack([example.targets[name] for example in examples], length) for name in names}
    sequences = None if examples[0].shares_padding else worthwhile_sequences(attention_mask)
    return LabeledBatch(input_ids, attention_mask, token_type_ids, targets, sequences)


def _stack(targets: Sequence[Target], length: int) -> Tensor:
    is_per_token = isinstance(targets[0], Sequence) and all(isinstance(value, int) for value in targets[0])
    if is_per_token:
        return pad_rows(targets, IGNORE_INDEX, length)[0]  # type: ignore[arg-type]
    return torch.from_numpy(np.array(targets))  # numbers with a fraction are in double precision, as they are in the data


def _without_targets(example: Example) -> Example:
    return Example(
        example.input_ids, example.token_type_ids, {name: _no_target(target) for name, target in example.targets.items()}
    )


def _no_target(target: Target) -> Target:
    if isinstance(target, Sequence):
        return [math.nan if isinstance(value, float) else IGNORE_INDEX for value in target]
    return math.nan if isinstance(target, float) else IGNORE_INDEX


@dataclass(frozen=True)
class LabeledEpoch:
    """One pass over labeled examples."""

    examples: Sequence[Example]
    pad_id: int
    seed: tuple[int, ...]
    padded_lengths: dict[int, int] = field(default_factory=dict)
    """Number of tokens of each example in its batch of `batch_indices`, with padding, if `Example.shares_padding`."""

    @property
    def lengths(self) -> IntArray:
        """Number of tokens of each example."""
        return np.array([len(example.input_ids) for example in self.examples], dtype=np.int64)

    def batch_indices(self, batch_sampler: BatchSampler) -> list[IntArray]:
        """Return the indices of the examples in each batch, in this epoch's random order."""
        lengths = self.lengths
        batches = batch_sampler(lengths, np.random.default_rng(self.seed))
        if self.examples and self.examples[0].shares_padding:
            for indices in batches:
                self.padded_lengths.update(dict.fromkeys(indices.tolist(), int(lengths[indices].max())))
        return batches

    def batch(self, indices: IntArray) -> LabeledBatch:
        """Return a batch of examples, or a part of one. Without indices, return one example that has no targets."""
        if not len(indices):
            return make_batch([_without_targets(self.examples[0])], self.pad_id)
        length = max(self.padded_lengths.get(index, 0) for index in indices.tolist())
        return make_batch([self.examples[index] for index in indices], self.pad_id, length)


@dataclass(frozen=True)
class LabeledExamples:
    """Labeled examples: the same in every epoch, in a different order."""

    examples: Sequence[Example]
    pad_id: int
    """Id of the padding token."""
    seed: int
    """Seed of the order."""

    def epoch(self, number: int) -> LabeledEpoch:
        """Return an epoch; numbers start at 0."""
        return LabeledEpoch(self.examples, self.pad_id, (self.seed, number))


def sorted_batches(
    examples: Sequence[Example], pad_id: int, max_tokens: int, length: int = 0
) -> list[tuple[IntArray, LabeledBatch]]:
    """Split examples into batches of similar length, of at most `max_tokens` tokens with padding, for evaluation.

    Args:
        length: minimum number of tokens to pad to.

    Returns: the indices of the examples of each batch, and the batch.
    """
    lengths = np.array([len(example.input_ids) for example in examples])
    order = np.argsort(lengths, kind="stable")
    groups = split_by_tokens(order, lengths[:, None].clip(min=length), max_tokens) if len(order) else []
    return [(indices, make_batch([examples[index] for index in indices], pad_id, length)) for indices in groups]
