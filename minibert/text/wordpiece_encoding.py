"""WordPiece encoding: from text to token ids, in code meant for reading, with one small function per stage.

Special tokens are split off first. The text between them is normalized and split into words, and each word into tokens.
`minibert.text.tokenizer` computes the same ids faster.

Source: Devlin et al. 2019 and tokenization.py of google-research/bert; Wu et al. 2016, section 4.1.
Differs: from Google's code, in the same way as Hugging Face's `tokenizers`. Special tokens are split off first. Private-use
    characters are removed. Accents are stripped before lowercasing. Each letter is lowercased by itself (Σ becomes σ, never the
    final ς). There are no spaces around the CJK characters U+2B820 to U+2B91F. Words of more than 100 characters, not 200, are
    unknown.
Differs: from `tokenizers`, for characters that only one of the two Unicode tables contains. Those of `tokenizers` end with
    Unicode 8 (2015): newer accents are not stripped, newer punctuation does not split words, newer format characters are not
    removed, and six older characters have changed class (U+166D, U+1734, U+1885, U+1886, U+A9BD, U+111C9). For lowercasing, its
    tables may be newer than Python's.
"""

import re
import string
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from minibert.text.tokenizer import SPECIAL_TOKENS, UNK
from minibert.text.wordpiece_training import CONTINUATION_PREFIX

MAX_WORD_CHARACTERS = 100
"""Maximum length of a word. Longer words are unknown."""

CJK = re.compile(
    "([\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002b81f\U0002b920-\U0002ceaf\U0002f800-\U0002fa1f])"
)
"""Chinese characters, which Japanese and Korean also use. Kana and Hangul are treated like other letters."""


@dataclass(frozen=True)
class EncodedText:
    """A text after each stage of encoding. `pieces` contains the tokens of each word."""

    text: str
    normalized: str
    words: tuple[str, ...]
    pieces: tuple[tuple[str, ...], ...]
    ids: tuple[int, ...]


@dataclass(frozen=True)
class MatchStep:
    """One step of longest-match-first encoding.

    Attributes:
        candidates: prefixes of the rest of the word that were looked up, longest first. The search stops at the first match.
        piece: the prefix that is in the vocabulary; None if no prefix is.
    """

    candidates: tuple[str, ...]
    piece: str | None


def encode(
    text: str, vocabulary: Mapping[str, int], lowercase: bool = True, special: Collection[str] = SPECIAL_TOKENS
) -> EncodedText:
    """Encode a text and return the result of every stage. [CLS] and [SEP] are not added.

    >>> encode("Hugs, [MASK]!", {"[UNK]": 1, "[MASK]": 4, "hug": 5, "##s": 6, ",": 7}).pieces
    (('hug', '##s'), (',',), ('[MASK]',), ('[UNK]',))
    """
    parts = split_special_tokens(text, special)
    normalized = [part if part in special else normalize(part, lowercase) for part in parts]
    words = [
        word
        for part, normalized_part in zip(parts, normalized, strict=True)
        for word in ([part] if part in special else pre_tokenize(normalized_part))
    ]
    pieces = [(word,) if word in special else split_word(word, vocabulary) for word in words]
    ids = [vocabulary[piece] for word_pieces in pieces for piece in word_pieces]
    return EncodedText(text, "".join(normalized), tuple(words), tuple(pieces), tuple(ids))


def split_special_tokens(text: str, special: Collection[str] = SPECIAL_TOKENS) -> list[str]:
    """Split a text into special tokens and the text between them.

    >>> split_special_tokens("A [MASK] shape")
    ['A ', '[MASK]', ' shape']
    """
    if not special:
        return [text]
    longest_first = sorted(special, key=len, reverse=True)
    return re.split(f"({'|'.join(map(re.escape, longest_first))})", text)


def normalize(text: str, lowercase: bool = True) -> str:
    """Clean a text, put spaces around CJK characters, and, with `lowercase`, strip accents and lowercase it.

    >>> normalize("Déjà\\tvu:机器")
    'deja vu: 机  器 '
    """
    spaced = CJK.sub(r" \1 ", clean_text(text))
    return strip_accents_and_lowercase(spaced) if lowercase else spaced


def clean_text(text: str) -> str:
    """Remove control, format, private-use and undecodable characters, and replace white space by spaces.

    >>> clean_text("soft\\u00adhyphen,\\u3000wide\\tspaces")
    'softhyphen, wide spaces'
    """
    cleaned = []
    for character in text:
        category = unicodedata.category(character)
        if character in "\t\n\r" or category in ("Zs", "Zl", "Zp"):
            cleaned.append(" ")
        elif category not in ("Cc", "Cf", "Co") and character != "\ufffd":
            cleaned.append(character)
    return "".join(cleaned)


def strip_accents_and_lowercase(text: str) -> str:
    """Decompose characters (NFD), remove accents (non-spacing marks), and lowercase each character by itself.

    >>> strip_accents_and_lowercase("Ünïcode ΟΔΟΣ İ")
    'unicode οδοσ i'
    """
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(character.lower() for character in decomposed if unicodedata.category(character) != "Mn")


def pre_tokenize(normalized: str) -> list[str]:
    """Split a normalized text into words at white space. Every punctuation character is a word.

    Punctuation includes the Unicode punctuation classes and all ASCII symbols, such as $, + and ~.

    >>> pre_tokenize("deja-vu $5...")
    ['deja', '-', 'vu', '$', '5', '.', '.', '.']
    """
    spaced = [
        f" {character} " if character in string.punctuation or unicodedata.category(character).startswith("P") else character
        for character in normalized
    ]
    return "".join(spaced).split()


def split_word(word: str, vocabulary: Collection[str]) -> tuple[str, ...]:
    """Split a word into tokens, longest match first. A word that cannot be split, or that is too long, becomes [UNK].

    >>> split_word("unaffable", {"un", "##aff", "##able"})
    ('un', '##aff', '##able')
    >>> split_word("unaffable", {"un", "una", "##aff", "##able"})  # no backtracking: "una" is longer, then nothing matches
    ('[UNK]',)
    """
    if len(word) > MAX_WORD_CHARACTERS:
        return (UNK,)
    pieces = [step.piece for step in match_steps(word, vocabulary)]
    return tuple(piece or UNK for piece in pieces) if None not in pieces else (UNK,)


def match_steps(word: str, vocabulary: Collection[str]) -> Iterator[MatchStep]:
    """Yield the steps of longest-match-first encoding. If the word cannot be split, the `piece` of the last step is None.

    >>> for step in match_steps("hugs", {"h", "hug", "##s"}):
    ...     print(*step.candidates)
    hugs hug
    ##s
    """
    rest, prefix = word, ""
    while rest:
        candidates = [prefix + rest[:end] for end in range(len(rest), 0, -1)]
        piece = next((candidate for candidate in candidates if candidate in vocabulary), None)
        if piece is None:
            yield MatchStep(tuple(candidates), None)
            return
        yield MatchStep(tuple(candidates[: candidates.index(piece) + 1]), piece)
        rest, prefix = rest[len(piece) - len(prefix) :], CONTINUATION_PREFIX
