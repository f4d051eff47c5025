"""Which text an example shows: segment A, and a segment B that follows it or does not. Devlin et al. 2019, section 3.1.

Nothing here is a loop over examples: an example is four places in the corpus, and all are drawn side by side.
"""

from dataclasses import dataclass

import numpy as np

from minibert.equations import IGNORE_INDEX
from minibert.text.batching import IntArray
from minibert.text.options import SHORT_SHARE, PairTask
from minibert.text.tokenized import TokenizedCorpus

IS_NEXT, ANOTHER_DOCUMENT = 0, 1
IN_ORDER, EXCHANGED = 0, 1

STRETCH = 512
"""In sentences. Long documents are cut into stretches, since all are worked on side by side, chunk by chunk."""


@dataclass(frozen=True)
class Pairs:
    """Where segment A and segment B of every example lie in the corpus; B is empty where there is none."""

    a_start: IntArray
    a_end: IntArray
    b_start: IntArray
    b_end: IntArray
    label: IntArray

    def __getitem__(self, chosen: IntArray) -> "Pairs":
        return Pairs(*(column[chosen] for column in vars(self).values()))

    @property
    def lengths(self) -> IntArray:
        """Tokens of each example, [CLS] and [SEP] included."""
        b_length = self.b_end - self.b_start
        return self.a_end - self.a_start + b_length + 2 + (b_length > 0)


@dataclass(frozen=True)
class _Chunks:
    """Runs of sentences, each from `first` up to `end`, in which segment A ends at `cut`."""

    document: IntArray
    first: IntArray
    cut: IntArray
    end: IntArray
    label: IntArray
    target: IntArray

    def __getitem__(self, chosen: IntArray) -> "_Chunks":
        return _Chunks(*(column[chosen] for column in vars(self).values()))


def draw_pairs(
    corpus: TokenizedCorpus,
    longest: int,
    generator: np.random.Generator,
    task: PairTask = "nsp",
    short_share: float = SHORT_SHARE,
) -> Pairs:
    """One example after the other out of every document, until it is used up.

    A chunk is as many sentences as it takes to reach the target length: `longest`, or with probability `short_share` any
    shorter one. Sentences up to a random place of it are segment A; then a coin decides about segment B. Heads: the rest of
    the chunk, which does follow. Tails: sentences of another document, from a random one on, each sentence of all other
    documents equally likely; the rest of the chunk is then left for the next example. A chunk of one sentence is an example
    of one segment, whose label is `IGNORE_INDEX`.

    Args:
        longest: A and B together have at most so many tokens; the longer of them is shortened, at random ends.

    Source: Devlin et al. 2019, section A.2; Google's BERT code, `create_instances_from_document`.
    Differs: Google's code draws another document first, then a sentence of it. Where many documents are short, so are most
        of these B, and the label can be told from lengths alone.
        Google's code gives a lone sentence a B from another document, so that more than half of the labels say so,
        and draws a short target once for a document, not for every chunk. No chunk goes on beyond a stretch of `STRETCH`.
    Tests: tests/text/test_pairs.py::TestDrawPairs

    Raises: ValueError as `check_pairs` does.
    """
    check_pairs(corpus, task)
    if task == "none":
        return _full_sentences(corpus, longest, generator, short_share)
    chunks = _cut_into_chunks(corpus, longest, generator, task, short_share)
    starts = corpus.sentence_starts
    a_start, a_end, b_start, b_end = starts[chunks.first], starts[chunks.cut], starts[chunks.cut], starts[chunks.end]
    if task == "nsp":
        elsewhere = np.flatnonzero(chunks.label == ANOTHER_DOCUMENT)
        b_start[elsewhere], b_end[elsewhere] = _from_another_document(corpus, chunks[elsewhere], generator)
    else:
        exchanged = chunks.label == EXCHANGED
        a_start, b_start = np.where(exchanged, (b_start, a_start), (a_start, b_start))
        a_end, b_end = np.where(exchanged, (b_end, a_end), (a_end, b_end))
    return _shortened(Pairs(a_start, a_end, b_start, b_end, chunks.label), longest, generator)


def check_pairs(corpus: TokenizedCorpus, task: PairTask) -> None:
    """Whether there are pairs in a corpus. Raises: ValueError that says what is missing."""
    sizes = np.diff(corpus.document_starts) - 1
    if not len(sizes):
        raise ValueError("there is no text")
    if task != "none" and sizes.max() < 2:
        raise ValueError("no document has two sentences, and a pair needs them: put blank lines between documents only")
    if task == "nsp" and len(sizes) < 2:
        raise ValueError(
            "pairs need at least two documents, and there is one: put a blank line between documents (two, where paragraphs "
            "are wrapped; see --layout), give several files, or take --pairs sop or none"
        )


def _cut_into_chunks(
    corpus: TokenizedCorpus, longest: int, generator: np.random.Generator, task: PairTask, short_share: float
) -> _Chunks:
    """All chunks: first the first one of every stretch, then the second ones, and so on.

    Tests: tests/text/test_pairs.py::TestDrawPairs
    """
    starts = corpus.sentence_starts
    document, first, stop = _stretches(corpus.document_starts[:-1], corpus.document_starts[1:] - 1)
    rounds = []
    while len(first):
        target = _targets(len(first), longest, short_share, generator)
        end = np.minimum(np.searchsorted(starts, starts[first] + target), stop)
        lone = end - first == 1
        cut = generator.integers(first + 1, np.maximum(end, first + 2))
        label = np.where(lone, IGNORE_INDEX, generator.integers(0, 2, len(first)))
        rounds.append(_Chunks(document, first, cut, end, label, target))
        first = np.where((label == ANOTHER_DOCUMENT) & (task == "nsp"), cut, end)
        left = first < stop
        document, first, stop = document[left], first[left], stop[left]
    return _Chunks(*(np.concatenate(columns) for columns in zip(*(vars(some).values() for some in rounds), strict=True)))


def _from_another_document(
    corpus: TokenizedCorpus, chunks: _Chunks, generator: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """For each chunk a segment B of as many tokens as A leaves of the target, whole sentences, all of another document.

    Tests: tests/text/test_pairs.py::TestDrawPairs
    """
    starts = corpus.sentence_starts
    first_of = corpus.document_starts - np.arange(len(corpus.document_starts))  # sentences counted without separators
    own = first_of[chunks.document + 1] - first_of[chunks.document]
    number = generator.integers(0, first_of[-1] - own)
    number += own * (number >= first_of[chunks.document])  # a draw among all others skips over the own
    other = np.searchsorted(first_of, number, side="right") - 1
    first, stop = number + other, corpus.document_starts[other + 1] - 1
    wanted = np.maximum(1, chunks.target - (starts[chunks.cut] - starts[chunks.first]))
    end = np.minimum(np.searchsorted(starts, starts[first] + wanted), stop)
    return starts[first], starts[end]


def _shortened(pairs: Pairs, longest: int, generator: np.random.Generator) -> Pairs:
    """Takes tokens off the longer segment, each from its beginning or its end, until both together have `longest`.

    Source: Google's BERT code, `truncate_seq_pair`.
    Tests: tests/text/test_pairs.py::TestDrawPairs
    """
    a_length, b_length = pairs.a_end - pairs.a_start, pairs.b_end - pairs.b_start
    a_kept = np.minimum(a_length, np.maximum(longest - b_length, (longest + 1) // 2))
    b_kept = np.minimum(b_length, longest - a_kept)
    a_front = generator.binomial(a_length - a_kept, 0.5)
    b_front = generator.binomial(b_length - b_kept, 0.5)
    a_start, b_start = pairs.a_start + a_front, pairs.b_start + b_front
    return Pairs(a_start, a_start + a_kept, b_start, b_start + b_kept, pairs.label)


def _full_sentences(corpus: TokenizedCorpus, longest: int, generator: np.random.Generator, short_share: float) -> Pairs:
    """As many whole sentences as fit, over the ends of documents, whose separators are shown; a longer one is shortened."""
    starts = corpus.sentence_starts
    _, first, stop = _stretches(np.array([0]), np.array([len(starts) - 1]))
    separators = np.zeros(len(starts), dtype=bool)
    separators[corpus.document_starts[1:] - 1] = True
    runs = []
    while len(first):
        first = first + separators[first]  # none begins with one
        first, stop = first[first < stop], stop[first < stop]
        target = _targets(len(first), longest, short_share, generator)
        end = np.clip(np.searchsorted(starts, starts[first] + target, side="right") - 1, first + 1, stop)
        runs.append((starts[first], starts[end - separators[end - 1]]))
        first, stop = end[end < stop], stop[end < stop]
    a_start, a_end = (np.concatenate(columns) for columns in zip(*runs, strict=True))
    pairs = Pairs(a_start, a_end, a_end, a_end, np.full(len(a_start), IGNORE_INDEX))
    return _shortened(pairs, longest, generator)


def _stretches(first: IntArray, stop: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Runs of sentences in pieces of at most `STRETCH`: which run each is of, where it begins, where it stops."""
    pieces = -(-(stop - first) // STRETCH)
    run = np.repeat(np.arange(len(first)), pieces)
    number = np.arange(len(run)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    begin = first[run] + number * STRETCH
    return run, begin, np.minimum(begin + STRETCH, stop[run])


def _targets(count: int, longest: int, short_share: float, generator: np.random.Generator) -> IntArray:
    """For each chunk how many tokens it is to have: `longest`, or any number from 2 on."""
    short = generator.random(count) < short_share
    return np.where(short, generator.integers(min(2, longest), longest + 1, count), longest)
