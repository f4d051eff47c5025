"""Masking for masked language modeling (Devlin et al. 2019, section 3.1, task 1)."""

import numpy as np
from numpy.typing import NDArray

from minibert.equations import IGNORE_INDEX
from minibert.text.batching import IntArray
from minibert.text.options import MLM_PROBABILITY

NUMBERS_PER_TOKEN = 3
"""Number of random numbers per token: for its selection, for the kind of replacement, and for the random replacement token."""


def mask_tokens(
    input_ids: IntArray,
    maskable: NDArray[np.bool_],
    mask_token_id: int,
    replacement_ids: IntArray,
    random_numbers: NDArray[np.float64],
    mlm_probability: float = MLM_PROBABILITY,
    continues_word: NDArray[np.bool_] | None = None,
    max_predictions: int | None = None,
) -> tuple[IntArray, IntArray]:
    """Select tokens for prediction and replace them: 80% by [MASK], 10% by a random token; 10% stay unchanged.

    Args:
        input_ids: token ids of shape (examples, tokens).
        maskable: False for special tokens and padding, which are never selected.
        replacement_ids: ids from which random tokens are drawn with equal probability; not those of special tokens.
        random_numbers: numbers in [0, 1) of shape (examples, tokens, `NUMBERS_PER_TOKEN`); the only source of randomness.
        mlm_probability: probability that a maskable token is selected.
        continues_word: True for tokens that continue a word; given for whole-word masking.
        max_predictions: maximum number of selected tokens per example (Google's max_predictions_per_seq). With whole-word
            masking, words are selected as a whole within this limit too.

    Returns: the new ids, and the labels: the original ids of the selected tokens, `IGNORE_INDEX` elsewhere.

    Source: Devlin et al. 2019, section 3.1, task 1; whole-word masking and `max_predictions`: Google's BERT code.
    Differs: each token (or word) is selected independently. Google's code selects exactly round(mlm_probability * length)
        tokens, at least one. If a word exceeds `max_predictions`, Google's code tries the next word; here, selection ends.
    Tests: tests/text/test_masking.py::TestMaskTokens
    """
    selection, kind, replacement = np.moveaxis(random_numbers, -1, 0)
    if continues_word is not None:
        column = np.arange(input_ids.shape[-1])
        word_start = np.maximum.accumulate(np.where(continues_word & maskable, 0, column), axis=-1)
        selection = np.take_along_axis(selection, word_start, axis=-1)  # one number for all tokens of a word
    selected = maskable & (selection < mlm_probability)
    if max_predictions is not None and max_predictions < input_ids.shape[-1]:
        limit = np.sort(np.where(selected, selection, 1.0), axis=-1)[..., max_predictions, None]
        selected &= selection < limit
    random_ids = replacement_ids[(replacement * len(replacement_ids)).astype(np.int64)]
    # One number decides between all three cases: independent draws would give 81%, 10% and 9%.
    replaced = np.where(kind < 0.8, mask_token_id, np.where(kind < 0.9, random_ids, input_ids))
    return np.where(selected, replaced, input_ids), np.where(selected, input_ids, IGNORE_INDEX)


def mask_or_keep(
    input_ids: IntArray, labels: IntArray, mask_token_id: int, random_numbers: NDArray[np.float64], mask_share: float
) -> IntArray:
    """Replace the tokens that `mask_tokens` has selected by [MASK] with the probability `mask_share`. No token is random.

    Args:
        labels, random_numbers: as in `mask_tokens`. The third random number of each token is not used.

    Source: Clark et al. 2020, section 3 and the authors' code, with 85%; Devlin et al. 2019, table 8, with other shares.
    Differs: the authors' code draws the positions with replacement, so that a position can count twice.
    """
    is_masked = (labels != IGNORE_INDEX) & (random_numbers[..., 1] < mask_share)
    return np.where(is_masked, mask_token_id, input_ids)


def masked_positions(labels: IntArray) -> IntArray:
    """Return the positions with a label, in reading order: those of the first example are 0, 1, 2, …, and the next follow.

    >>> masked_positions(np.array([[IGNORE_INDEX, 7], [8, IGNORE_INDEX]])).tolist()
    [1, 2]
    """
    return np.flatnonzero(labels != IGNORE_INDEX)


def first_and_masked(masked: IntArray, shape: tuple[int, ...]) -> IntArray:
    """Return the positions of the first token and of the masked ones in each example, in reading order.

    All rows are as long as the longest one: they begin with the first token as often as necessary.

    Args:
        masked: positions of masked tokens, as from `masked_positions`.
        shape: examples and tokens of the batch.

    >>> first_and_masked(np.array([1, 3, 6]), (2, 4)).tolist()
    [[0, 1, 3], [4, 4, 6]]
    """
    examples, tokens = shape
    example = masked // tokens
    counts = np.bincount(example, minlength=examples)
    columns = 1 + counts.max(initial=0)
    found = np.repeat(tokens * np.arange(examples), columns).reshape(examples, columns)
    number_in_example = np.arange(len(masked)) - (counts.cumsum() - counts)[example]
    found[example, columns - counts[example] + number_in_example] = masked
    return found


def draw_random_numbers(examples: IntArray, lengths: IntArray, seed: tuple[int, ...]) -> NDArray[np.float64]:
    """Draw the random numbers of each example. They depend only on `seed` and the example's index, not on its batch.

    Returns: numbers of shape (examples, maximum length, `NUMBERS_PER_TOKEN`).
    """
    numbers = np.zeros((len(examples), int(lengths.max(initial=0)), NUMBERS_PER_TOKEN))
    for row, example, length in zip(numbers, examples.tolist(), lengths.tolist(), strict=True):
        row[:length] = np.random.default_rng((*seed, example)).random((length, NUMBERS_PER_TOKEN))
    return numbers
