"""What is hidden, to be guessed. Devlin et al. 2019, section 3.1, task 1."""

import numpy as np
from numpy.typing import NDArray

from minibert.equations import IGNORE_INDEX
from minibert.text.batching import IntArray
from minibert.text.options import MASKED_SHARE

DRAWS = 3
"""Random numbers that each token takes: whether it is hidden, as what, and which random piece it would become."""


def mask_tokens(
    input_ids: IntArray,
    maskable: NDArray[np.bool_],
    mask_id: int,
    replacements: IntArray,
    draws: NDArray[np.float64],
    share: float = MASKED_SHARE,
    continues: NDArray[np.bool_] | None = None,
    most: int | None = None,
) -> tuple[IntArray, IntArray]:
    """Hides `share` of the maskable tokens, to be guessed: 80% become [MASK], 10% a random piece, 10% stay as they are.

    Args:
        input_ids: of the shape (examples, tokens).
        maskable: False for special tokens and padding, which are never hidden.
        replacements: the pieces to draw a random one from, all equally likely: no special tokens.
        draws: numbers from 0 up to 1, `DRAWS` for each token; nothing else here is random.
        continues: True for a token that continues the word before it: then words are hidden as a whole.
        most: tokens to be guessed in an example, at most (Google's max_predictions_per_seq). No word is hidden in part.

    Returns: new ids, and labels: the true id where a token is to be guessed, `IGNORE_INDEX` elsewhere.

    Source: Devlin et al. 2019, section 3.1, task 1; whole words and `most`: Google's BERT code.
    Differs: every token (or word) is chosen by itself with probability `share`; Google's code chooses round(share * length)
        tokens of a sequence, at least one. Where a word would exceed `most`, Google's code tries the next; here it ends.
    Tests: tests/text/test_masking.py::TestMaskTokens
    """
    chance, lot, piece = np.moveaxis(draws, -1, 0)
    if continues is not None:
        column = np.arange(input_ids.shape[-1])
        word = np.maximum.accumulate(np.where(continues & maskable, 0, column), axis=-1)
        chance = np.take_along_axis(chance, word, axis=-1)  # a word's pieces share their fate
    guessed = maskable & (chance < share)
    if most is not None and most < input_ids.shape[-1]:
        first_too_many = np.sort(np.where(guessed, chance, 1.0), axis=-1)[..., most, None]
        guessed &= chance < first_too_many
    random_pieces = replacements[(piece * len(replacements)).astype(np.int64)]
    # One lot for all three: independent draws would give 81/10/9.
    hidden = np.where(lot < 0.8, mask_id, np.where(lot < 0.9, random_pieces, input_ids))
    return np.where(guessed, hidden, input_ids), np.where(guessed, input_ids, IGNORE_INDEX)


def draws_for(examples: IntArray, lengths: IntArray, seed: tuple[int, ...]) -> NDArray[np.float64]:
    """The random numbers of each example, from `seed` and its number alone: whatever batch it is in, on whatever machine.

    Returns: numbers of the shape (examples, longest length, `DRAWS`).
    """
    draws = np.zeros((len(examples), int(lengths.max(initial=0)), DRAWS))
    for row, example, length in zip(draws, examples.tolist(), lengths.tolist(), strict=True):
        row[:length] = np.random.default_rng((*seed, example)).random((length, DRAWS))
    return draws
