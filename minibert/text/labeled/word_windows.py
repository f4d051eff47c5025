"""Model inputs of sentences that are split into words: one label per word, and overlapping windows of long sentences."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from tokenizers import Tokenizer

from minibert.equations import IGNORE_INDEX
from minibert.text.labeled.examples import Example
from minibert.text.layout import word_prefix
from minibert.text.tokenizer import CLS, SEP, token_id, without_special_tokens

SPECIAL = 2
"""Number of special tokens of a window: [CLS] and [SEP]."""


class Window(NamedTuple):
    """A part of a sentence: the words from `start` to before `end`."""

    start: int
    end: int


@dataclass(frozen=True)
class WordWindow(Example):
    """A window as a model input. Each word of a sentence that has tokens is predicted in one window."""

    words: tuple[int, ...] = ()
    """Indices of the words that are predicted in this window."""
    positions: tuple[int, ...] = ()
    """Position of the first token of each of these words. Its logits are the prediction for the word."""


def check_overlap(max_length: int, overlap: int) -> None:
    """Check the size of windows, in tokens. Raises: ValueError for a window that holds no word or does not move on."""
    room = max_length - SPECIAL
    if room < 1:
        raise ValueError(f"max_length {max_length}: must be at least {SPECIAL + 1}, for [CLS], a word and [SEP]")
    if not 0 <= overlap < room:
        raise ValueError(
            f"overlap {overlap}: must be at least 0 and below {room}, the tokens of a window without [CLS] and [SEP]"
        )


def split_windows(sizes: Sequence[int], room: int, overlap: int) -> list[Window]:
    """Split a sentence into windows that begin and end between words.

    Each window has as many words as fit. The next one begins up to `overlap` tokens before the end of the window, as far as
    there is still room for another word. Only a word that does not fit into any window gets one of its own, in which its last
    tokens are cut off.

    Args:
        sizes: number of tokens of each word.
        room: maximum number of tokens of a window.
        overlap: maximum number of tokens that a window shares with the one before.

    >>> split_windows([1, 1, 1, 1, 1], room=3, overlap=1)
    [Window(start=0, end=3), Window(start=2, end=5)]
    """
    ends = [0, *accumulate(sizes)]
    windows: list[Window] = []
    start, end = 0, 0
    while end < len(sizes):
        end += 1  # this word fits, or is longer than a window
        while end < len(sizes) and ends[end + 1] - ends[start] <= room:
            end += 1
        windows.append(Window(start, end))
        if end < len(sizes):
            shared = min(overlap, max(0, room - sizes[end]))
            start = next(word for word in range(start + 1, end + 1) if ends[end] - ends[word] <= shared)
    return windows


def best_windows(sizes: Sequence[int], windows: Sequence[Window]) -> list[int]:
    """Choose for each word the window in which it has the most context: the larger minimum of the tokens on its two sides.

    Source: Google's BERT code, `_check_is_max_context` in run_squad.py. Of equal windows the first one is chosen.
    """
    ends = [0, *accumulate(sizes)]
    best, context = [0] * len(sizes), [-1] * len(sizes)
    for number, (start, end) in enumerate(windows):
        for word in range(start, end):
            least = min(ends[word] - ends[start], ends[end] - ends[word + 1])
            if least > context[word]:
                best[word], context[word] = number, least
    return best


def encode_words(
    sentences: Sequence[Sequence[str]],
    labels: Sequence[Sequence[int]],
    tokenizer: Tokenizer,
    max_length: int,
    overlap: int,
) -> list[WordWindow]:
    """Encode sentences as windows [CLS] … [SEP]. The target `labels` is at the first token of a word, and -100 elsewhere.

    Each word is tokenized by itself, as transformers does with `is_split_into_words`. A literal [MASK] in a text is text. A
    word without tokens, such as a zero-width space, is in no window, and a sentence without tokens has none.

    Args:
        sentences: the words of each sentence.
        labels: one number for each word.
        max_length: maximum number of tokens of a window, including special tokens.
        overlap: maximum number of tokens that a window shares with the one before.

    Raises: ValueError, as `check_overlap`.
    """
    check_overlap(max_length, overlap)
    room, cls, sep = max_length - SPECIAL, token_id(tokenizer, CLS), token_id(tokenizer, SEP)
    vocabulary = [*dict.fromkeys(word for words in sentences for word in words)]
    prefix = word_prefix(tokenizer)
    encodings = without_special_tokens(tokenizer).encode_batch(
        [f"{prefix}{word}" for word in vocabulary], add_special_tokens=False
    )
    ids_of = {word: encoding.ids for word, encoding in zip(vocabulary, encodings, strict=True)}
    encoded: list[WordWindow] = []
    for row, (words, numbers) in enumerate(zip(sentences, labels, strict=True)):
        pieces = [ids_of[word] for word in words]
        sizes = [len(ids) for ids in pieces]
        windows = split_windows(sizes, room, overlap) if any(sizes) else []
        best = best_windows(sizes, windows)
        for number, (start, end) in enumerate(windows):
            starts = [0, *accumulate(sizes[start:end])]
            ids = [cls, *[token for word in pieces[start:end] for token in word][:room], sep]
            predicted = tuple(word for word in range(start, end) if sizes[word] and best[word] == number)
            positions = tuple(1 + starts[word - start] for word in predicted)
            targets = [IGNORE_INDEX] * len(ids)
            for word, position in zip(predicted, positions, strict=True):
                targets[position] = numbers[word]
            is_cut = starts[-1] > room
            encoded.append(WordWindow(ids, [0] * len(ids), {"labels": targets}, row, is_cut, predicted, positions))
    return encoded
