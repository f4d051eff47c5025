"""Unknown text: the share of a text that a tokenizer replaces with [UNK]."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tokenizers import Encoding, Tokenizer

from minibert.text.tokenizer import UNK, token_id, without_special_tokens
from minibert.text.wordpiece_encoding import MAX_WORD_CHARACTERS

WARNING_SHARE = 0.01
"""Share of unknown characters above which there is a warning."""


@dataclass(frozen=True)
class UnknownText:
    """Number of characters of a text, of which some are in words that become [UNK]. White space is not counted."""

    characters: int = 0
    unknown: int = 0
    in_long_words: int = 0
    """Number of unknown characters in words that are too long for WordPiece."""

    @property
    def share(self) -> float:
        """Share of unknown characters, from 0 to 1."""
        return self.unknown / max(1, self.characters)

    def __add__(self, other: "UnknownText") -> "UnknownText":
        return UnknownText(
            self.characters + other.characters, self.unknown + other.unknown, self.in_long_words + other.in_long_words
        )

    @property
    def cause(self) -> str:
        """Cause of most of the unknown text, and a remedy."""
        if 2 * self.in_long_words > self.unknown:
            return f"most are in words of more than {MAX_WORD_CHARACTERS} characters. Put spaces between the words of the text"
        return "it is not in the vocabulary. Raise --alphabet-size or --vocab-size, or use another --tokenizer"

    def describe(self) -> str:
        """Describe the share in a line, and above 1% its cause and a remedy in another."""
        line = f"{self.share:.2%} of the characters become {UNK}."
        return line if self.share <= WARNING_SHARE else f"{line}\n  Warning: this text is lost to the model; {self.cause}."

    def check(self) -> None:
        """Raise ValueError if the whole text is unknown: there is nothing to learn from it."""
        if self.share == 1:
            raise ValueError(f"all of the characters become {UNK}; {self.cause}")


def count_unknown(texts: Iterable[str], tokenizer: Tokenizer) -> UnknownText:
    """Count the characters of texts that become [UNK]. A literal [UNK] in a text is text."""
    texts = list(texts)
    encodings = without_special_tokens(tokenizer).encode_batch(texts)
    return unknown_in(texts, encodings, token_id(tokenizer, UNK))


def unknown_in(texts: Sequence[str], encodings: Sequence[Encoding], unknown_id: int) -> UnknownText:
    """Count the characters of texts that become [UNK], from their encodings."""
    lengths = [
        end - start
        for encoding in encodings
        if unknown_id in encoding.ids
        for index, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)
        if index == unknown_id
    ]
    characters = sum(len("".join(text.split())) for text in texts)
    return UnknownText(characters, sum(lengths), sum(length for length in lengths if length > MAX_WORD_CHARACTERS))
