"""Masking: the rule in loops, invariants, and statistics with binomial bounds."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from minibert.equations import IGNORE_INDEX
from minibert.text.masking import DRAWS, draws_for, mask_tokens
from tests import reference
from tests.strategies import seeds
from tests.text.test_pairs import within

MASK, FIRST_PIECE, VOCABULARY = 4, 5, 200
PIECES = np.arange(FIRST_PIECE, VOCABULARY)


def masked(seed: int, rows: int = 500, columns: int = 64, **settings: object) -> tuple[np.ndarray, ...]:
    """Random ids, where they may be masked, and what masking makes of them."""
    generator = np.random.default_rng(seed)
    ids = generator.integers(FIRST_PIECE, VOCABULARY, (rows, columns))
    maskable = generator.random(ids.shape) < 0.9
    ids[~maskable] = generator.integers(0, FIRST_PIECE, (~maskable).sum())
    draws = generator.random((rows, columns, DRAWS))
    before = ids.copy(), maskable.copy(), draws.copy()
    new, labels = mask_tokens(ids, maskable, MASK, PIECES, draws, **settings)
    for unchanged, now in zip(before, (ids, maskable, draws), strict=True):
        np.testing.assert_array_equal(unchanged, now)
    return ids, maskable, new, labels


class TestMaskTokens:
    @given(seeds, st.integers(0, 9), st.sampled_from([0.15, 0.5, 1.0]), st.booleans(), st.integers(1, 9))
    def test_value(self, seed: int, tokens: int, share: float, whole_words: bool, most: int) -> None:
        """Equals the rule in loops, when the same numbers are drawn."""
        generator = np.random.default_rng(seed)
        draws = generator.random((3, tokens, DRAWS))
        ids = generator.integers(0, 99, (3, tokens))
        maskable = generator.random((3, tokens)) < 0.7
        continues = (generator.random((3, tokens)) < 0.5) & whole_words
        pieces = np.arange(5, 99)
        new, labels = mask_tokens(ids, maskable, MASK, pieces, draws, share, continues if whole_words else None, most)
        for row in range(3):
            columns = (ids[row].tolist(), maskable[row].tolist(), draws[row].tolist())
            expected = reference.mask_example(*columns, MASK, pieces.tolist(), share, continues[row].tolist(), most)
            assert list(zip(new[row].tolist(), labels[row].tolist(), strict=True)) == expected

    @given(seeds)
    def test_it_touches_only_what_it_may(self, seed: int) -> None:
        """Never a special token or padding, neither hidden nor drawn; labels are the true ids; the input is not changed."""
        ids, maskable, new, labels = masked(seed, rows=60)
        guessed = labels != IGNORE_INDEX
        assert not guessed[~maskable].any()
        np.testing.assert_array_equal(labels[guessed], ids[guessed])
        np.testing.assert_array_equal(new[~guessed], ids[~guessed])
        assert ((new[guessed] == MASK) | (new[guessed] >= FIRST_PIECE)).all()

    def test_it_is_15_percent_and_80_10_10(self) -> None:
        """Within binomial bounds, which 81/10/9 does not pass; random pieces are even over the vocabulary."""
        ids, maskable, new, labels = masked(seed=0, rows=10_000)
        guessed = labels != IGNORE_INDEX
        total = int(guessed.sum())
        assert within(total, int(maskable.sum()), 0.15)
        hidden = int((new[guessed] == MASK).sum())
        assert within(hidden, total, 0.8)
        # one random piece in as many as there are is the true one by chance
        same = (new[guessed] == ids[guessed]).sum()
        assert within(int(same), total, 0.1 + 0.1 / len(PIECES))
        random_pieces = new[guessed & (new != MASK) & (new != ids)]
        counts = np.bincount(random_pieces, minlength=VOCABULARY)[FIRST_PIECE:]
        assert all(within(int(count), len(random_pieces), 1 / len(counts)) for count in counts)

    @given(seeds, st.sampled_from([0.15, 0.6]), st.one_of(st.none(), st.integers(1, 9)))
    def test_words_are_hidden_whole(self, seed: int, share: float, most: int | None) -> None:
        """All maskable pieces of a word are guessed, or none; a special token ends a word. Where a limit is set, too."""
        generator = np.random.default_rng(seed)
        ids = generator.integers(FIRST_PIECE, VOCABULARY, (20, 30))
        continues = generator.random(ids.shape) < 0.5
        maskable = generator.random(ids.shape) < 0.9
        draws = generator.random((*ids.shape, DRAWS))
        _, labels = mask_tokens(ids, maskable, MASK, PIECES, draws, share, continues, most)
        guessed = labels != IGNORE_INDEX
        for row in range(20):
            for column in range(1, 30):
                if continues[row, column] and maskable[row, column] and maskable[row, column - 1]:
                    assert guessed[row, column] == guessed[row, column - 1]

    def test_whole_words_are_15_percent_as_well(self) -> None:
        """Of the words; and which ones does not depend on how many pieces they have."""
        generator = np.random.default_rng(0)
        ids = generator.integers(FIRST_PIECE, VOCABULARY, (4000, 64))
        continues = np.broadcast_to(np.arange(64) % 4 > 1, ids.shape)  # words of one piece and of three
        draws = generator.random((*ids.shape, DRAWS))
        guessed = mask_tokens(ids, np.full(ids.shape, True), MASK, PIECES, draws, 0.15, continues)[1] != IGNORE_INDEX
        for first in (0, 1):
            words = guessed[:, first::4]
            assert within(int(words.sum()), words.size, 0.15)

    @given(seeds, st.integers(1, 12))
    def test_no_more_than_asked_for(self, seed: int, most: int) -> None:
        """At most so many in an example, just so many where there would be more, and always a part of those."""
        _, _, _, free = masked(seed, rows=100, columns=40)
        _, _, _, bound = masked(seed, rows=100, columns=40, most=most)
        assert ((bound == IGNORE_INDEX) | (bound == free)).all()
        counts = (free != IGNORE_INDEX).sum(axis=1)
        np.testing.assert_array_equal((bound != IGNORE_INDEX).sum(axis=1), np.minimum(counts, most))

    def test_the_limit_prefers_no_place(self) -> None:
        """Of what is chosen, what stands first is kept no more often than what stands last; with whole words, too."""
        rows, columns = 4000, 32
        ids = np.full((rows, columns), FIRST_PIECE)
        draws = np.random.default_rng(0).random((rows, columns, DRAWS))
        for continues in (None, np.broadcast_to(np.arange(columns) % 2 == 1, ids.shape)):
            labels = mask_tokens(ids, ids > 0, MASK, PIECES, draws, 0.5, continues, most=4)[1]
            counts = (labels != IGNORE_INDEX).reshape(rows, 2, -1).sum(axis=(0, 2))
            assert within(int(counts[0] / 2), int(counts.sum() / 2), 0.5)


def test_draws_depend_on_seed_and_example_alone() -> None:
    """An example has the same numbers alone as in company, in any order and beside longer ones."""
    lengths = np.array([3, 7, 5])
    together = draws_for(np.array([10, 11, 12]), lengths, (1, 2))
    for row, example in enumerate([10, 11, 12]):
        alone = draws_for(np.array([example]), lengths[[row]], (1, 2))
        np.testing.assert_array_equal(together[row, : lengths[row]], alone[0])
    turned = draws_for(np.array([12, 10]), lengths[[2, 0]], (1, 2))
    np.testing.assert_array_equal(turned[0, :5], together[2, :5])
    assert not np.array_equal(draws_for(np.array([10]), lengths[[0]], (1, 3)), draws_for(np.array([10]), lengths[[0]], (1, 2)))
    assert not np.array_equal(together[0, :3], together[1, :3])
