"""Synthetic tasks for an encoder-decoder Transformer: copy, reverse or sort a sequence of letters."""

from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer

from minibert.text.options import LettersTask
from minibert.text.parallel import ORDER_SEED, SEQUENCE_SEED, ParallelEpoch, ParallelText, tokenize_pairs
from minibert.text.splits import is_validation
from minibert.text.tokenizer import PAD, UNK, token_id

ALPHABET = tuple("abcdefghijklmnopqrstuvwxyz")

VALIDATION_FRACTION = 0.1
"""Fraction of all sequences that is used only for validation."""


class LettersExamples:
    """Random sequences of letters and their solutions, new in every epoch. Training never uses validation sequences.

    Args:
        size: number of sequences per epoch.
        max_length: maximum number of letters. All lengths from 1 to `max_length` are equally likely.
        validation: draw validation sequences instead of training sequences.
    """

    def __init__(
        self, task: LettersTask, tokenizer: Tokenizer, seed: int, size: int, max_length: int, validation: bool = False
    ) -> None:
        self.task, self.tokenizer, self.seed = task, tokenizer, seed
        self.size, self.max_length, self.validation = size, max_length, validation

    def texts(self, number: int) -> ParallelText:
        """Return the sequences of an epoch, with spaces between the letters."""
        generator = np.random.default_rng((self.seed, SEQUENCE_SEED, number, self.validation))
        text = ParallelText([], [])
        while len(text) < self.size:
            letters = generator.choice(ALPHABET, generator.integers(1, self.max_length + 1)).tolist()
            source = " ".join(letters)
            if is_validation(source, VALIDATION_FRACTION) == self.validation:
                text.sources.append(source)
                text.targets.append(" ".join(solve_letters(self.task, letters)))
        return text

    def epoch(self, number: int) -> ParallelEpoch:
        """Return an epoch; numbers start at 0."""
        sources, targets = tokenize_pairs(self.texts(number), self.tokenizer)
        pad_id, unk_id = token_id(self.tokenizer, PAD), token_id(self.tokenizer, UNK)
        return ParallelEpoch(sources, targets, pad_id, unk_id, (self.seed, ORDER_SEED, number))


def solve_letters(task: LettersTask, letters: Sequence[str]) -> list[str]:
    """Apply a task to a sequence of letters.

    >>> [solve_letters(task, "cab") for task in ("copy", "reverse", "sort")]
    [['c', 'a', 'b'], ['b', 'a', 'c'], ['a', 'b', 'c']]
    """
    match task:
        case "copy":
            return list(letters)
        case "reverse":
            return list(reversed(letters))
        case "sort":
            return sorted(letters)
