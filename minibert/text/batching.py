"""Batches: grouping examples by length, splitting a step over processes, and iterating over epochs."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy.typing import NDArray
from torch import Tensor

IntArray = NDArray[np.int64]

BatchSampler = Callable[[IntArray, np.random.Generator], list[IntArray]]
"""A function of the examples' lengths and a random generator that returns the indices of the examples in each batch. Pairs of
sequences have a matrix of lengths; see `batches_by_length`."""

BatchT = TypeVar("BatchT")
BatchT_co = TypeVar("BatchT_co", covariant=True)


@runtime_checkable
class Batch(Protocol):
    """Tensors of several examples."""

    def to(self: BatchT, device: torch.device) -> BatchT:
        """Copy the batch to a device."""
        ...


@runtime_checkable
class Epoch(Protocol[BatchT_co]):
    """One pass over a dataset. Its examples are numbered from 0."""

    @property
    def lengths(self) -> IntArray:
        """Number of tokens of each example."""
        ...

    def batch_indices(self, batch_sampler: BatchSampler) -> list[IntArray]:
        """Return the indices of the examples in each batch, in this epoch's random order."""
        ...

    def batch(self, indices: IntArray) -> BatchT_co:
        """Return a batch of examples. Without indices, return one example that has no labels."""
        ...


@runtime_checkable
class Examples(Protocol[BatchT_co]):
    """A dataset with any number of epochs. An example depends only on the epoch and its index."""

    def epoch(self, number: int) -> Epoch[BatchT_co]:
        """Return an epoch; numbers start at 0."""
        ...


def epoch_batches(epoch: Epoch[BatchT], batch_sampler: BatchSampler) -> Iterator[BatchT]:
    """Yield all batches of one epoch."""
    for indices in epoch.batch_indices(batch_sampler):
        yield epoch.batch(indices)


def iterate_batches(examples: Examples[BatchT], batch_sampler: BatchSampler, first_epoch: int = 0) -> Iterator[BatchT]:
    """Yield batches without end, epoch after epoch."""
    for number in count(first_epoch):
        yield from epoch_batches(examples.epoch(number), batch_sampler)


def batches_by_count(lengths: IntArray, generator: np.random.Generator, batch_size: int) -> list[IntArray]:
    """Shuffle the examples and split them into batches of `batch_size`. The last batch may be smaller.

    `functools.partial(batches_by_count, batch_size=64)` is a `BatchSampler`.
    """
    return np.array_split(generator.permutation(len(lengths)), range(batch_size, len(lengths), batch_size))


def batches_by_length(lengths: IntArray, generator: np.random.Generator, max_tokens: int) -> list[IntArray]:
    """Group examples of similar length into batches of at most `max_tokens` tokens, including padding.

    Every example is in exactly one batch. The examples are shuffled, sorted by length within blocks of about 16 batches, and
    split into batches; then the batches are shuffled. An example longer than `max_tokens` gets a batch of its own.

    `functools.partial(batches_by_length, max_tokens=2048)` is a `BatchSampler`.

    Args:
        lengths: number of tokens of each example. If an example has several sequences, which are padded separately, such as a
            source and a target, this is a matrix with one row per example.

    >>> batches = batches_by_length(np.array([3, 9, 3, 9]), np.random.default_rng(0), max_tokens=20)
    >>> sorted(sorted(batch.tolist()) for batch in batches)
    [[0, 2], [1, 3]]
    """
    lengths = lengths[:, None] if lengths.ndim == 1 else lengths
    totals = lengths.sum(axis=1)
    order = generator.permutation(len(lengths))
    block_size = max(1, 16 * max_tokens // max(1, int(totals.mean() if len(totals) else 1)))
    batches: list[IntArray] = []
    for start in range(0, len(order), block_size):
        block = order[start : start + block_size]
        by_length = block[np.argsort(totals[block], kind="stable")]
        batches += split_by_tokens(by_length, lengths, max_tokens)
    generator.shuffle(batches)
    return batches


def batches_of_similar_length(lengths: IntArray, generator: np.random.Generator, batch_size: int) -> list[IntArray]:
    """Group examples of similar length into batches of `batch_size`, so that there is little padding.

    Every example is in exactly one batch. The examples are shuffled, sorted by length within blocks of 16 batches, and split
    into batches; then the batches are shuffled. One batch may be smaller.

    `functools.partial(batches_of_similar_length, batch_size=32)` is a `BatchSampler`.

    >>> batches = batches_of_similar_length(np.array([3, 9, 3, 9]), np.random.default_rng(0), batch_size=2)
    >>> sorted(sorted(batch.tolist()) for batch in batches)
    [[0, 2], [1, 3]]
    """
    order, batches = generator.permutation(len(lengths)), []
    for start in range(0, len(order), 16 * batch_size):
        block = order[start : start + 16 * batch_size]
        by_length = block[np.argsort(lengths[block], kind="stable")]
        batches += [by_length[first : first + batch_size] for first in range(0, len(block), batch_size)]
    generator.shuffle(batches)
    return batches


def split_by_tokens(order: IntArray, lengths: IntArray, max_tokens: int) -> list[IntArray]:
    """Split `order` into consecutive batches of at most `max_tokens` tokens, including padding.

    Args:
        lengths: matrix with one row per example: the number of tokens of each of its sequences.
    """
    starts, longest = [0], np.zeros(lengths.shape[1], dtype=np.int64)
    for position, example in enumerate(order):
        longest = np.maximum(longest, lengths[example])
        if (position + 1 - starts[-1]) * longest.sum() > max_tokens and position > starts[-1]:
            starts.append(position)
            longest = lengths[example]
    return [batch for batch in np.split(order, starts[1:]) if len(batch)]


def split_micro_batches(
    indices: IntArray, lengths: IntArray, rank: int = 0, processes: int = 1, micro_batch_size: int | None = None
) -> list[IntArray]:
    """Return the micro-batches of one process for the examples of a step.

    The examples are sorted by length and assigned to the processes in turn, so that all have a similar amount of work. Each
    process splits its examples into micro-batches of at most `micro_batch_size`. All processes have the same number of
    micro-batches, as sharded training requires; so a micro-batch can be empty if there are few examples.

    >>> lengths = np.array([7, 3, 9, 4, 5])
    >>> [split_micro_batches(np.arange(5), lengths, rank, processes=2, micro_batch_size=2) for rank in (0, 1)]
    [[array([1, 4]), array([2])], [array([3, 0]), array([], dtype=int64)]]
    """
    by_length = indices[np.argsort(lengths[indices], kind="stable")]
    size = micro_batch_size or max(1, len(indices))
    own = by_length[rank::processes]
    most_per_process = -(-len(indices) // processes)
    return [own[start : start + size] for start in range(0, most_per_process, size)]


def pad_rows(
    rows: Sequence[Sequence[int]], padding: int, length: int = 0
) -> tuple[Int[Tensor, "batch tokens"], Bool[Tensor, "batch tokens"]]:
    """Stack rows of ids into one tensor, padded on the right, and return it with a mask that is False for padding.

    Args:
        length: minimum length of the padded rows.

    >>> pad_rows([[5, 6], [7]], padding=0)[0].tolist()
    [[5, 6], [7, 0]]
    """
    length = max(length, *map(len, rows))
    ids = torch.tensor([[*row, *[padding] * (length - len(row))] for row in rows])
    return ids, torch.arange(length) < torch.tensor([len(row) for row in rows])[:, None]
