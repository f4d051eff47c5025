"""Exercises about the data of pretraining: WordPiece encoding, masking, and sentence pairs."""

import string
import zlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minibert.classroom.draws import Draw
from minibert.classroom.exercise import Arguments, Case, Exercise, Role, without
from minibert.text.masking import NUMBERS_PER_TOKEN, mask_tokens
from minibert.text.pairs import Pairs, draw_pairs
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.wordpiece_encoding import MAX_WORD_CHARACTERS, split_word

MASK, SPECIAL_IDS = 4, 5
"""The id of [MASK], and the number of special tokens, whose ids come first."""
SENTENCE, SENTENCES = 5, 200
"""Number of tokens of each sentence, and number of sentences of each document."""
DOCUMENT = SENTENCE * SENTENCES + 1
"""Number of tokens of each document, with the separator at its end."""
MAX_TOKENS = 16
LONGEST = 20
"""Number of letters of the longest piece that is looked for."""


def letters(draw: Draw, count: int) -> str:
    """Different letters in random order, so that no two pieces are equal by chance."""
    order = draw.numbers(len(string.ascii_lowercase)).argsort().tolist()
    return "".join(string.ascii_lowercase[number] for number in order[:count])


def word_of_pieces(draw: Draw) -> Arguments:
    """A word of three pieces. The vocabulary has shorter pieces too, and the same pieces as beginnings of words."""
    sizes = [draw.size(2, least=2) for _ in range(3)]
    word = letters(draw, sum(sizes))
    first, second = word[: sizes[0]], word[sizes[0] : sizes[0] + sizes[1]]
    third = word[sizes[0] + sizes[1] :]
    pieces = {first, f"##{second}", f"##{third}", *(f"##{letter}" for letter in word), *word}
    return {"word": word, "vocabulary": pieces | {second, f"##{word}"}}


def whole_word(draw: Draw) -> Arguments:
    inputs = word_of_pieces(draw)
    return {**inputs, "vocabulary": inputs["vocabulary"] | {inputs["word"]}}


def unknown_ending(draw: Draw) -> Arguments:
    """Only the last letter of the word is in no piece."""
    inputs = word_of_pieces(draw)
    return {**inputs, "word": inputs["word"] + "!"}


def unknown_middle(draw: Draw) -> Arguments:
    inputs = word_of_pieces(draw)
    return {**inputs, "word": f"{inputs['word'][:2]}!{inputs['word'][2:]}"}


def dead_end(draw: Draw) -> Arguments:
    """The longest first piece leaves a rest that no piece matches, and a shorter one does not. There is no backtracking."""
    word = letters(draw, draw.size(4, least=4))
    return {"word": word, "vocabulary": {word[:2], word[:3], f"##{word[2:]}"}}


def beginning_inside_only(draw: Draw) -> Arguments:
    """The beginning of the word is a piece for the inside of words only."""
    word = letters(draw, draw.size(4, least=4))
    return {"word": word, "vocabulary": {f"##{word[:2]}", f"##{word[2:]}", word[2:]}}


def word_of_letters(draw: Draw) -> Arguments:
    """Only single letters are pieces."""
    word = letters(draw, draw.size(3, least=2))
    return {"word": word, "vocabulary": {word[0], *(f"##{letter}" for letter in word)}}


def overlapping_pieces(draw: Draw) -> Arguments:
    """The longest beginning and the longest ending share a letter."""
    word = letters(draw, draw.size(3, least=3))
    return {"word": word, "vocabulary": {word[0], word[:2], f"##{word[1:]}", f"##{word[2:]}"}}


def longest_word(draw: Draw) -> Arguments:
    letter = letters(draw, 1)
    return {"word": letter * MAX_WORD_CHARACTERS, "vocabulary": {letter, f"##{letter}"}}


def long_word(draw: Draw) -> Arguments:
    letter = letters(draw, 1)
    return {"word": letter * (MAX_WORD_CHARACTERS + draw.size(1)), "vocabulary": {letter, f"##{letter}"}}


def numbers_of_pieces(pieces: Sequence[str]) -> Tensor:
    """Return a number for each piece that is different for different pieces."""
    return torch.tensor([zlib.crc32(piece.encode()) for piece in pieces], dtype=torch.int64)


def pieces_of_numbers(numbers: Tensor, arguments: Arguments) -> str:
    """Return the list of the pieces, of those that a learner may find, for their numbers."""
    word = arguments["word"]
    parts = {word[start:end] for start in range(len(word)) for end in range(start + 1, min(len(word), start + LONGEST) + 1)}
    known = {*arguments["vocabulary"], *parts, *(f"##{part}" for part in parts), word, "[UNK]"}
    names = {zlib.crc32(piece.encode()): piece for piece in known}
    return str([names.get(number, "another text") for number in numbers.flatten().tolist()])


def tokens_to_mask(draw: Draw) -> Arguments:
    """Texts with special tokens, and all kinds of replacements."""
    rows, columns = draw.size(6, least=2), draw.size(20, least=8)
    ids = draw.integers(SPECIAL_IDS, 40, rows, columns).numpy()
    maskable = draw.integers(0, 6, rows, columns).numpy() > 0
    numbers = draw.integers(0, 1000, rows, columns, NUMBERS_PER_TOKEN).numpy() / 1000 + 0.0005
    # Tokens that are selected and get every kind of replacement, a token that is not selected, and a special one.
    numbers[0, :6, 0] = np.array([0.01, 0.02, 0.38, 0.03, 0.41, 0.0])
    numbers[0, :6, 1] = np.array([0.79, 0.805, 0.89, 0.905, 0.1, 0.0])
    maskable[0, :6] = np.arange(6) < 5
    ids[~maskable] = draw.integers(0, MASK, int((~maskable).sum())).numpy()
    return {
        "input_ids": ids,
        "maskable": maskable,
        "mask_token_id": MASK,
        "replacement_ids": np.arange(SPECIAL_IDS, 40),
        "random_numbers": numbers,
        "mlm_probability": 0.4,
    }


def tokens_to_mask_as_usual(draw: Draw) -> Arguments:
    """The probability of being selected is the default one."""
    return without(tokens_to_mask(draw), "mlm_probability")


def nothing_to_mask(draw: Draw) -> Arguments:
    """Special tokens only."""
    inputs = tokens_to_mask(draw)
    return {**inputs, "maskable": np.zeros_like(inputs["maskable"])}


def limited_masking(draw: Draw) -> Arguments:
    """More tokens are selected than `max_predictions` allows."""
    return {**tokens_to_mask(draw), "max_predictions": 2}


def documents(draw: Draw) -> Arguments:
    """Documents of equal length, whose sentences have `SENTENCE` tokens. A chunk of four sentences is too long."""
    count = draw.size(5, least=2)
    starts = np.concatenate([DOCUMENT * number + np.arange(0, DOCUMENT, SENTENCE) for number in range(count)])
    document_starts = (SENTENCES + 1) * np.arange(count + 1)
    corpus = TokenizedCorpus(
        np.arange(count * DOCUMENT), np.append(starts, count * DOCUMENT), document_starts, np.arange(count, dtype=np.uint64)
    )
    return {"corpus": corpus, "max_tokens": MAX_TOKENS, "generator": np.random.default_rng(int(draw.integers(0, 1000)))}


def _rounded(values: NDArray[np.bool_]) -> float:
    """Return a share, rounded to a multiple of 1/4; 0 of nothing."""
    return round(4 * float(np.mean(values))) / 4 if len(values) else 0.0


def statistics(pairs: Pairs) -> dict[str, float | bool]:
    """Return what must be right in the pairs of `documents`. Shares are rounded so far that chance has no influence."""
    a_start, a_end, b_start, b_end, label = (np.asarray(column) for column in vars(pairs).values())
    has_pair, is_next, is_other = label >= 0, label == 0, label == 1
    same = a_start // DOCUMENT == b_start // DOCUMENT
    used = np.unique(np.concatenate([np.arange(*ends) for ends in zip(a_start, a_end, strict=True)]))
    follows = (a_start <= b_start) & (b_start - a_end < SENTENCE)
    statements = {
        "A pair of label 0 is from two documents": (~same)[is_next],
        "A pair of label 1 is from one document": same[is_other],
        "B does not follow A in a pair of label 0": (~follows)[is_next],
        "An example is too long": (a_end - a_start) + (b_end - b_start) > MAX_TOKENS,
        "A begins inside a sentence": a_start % DOCUMENT % SENTENCE > 0,
        "A ends inside a sentence": a_end % DOCUMENT % SENTENCE > 0,
        "B begins inside a sentence": (b_start % DOCUMENT % SENTENCE > 0)[has_pair],
        "B ends inside a sentence": (b_end % DOCUMENT % SENTENCE > 0)[has_pair],
        "B has one token": (b_end - b_start == 1)[has_pair],
    }
    shares = {
        "share of pairs of label 0 from two documents": _rounded((~same)[is_next]),
        "share of label 1": _rounded(is_other[has_pair]),
        "A has about half of all tokens": len(used) / (a_start.max() + 1) > 0.475,
    }
    return {**{name: bool(found.any()) for name, found in statements.items()}, **shares}


DATA_EXERCISES = [
    Exercise(
        "split_word",
        split_word,
        (
            Case("several pieces", word_of_pieces),
            Case("a word of the vocabulary", whole_word),
            Case("an unknown ending", unknown_ending),
            Case("an unknown letter inside", unknown_middle),
            Case("no way back", dead_end, Role.EDGE),
            Case("no beginning", beginning_inside_only, Role.EDGE),
            Case("pieces that overlap", overlapping_pieces, Role.EDGE),
            Case("single letters", word_of_letters, Role.EDGE),
            Case("a word of the greatest length", longest_word, Role.EDGE),
            Case("a long word", long_word, Role.LIMIT),
        ),
        questions=("Which prefix of the rest of the word is tried first?", "What is written before a piece inside a word?"),
        read=numbers_of_pieces,
        write=pieces_of_numbers,
    ),
    Exercise(
        "mask_tokens",
        mask_tokens,
        (
            Case("texts", tokens_to_mask),
            Case("the usual probability", tokens_to_mask_as_usual),
            Case("a limit", limited_masking, Role.EDGE),
            Case("special tokens only", nothing_to_mask, Role.EDGE),
        ),
        questions=("Which label has a token that is not selected?", "Which of the three random numbers decides what?"),
    ),
    Exercise(
        "draw_pairs",
        draw_pairs,
        (Case("documents", documents, gradients=False),),
        questions=("Where does segment B come from if its label is NOT_NEXT?",),
        read=statistics,
    ),
]
