"""Span corruption: some spans of a text are removed from the source, and are the target (Raffel et al. 2020)."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from minibert.equations import IGNORE_INDEX
from minibert.kernels import worthwhile_sequences
from minibert.text.batching import BatchSampler, IntArray, pad_rows
from minibert.text.packing import PackedEpoch, PackedExamples
from minibert.text.parallel import ParallelBatch
from minibert.text.tokenized import Ends, TokenizedCorpus
from minibert.text.tokenizer import PAD, T5_TOKENS, sentinel, sentinels, token_id

END = T5_TOKENS["eos_token"]
"""T5's token at the end of a source, of a target, and of a document."""
DOCUMENTS = Ends(document=END)
NOISE_DENSITY, MEAN_SPAN_LENGTH = 0.15, 3.0
"""Share of the tokens that are removed, and mean length of a span (section 3.3.4)."""
SPAN_SEED = 2
"""Part of the seed that differs from those of `packing`."""


def span_count(tokens: int, density: float = NOISE_DENSITY, mean_length: float = MEAN_SPAN_LENGTH) -> tuple[int, int]:
    """Return how many tokens of a text are removed, and in how many spans. At least one token stays before each span.

    >>> span_count(100)
    (15, 5)
    """
    removed = min(max(round(tokens * density), 1), tokens - 1)
    return removed, min(max(round(removed / mean_length), 1), removed, tokens - removed)


def choose_spans(
    tokens: int, generator: np.random.Generator, density: float = NOISE_DENSITY, mean_length: float = MEAN_SPAN_LENGTH
) -> NDArray[np.bool_]:
    """Choose the spans that are removed: True for their tokens. A text begins with a token that stays.

    Source: Raffel et al. 2020, section 3.3.4, and the authors' code (`random_spans_noise_mask`). The number of tokens and of
        spans is fixed; the lengths of the spans, and of the parts between them, are drawn.
    Tests: tests/text/test_spans.py::TestChooseSpans
    """
    removed, spans = span_count(tokens, density, mean_length)
    lengths = np.stack([_parts(tokens - removed, spans, generator), _parts(removed, spans, generator)], axis=1).flatten()
    chosen: NDArray[np.bool_] = np.repeat(np.arange(2 * spans) % 2 == 1, lengths)
    return chosen if spans else np.zeros(tokens, dtype=np.bool_)


def _parts(total: int, parts: int, generator: np.random.Generator) -> IntArray:
    """Divide a number into so many parts of at least 1, each division with the same probability."""
    if not parts:
        return np.zeros(0, dtype=np.int64)
    cuts = np.sort(generator.choice(total - 1, parts - 1, replace=False)) + 1
    return np.diff(np.concatenate([[0], cuts, [total]]))


def corrupt_spans(ids: IntArray, removed: NDArray[np.bool_], sentinels: IntArray, end: int) -> tuple[IntArray, IntArray]:
    """Return the source, with a sentinel in place of each span, and the target: each sentinel, and then its span.

    The end token follows the source and the target.

    Args:
        removed: True for the tokens of the spans.
        sentinels: ids of the sentinels; one more than there are spans.

    Source: Raffel et al. 2020, section 3.1.4 and figure 2.
    Differs: as in the figure, the target ends with one more sentinel. In the authors' code it does not.
    Tests: tests/text/test_spans.py::TestCorruptSpans

    >>> thank, you, for_, inviting, me, to, your, party, last, week = range(10, 20)  # figure 2 of the paper
    >>> ids = np.array([thank, you, for_, inviting, me, to, your, party, last, week])
    >>> source, target = corrupt_spans(ids, np.isin(ids, [for_, inviting, last]), np.array([97, 98, 99]), end=1)
    >>> source.tolist(), target.tolist()
    ([10, 11, 97, 14, 15, 16, 17, 98, 19, 1], [97, 12, 13, 98, 18, 99, 1])
    """
    starts = removed & ~np.concatenate([[False], removed[:-1]])
    spans = int(starts.sum())
    source = np.where(starts, sentinels[np.cumsum(starts) - 1], ids)[~removed | starts]
    target = np.insert(ids[removed], np.flatnonzero(starts[removed]), sentinels[:spans])
    return np.append(source, end), np.append(target, [sentinels[spans], end])


def sentinel_ids(tokenizer: Tokenizer) -> IntArray:
    """Return the ids of <extra_id_0>, <extra_id_1>, …"""
    return np.array([tokenizer.token_to_id(token) for token in sentinels(tokenizer)], dtype=np.int64)


class SpanExamples:
    """The windows of a corpus with corrupted spans, for any number of epochs.

    The windows are those of `PackedExamples`. The spans change from epoch to epoch. An example depends only on the seed, the
    epoch and its index, not on its batch.

    Args:
        corpus: tokenized documents, each with the end token (`DOCUMENTS`).
        tokenizer: the tokenizer of the corpus, which has sentinels.
        length: number of tokens of a window, before its spans are removed.
        density: share of the tokens that are removed.
        seed: seed of all orders and spans; None for the order of the corpus.

    Raises: ValueError if the tokenizer has fewer sentinels than a window needs, and for a corpus with sentinels.
    """

    def __init__(
        self,
        corpus: TokenizedCorpus,
        tokenizer: Tokenizer,
        length: int,
        density: float = NOISE_DENSITY,
        seed: int | None = 0,
    ) -> None:
        self.windows = PackedExamples(corpus, tokenizer, length, seed, END)
        self.density, self.seed = density, seed or 0
        self.pad_id, self.end_id, self.sentinels = token_id(tokenizer, PAD), token_id(tokenizer, END), sentinel_ids(tokenizer)
        needed = 1 + max(span_count(tokens, density)[1] for tokens in range(2, length + 1))
        if needed > len(self.sentinels):
            raise ValueError(
                f"a text of {length:,} tokens needs {needed} sentinels such as {sentinel(0)}, but the tokenizer has "
                f"{len(self.sentinels)}; use a smaller --max-length or --mlm-probability"
            )
        if literal := corpus.count(self.sentinels):  # pieces of the model of a published tokenizer
            raise ValueError(
                f"the text has sentinels such as {sentinel(0)} in {literal:,} places, which this tokenizer does not read as "
                "text; remove them from the text"
            )

    def epoch(self, number: int) -> "SpanEpoch":
        """Return an epoch; numbers start at 0."""
        return SpanEpoch(self, self.windows.epoch(number))


@dataclass(frozen=True)
class SpanEpoch:
    """The examples of one epoch, numbered from 0. Spans are chosen when a batch is created."""

    examples: SpanExamples
    windows: PackedEpoch

    @property
    def lengths(self) -> IntArray:
        """Number of tokens of each window."""
        return self.windows.lengths

    def batch_indices(self, batch_sampler: BatchSampler) -> list[IntArray]:
        """Return the indices of the windows in each batch, in this epoch's random order."""
        return self.windows.batch_indices(batch_sampler)

    def batch(self, indices: IntArray) -> ParallelBatch:
        """Return a batch of sources and targets. Without indices, return one example without labels."""
        own = self.examples
        rows = [row[row != IGNORE_INDEX] for row in self.windows.batch(indices).next_tokens.numpy()]
        pairs = [self._corrupt(ids, index) for ids, index in zip(rows, indices.tolist(), strict=False)]
        pairs = pairs or [(np.array([own.end_id]), np.array([IGNORE_INDEX]))]
        input_ids, attention_mask = pad_rows([source.tolist() for source, _ in pairs], own.pad_id)
        labels, _ = pad_rows([target.tolist() for _, target in pairs], IGNORE_INDEX)
        start = torch.full_like(labels[:, :1], own.pad_id)  # T5's decoder begins with the padding piece
        decoder_input_ids = torch.cat([start, labels[:, :-1]], dim=1)
        decoder_input_ids = decoder_input_ids.masked_fill(decoder_input_ids == IGNORE_INDEX, own.pad_id)
        return ParallelBatch(input_ids, attention_mask, decoder_input_ids, labels, worthwhile_sequences(attention_mask))

    def _corrupt(self, ids: IntArray, index: int) -> tuple[IntArray, IntArray]:
        own = self.examples
        generator = np.random.default_rng((own.seed, SPAN_SEED, self.windows.number, index))
        return corrupt_spans(ids, choose_spans(len(ids), generator, own.density), own.sentinels, own.end_id)
