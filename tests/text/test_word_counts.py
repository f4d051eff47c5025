"""Counting words in chunks."""

from unittest.mock import patch

from minibert.text import word_counts


def test_number_of_chunks_in_memory_is_limited() -> None:
    """A counter is processed as soon as it reaches the limit, and no chunk is lost."""
    texts = (f"a{number} b{number}" for number in range(100))
    with patch.object(word_counts, "MAX_DISTINCT_CHUNKS", 10):
        sizes = [len(chunks) for chunks in word_counts._count_chunks(texts, str.split)]
    assert max(sizes) == 10
    assert sum(sizes) == 200
