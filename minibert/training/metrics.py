"""Landmarks: numbers that anyone can derive, to hold a loss against."""

import math

import numpy as np

from minibert.text.batching import IntArray


def uniform_loss(vocabulary_size: int) -> float:
    """ln V: the loss, in nats, of who knows nothing at all. Pretraining starts here."""
    return math.log(vocabulary_size)


def unigram_loss(learnt: IntArray, held_out: IntArray, vocabulary_size: int) -> float:
    """The loss on `held_out`, in nats per token, of who knows how frequent each piece is in `learnt`, and no context.

    Whoever is below has learnt to read the words around. Every piece counts once more than it occurs, so that a piece
    that was never seen is not impossible.
    """
    counts = np.bincount(learnt, minlength=vocabulary_size) + 1.0
    return float(-np.log(counts[held_out] / counts.sum()).mean())
