"""Masking: comparison with loops, invariants, and statistics with binomial bounds."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from minibert.equations import IGNORE_INDEX
from minibert.text.masking import NUMBERS_PER_TOKEN, draw_random_numbers, mask_tokens
from tests import reference
from tests.strategies import seeds
from tests.text.test_pairs import within

MASK, FIRST_ID, VOCABULARY = 4, 5, 200
REPLACEMENT_IDS = np.arange(FIRST_ID, VOCABULARY)


def mask_random_ids(seed: int, rows: int = 500, columns: int = 64, **settings: object) -> tuple[np.ndarray, ...]:
    """Return random ids, a random mask of maskable tokens, and the result of masking. Check that the inputs stay unchanged."""
    generator = np.random.default_rng(seed)
    ids = generator.integers(FIRST_ID, VOCABULARY, (rows, columns))
    maskable = generator.random(ids.shape) < 0.9
    ids[~maskable] = generator.integers(0, FIRST_ID, (~maskable).sum())
    random_numbers = generator.random((rows, columns, NUMBERS_PER_TOKEN))
    before = ids.copy(), maskable.copy(), random_numbers.copy()
    new, labels = mask_tokens(ids, maskable, MASK, REPLACEMENT_IDS, random_numbers, **settings)
    for unchanged, now in zip(before, (ids, maskable, random_numbers), strict=True):
        np.testing.assert_array_equal(unchanged, now)
    return ids, maskable, new, labels


class TestMaskTokens:
    @given(seeds, st.integers(0, 9), st.sampled_from([0.15, 0.5, 1.0]), st.booleans(), st.integers(1, 9))
    def test_value(self, seed: int, tokens: int, probability: float, whole_words: bool, limit: int) -> None:
        """The result equals that of loops with the same random numbers."""
        generator = np.random.default_rng(seed)
        random_numbers = generator.random((3, tokens, NUMBERS_PER_TOKEN))
        ids = generator.integers(0, 99, (3, tokens))
        maskable = generator.random((3, tokens)) < 0.7
        continues_word = (generator.random((3, tokens)) < 0.5) & whole_words
        replacement_ids = np.arange(5, 99)
        new, labels = mask_tokens(
            ids, maskable, MASK, replacement_ids, random_numbers, probability, continues_word if whole_words else None, limit
        )
        for row in range(3):
            columns = (ids[row].tolist(), maskable[row].tolist(), random_numbers[row].tolist())
            expected = reference.mask_example(
                *columns, MASK, replacement_ids.tolist(), probability, continues_word[row].tolist(), limit
            )
            assert list(zip(new[row].tolist(), labels[row].tolist(), strict=True)) == expected

    def test_no_examples_need_no_random_numbers(self) -> None:
        none = np.zeros(0, dtype=np.int64)
        assert draw_random_numbers(none, none, (0,)).shape == (0, 0, NUMBERS_PER_TOKEN)

    @given(seeds)
    def test_only_maskable_tokens_are_selected(self, seed: int) -> None:
        """Special tokens and padding are never selected, and never drawn as replacements. Labels are the original ids."""
        ids, maskable, new, labels = mask_random_ids(seed, rows=60)
        selected = labels != IGNORE_INDEX
        assert not selected[~maskable].any()
        np.testing.assert_array_equal(labels[selected], ids[selected])
        np.testing.assert_array_equal(new[~selected], ids[~selected])
        assert ((new[selected] == MASK) | (new[selected] >= FIRST_ID)).all()

    def test_15_percent_are_selected_and_replaced_80_10_10(self) -> None:
        """Frequencies are within binomial bounds, which exclude 81/10/9. Random tokens are uniform over the vocabulary."""
        ids, maskable, new, labels = mask_random_ids(seed=0, rows=10_000)
        selected = labels != IGNORE_INDEX
        total = int(selected.sum())
        assert within(total, int(maskable.sum()), 0.15)
        mask_count = int((new[selected] == MASK).sum())
        assert within(mask_count, total, 0.8)
        # a random token equals the original one with probability 1 / len(REPLACEMENT_IDS)
        same = (new[selected] == ids[selected]).sum()
        assert within(int(same), total, 0.1 + 0.1 / len(REPLACEMENT_IDS))
        random_ids = new[selected & (new != MASK) & (new != ids)]
        counts = np.bincount(random_ids, minlength=VOCABULARY)[FIRST_ID:]
        assert all(within(int(count), len(random_ids), 1 / len(counts)) for count in counts)

    @given(seeds)
    def test_probability_of_zero_selects_nothing_and_of_one_everything(self, seed: int) -> None:
        """Everything is every token that may be selected."""
        for probability in (0.0, 1.0):
            _, maskable, _, labels = mask_random_ids(seed, rows=5, mlm_probability=probability)
            np.testing.assert_array_equal(labels != IGNORE_INDEX, maskable * probability > 0)

    @given(seeds, st.sampled_from([0.15, 0.6]), st.one_of(st.none(), st.integers(1, 9)))
    def test_whole_word_masking_selects_whole_words(self, seed: int, probability: float, limit: int | None) -> None:
        """All maskable tokens of a word are selected, or none, also with a limit. A special token ends a word."""
        generator = np.random.default_rng(seed)
        ids = generator.integers(FIRST_ID, VOCABULARY, (20, 30))
        continues_word = generator.random(ids.shape) < 0.5
        maskable = generator.random(ids.shape) < 0.9
        random_numbers = generator.random((*ids.shape, NUMBERS_PER_TOKEN))
        _, labels = mask_tokens(ids, maskable, MASK, REPLACEMENT_IDS, random_numbers, probability, continues_word, limit)
        selected = labels != IGNORE_INDEX
        for row in range(20):
            for column in range(1, 30):
                if continues_word[row, column] and maskable[row, column] and maskable[row, column - 1]:
                    assert selected[row, column] == selected[row, column - 1]

    def test_whole_word_masking_selects_15_percent_of_words(self) -> None:
        """The probability does not depend on the number of tokens of a word."""
        generator = np.random.default_rng(0)
        ids = generator.integers(FIRST_ID, VOCABULARY, (4000, 64))
        continues_word = np.broadcast_to(np.arange(64) % 4 > 1, ids.shape)  # words of one token and of three tokens
        random_numbers = generator.random((*ids.shape, NUMBERS_PER_TOKEN))
        selected = (
            mask_tokens(ids, np.full(ids.shape, True), MASK, REPLACEMENT_IDS, random_numbers, 0.15, continues_word)[1]
            != IGNORE_INDEX
        )
        for first in (0, 1):
            words = selected[:, first::4]
            assert within(int(words.sum()), words.size, 0.15)

    @given(seeds, st.integers(1, 12))
    def test_max_predictions_limits_the_selection(self, seed: int, limit: int) -> None:
        """With a limit, the selected tokens are a subset of those without, and as many of them as the limit allows."""
        _, _, _, unlimited = mask_random_ids(seed, rows=100, columns=40)
        _, _, _, limited = mask_random_ids(seed, rows=100, columns=40, max_predictions=limit)
        assert ((limited == IGNORE_INDEX) | (limited == unlimited)).all()
        counts = (unlimited != IGNORE_INDEX).sum(axis=1)
        np.testing.assert_array_equal((limited != IGNORE_INDEX).sum(axis=1), np.minimum(counts, limit))

    def test_max_predictions_does_not_prefer_early_tokens(self) -> None:
        """Tokens of the first and the second half are kept equally often, also with whole-word masking."""
        rows, columns = 4000, 32
        ids = np.full((rows, columns), FIRST_ID)
        random_numbers = np.random.default_rng(0).random((rows, columns, NUMBERS_PER_TOKEN))
        for continues_word in (None, np.broadcast_to(np.arange(columns) % 2 == 1, ids.shape)):
            labels = mask_tokens(ids, ids > 0, MASK, REPLACEMENT_IDS, random_numbers, 0.5, continues_word, max_predictions=4)[1]
            counts = (labels != IGNORE_INDEX).reshape(rows, 2, -1).sum(axis=(0, 2))
            assert within(int(counts[0] / 2), int(counts.sum() / 2), 0.5)


def test_random_numbers_depend_only_on_seed_and_example() -> None:
    """An example has the same numbers alone, with others, in any order, and with longer ones."""
    lengths = np.array([3, 7, 5])
    together = draw_random_numbers(np.array([10, 11, 12]), lengths, (1, 2))
    for row, example in enumerate([10, 11, 12]):
        alone = draw_random_numbers(np.array([example]), lengths[[row]], (1, 2))
        np.testing.assert_array_equal(together[row, : lengths[row]], alone[0])
    reordered = draw_random_numbers(np.array([12, 10]), lengths[[2, 0]], (1, 2))
    np.testing.assert_array_equal(reordered[0, :5], together[2, :5])
    assert not np.array_equal(
        draw_random_numbers(np.array([10]), lengths[[0]], (1, 3)), draw_random_numbers(np.array([10]), lengths[[0]], (1, 2))
    )
    assert not np.array_equal(together[0, :3], together[1, :3])
