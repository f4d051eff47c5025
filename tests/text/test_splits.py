"""Training and validation documents and keys."""

import pytest

from minibert.text.corpus import Document
from minibert.text.splits import split_documents, training_sentences, validation_keys

KEYS = [f"key {number}" for number in range(100)]


def test_training_sentences_are_those_of_the_training_documents() -> None:
    """All of them, in order."""
    documents = [Document("d", (f"{number}.", f"{number} again.")) for number in range(50)]
    train, validation = split_documents(documents, 0.3)
    assert len(validation) > 5
    assert [*training_sentences(iter(documents), 0.3)] == [sentence for document in train for sentence in document.sentences]
    assert len([*training_sentences(documents, 0.0)]) == 100


@pytest.mark.parametrize(
    ("count", "fraction", "expected"),
    [(0, 0.5, 0), (1, 0.5, 0), (2, 0.01, 1), (2, 0.99, 1), (10, 0.25, 2), (10, 0.31, 3), (100, 0.1, 10), (100, 0.0, 0)],
)
def test_number_of_validation_keys(count: int, fraction: float, expected: int) -> None:
    """At least one of several keys, and not all of them. Equal keys count once."""
    found = validation_keys(KEYS[:count] * 3, fraction)
    assert len(found) == expected
    assert found <= {*KEYS[:count]}


def test_validation_keys_change_little_if_keys_are_added() -> None:
    """The keys of a smaller share are among those of a larger one. The order of the keys does not matter."""
    found = validation_keys(KEYS, 0.2)
    assert validation_keys(reversed(KEYS), 0.2) == found
    assert validation_keys(KEYS, 0.1) < found
    assert len(found - validation_keys([*KEYS, "another key"], 0.2)) <= 1
    assert found != {*sorted(KEYS)[:20]}
