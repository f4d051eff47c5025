"""A tokenizer with one token for each character, as in the Shakespeare example of nanoGPT. For small texts."""

from collections import Counter
from collections.abc import Iterable, Sequence

from tokenizers import Tokenizer, decoders, models

from minibert.text.tokenizer import END_OF_TEXT, UNK, name_special_tokens


def count_characters(texts: Iterable[str]) -> Counter[str]:
    """Count the characters of texts, and one line end after each of them."""
    counts = Counter[str]()
    for text in texts:
        counts.update(text)
        counts["\n"] += 1
    return counts


def choose_characters(counts: Counter[str], most: int) -> list[str]:
    """Return the `most` most frequent characters in Unicode order. Of equally frequent ones, the first are chosen.

    >>> choose_characters(Counter("hello"), most=3)
    ['e', 'h', 'l']
    """
    return sorted(sorted(counts, key=lambda character: (-counts[character], character))[:most])


def build_character_tokenizer(characters: Sequence[str]) -> Tokenizer:
    """Build a tokenizer whose tokens are <|endoftext|>, with the id 0, and these characters: byte pairs without merges.

    A character that is not in the vocabulary becomes <|endoftext|>, GPT-2's token for everything unknown.

    >>> tokenizer = build_character_tokenizer(["a", "b", " "])
    >>> tokenizer.encode("b a?").ids, tokenizer.decode([2, 3, 1])
    ([2, 3, 1, 0], 'b a')
    """
    ids = {token: index for index, token in enumerate([END_OF_TEXT, *characters])}
    tokenizer = Tokenizer(models.BPE(ids, [], unk_token=END_OF_TEXT))
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([END_OF_TEXT])
    name_special_tokens(tokenizer, {UNK: END_OF_TEXT})
    return tokenizer
