"""Batches of about equal cost: sequences of like length together, so that little is spent on padding."""

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


def batches_by_length(lengths: IntArray, tokens_per_batch: int, generator: np.random.Generator) -> list[IntArray]:
    """Cuts all examples into batches of like length, none with more than `tokens_per_batch` tokens, padding included.

    Every example is in one batch. Which examples come together, and in which order the batches come, is random: the
    examples are shuffled, sorted by length within stretches of about 16 batches, and the batches shuffled again.
    A single example that is longer than `tokens_per_batch` is a batch by itself.

    >>> batches = batches_by_length(np.array([3, 9, 3, 9]), tokens_per_batch=20, generator=np.random.default_rng(0))
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


def _cut(order: IntArray, lengths: IntArray, tokens_per_batch: int) -> list[IntArray]:
    """Consecutive batches from `order`, where lengths only grow: the last of a batch decides what it costs."""
    starts = [0]
    for position, example in enumerate(order):
        if (position + 1 - starts[-1]) * lengths[example] > tokens_per_batch and position > starts[-1]:
            starts.append(position)
    return [batch for batch in np.split(order, starts[1:]) if len(batch)]
