"""The exercise about byte-level BPE: the merges that split a word."""

import zlib
from itertools import pairwise

from torch import Tensor

from minibert.classroom.draws import Draw
from minibert.classroom.exercise import Arguments, Case, Exercise, Role
from minibert.classroom.exercises.data import letters, numbers_of_pieces
from minibert.text.byte_alphabet import Merge
from minibert.text.byte_pair_encoding import apply_merges
from minibert.text.token_pairs import merge_pieces


def ranked(*merges: Merge) -> dict[Merge, int]:
    """Return the rank of each merge: its place in the list."""
    return {merge: rank for rank, merge in enumerate(dict.fromkeys(merges))}


def word_of_merges(draw: Draw) -> Arguments:
    """A word whose neighbors were merged in random order. Later, all other neighbors were merged too, in other words."""
    word = letters(draw, draw.size(6, least=4))
    pieces, merges = tuple(word), list[Merge]()
    while len(pieces) > 2:
        pair = draw.choice([*pairwise(pieces)][::-1])
        merges.append(pair)
        pieces = merge_pieces(pieces, pair, "".join(pair))
    return {"letters": word, "ranks": ranked(*merges, *pairwise(word))}


def one_merge(draw: Draw) -> Arguments:
    """Only the first merge of all fits."""
    word = letters(draw, draw.size(2, least=2))
    return {"letters": word, "ranks": ranked((word[0], word[1]))}


def longest_piece_out_of_reach(draw: Draw) -> Arguments:
    """The first three letters are a piece, but an earlier merge takes the last of them away."""
    a, b, c, d = [*letters(draw, 4)]
    return {"letters": a + b + c + d, "ranks": ranked((c, d), (b, c), (a, b + c))}


def repeated_letter(draw: Draw) -> Arguments:
    """Pairs overlap: those on the left are merged."""
    letter = letters(draw, 1)
    two = 2 * letter
    return {"letters": letter * (2 * draw.size(2) + 1), "ranks": ranked((letter, letter), (two, two), (two, letter))}


def no_merge(draw: Draw) -> Arguments:
    word = letters(draw, draw.size(3, least=2))
    return {"letters": word, "ranks": ranked((word[1], word[0]))}


def one_letter(draw: Draw) -> Arguments:
    letter = letters(draw, 1)
    return {"letters": letter, "ranks": ranked((letter, letter))}


def pieces_of_numbers(numbers: Tensor, arguments: Arguments) -> str:
    """Return the list of the pieces for their numbers: parts of the word, or other texts."""
    word = arguments["letters"]
    parts = {word[start:end] for start in range(len(word)) for end in range(start + 1, len(word) + 1)}
    names = {zlib.crc32(part.encode()): part for part in parts}
    return str([names.get(number, "another text") for number in numbers.flatten().tolist()])


BYTE_PAIR_EXERCISES = [
    Exercise(
        "apply_merges",
        apply_merges,
        (
            Case("several merges", word_of_merges),
            Case("one merge", one_merge),
            Case("the longest piece is out of reach", longest_piece_out_of_reach),
            Case("a repeated letter", repeated_letter, Role.EDGE),
            Case("no merge fits", no_merge, Role.EDGE),
            Case("one letter", one_letter, Role.EDGE),
        ),
        questions=("Which of several merges that fit is the first one?", "Which pairs can be merged after a merge?"),
        read=numbers_of_pieces,
        write=pieces_of_numbers,
    ),
]
"""The exercise, after those about WordPiece."""
