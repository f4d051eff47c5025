"""WordPiece encoding that can be read along: from a text to ids, one small function for each stage, in BERT's order.

Special tokens are taken out of the text; what is between them is normalized, cut into words, and the words into pieces.
`minibert.text.tokenizer` gives the same ids, faster.

Source: Devlin et al. 2019 and tokenization.py of google-research/bert; Wu et al. 2016, section 4.1.
Differs: like Hugging Face's `tokenizers`, and unlike Google's code, it takes special tokens out first, leaves private-use
    characters out, takes accents off before lower case, puts each letter in lower case by itself (Σ gives σ, never the final
    ς), puts no spaces around the CJK characters U+2B820 to U+2B91F, and gives up on words of over 100 characters, not 200.
Differs: from `tokenizers` in characters newer than the tables of one of the two. Its tables end with Unicode 8 (2015): later
    accents stay on, later punctuation does not cut, later format characters stay in, and six older characters have changed
    class since (U+166D, U+1734, U+1885, U+1886, U+A9BD, U+111C9). For lower case its tables may be newer than Python's.
"""

import re
import string
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from minibert.text.tokenizer import SPECIAL_TOKENS, UNK
from minibert.text.wordpiece_training import CONTINUES

LONGEST_WORD = 100
"""A word with more characters is unknown."""

CJK = re.compile(
    "([\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002b81f\U0002b920-\U0002ceaf\U0002f800-\U0002fa1f])"
)
"""Chinese characters, which also write Japanese and Korean words; kana and Hangul are letters like others."""


@dataclass(frozen=True)
class Encoded:
    """A text at every stage on its way to ids; `pieces` word by word."""

    text: str
    normalized: str
    words: tuple[str, ...]
    pieces: tuple[tuple[str, ...], ...]
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Match:
    """One step through a word: the beginnings that were tried, longest first, until one was a piece, or none was."""

    tried: tuple[str, ...]
    piece: str | None


def encode(
    text: str, vocabulary: Mapping[str, int], lowercase: bool = True, special: Collection[str] = SPECIAL_TOKENS
) -> Encoded:
    """All stages of a text, without the [CLS] and [SEP] that a model wants around it.

    >>> encode("Hugs, [MASK]!", {"[UNK]": 1, "[MASK]": 4, "hug": 5, "##s": 6, ",": 7}).pieces
    (('hug', '##s'), (',',), ('[MASK]',), ('[UNK]',))
    """
    parts = split_special(text, special)
    normalized = [part if part in special else normalize(part, lowercase) for part in parts]
    words = [
        word
        for part, cleaned in zip(parts, normalized, strict=True)
        for word in ([part] if part in special else pre_tokenize(cleaned))
    ]
    pieces = [(word,) if word in special else split_word(word, vocabulary) for word in words]
    ids = [vocabulary[piece] for of_word in pieces for piece in of_word]
    return Encoded(text, "".join(normalized), tuple(words), tuple(pieces), tuple(ids))


def split_special(text: str, special: Collection[str] = SPECIAL_TOKENS) -> list[str]:
    """The special tokens of a text, as they are, and what is between them.

    >>> split_special("A [MASK] shape")
    ['A ', '[MASK]', ' shape']
    """
    if not special:
        return [text]
    longest_first = sorted(special, key=len, reverse=True)
    return re.split(f"({'|'.join(map(re.escape, longest_first))})", text)


def normalize(text: str, lowercase: bool = True) -> str:
    """Control characters out, all white space to spaces, spaces around CJK characters; then accents off and lower case.

    >>> normalize("Déjà\\tvu:机器")
    'deja vu: 机  器 '
    """
    spaced = CJK.sub(r" \1 ", without_control(text))
    return lower_without_accents(spaced) if lowercase else spaced


def without_control(text: str) -> str:
    """What is not a character to read is left out: control, format, private use, undecodable; every separator is a space.

    >>> without_control("soft\\u00adhyphen,\\u3000wide\\tspaces")
    'softhyphen, wide spaces'
    """
    kept = []
    for character in text:
        category = unicodedata.category(character)
        if character in "\t\n\r" or category in ("Zs", "Zl", "Zp"):
            kept.append(" ")
        elif category not in ("Cc", "Cf", "Co") and character != "\ufffd":
            kept.append(character)
    return "".join(kept)


def lower_without_accents(text: str) -> str:
    """Every character taken apart (NFD), its accents (non-spacing marks) left out, the rest in lower case one by one.

    >>> lower_without_accents("Ünïcode ΟΔΟΣ İ")
    'unicode οδοσ i'
    """
    apart = unicodedata.normalize("NFD", text)
    return "".join(character.lower() for character in apart if unicodedata.category(character) != "Mn")


def pre_tokenize(normalized: str) -> list[str]:
    """The words of a normalized text: white space ends them, and every punctuation character is a word by itself.

    Punctuation is what Unicode calls so, and all signs of ASCII: $, +, ~ and their like too, which Unicode calls symbols.

    >>> pre_tokenise("deja-vu $5...")
    ['deja', '-', 'vu', '$', '5', '.', '.', '.']
    """
    spaced = [
        f" {character} " if character in string.punctuation or unicodedata.category(character).startswith("P") else character
        for character in normalized
    ]
    return "".join(spaced).split()


def split_word(word: str, vocabulary: Collection[str]) -> tuple[str, ...]:
    """The pieces of a word: again and again the longest that fits. [UNK] if in the end none does, or if it is very long.

    >>> split_word("unaffable", {"un", "##aff", "##able"})
    ('un', '##aff', '##able')
    >>> split_word("unaffable", {"un", "una", "##aff", "##able"})  # "una" is longer, and then nothing fits: it never goes back
    ('[UNK]',)
    """
    if len(word) > LONGEST_WORD:
        return (UNK,)
    pieces = [match.piece for match in matches(word, vocabulary)]
    return tuple(piece or UNK for piece in pieces) if None not in pieces else (UNK,)


def matches(word: str, vocabulary: Collection[str]) -> Iterator[Match]:
    """Longest match first, step by step; the last step has no piece if the rest of the word cannot be spelled.

    >>> for match in matches("hugs", {"h", "hug", "##s"}):
    ...     print(*match.tried)
    hugs hug
    ##s
    """
    rest, prefix = word, ""
    while rest:
        beginnings = [prefix + rest[:end] for end in range(len(rest), 0, -1)]
        piece = next((beginning for beginning in beginnings if beginning in vocabulary), None)
        if piece is None:
            yield Match(tuple(beginnings), None)
            return
        yield Match(tuple(beginnings[: beginnings.index(piece) + 1]), piece)
        rest, prefix = rest[len(piece) - len(prefix) :], CONTINUES
