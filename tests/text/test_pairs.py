"""Sentence pairs: invariants, and statistics with binomial bounds."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minibert.equations import IGNORE_INDEX, next_sentence_loss
from minibert.text import pairs as pairs_module
from minibert.text.options import ExampleConfig, PairTask
from minibert.text.pairs import IN_ORDER, IS_NEXT, NOT_NEXT, SWAPPED, Pairs, draw_epoch, draw_pairs
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.unknown import UnknownText
from tests import reference
from tests.strategies import seeds

SEPARATOR = -1


def within(successes: int, trials: int, probability: float) -> bool:
    """Check that a count is within five standard deviations of a binomial distribution (fails once in two million)."""
    return abs(successes - trials * probability) <= 5 * math.sqrt(trials * probability * (1 - probability))


def corpus_of(*documents: list[int], contents: Sequence[int] | None = None) -> TokenizedCorpus:
    """Create a corpus from the sentence lengths of each document. The id of each token is its position.

    Documents with the same number in `contents` are copies. By default there are none.
    """
    lengths = [length for document in documents for length in [*document, 1]]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = np.arange(sum(lengths))
    document_starts = np.concatenate([[0], np.cumsum([len(document) + 1 for document in documents])]).astype(np.int64)
    ids[starts[document_starts[1:] - 1]] = SEPARATOR
    digests = np.array(range(len(documents)) if contents is None else contents, dtype=np.uint64)
    return TokenizedCorpus(ids, starts, document_starts, digests)


def corpora() -> st.SearchStrategy[TokenizedCorpus]:
    """Corpora of at least two documents, one of which has at least two sentences."""
    document = st.lists(st.integers(1, 30), min_size=1, max_size=9)
    pair = st.lists(st.integers(1, 12), min_size=2, max_size=4)
    return st.tuples(st.lists(document, max_size=6), pair, st.lists(document, min_size=1, max_size=2)).map(
        lambda parts: corpus_of(*parts[0], parts[1], *parts[2])
    )


def document_of(corpus: TokenizedCorpus) -> np.ndarray:
    """Return the document index of each token."""
    return np.repeat(np.arange(len(corpus.document_starts) - 1), np.diff(corpus.sentence_starts[corpus.document_starts]))


def rows(pairs: Pairs) -> list[tuple[int, int, int, int, int]]:
    return list(zip(*(column.tolist() for column in vars(pairs).values()), strict=True))


class TestDrawPairs:
    def test_value(self) -> None:
        """With two documents of two sentences, each first sentence is paired with its next one or one of the other document.

        After `NOT_NEXT`, the rest of the document is an example of one segment.
        """
        corpus = corpus_of([2, 3], [4, 5])  # ids 0-1 | 2-4, separator 5; 6-9 | 10-14, separator 15
        found = set()
        for seed in range(100):
            found |= set(rows(draw_pairs(corpus, 20, np.random.default_rng(seed), short_seq_probability=0.0)))
        assert found == {
            (0, 2, 2, 5, IS_NEXT),
            (0, 2, 6, 15, NOT_NEXT),
            (0, 2, 10, 15, NOT_NEXT),
            (2, 5, 5, 5, IGNORE_INDEX),
            (6, 10, 10, 15, IS_NEXT),
            (6, 10, 0, 5, NOT_NEXT),
            (6, 10, 2, 5, NOT_NEXT),
            (10, 15, 15, 15, IGNORE_INDEX),
        }

    def test_value_of_sentence_order(self) -> None:
        """The two sentences of a document are a pair, as they are or exchanged. A single sentence is none."""
        corpus = corpus_of([2, 3], [4])  # ids 0-1 | 2-4, separator 5; 6-9, separator 10
        found = set()
        for seed in range(30):
            found |= set(rows(draw_pairs(corpus, 20, np.random.default_rng(seed), "sop", short_seq_probability=0.0)))
        assert found == {(0, 2, 2, 5, IN_ORDER), (2, 5, 0, 2, SWAPPED), (6, 10, 10, 10, IGNORE_INDEX)}

    def test_value_of_the_loss_of_both_tasks(self) -> None:
        """The first score is that of "B follows A" (Devlin et al. 2019), or of "in order" (Lan et al. 2020).

        A network that gives the true class of each pair the probability 0.9 has the loss -ln 0.9.
        """
        scores = torch.tensor([0.9, 0.1]).log()
        for task in ("nsp", "sop"):
            pairs = draw_pairs(corpus_of(*[[2, 3]] * 40), 20, np.random.default_rng(0), task, short_seq_probability=0.0)
            follows = torch.from_numpy(pairs.a_end == pairs.b_start)
            logits = torch.where(follows[:, None], scores, scores.flip(0))
            assert math.isclose(next_sentence_loss(logits, torch.from_numpy(pairs.label)).item(), -math.log(0.9), rel_tol=1e-5)

    @given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 30), seeds)
    def test_value_of_truncated_lengths(self, a_length: int, b_length: int, max_tokens: int, seed: int) -> None:
        """The lengths equal those of Google's loop, which removes one token at a time from the longer segment."""
        start = np.array([100])
        pairs = Pairs(start, start + a_length, start + 500, start + 500 + b_length, np.array([IS_NEXT]))
        truncated = pairs_module._truncate(pairs, max_tokens, np.random.default_rng(seed))
        assert (
            int((truncated.a_end - truncated.a_start)[0]),
            int((truncated.b_end - truncated.b_start)[0]),
        ) == reference.truncated_pair(a_length, b_length, max_tokens)
        assert pairs.a_start <= truncated.a_start
        assert truncated.a_end <= pairs.a_end
        assert pairs.b_start <= truncated.b_start
        assert truncated.b_end <= pairs.b_end

    def test_value_of_pairs_that_are_too_long(self) -> None:
        """Of two sentences of six tokens, four tokens each are left if eight are allowed."""
        for seed in range(20):
            pairs = draw_pairs(corpus_of([6, 6], [6, 6]), 8, np.random.default_rng(seed), short_seq_probability=0.0)
            lengths = np.stack([pairs.a_end - pairs.a_start, pairs.b_end - pairs.b_start])[:, pairs.label != IGNORE_INDEX]
            assert (lengths == 4).all()

    def test_value_of_truncated_ends(self) -> None:
        """Two of four tokens are removed: both from the beginning, both from the end, or one from each."""
        start = np.array([0])
        pairs = Pairs(start, start + 4, start + 9, start + 10, start)
        found = {rows(pairs_module._truncate(pairs, 3, np.random.default_rng(seed)))[0] for seed in range(60)}
        assert found == {(first, first + 2, 9, 10, 0) for first in (0, 1, 2)}

    def test_truncation_is_at_random_ends(self) -> None:
        """Each removed token is removed from the beginning with probability 0.5."""
        start = np.zeros(4000, dtype=np.int64)
        pairs = Pairs(start, start + 20, start + 50, start + 60, start)
        truncated = pairs_module._truncate(pairs, 20, np.random.default_rng(0))
        assert within(int(truncated.a_start.sum()), 10 * len(start), 0.5)
        assert {*truncated.a_start.tolist()} >= set(range(1, 10))

    @given(corpora(), st.integers(3, 40), st.sampled_from([0.0, 0.1, 1.0]), seeds)
    def test_segments_are_from_the_documents_that_the_label_implies(
        self, corpus: TokenizedCorpus, max_tokens: int, short_seq_probability: float, seed: int
    ) -> None:
        """A and B are each within one document: the same one, in order, for `IS_NEXT`, and different ones for `NOT_NEXT`.

        No segment is empty, too long, or contains a separator.
        """
        of = document_of(corpus)
        for a_start, a_end, b_start, b_end, label in rows(
            draw_pairs(corpus, max_tokens, np.random.default_rng(seed), "nsp", short_seq_probability)
        ):
            assert a_end > a_start
            assert a_end - a_start + b_end - b_start <= max_tokens
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
    def test_without_truncation_every_sentence_is_used_once(self, corpus: TokenizedCorpus, seed: int) -> None:
        """If nothing is truncated, segments are whole sentences, and B directly follows A for `IS_NEXT`.

        Every sentence is in exactly one A or one B with `IS_NEXT`. It may also be in a B with `NOT_NEXT`.
        """
        pairs = draw_pairs(corpus, 10_000, np.random.default_rng(seed), short_seq_probability=0.0)
        seen = []
        for a_start, a_end, b_start, b_end, label in rows(pairs):
            assert {a_start, a_end, b_start, b_end} <= {*corpus.sentence_starts.tolist()}
            seen += [*range(a_start, a_end)]
            if label == IS_NEXT:
                assert a_end == b_start
                seen += [*range(b_start, b_end)]
        assert sorted(seen) == sorted(position for position, token in enumerate(corpus.ids.tolist()) if token != SEPARATOR)

    def test_labels_are_balanced_and_negatives_are_uniform(self) -> None:
        """Half of the labels are `IS_NEXT`. Negatives begin with any sentence of any other document, with equal probability."""
        corpus = corpus_of([3, 3], [3], [3, 3], [3] * 5, [3, 3])
        draws = [draw_pairs(corpus, 20, np.random.default_rng(seed)) for seed in range(3000)]
        labels = np.concatenate([pairs.label for pairs in draws])
        labels = labels[labels != IGNORE_INDEX]
        assert within(int((labels == NOT_NEXT).sum()), len(labels), 0.5)
        of = document_of(corpus)
        negatives = [b for pairs in draws for a, _, b, _, label in rows(pairs) if label == NOT_NEXT and of[a] == 2]
        others = [int(start) for start in corpus.sentence_starts[:-1] if of[start] != 2 and corpus.ids[start] != SEPARATOR]
        assert {*negatives} == {*others}
        assert all(within(negatives.count(start), len(negatives), 1 / len(others)) for start in others)

    def test_copies_are_not_other_documents(self) -> None:
        """Negatives begin with any sentence of any document with another text, with equal probability."""
        corpus = corpus_of([3, 3], [3], [3, 3], [3], [3] * 4, [3, 3], contents=[7, 5, 7, 5, 9, 7])
        assert corpus.document_contents.tolist() == [0, 1, 0, 1, 2, 0]
        draws = [draw_pairs(corpus, 20, np.random.default_rng(seed)) for seed in range(3000)]
        of = document_of(corpus)
        for own, others in ((0, {1, 3, 4}), (2, {1, 3, 4}), (4, {0, 1, 2, 3, 5})):
            negatives = [b for pairs in draws for a, _, b, _, label in rows(pairs) if label == NOT_NEXT and of[a] == own]
            starts = [int(s) for s in corpus.sentence_starts[:-1] if of[s] in others and corpus.ids[s] != SEPARATOR]
            assert {*negatives} == {*starts}
            assert all(within(negatives.count(start), len(negatives), 1 / len(starts)) for start in starts)

    def test_one_document_in_many_copies_is_refused(self) -> None:
        corpus = corpus_of([2, 2], [2, 2], [2, 2], contents=[1, 1, 1])
        with pytest.raises(ValueError, match=r"there is only one, in 3 copies\. .*--layout documents"):
            draw_pairs(corpus, 20, np.random.default_rng(0))
        assert len(draw_pairs(corpus, 20, np.random.default_rng(0), "sop").label) == 3

    def test_frequency_of_short_examples(self) -> None:
        """With sentences of one token, chunks have their target length. It is below 40 with probability 0.1 * 38/39."""
        corpus = corpus_of([1] * 500, *[[1] * 500] * 60)
        pairs = draw_pairs(corpus, 40, np.random.default_rng(0), "sop")
        lengths = (pairs.lengths - 3)[pairs.label != IGNORE_INDEX]
        short = int((lengths < 40).sum()) - 61  # the last chunk of each document is short too
        assert abs(short - 0.1 * len(lengths)) < 5 * math.sqrt(0.09 * len(lengths)) + 61
        assert set(lengths.tolist()) >= {2, 39, 40}

    def test_two_documents_are_required(self) -> None:
        """With two documents, negatives are always from the other one. With one document there is an error."""
        corpus = corpus_of([2, 2, 2], [2, 2])
        of = document_of(corpus)
        for seed in range(200):
            for a_start, _, b_start, _, label in rows(draw_pairs(corpus, 20, np.random.default_rng(seed))):
                assert label == IGNORE_INDEX or (of[a_start] != of[b_start]) == (label == NOT_NEXT)
        with pytest.raises(ValueError, match="at least two documents"):
            draw_pairs(corpus_of([2, 2, 2]), 20, np.random.default_rng(0))
        for task in ("nsp", "sop"):
            with pytest.raises(ValueError, match="need a document with two sentences"):
                draw_pairs(corpus_of([2], [5]), 20, np.random.default_rng(0), task)

    @given(corpora(), st.integers(3, 40), seeds)
    def test_sentence_order_swaps_consecutive_segments(self, corpus: TokenizedCorpus, max_tokens: int, seed: int) -> None:
        """A and B are from the same document. A comes first for `IN_ORDER`, and B comes first for `SWAPPED`."""
        of = document_of(corpus)
        for a_start, a_end, b_start, b_end, label in rows(draw_pairs(corpus, max_tokens, np.random.default_rng(seed), "sop")):
            if label == IGNORE_INDEX:
                continue
            assert of[a_start] == of[a_end - 1] == of[b_start] == of[b_end - 1]
            assert (a_end <= b_start) == (label == IN_ORDER)
            assert (b_end <= a_start) == (label == SWAPPED)

    def test_half_of_the_pairs_are_swapped(self) -> None:
        pairs = draw_pairs(corpus_of(*[[3, 3]] * 5000), 20, np.random.default_rng(0), "sop")
        assert within(int((pairs.label == SWAPPED).sum()), int((pairs.label != IGNORE_INDEX).sum()), 0.5)

    @given(corpora(), st.integers(31, 60), seeds)
    def test_full_sentences_cross_document_boundaries(self, corpus: TokenizedCorpus, max_tokens: int, seed: int) -> None:
        """An example is one segment of whole sentences, without a label, and has no room for the next sentence.

        The examples together are the whole text in order, without separators at their ends.
        """
        pairs = draw_pairs(corpus, max_tokens, np.random.default_rng(seed), "none", short_seq_probability=0.0)
        assert (pairs.label == IGNORE_INDEX).all()
        np.testing.assert_array_equal(pairs.b_start, pairs.b_end)
        starts = corpus.sentence_starts
        assert np.isin(pairs.a_start, starts).all()
        assert np.isin(pairs.a_end, starts).all()
        tokens = [token for a, b in zip(pairs.a_start, pairs.a_end, strict=True) for token in corpus.ids[a:b].tolist()]
        assert [token for token in tokens if token != SEPARATOR] == [token for token in corpus.ids if token != SEPARATOR]
        for a_start, a_end in zip(pairs.a_start, pairs.a_end, strict=True):
            assert SEPARATOR not in (corpus.ids[a_start], corpus.ids[a_end - 1])
            following = starts[starts > a_end]
            assert not len(following) or following[0] - a_start > max_tokens or corpus.ids[a_end] == SEPARATOR

    @pytest.mark.parametrize("task", ["nsp", "sop", "none"])
    def test_the_longest_example_of_an_epoch_has_exactly_the_maximum_length(self, task: PairTask) -> None:
        """With its special tokens. A sentence that is longer than an example is truncated."""
        config = ExampleConfig(max_length=12, pairs=task)
        lengths = draw_epoch(corpus_of([5, 5], [5, 5, 5], [30]), config, np.random.default_rng(0)).lengths
        assert lengths.max() == 12

    def test_text_that_is_missing_or_unknown_is_refused(self) -> None:
        """For every task. Without text there is no document, and no sentence."""
        unknown = replace(corpus_of([2, 2], [3, 3]), unknown=UnknownText(characters=9, unknown=9))
        for task in ("nsp", "sop", "none"):
            with pytest.raises(ValueError, match="there is no text"):
                draw_pairs(corpus_of(), 20, np.random.default_rng(0), task)
            with pytest.raises(ValueError, match="all of the characters become"):
                draw_pairs(unknown, 20, np.random.default_rng(0), task)

    def test_long_documents_are_split_into_runs_without_loss(self) -> None:
        """All sentences of a document that is longer than a run are used."""
        corpus = corpus_of([1] * (2 * pairs_module.MAX_RUN_SENTENCES + 3), [1, 1])
        pairs = draw_pairs(corpus, 50, np.random.default_rng(0), "sop", short_seq_probability=0.0)
        used = sum(int((pairs.a_end - pairs.a_start + pairs.b_end - pairs.b_start)[i]) for i in range(len(pairs.label)))
        assert used == len(corpus.ids) - 2
