"""Sentence pairs for next-sentence and sentence-order prediction (Devlin et al. 2019, section 3.1).

An example is stored as four positions in the tokenized corpus. All examples are drawn together with array operations.
"""

from dataclasses import dataclass

import numpy as np

from minibert.equations import IGNORE_INDEX
from minibert.text.batching import IntArray
from minibert.text.options import SHORT_SEQ_PROBABILITY, ExampleConfig, PairTask
from minibert.text.tokenized import TokenizedCorpus

IS_NEXT, NOT_NEXT = 0, 1
"""Labels of next-sentence prediction."""
IN_ORDER, SWAPPED = 0, 1
"""Labels of sentence-order prediction."""

MAX_RUN_SENTENCES = 512
"""Maximum number of sentences in a run. Longer documents are split into runs, because all runs are processed in parallel."""


@dataclass(frozen=True)
class Pairs:
    """Positions of segments A and B of every example in the corpus. For examples without B, `b_start == b_end`."""

    a_start: IntArray
    a_end: IntArray
    b_start: IntArray
    b_end: IntArray
    label: IntArray

    def __getitem__(self, indices: IntArray) -> "Pairs":
        return Pairs(*(column[indices] for column in vars(self).values()))

    @property
    def lengths(self) -> IntArray:
        """Number of tokens of each example, including [CLS] and [SEP]."""
        return self.lengths_with(separators=1)

    def lengths_with(self, separators: int) -> IntArray:
        """As `lengths`, with this number of special tokens between A and B."""
        a_length, b_length = self.a_end - self.a_start, self.b_end - self.b_start
        lengths: IntArray = a_length + b_length + 2 + separators * (b_length > 0)
        return lengths


@dataclass(frozen=True)
class _Chunks:
    """Chunks of consecutive sentences. Segment A is sentences `start` to `split - 1`; `split` to `end - 1` follow it."""

    document: IntArray
    start: IntArray
    split: IntArray
    end: IntArray
    label: IntArray
    target_length: IntArray

    def __getitem__(self, indices: IntArray) -> "_Chunks":
        return _Chunks(*(column[indices] for column in vars(self).values()))


def draw_epoch(corpus: TokenizedCorpus, config: ExampleConfig, generator: np.random.Generator, separators: int = 1) -> Pairs:
    """Draw the sentence pairs of one epoch; see `draw_pairs`. `separators` is the number of special tokens between A and B."""
    special_tokens = 2 if config.pair_task == "none" else 2 + separators
    return draw_pairs(corpus, config.max_length - special_tokens, generator, config.pair_task, config.short_seq_probability)


def draw_pairs(
    corpus: TokenizedCorpus,
    max_tokens: int,
    generator: np.random.Generator,
    task: PairTask = "nsp",
    short_seq_probability: float = SHORT_SEQ_PROBABILITY,
) -> Pairs:
    """Draw sentence pairs from all documents of a corpus.

    Each document is split into chunks: as many sentences as are needed to reach the target length. The target length is
    `max_tokens`, or, with probability `short_seq_probability`, a random smaller number. The sentences of a chunk up to a random
    position are segment A. With probability 0.5, the rest of the chunk is segment B, and the label is `IS_NEXT`. Otherwise,
    segment B starts at a random sentence of another document, the label is `NOT_NEXT`, and the rest of the chunk is left for
    the next example. All sentences of all other documents are equally likely; a copy of the document is not another one. A
    chunk of one sentence gives an example without segment B, with the label `IGNORE_INDEX`.

    Args:
        max_tokens: maximum number of tokens of A and B together, without special tokens. The longer segment is truncated at
            random ends.

    Source: Devlin et al. 2019, section A.2; Google's BERT code, `create_instances_from_document`.
    Differs: Google's code draws another document first, then one of its sentences. If many documents are short, most of these B
        are short too, and the label can be predicted from the lengths. For a single sentence, Google's code also draws B from
        another document, so that more than half of the labels are `NOT_NEXT`. It draws a short target length once per document,
        not per chunk. Here, no chunk crosses the end of a run of `MAX_RUN_SENTENCES`.
    Tests: tests/text/test_pairs.py::TestDrawPairs

    Raises: ValueError if the corpus has no pairs, see `check_pairs`.
    """
    check_pairs(corpus, task)
    if task == "none":
        return _draw_full_sentences(corpus, max_tokens, generator, short_seq_probability)
    chunks = _split_into_chunks(corpus, max_tokens, generator, task, short_seq_probability)
    starts = corpus.sentence_starts
    a_start, a_end, b_start, b_end = starts[chunks.start], starts[chunks.split], starts[chunks.split], starts[chunks.end]
    if task == "nsp":
        not_next = np.flatnonzero(chunks.label == NOT_NEXT)
        b_start[not_next], b_end[not_next] = _draw_from_other_documents(corpus, chunks[not_next], generator)
    else:
        swapped = chunks.label == SWAPPED
        a_start, b_start = np.where(swapped, (b_start, a_start), (a_start, b_start))
        a_end, b_end = np.where(swapped, (b_end, a_end), (a_end, b_end))
    return _truncate(Pairs(a_start, a_end, b_start, b_end, chunks.label), max_tokens, generator)


def check_pairs(corpus: TokenizedCorpus, task: PairTask) -> None:
    """Check that a corpus has sentence pairs for a task. Raises: ValueError that explains what is missing."""
    sentence_counts = np.diff(corpus.document_starts) - 1
    if not len(sentence_counts):
        raise ValueError("there is no text")
    corpus.unknown.check()
    if task != "none" and sentence_counts.max() < 2:
        raise ValueError(
            "sentence pairs need a document with two sentences, but every document has only one. Put blank lines only between "
            "documents, choose the --layout of the text, or use --pairs none"
        )
    if task == "nsp" and not corpus.document_contents.any():
        copies = f", in {len(sentence_counts)} copies" if len(sentence_counts) > 1 else ""
        raise ValueError(
            f"sentence pairs need at least two documents, but there is only one{copies}. Separate documents by a blank line "
            "(--layout wrapped: two), use --layout documents, or --pairs sop or none"
        )


def _split_into_chunks(
    corpus: TokenizedCorpus, max_tokens: int, generator: np.random.Generator, task: PairTask, short_seq_probability: float
) -> _Chunks:
    """Split all documents into chunks: the first chunk of every run, then the second chunk of every run, and so on.

    Tests: tests/text/test_pairs.py::TestDrawPairs
    """
    starts = corpus.sentence_starts
    document, start, run_end = _split_into_runs(corpus.document_starts[:-1], corpus.document_starts[1:] - 1)
    rounds = []
    while len(start):
        target_length = _draw_target_lengths(len(start), max_tokens, short_seq_probability, generator)
        end = np.minimum(np.searchsorted(starts, starts[start] + target_length), run_end)
        is_single = end - start == 1
        split = generator.integers(start + 1, np.maximum(end, start + 2))
        label = np.where(is_single, IGNORE_INDEX, generator.integers(0, 2, len(start)))
        rounds.append(_Chunks(document, start, split, end, label, target_length))
        start = np.where((label == NOT_NEXT) & (task == "nsp"), split, end)
        unfinished = start < run_end
        document, start, run_end = document[unfinished], start[unfinished], run_end[unfinished]
    return _Chunks(*(np.concatenate(columns) for columns in zip(*(vars(chunks).values() for chunks in rounds), strict=True)))


def _draw_from_other_documents(
    corpus: TokenizedCorpus, chunks: _Chunks, generator: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Draw, for each chunk, a segment B from another document: whole sentences that fill up the target length.

    Tests: tests/text/test_pairs.py::TestDrawPairs
    """
    starts, contents = corpus.sentence_starts, corpus.document_contents
    order = np.argsort(contents, kind="stable")  # copies of a document are next to each other
    first_of = np.concatenate([[0], np.cumsum(np.diff(corpus.document_starts)[order] - 1)])  # first sentences in this order
    first_of_content = first_of[np.searchsorted(contents[order], np.arange(contents.max() + 2))]
    own_content = contents[chunks.document]
    own = first_of_content[own_content + 1] - first_of_content[own_content]
    number = generator.integers(0, first_of[-1] - own)
    number += own * (number >= first_of_content[own_content])  # skip the sentences of the chunk's own document and its copies
    position = np.searchsorted(first_of, number, side="right") - 1
    other = order[position]
    start, document_end = corpus.document_starts[other] + number - first_of[position], corpus.document_starts[other + 1] - 1
    b_length = np.maximum(1, chunks.target_length - (starts[chunks.split] - starts[chunks.start]))
    end = np.minimum(np.searchsorted(starts, starts[start] + b_length), document_end)
    return starts[start], starts[end]


def _truncate(pairs: Pairs, max_tokens: int, generator: np.random.Generator) -> Pairs:
    """Remove tokens from the longer segment, each from a random end, until A and B together have at most `max_tokens`.

    Source: Google's BERT code, `truncate_seq_pair`.
    Tests: tests/text/test_pairs.py::TestDrawPairs
    """
    a_length, b_length = pairs.a_end - pairs.a_start, pairs.b_end - pairs.b_start
    a_kept = np.minimum(a_length, np.maximum(max_tokens - b_length, (max_tokens + 1) // 2))
    b_kept = np.minimum(b_length, max_tokens - a_kept)
    a_front = generator.binomial(a_length - a_kept, 0.5)  # number of tokens removed from the beginning
    b_front = generator.binomial(b_length - b_kept, 0.5)
    a_start, b_start = pairs.a_start + a_front, pairs.b_start + b_front
    return Pairs(a_start, a_start + a_kept, b_start, b_start + b_kept, pairs.label)


def _draw_full_sentences(
    corpus: TokenizedCorpus, max_tokens: int, generator: np.random.Generator, short_seq_probability: float
) -> Pairs:
    """Fill each example with as many whole sentences as fit, across document boundaries, with the separators between documents.

    A single sentence that is too long is truncated.
    """
    starts = corpus.sentence_starts
    _, start, run_end = _split_into_runs(np.array([0]), np.array([len(starts) - 1]))
    is_separator = np.zeros(len(starts), dtype=bool)
    is_separator[corpus.document_starts[1:] - 1] = True
    rounds = []
    while len(start):
        start = start + is_separator[start]  # an example does not begin with a separator
        start, run_end = start[start < run_end], run_end[start < run_end]
        target_length = _draw_target_lengths(len(start), max_tokens, short_seq_probability, generator)
        end = np.clip(np.searchsorted(starts, starts[start] + target_length, side="right") - 1, start + 1, run_end)
        rounds.append((starts[start], starts[end - is_separator[end - 1]]))
        start, run_end = end[end < run_end], run_end[end < run_end]
    a_start, a_end = (np.concatenate(columns) for columns in zip(*rounds, strict=True))
    pairs = Pairs(a_start, a_end, a_end, a_end, np.full(len(a_start), IGNORE_INDEX))
    return _truncate(pairs, max_tokens, generator)


def _split_into_runs(first: IntArray, end: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Split sequences of sentences into runs of at most `MAX_RUN_SENTENCES`.

    Returns: for each run, the index of its sequence, its first sentence, and its end.
    """
    run_counts = -(-(end - first) // MAX_RUN_SENTENCES)
    sequence = np.repeat(np.arange(len(first)), run_counts)
    number = np.arange(len(sequence)) - np.repeat(np.cumsum(run_counts) - run_counts, run_counts)
    run_start = first[sequence] + number * MAX_RUN_SENTENCES
    return sequence, run_start, np.minimum(run_start + MAX_RUN_SENTENCES, end[sequence])


def _draw_target_lengths(count: int, max_tokens: int, short_seq_probability: float, generator: np.random.Generator) -> IntArray:
    """Draw the target length of each chunk: `max_tokens`, or a random number from 2 to `max_tokens`."""
    is_short = generator.random(count) < short_seq_probability
    return np.where(is_short, generator.integers(min(2, max_tokens), max_tokens + 1, count), max_tokens)
