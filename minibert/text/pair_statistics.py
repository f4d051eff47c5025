"""Statistics of sentence pairs: the share of examples with a label, and the accuracy from segment lengths alone."""

import numpy as np
from numpy.typing import NDArray

from minibert.equations import IGNORE_INDEX
from minibert.text.batching import IntArray
from minibert.text.options import ExampleConfig
from minibert.text.pairs import Pairs, check_pairs, draw_epoch
from minibert.text.tokenized import TokenizedCorpus

SAMPLE_TOKENS = 5_000_000
"""Number of tokens of a corpus that are used: those of its first documents."""
TRAIN_PAIRS, VALIDATION_PAIRS, MAX_EPOCHS = 50_000, 20_000, 20
"""Numbers of labeled pairs for the baseline, from several epochs of a small corpus, and the maximum number of epochs."""
INTERVALS = 8
"""Number of intervals into which each length is divided."""
MIN_LABELED = 0.1
"""Share of labeled examples below which training for sentence pairs is refused."""


def labeled_fraction(corpus: TokenizedCorpus, config: ExampleConfig) -> float:
    """Return the share of the examples of a corpus that have a label for sentence pairs."""
    pairs = draw_epoch(corpus.first_documents(SAMPLE_TOKENS), config, np.random.default_rng(0))
    return float((pairs.label != IGNORE_INDEX).mean())


def check_labels(fraction: float, config: ExampleConfig) -> None:
    """Check that enough examples have a label. Raises: ValueError, with the options that help."""
    if config.pair_task != "none" and fraction < MIN_LABELED:
        raise ValueError(
            f"only {fraction:.1%} of the examples have a label for --pairs {config.pair_task}: few documents have two "
            f"sentences in {config.max_length} tokens. Try another --layout, a longer --max-length, or --pairs none"
        )


def length_accuracy(train: TokenizedCorpus, validation: TokenizedCorpus, config: ExampleConfig) -> float | None:
    """Estimate the accuracy of the best prediction of the labels from the lengths of the segments alone.

    The lengths of A and B follow from the sentences of a document, and differ between labels if, for example, documents are
    short. So a model that uses nothing else may be right in more than half of the cases. The prediction is the
    more frequent label of the training pairs with about the same lengths: the total length and the length of A are divided
    into `INTERVALS` intervals each. Its accuracy is measured on validation pairs, and is at least that of the more frequent
    label. On random documents it was within 0.01 of gradient-boosted trees.

    Returns: the accuracy; None if a corpus has no labeled pairs.
    """
    try:
        check_pairs(validation, config.pair_task)
    except ValueError:
        return None
    train_lengths, train_labels = _lengths_and_labels(train, config, TRAIN_PAIRS)
    lengths, labels = _lengths_and_labels(validation, config, VALIDATION_PAIRS)
    if not len(labels) or not len(train_labels):
        return None
    limits = [_limits(column) for column in train_lengths.T]
    train_cells, cells = _cells(train_lengths, limits), _cells(lengths, limits)
    counts = np.bincount(train_cells, minlength=INTERVALS**2)
    ones = np.bincount(train_cells, weights=train_labels, minlength=INTERVALS**2)
    predicted = 2 * ones[cells] > counts[cells]
    return max(float((predicted == labels).mean()), float(labels.mean()), 1 - float(labels.mean()))


def _lengths_and_labels(corpus: TokenizedCorpus, config: ExampleConfig, count: int) -> tuple[IntArray, IntArray]:
    """Return the total length and the length of A of about `count` labeled pairs, and their labels."""
    sample, found, size = corpus.first_documents(SAMPLE_TOKENS), [], 0
    for epoch in range(MAX_EPOCHS):
        pairs = draw_epoch(sample, config, np.random.default_rng(epoch))
        found.append(pairs[np.flatnonzero(pairs.label != IGNORE_INDEX)])
        size += len(found[-1].label)
        if size >= count:
            break
    pairs = Pairs(*(np.concatenate(columns) for columns in zip(*(vars(epoch).values() for epoch in found), strict=True)))
    return np.stack([pairs.lengths, pairs.a_end - pairs.a_start], axis=1), pairs.label


def _limits(lengths: IntArray) -> NDArray[np.float64]:
    """Return the limits of intervals with about as many lengths each, or of every length if there are few different ones."""
    different = np.unique(lengths)
    if len(different) <= INTERVALS:
        return different[1:].astype(np.float64)
    return np.unique(np.quantile(lengths, np.arange(1, INTERVALS) / INTERVALS))


def _cells(lengths: IntArray, limits: list[NDArray[np.float64]]) -> IntArray:
    """Return the number of the cell of each pair, from the intervals of its two lengths."""
    total, a_length = (np.searchsorted(limit, column, side="right") for limit, column in zip(limits, lengths.T, strict=True))
    cells: IntArray = total * INTERVALS + a_length
    return cells
