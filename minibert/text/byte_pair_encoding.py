"""Encoding with byte-level BPE: from text to token ids, in code meant for reading, with one small function per stage.

Added tokens, such as the special tokens, are split off first. GPT-2's pattern cuts the text between them into words, and the
bytes of a word are written as letters. Then the merges of the training are applied to each word, in their order.
`minibert.text.tokenizer` computes the same ids faster.

Source: Sennrich et al. 2016, section 3.2; Radford et al. 2019, section 2.2, and encoder.py of openai/gpt-2.
Differs: from `tokenizers`, for letters and numbers that only one of the two Unicode tables contains.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from tokenizers import AddedToken

from minibert.text.added_tokens import Part, find_added_tokens
from minibert.text.byte_alphabet import Merge, to_byte_letters
from minibert.text.token_pairs import merge_pieces

PATTERN = re.compile(
    r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+",
    re.ASCII,
)
"""GPT-2's pattern for a text in which `stand_in` has replaced each character. Its words are endings such as 's, letters,
numbers and other characters, each with at most one space before them, and white space."""


@dataclass(frozen=True)
class ByteLevelText:
    """A text after each stage of encoding. `pieces` contains the tokens of each word."""

    text: str
    words: tuple[str, ...]
    letters: tuple[str, ...]
    """The words, with a letter for each byte; an added token as it is."""
    pieces: tuple[tuple[str, ...], ...]
    ids: tuple[int, ...]
    added: tuple[bool, ...]
    """True for the words that are added tokens."""


@dataclass(frozen=True)
class MergeStep:
    """One merge that is applied to a word.

    Attributes:
        rank: number of the merge in the order of the training, from 0.
        pair: the two tokens that become one.
        pieces: the tokens of the word after the merge.
    """

    rank: int
    pair: Merge
    pieces: tuple[str, ...]


def encode_byte_pairs(
    text: str,
    vocabulary: Mapping[str, int],
    merges: Iterable[Merge],
    added: Mapping[int, AddedToken] | None = None,
    add_prefix_space: bool = False,
) -> ByteLevelText:
    """Encode a text and return the result of every stage. Special tokens such as <s> are not added.

    Args:
        vocabulary: the ids of the tokens.
        merges: pairs of tokens, in the order in which they are merged.
        added: added tokens by their ids. Default: none.
        add_prefix_space: put a space before a text that does not begin with one, so that its first word is like the others.

    Raises: UnicodeEncodeError for half of a surrogate pair, which has no bytes.

    >>> encode_byte_pairs("hug hugs", {"h": 0, "u": 1, "g": 2, "s": 3, "Ġ": 4, "ug": 5}, [("u", "g")]).pieces
    (('h', 'ug'), ('Ġ', 'h', 'ug', 's'))
    """
    added, ranks = added or {}, {pair: rank for rank, pair in enumerate(merges)}
    parts = find_added_tokens(text, added.values())
    words = [word for part in parts for word in ([part] if part.added else map(Part, cut_words(part.text, add_prefix_space)))]
    letters = [word.added or to_byte_letters(word.text) for word in words]
    pieces = [
        (word.added,) if word.added else apply_merges(word_letters, ranks)
        for word, word_letters in zip(words, letters, strict=True)
    ]
    ids = {**vocabulary, **{token.content: index for index, token in added.items()}}
    return ByteLevelText(
        text,
        tuple(word.text for word in words),
        tuple(letters),
        tuple(pieces),
        tuple(ids[piece] for word_pieces in pieces for piece in word_pieces),
        tuple(word.added is not None for word in words),
    )


def cut_words(text: str, add_prefix_space: bool = False) -> list[str]:
    """Cut a text into words by GPT-2's pattern. Nothing is lost: the words joined give the text.

    >>> cut_words("They're 22, déjà  vu!")
    ['They', "'re", ' 22', ',', ' déjà', ' ', ' vu', '!']
    """
    if add_prefix_space and text and not text.startswith(" "):
        text = " " + text
    stand_ins = "".join(map(stand_in, text))
    return [text[word.start() : word.end()] for word in PATTERN.finditer(stand_ins)]


def stand_in(character: str) -> str:
    """Return an ASCII character of the same class: letter, number, white space or other.

    GPT-2's pattern has these classes of Unicode, but the expressions of Python do not.

    >>> "".join(map(stand_in, "Ä1½ 中\\u3000€"))
    'a10 a\\t!'
    """
    if character.isascii():
        return character
    if character == "\x85":
        return "\t"
    return {"L": "a", "N": "0", "Z": "\t"}.get(unicodedata.category(character)[0], "!")


def apply_merges(letters: str, ranks: Mapping[Merge, int]) -> tuple[str, ...]:
    """Split a word into tokens: apply all merges that fit, those of lower rank first.

    Source: Sennrich et al. 2016, section 3.2; Radford et al. 2019, section 2.2.
    Tests: tests/text/test_byte_pair_encoding.py::TestApplyMerges

    >>> apply_merges("hugs", {("u", "g"): 0, ("h", "ug"): 1, ("g", "s"): 2})
    ('hug', 's')
    """
    pieces = tuple(letters)
    for step in merge_steps(letters, ranks):
        pieces = step.pieces
    return pieces


def merge_steps(letters: str, ranks: Mapping[Merge, int]) -> Iterator[MergeStep]:
    """Yield the merges that are applied to a word, one by one.

    Tests: tests/text/test_byte_pair_encoding.py::TestApplyMerges

    >>> for step in merge_steps("hugs", {("u", "g"): 0, ("h", "ug"): 1}):
    ...     print(step.rank, *step.pieces)
    0 h ug s
    1 hug s
    """
    pieces = tuple(letters)
    while known := [pair for pair in pairwise(pieces) if pair in ranks]:
        pair = min(known, key=ranks.__getitem__)
        pieces = merge_pieces(pieces, pair, "".join(pair))
        yield MergeStep(ranks[pair], pair, pieces)
