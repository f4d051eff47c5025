"""What is not learned from, but evaluated on: the same documents in every run, on every machine."""

import hashlib
import math
from collections.abc import Iterable

from minibert.text.corpus import Document


def split_documents(documents: Iterable[Document], share: float) -> tuple[list[Document], list[Document]]:
    """The documents to learn from, and those held out: always the same ones, chosen by their sources alone.

    Documents of one source stay together.
    """
    train: list[Document] = []
    validation: list[Document] = []
    for document in documents:
        (validation if in_validation(document.source, share) else train).append(document)
    return train, validation


def in_validation(source: str, share: float) -> bool:
    """Whether the documents of this source are among the validation ones, which are about `share` of all."""
    return _hash_fraction(source) < share


def sufficient_validation_share(documents: Iterable[Document], share: float) -> float:
    """The share that holds out at least two documents: `share` itself, if it does, else as much more as that takes.

    Of fewer than `FEWEST` documents none is held out.
    """
    count = 0
    lots: list[float] = []
    for document in documents:
        count += 1
        lots = sorted([*lots, _hash_fraction(document.source)])[:2]
        if not share or (len(lots) == 2 and lots[1] < share):
            return share
    return math.nextafter(lots[1], 1.0) if count >= FEWEST else 0.0


FEWEST = 10
"""Documents of which some can be spared."""


def _hash_fraction(source: str) -> float:
    """A number from 0 to 1 that depends on the name alone."""
    return int.from_bytes(hashlib.sha256(source.encode()).digest()[:8], "big") / 2**64
