"""Sentence pairs: invariants, and statistics with binomial bounds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.equations import IGNORE_INDEX
from minibert.text import pairs as pairs_module
from minibert.text.pairs import ANOTHER_DOCUMENT, EXCHANGED, IN_ORDER, IS_NEXT, Pairs, draw_pairs
from minibert.text.tokenized import TokenizedCorpus
from tests import reference
from tests.strategies import seeds

SEPARATOR = -1


def within(successes: int, trials: int, probability: float) -> bool:
    """Whether a count is within five standard deviations of a binomial distribution: false once in two million."""
    return abs(successes - trials * probability) <= 5 * math.sqrt(trials * probability * (1 - probability))


def corpus_of(*documents: list[int]) -> TokenizedCorpus:
    """Documents given by the lengths of their sentences; every token is an id of its own, and its own place."""
    lengths = [length for document in documents for length in [*document, 1]]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = np.arange(sum(lengths))
    document_starts = np.concatenate([[0], np.cumsum([len(document) + 1 for document in documents])]).astype(np.int64)
    ids[starts[document_starts[1:] - 1]] = SEPARATOR
    return TokenizedCorpus(ids, starts, document_starts)


def corpora() -> st.SearchStrategy[TokenizedCorpus]:
    """At least two documents, one of at least two sentences, among any others."""
    document = st.lists(st.integers(1, 30), min_size=1, max_size=9)
    pair = st.lists(st.integers(1, 12), min_size=2, max_size=4)
    return st.tuples(st.lists(document, max_size=6), pair, st.lists(document, min_size=1, max_size=2)).map(
        lambda parts: corpus_of(*parts[0], parts[1], *parts[2])
    )


def document_of(corpus: TokenizedCorpus) -> np.ndarray:
    """The number of the document of each token."""
    return np.repeat(np.arange(len(corpus.document_starts) - 1), np.diff(corpus.sentence_starts[corpus.document_starts]))


def rows(pairs: Pairs) -> list[tuple[int, int, int, int, int]]:
    return list(zip(*(column.tolist() for column in vars(pairs).values()), strict=True))


class TestDrawPairs:
    def test_value(self) -> None:
        """Two documents of two sentences: each first sentence with its own second one, or with either of the other's.

        What is left of a document after "another" is an example by itself.
        """
        corpus = corpus_of([2, 3], [4, 5])  # ids 0-1 | 2-4, separator 5; 6-9 | 10-14, separator 15
        found = set()
        for seed in range(100):
            found |= set(rows(draw_pairs(corpus, 20, np.random.default_rng(seed), short_share=0.0)))
        assert found == {
            (0, 2, 2, 5, IS_NEXT),
            (0, 2, 6, 15, ANOTHER_DOCUMENT),
            (0, 2, 10, 15, ANOTHER_DOCUMENT),
            (2, 5, 5, 5, IGNORE_INDEX),
            (6, 10, 10, 15, IS_NEXT),
            (6, 10, 0, 5, ANOTHER_DOCUMENT),
            (6, 10, 2, 5, ANOTHER_DOCUMENT),
            (10, 15, 15, 15, IGNORE_INDEX),
        }

    @given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 30), seeds)
    def test_value_of_shortening(self, a_length: int, b_length: int, longest: int, seed: int) -> None:
        """As long as Google's loop leaves them, which takes one token after the other off the longer segment."""
        start = np.array([100])
        pairs = Pairs(start, start + a_length, start + 500, start + 500 + b_length, np.array([IS_NEXT]))
        short = pairs_module._shortened(pairs, longest, np.random.default_rng(seed))
        assert (int((short.a_end - short.a_start)[0]), int((short.b_end - short.b_start)[0])) == reference.truncated_pair(
            a_length, b_length, longest
        )
        assert pairs.a_start <= short.a_start
        assert short.a_end <= pairs.a_end
        assert pairs.b_start <= short.b_start
        assert short.b_end <= pairs.b_end

    def test_value_of_shortened_ends(self) -> None:
        """Four tokens of which two are to go: both from the beginning, both from the end, or one from each."""
        start = np.array([0])
        pairs = Pairs(start, start + 4, start + 9, start + 10, start)
        found = {rows(pairs_module._shortened(pairs, 3, np.random.default_rng(seed)))[0] for seed in range(60)}
        assert found == {(first, first + 2, 9, 10, 0) for first in (0, 1, 2)}

    def test_it_is_shortened_at_random_ends(self) -> None:
        """Each token that is taken off is taken off the beginning with probability one half."""
        start = np.zeros(4000, dtype=np.int64)
        pairs = Pairs(start, start + 20, start + 50, start + 60, start)
        short = pairs_module._shortened(pairs, 20, np.random.default_rng(0))
        assert within(int(short.a_start.sum()), 10 * len(start), 0.5)
        assert {*short.a_start.tolist()} >= set(range(1, 10))

    @given(corpora(), st.integers(3, 40), st.sampled_from([0.0, 0.1, 1.0]), seeds)
    def test_they_are_of_the_documents_that_the_label_says(
        self, corpus: TokenizedCorpus, longest: int, short_share: float, seed: int
    ) -> None:
        """A is in one document, and so is B; "is next" means the same, and B after A; "another" another one.

        Nothing is empty, longer than asked for, or contains a separator.
        """
        of = document_of(corpus)
        for a_start, a_end, b_start, b_end, label in rows(
            draw_pairs(corpus, longest, np.random.default_rng(seed), "nsp", short_share)
        ):
            assert a_end > a_start
            assert a_end - a_start + b_end - b_start <= longest
            assert len({*of[a_start:a_end]}) == 1
            assert SEPARATOR not in corpus.ids[a_start:a_end]
            assert SEPARATOR not in corpus.ids[b_start:b_end]
            if label == IGNORE_INDEX:
                assert b_start == b_end
                continue
            assert b_end > b_start
            assert len({*of[b_start:b_end]}) == 1
            assert (of[a_start] == of[b_start]) == (label == IS_NEXT)
            if label == IS_NEXT:
                assert a_end <= b_start

    @given(corpora(), seeds)
    def test_long_enough_nothing_is_cut_off_and_every_sentence_is_used_once(self, corpus: TokenizedCorpus, seed: int) -> None:
        """With room for all, segments are whole sentences, "is next" follows at once, and no sentence is left out.

        A sentence is in just one A, or in one B that is next; B from another document is besides.
        """
        pairs = draw_pairs(corpus, 10_000, np.random.default_rng(seed), short_share=0.0)
        seen = []
        for a_start, a_end, b_start, b_end, label in rows(pairs):
            assert {a_start, a_end, b_start, b_end} <= {*corpus.sentence_starts.tolist()}
            seen += [*range(a_start, a_end)]
            if label == IS_NEXT:
                assert a_end == b_start
                seen += [*range(b_start, b_end)]
        assert sorted(seen) == sorted(place for place, token in enumerate(corpus.ids.tolist()) if token != SEPARATOR)

    def test_they_are_balanced_and_every_other_sentence_is_equally_likely(self) -> None:
        """Half of the labels say "is next"; the negatives of one document begin with all sentences of all others, evenly."""
        corpus = corpus_of([3, 3], [3], [3, 3], [3] * 5, [3, 3])
        draws = [draw_pairs(corpus, 20, np.random.default_rng(seed)) for seed in range(3000)]
        labels = np.concatenate([pairs.label for pairs in draws])
        labels = labels[labels != IGNORE_INDEX]
        assert within(int((labels == ANOTHER_DOCUMENT).sum()), len(labels), 0.5)
        of = document_of(corpus)
        begun = [b for pairs in draws for a, _, b, _, label in rows(pairs) if label == ANOTHER_DOCUMENT and of[a] == 2]
        others = [int(start) for start in corpus.sentence_starts[:-1] if of[start] != 2 and corpus.ids[start] != SEPARATOR]
        assert {*begun} == {*others}
        assert all(within(begun.count(start), len(begun), 1 / len(others)) for start in others)

    def test_short_examples_are_as_rare_as_asked_for(self) -> None:
        """Of one-token sentences, a chunk is as long as its target: below `longest` with probability 0.1 (38/39 of it)."""
        corpus = corpus_of([1] * 500, *[[1] * 500] * 60)
        pairs = draw_pairs(corpus, 40, np.random.default_rng(0), "sop")
        lengths = (pairs.lengths - 3)[pairs.label != IGNORE_INDEX]
        short = int((lengths < 40).sum()) - 61  # the rest of each document is short as well
        assert abs(short - 0.1 * len(lengths)) < 5 * math.sqrt(0.09 * len(lengths)) + 61
        assert set(lengths.tolist()) >= {2, 39, 40}

    def test_two_documents_are_enough_and_one_is_not(self) -> None:
        """With two the negative is always the other one, and never the true next sentence; with one there is a clear error."""
        corpus = corpus_of([2, 2, 2], [2, 2])
        of = document_of(corpus)
        for seed in range(200):
            for a_start, _, b_start, _, label in rows(draw_pairs(corpus, 20, np.random.default_rng(seed))):
                assert label == IGNORE_INDEX or (of[a_start] != of[b_start]) == (label == ANOTHER_DOCUMENT)
        with pytest.raises(ValueError, match="at least two documents"):
            draw_pairs(corpus_of([2, 2, 2]), 20, np.random.default_rng(0))
        for task in ("nsp", "sop"):
            with pytest.raises(ValueError, match="no document has two sentences"):
                draw_pairs(corpus_of([2], [5]), 20, np.random.default_rng(0), task)

    @given(corpora(), st.integers(3, 40), seeds)
    def test_sentence_order_exchanges_what_follows(self, corpus: TokenizedCorpus, longest: int, seed: int) -> None:
        """A and B are of one document; A comes first if the label says so, else B does. Every sentence is used once."""
        of = document_of(corpus)
        for a_start, a_end, b_start, b_end, label in rows(draw_pairs(corpus, longest, np.random.default_rng(seed), "sop")):
            if label == IGNORE_INDEX:
                continue
            assert of[a_start] == of[a_end - 1] == of[b_start] == of[b_end - 1]
            assert (a_end <= b_start) == (label == IN_ORDER)
            assert (b_end <= a_start) == (label == EXCHANGED)

    def test_half_of_the_orders_are_exchanged(self) -> None:
        pairs = draw_pairs(corpus_of(*[[3, 3]] * 5000), 20, np.random.default_rng(0), "sop")
        assert within(int((pairs.label == EXCHANGED).sum()), int((pairs.label != IGNORE_INDEX).sum()), 0.5)

    @given(corpora(), st.integers(31, 60), seeds)
    def test_full_sentences_are_packed_over_documents(self, corpus: TokenizedCorpus, longest: int, seed: int) -> None:
        """One segment without a label, of whole sentences; together they are the whole text in order, but for separators at
        their ends. None could take the next sentence as well."""
        pairs = draw_pairs(corpus, longest, np.random.default_rng(seed), "none", short_share=0.0)
        assert (pairs.label == IGNORE_INDEX).all()
        np.testing.assert_array_equal(pairs.b_start, pairs.b_end)
        starts = corpus.sentence_starts
        assert np.isin(pairs.a_start, starts).all()
        assert np.isin(pairs.a_end, starts).all()
        shown = [token for a, b in zip(pairs.a_start, pairs.a_end, strict=True) for token in corpus.ids[a:b].tolist()]
        assert [token for token in shown if token != SEPARATOR] == [token for token in corpus.ids if token != SEPARATOR]
        for a_start, a_end in zip(pairs.a_start, pairs.a_end, strict=True):
            assert SEPARATOR not in (corpus.ids[a_start], corpus.ids[a_end - 1])
            following = starts[starts > a_end]
            assert not len(following) or following[0] - a_start > longest or corpus.ids[a_end] == SEPARATOR

    def test_long_documents_are_cut_into_stretches_that_lose_nothing(self) -> None:
        """A document of more sentences than a stretch has is used whole."""
        corpus = corpus_of([1] * (2 * pairs_module.STRETCH + 3), [1, 1])
        pairs = draw_pairs(corpus, 50, np.random.default_rng(0), "sop", short_share=0.0)
        used = sum(int((pairs.a_end - pairs.a_start + pairs.b_end - pairs.b_start)[i]) for i in range(len(pairs.label)))
        assert used == len(corpus.ids) - 2
