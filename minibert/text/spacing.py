"""Spaces between words, learned from text: they turn the words of an output back into text.

WordPiece splits words at punctuation and around Chinese characters, and does not store where there was no space.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from tokenizers import Encoding, Tokenizer, decoders

from minibert.files import read_json
from minibert.hub import fetch
from minibert.text.wordpiece_training import CONTINUATION_PREFIX

SPACING_FILE = "spacing.json"
MAX_TEXTS = 20_000
"""Maximum number of texts to learn from."""


class Spacing:
    """For each context of two neighboring words, whether there is a space between them.

    A context is the shapes of the two words and of the words around them. If it is unknown, the two shapes decide, then the
    shape of the right word, then that of the left word. Words of unknown shapes are separated by a space.

    Args:
        glued: True for each context in which there is no space.

    >>> Spacing({"before ,": True, ", 0": True}).join(["1", ",", "5", "or", ",", "if", "possible", ",", "2"])
    '1,5 or, if possible,2'
    """

    def __init__(self, glued: dict[str, bool]) -> None:
        self.glued = glued

    @classmethod
    def learn(cls, texts: Sequence[str], tokenizer: Tokenizer) -> "Spacing":
        """Learn from texts what is more frequent in each context: a space, or none."""
        sample = texts[:: max(1, len(texts) // MAX_TEXTS)]
        frequency: Counter[str] = Counter()
        for text, encoding in zip(sample, tokenizer.encode_batch(sample, add_special_tokens=False), strict=True):
            words = _words(encoding)
            contexts = _contexts([word for word, _, _ in words])
            for (_, _, end), (_, start, _), names in zip(words, words[1:], contexts, strict=False):
                has_space = any(map(str.isspace, text[end:start]))
                for name in names:
                    frequency[name] += -1 if has_space else 1
        glued = {context: count > 0 for context, count in frequency.items()}
        return cls({context: value for context, value in glued.items() if glued.get(_inner(context)) != value})

    def join(self, words: Sequence[str]) -> str:
        """Join words to a text."""
        parts = list(words[:1])
        for word, names in zip(words[1:], _contexts(words), strict=True):
            is_glued = next((self.glued[name] for name in names if name in self.glued), False)
            parts.append(word if is_glued else f" {word}")
        return "".join(parts)

    def decode(self, ids: Sequence[int], tokenizer: Tokenizer) -> str:
        """Return the text of token ids, without special tokens."""
        special = {index for index, token in tokenizer.get_added_tokens_decoder().items() if token.special}
        tokens = [str(tokenizer.id_to_token(index)) for index in ids if index not in special]
        return self.join(decoders.WordPiece(CONTINUATION_PREFIX, cleanup=False).decode(tokens).split())

    def to_json(self) -> str:
        """Return the contents of `spacing.json`."""
        return json.dumps(self.glued, ensure_ascii=False, indent=0, sort_keys=True) + "\n"

    @classmethod
    def load(cls, source: str | Path) -> "Spacing | None":
        """Load `spacing.json` of a checkpoint; None if there is none. Raises: ValueError if it is damaged, and as `fetch`."""
        file = fetch(source, SPACING_FILE)
        if file is None:
            return None
        glued = read_json(file)
        if not all(isinstance(value, bool) for value in glued.values()):
            raise ValueError(f"{file}: is not a table of contexts, each true or false")
        return cls(glued)


@lru_cache(maxsize=100_000)
def word_shape(word: str) -> str:
    """Return the shape of a word: a for lower case, A for upper case, 0 for digits, x for other letters; at most two of each.

    The shape of a punctuation mark is the mark itself.

    >>> [word_shape(word) for word in ("U", "USA", "Hello", "2026", "iPhone5", "学", "$")]
    ['A', 'AA', 'Aaa', '00', 'aAaa0', 'x', '$']
    """
    if len(word) == 1 and not word.isalnum():
        return word
    letters = "".join(
        "0" if letter.isdigit() else "A" if letter.isupper() else "a" if letter.islower() else "x" for letter in word
    )
    return re.sub(r"(.)\1\1+", r"\1\1", letters)


def _contexts(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield the contexts of each word and the next one, the longest first. Every second quotation mark is a closing one."""
    shapes = [word_shape(word) for word in words]
    quotes = [position for position, shape in enumerate(shapes) if shape == '"']
    for position in quotes[1::2]:
        shapes[position] = '""'
    for (before, left), (right, after) in zip(pairwise(["", *shapes]), pairwise([*shapes[1:], ""]), strict=False):
        yield f"{before} {left} {right} {after}", f"{left} {right}", f"before {right}", f"after {left}"


def _inner(context: str) -> str:
    """Return the context of the two inner words of four."""
    return " ".join(context.split(" ")[1:3]) if context.count(" ") == 3 else ""


def _words(encoding: Encoding) -> list[tuple[str, int, int]]:
    """Return the words of a text, as the tokenizer writes them, with the offsets of their begin and end."""
    words: list[tuple[str, int, int]] = []
    before = None
    for number, token, (start, end) in zip(encoding.word_ids, encoding.tokens, encoding.offsets, strict=True):
        if number == before:
            word, start, _ = words.pop()
            token = word + token.removeprefix(CONTINUATION_PREFIX)
        words.append((token, start, end))
        before = number
    return words
