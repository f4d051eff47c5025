"""Sentence pairs and masking: invariants, and statistics with binomial bounds."""

import math
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minibert.equations import IGNORED
from minibert.text.batching import batches_by_length
from minibert.text.corpus import Document
from minibert.text.pretraining import (
    ANOTHER_DOCUMENT,
    IS_NEXT,
    PretrainingExamples,
    TokenizedCorpus,
    cut_into_chunks,
    draw_pairs,
    mask_tokens,
)
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from tests import reference
from tests.strategies import seeds

MASK, FIRST_PIECE, VOCABULARY = 4, 5, 200


def within(successes: int, trials: int, probability: float) -> bool:
    """Whether a count is within five standard deviations of a binomial distribution: false once in two million."""
    return abs(successes - trials * probability) <= 5 * math.sqrt(trials * probability * (1 - probability))


def corpus_of(*documents: list[int]) -> TokenizedCorpus:
    """Documents given by the lengths of their sentences; every token is an id of its own."""
    lengths = [length for document in documents for length in document]
    return TokenizedCorpus(
        np.arange(sum(lengths)),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.concatenate([[0], np.cumsum([len(document) for document in documents])]).astype(np.int64),
    )


def corpora() -> st.SearchStrategy[TokenizedCorpus]:
    """At least two documents of at least two sentences, among any others."""
    document = st.lists(st.integers(1, 30), min_size=1, max_size=6)
    pair = st.lists(st.integers(1, 12), min_size=2, max_size=4)
    return st.tuples(st.lists(document, max_size=6), pair, st.lists(document, max_size=2), pair).map(
        lambda parts: corpus_of(*parts[0], parts[1], *parts[2], parts[3])
    )


class TestDrawPairs:
    def test_value(self) -> None:
        """Two documents of two sentences leave four pairs: each first sentence with its own second one, or the other's."""
        corpus = corpus_of([2, 3], [4, 5])  # ids 0-1 | 2-4 || 5-8 | 9-13
        found = set()
        for seed in range(60):
            pairs = draw_pairs(corpus, cut_into_chunks(corpus, 20), 20, np.random.default_rng(seed))
            found |= set(zip(*(column.tolist() for column in vars(pairs).values()), strict=True))
        assert found == {
            (0, 2, 2, 5, IS_NEXT),
            (0, 2, 9, 14, ANOTHER_DOCUMENT),
            (5, 9, 9, 14, IS_NEXT),
            (5, 9, 2, 5, ANOTHER_DOCUMENT),
        }

    @given(corpora(), st.integers(24, 40), seeds)
    def test_they_are_runs_of_sentences_and_the_label_is_true(self, corpus: TokenizedCorpus, longest: int, seed: int) -> None:
        """A and B are runs of whole sentences of one document each, cut only where they are too long together.

        "Is next" means that B follows A at once in the same document; "another document" that it is another one.
        """
        document_of = np.repeat(
            np.arange(len(corpus.document_starts) - 1), np.diff(corpus.sentence_starts[corpus.document_starts])
        )
        chunks = cut_into_chunks(corpus, longest)
        assert (np.diff(chunks[:, 1:]) >= 1).all()
        np.testing.assert_array_equal(chunks[1:, 1], chunks[:-1, 2])
        pairs = draw_pairs(corpus, chunks, longest, np.random.default_rng(seed))
        assert len(pairs.label) == len(chunks)
        starts = set(corpus.sentence_starts.tolist())
        for a_start, a_end, b_start, b_end, label in zip(*vars(pairs).values(), strict=True):
            assert a_end - a_start > 0
            assert a_end - a_start + b_end - b_start <= longest
            assert a_start in starts
            if label == IGNORED:
                assert b_start == b_end
                continue
            assert b_start in starts
            assert b_end > b_start
            same = document_of[a_start] == document_of[b_start]
            assert same == (label == IS_NEXT)
            assert document_of[a_start] == document_of[a_end - 1]
            assert document_of[b_start] == document_of[b_end - 1]
            if label == IS_NEXT:
                assert a_end == b_start

    def test_they_are_balanced_and_every_other_document_is_equally_likely(self) -> None:
        """Half of the labels say "is next"; the negatives of one document come from all others, and evenly."""
        corpus = corpus_of(*[[3, 3]] * 6)
        chunks = cut_into_chunks(corpus, 20)
        draws = [draw_pairs(corpus, chunks, 20, np.random.default_rng(seed)) for seed in range(3000)]
        labels = np.concatenate([pairs.label for pairs in draws])
        assert within(int((labels == ANOTHER_DOCUMENT).sum()), len(labels), 0.5)
        partners = [int(pairs.b_start[2]) // 6 for pairs in draws if pairs.label[2] == ANOTHER_DOCUMENT]
        counts = np.bincount(partners, minlength=6)
        assert counts[2] == 0
        assert all(within(int(count), len(partners), 1 / 5) for count in counts[[0, 1, 3, 4, 5]])

    def test_two_documents_are_enough_and_one_is_not(self) -> None:
        """With two the negative is always the other one; with one there is a clear error."""
        corpus = corpus_of([2, 2, 2], [2, 2])
        pairs = draw_pairs(corpus, cut_into_chunks(corpus, 20), 20, np.random.default_rng(0))
        assert len(pairs.label) == 2
        alone = corpus_of([2, 2, 2], [5])
        with pytest.raises(ValueError, match="at least two documents"):
            draw_pairs(alone, cut_into_chunks(alone, 20), 20, np.random.default_rng(0))


def masked(seed: int, rows: int = 500, columns: int = 64) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Random ids, where they may be masked, and what masking makes of them."""
    generator = np.random.default_rng(seed)
    ids = generator.integers(FIRST_PIECE, VOCABULARY, (rows, columns))
    maskable = generator.random(ids.shape) < 0.9
    ids[~maskable] = generator.integers(0, FIRST_PIECE, (~maskable).sum())
    before = ids.copy()
    new, labels = mask_tokens(ids, maskable, MASK, np.arange(FIRST_PIECE, VOCABULARY), generator)
    np.testing.assert_array_equal(ids, before)
    return before, maskable, new, labels


class Scripted(np.random.Generator):
    """Draws what it is told to."""

    def __init__(self, draws: list[np.ndarray], pieces: np.ndarray) -> None:
        super().__init__(np.random.PCG64(0))
        self.draws, self.pieces = iter(draws), pieces

    def random(self, *args, **kwargs):
        return next(self.draws)

    def choice(self, *args, **kwargs):
        return self.pieces


class TestMaskTokens:
    @given(seeds, st.integers(0, 6), st.sampled_from([0.15, 0.5, 1.0]))
    def test_value(self, seed: int, tokens: int, share: float) -> None:
        """Equals the rule in loops, when the same numbers are drawn."""
        generator = np.random.default_rng(seed)
        chosen, lot = generator.random((2, 3, tokens))
        ids, pieces = generator.integers(0, 99, (2, 3, tokens))
        maskable = generator.random((3, tokens)) < 0.7
        new, labels = mask_tokens(ids, maskable, MASK, np.arange(5, 99), Scripted([chosen, lot], pieces), share)
        for place in np.ndindex(3, tokens):
            expected = reference.mask_token(
                int(ids[place]), bool(maskable[place]), chosen[place], lot[place], int(pieces[place]), MASK, share
            )
            assert (new[place], labels[place]) == expected

    @given(seeds)
    def test_it_touches_only_what_it_may(self, seed: int) -> None:
        """Never a special token or padding, neither hidden nor drawn; labels are the true ids; the input is not changed."""
        ids, maskable, new, labels = masked(seed, rows=60)
        guessed = labels != IGNORED
        assert not guessed[~maskable].any()
        np.testing.assert_array_equal(labels[guessed], ids[guessed])
        np.testing.assert_array_equal(new[~guessed], ids[~guessed])
        assert ((new[guessed] == MASK) | (new[guessed] >= FIRST_PIECE)).all()

    def test_it_is_15_percent_and_80_10_10(self) -> None:
        """Within binomial bounds, which 81/10/9 does not pass; random pieces are even over the vocabulary."""
        ids, maskable, new, labels = masked(seed=0, rows=10_000)
        guessed = labels != IGNORED
        total = int(guessed.sum())
        assert within(total, int(maskable.sum()), 0.15)
        hidden = int((new[guessed] == MASK).sum())
        assert within(hidden, total, 0.8)
        # one random piece in as many as there are is the true one by chance
        same = (new[guessed] == ids[guessed]).sum()
        assert within(int(same), total, 0.1 + 0.1 / (VOCABULARY - FIRST_PIECE))
        random_pieces = new[guessed & (new != MASK) & (new != ids)]
        counts = np.bincount(random_pieces, minlength=VOCABULARY)[FIRST_PIECE:]
        assert all(within(int(count), len(random_pieces), 1 / len(counts)) for count in counts)


@pytest.fixture
def examples() -> PretrainingExamples:
    words = [f"w{number}" for number in range(40)]
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, *words])
    generator = np.random.default_rng(0)
    documents = [Document(f"m{d}", tuple(" ".join(generator.choice(words, 5)) for _ in range(1 + d % 5))) for d in range(60)]
    corpus = TokenizedCorpus.from_documents(documents, tokenizer)
    return PretrainingExamples(corpus, tokenizer, max_length=24, tokens_per_batch=200, seed=3)


def test_batches_are_cls_a_sep_b_sep(examples: PretrainingExamples) -> None:
    """Special tokens, segments, padding and labels all stand where they belong."""
    for batch in examples.one_epoch():
        assert batch.input_ids.numel() <= 200
        for ids, mask, segments, labels, pair in zip(*vars(batch).values(), strict=True):
            length = int(mask.sum())
            assert mask[:length].all()
            assert not ids[length:].any()
            original = torch.where(labels == IGNORED, ids, labels)[:length].tolist()
            first_sep = original.index(3)
            assert original[0] == 2
            assert original[-1] == 3
            assert original.count(2) == 1
            assert original.count(3) == (1 if pair == IGNORED else 2)
            assert segments.tolist() == [0] * (first_sep + 1) + [1] * (length - first_sep - 1) + [0] * (len(ids) - length)
            assert all(piece >= FIRST_PIECE for piece in original if piece not in (2, 3))


def test_the_stream_depends_on_seed_and_place_alone(examples: PretrainingExamples) -> None:
    """It can be entered anywhere, across epochs; another epoch has other pairs and masks."""
    epoch = len(examples.one_epoch())
    stream = list(islice(examples.batches(), 3 * epoch))
    for start in (1, epoch, epoch + 2):
        again = next(examples.batches(start))
        for one, other in zip(vars(stream[start]).values(), vars(again).values(), strict=True):
            assert torch.equal(one, other)
    assert any(
        one.input_ids.shape != other.input_ids.shape or not torch.equal(one.input_ids, other.input_ids)
        for one, other in zip(stream[:epoch], stream[epoch : 2 * epoch], strict=False)
    )


@given(st.lists(st.integers(1, 40), max_size=80), st.integers(40, 200), seeds)
def test_every_example_is_in_one_batch_and_none_is_too_large(lengths: list[int], budget: int, seed: int) -> None:
    lengths_array = np.array(lengths, dtype=np.int64)
    batches = batches_by_length(lengths_array, budget, np.random.default_rng(seed))
    assert sorted(place for batch in batches for place in batch.tolist()) == list(range(len(lengths)))
    assert all(len(batch) * lengths_array[batch].max() <= budget for batch in batches)


def test_little_is_padding() -> None:
    """Sorted by length within stretches, less than a tenth of the tokens are padding."""
    lengths = np.random.default_rng(0).integers(4, 64, 5000)
    batches = batches_by_length(lengths, 2048, np.random.default_rng(0))
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.1 * lengths.sum()


def test_an_example_too_long_for_a_batch_is_one_by_itself() -> None:
    batches = batches_by_length(np.array([5, 99, 5]), 20, np.random.default_rng(0))
    assert sorted(len(batch) for batch in batches) == [1, 2]
