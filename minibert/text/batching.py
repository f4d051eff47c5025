"""Which examples come together: in a step, in a process, in a batch. Every example once, and little spent on padding."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy.typing import NDArray
from torch import Tensor

IntArray = NDArray[np.int64]


def batches_by_length(tokens_per_batch: int, lengths: IntArray, generator: np.random.Generator) -> list[IntArray]:
    """Cuts all examples into batches of like length, none with more than `tokens_per_batch` tokens, padding included.

    Every example is in one batch. Which examples come together, and in which order the batches come, is random: the
    examples are shuffled, sorted by length within stretches of about 16 batches, and the batches shuffled again.
    A single example that is longer than `tokens_per_batch` is a batch by itself.

    >>> batches = batches_by_length(20, np.array([3, 9, 3, 9]), np.random.default_rng(0))
    >>> sorted(sorted(batch.tolist()) for batch in batches)
    [[0, 2], [1, 3]]
    """
    order = generator.permutation(len(lengths))
    stretch = max(1, 16 * tokens_per_batch // max(1, int(lengths.mean() if len(lengths) else 1)))
    batches: list[IntArray] = []
    for start in range(0, len(order), stretch):
        some = order[start : start + stretch]
        by_length = some[np.argsort(lengths[some], kind="stable")]
        batches += _cut(by_length, lengths, tokens_per_batch)
    generator.shuffle(batches)
    return batches


def batches_by_count(size: int, lengths: IntArray, generator: np.random.Generator) -> list[IntArray]:
    """All examples in a random order, `size` in a batch; the last batch has what is left."""
    return np.array_split(generator.permutation(len(lengths)), range(size, len(lengths), size))


def share_of(
    chosen: IntArray, lengths: IntArray, rank: int = 0, processes: int = 1, micro_batch: int | None = None
) -> list[IntArray]:
    """The micro-batches that one of several processes makes of the examples of a step.

    The examples are sorted by length and dealt out like cards, so that all processes have like work, and each cuts its own
    into batches of at most `micro_batch`. All have equally many batches, which sharded training waits for; so one may be
    empty, where there are fewer examples than processes.

    >>> lengths = np.array([7, 3, 9, 4, 5])
    >>> [share_of(np.arange(5), lengths, rank, processes=2, micro_batch=2) for rank in (0, 1)]
    [[array([1, 4]), array([2])], [array([3, 0]), array([], dtype=int64)]]
    """
    by_length = chosen[np.argsort(lengths[chosen], kind="stable")]
    size = micro_batch or max(1, len(chosen))
    own, most = by_length[rank::processes], -(-len(chosen) // processes)
    return [own[start : start + size] for start in range(0, most, size)]


def padded(rows: Sequence[Sequence[int]], padding: int) -> tuple[Int[Tensor, "batch tokens"], Bool[Tensor, "batch tokens"]]:
    """Rows of ids as one tensor, filled up behind; and which of it are theirs.

    >>> padded([[5, 6], [7]], padding=0)[0].tolist()
    [[5, 6], [7, 0]]
    """
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[padding] * (longest - len(row))] for row in rows])
    return ids, torch.arange(longest) < torch.tensor([len(row) for row in rows])[:, None]


def _cut(order: IntArray, lengths: IntArray, tokens_per_batch: int) -> list[IntArray]:
    """Consecutive batches from `order`, where lengths only grow: the last of a batch decides what it costs."""
    starts = [0]
    for position, example in enumerate(order):
        if (position + 1 - starts[-1]) * lengths[example] > tokens_per_batch and position > starts[-1]:
            starts.append(position)
    return [batch for batch in np.split(order, starts[1:]) if len(batch)]
