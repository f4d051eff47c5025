"""Split of a corpus into training and validation documents: the same in every run and on every machine."""

import hashlib
import math
from collections.abc import Iterable, Iterator

from minibert.text.corpus import Document

MIN_DOCUMENTS = 10
"""Minimum number of documents for which `sufficient_validation_fraction` uses some for validation."""


def split_documents(documents: Iterable[Document], validation_fraction: float) -> tuple[list[Document], list[Document]]:
    """Split documents into training and validation documents.

    The split depends only on the documents' groups, or on their texts. So copies of a document stay together.
    """
    train: list[Document] = []
    validation: list[Document] = []
    for document in documents:
        (validation if is_validation(split_key(document), validation_fraction) else train).append(document)
    return train, validation


def training_sentences(documents: Iterable[Document], validation_fraction: float) -> Iterator[str]:
    """Yield the sentences of the training documents, without loading all documents into memory."""
    for document in documents:
        if not is_validation(split_key(document), validation_fraction):
            yield from document.sentences


def split_key(document: Document) -> str:
    """Return what decides about a document's split: its group, or its text without white space."""
    return document.group or "".join("".join(document.sentences).split())


def is_validation(key: str, validation_fraction: float) -> bool:
    """Return True for a key of validation documents. About `validation_fraction` of all keys are."""
    return _hash_fraction(key) < validation_fraction


def validation_keys(keys: Iterable[str], validation_fraction: float) -> set[str]:
    """Return this share of the different keys for validation: at least one of several, and not all. Without a share, none.

    The choice does not depend on the order of the keys, and changes little if keys are added.
    """
    by_hash = sorted({*keys}, key=_hash_fraction)
    count = max(1, round(validation_fraction * len(by_hash)))
    return {*by_hash[: min(count, len(by_hash) - 1)]} if validation_fraction and by_hash else set()


def sufficient_validation_fraction(documents: Iterable[Document], validation_fraction: float) -> float:
    """Return the smallest fraction, at least `validation_fraction`, that gives at least two different validation documents.

    Return 0 if `validation_fraction` is 0, or if it gives fewer than two of fewer than `MIN_DOCUMENTS` different documents.
    """
    smallest: list[float] = []
    for document in documents:
        if not validation_fraction or (len(smallest) > 1 and smallest[1] < validation_fraction):
            return validation_fraction
        smallest = sorted({*smallest, _hash_fraction(split_key(document))})[:MIN_DOCUMENTS]
    if len(smallest) > 1 and smallest[1] < validation_fraction:
        return validation_fraction
    return math.nextafter(smallest[1], 1.0) if len(smallest) == MIN_DOCUMENTS else 0.0


def _hash_fraction(key: str) -> float:
    """Return a number from 0 to 1 that depends only on the key."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
