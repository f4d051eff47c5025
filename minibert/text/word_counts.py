"""Counts of the words of a text that is too long for the memory."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

MAX_DISTINCT_CHUNKS = 1_000_000
"""Maximum number of distinct chunks counted at a time: a few hundred megabytes of memory."""


def count_in_chunks(
    texts: Iterable[str], split: Callable[[str], list[str]], words_of: Callable[[str], list[str]]
) -> Counter[str]:
    """Count the words of texts. For speed, chunks are counted first, and only distinct chunks are split into words.

    Args:
        split: splits a text into chunks at places where a word always ends.
        words_of: splits a chunk into words.
    """
    words = Counter[str]()
    for chunks in _count_chunks(texts, split):
        for chunk, count in chunks.items():
            for word in words_of(chunk):
                words[word] += count
    return words


def _count_chunks(texts: Iterable[str], split: Callable[[str], list[str]]) -> Iterator[Counter[str]]:
    """Count the chunks of texts, in several counters of limited size.

    The limit matters for languages without spaces, such as Chinese, where almost every chunk is distinct.
    """
    chunks = Counter[str]()
    for text in texts:
        chunks.update(split(text))
        if len(chunks) >= MAX_DISTINCT_CHUNKS:
            yield chunks
            chunks = Counter[str]()
    yield chunks
