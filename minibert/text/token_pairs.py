"""Counts of adjacent tokens, updated with every merge: what the training of WordPiece and of byte-level BPE share."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from itertools import pairwise
from typing import Generic, TypeVar

TokenT = TypeVar("TokenT", bound=str | int)
AnyToken = TypeVar("AnyToken", bound=Hashable)


class PairCounts(Generic[TokenT]):
    """Counts of adjacent tokens over all words, updated with every merge.

    The queue may contain outdated counts. They are corrected when they reach its front.
    """

    def __init__(self, spelled: Iterable[tuple[tuple[TokenT, ...], int]]) -> None:
        """Count the pairs of words, each given as its tokens and its number of occurrences."""
        self.spelled = list(spelled)
        self.counts = Counter[tuple[TokenT, TokenT]]()
        self.words_with = defaultdict[tuple[TokenT, TokenT], list[int]](list)
        for index, (pieces, count) in enumerate(self.spelled):
            for pair in pairwise(pieces):
                self.counts[pair] += count
                self.words_with[pair].append(index)
        self.queue = [(-count, pair) for pair, count in self.counts.items()]
        heapq.heapify(self.queue)

    def most_frequent(self) -> tuple[TokenT, TokenT] | None:
        """Return the most frequent pair, of several the first in sorted order. None if no pair occurs at least twice."""
        while self.queue:
            negative_count, pair = heapq.heappop(self.queue)
            count = self.counts[pair]
            if count == -negative_count:
                return pair if count >= 2 else None
            heapq.heappush(self.queue, (-count, pair))  # earlier merges have reduced the count
        return None

    def merge(self, pair: tuple[TokenT, TokenT], merged: TokenT) -> None:
        """Replace a pair by one token in every word that contains it."""
        new_pairs = set[tuple[TokenT, TokenT]]()
        for index in self.words_with.pop(pair):
            before, count = self.spelled[index]
            after = merge_pieces(before, pair, merged)
            if len(after) == len(before):  # the word no longer contains the pair, because of an earlier merge
                continue
            self.spelled[index] = after, count
            for old_pair in pairwise(before):
                self.counts[old_pair] -= count
            for new_pair in pairwise(after):
                self.counts[new_pair] += count
                if merged in new_pair:
                    self.words_with[new_pair].append(index)
                    new_pairs.add(new_pair)
        for new_pair in new_pairs:
            heapq.heappush(self.queue, (-self.counts[new_pair], new_pair))


def merge_pieces(pieces: tuple[AnyToken, ...], pair: tuple[AnyToken, AnyToken], merged: AnyToken) -> tuple[AnyToken, ...]:
    """Replace every occurrence of `pair` in `pieces`, from left to right, by `merged`.

    >>> merge_pieces(("a", "a", "a", "b"), ("a", "a"), "aa")
    ('aa', 'a', 'b')
    """
    first, second = pair
    result: list[AnyToken] = []
    for piece in pieces:
        if piece == second and result and result[-1] == first:
            result[-1] = merged
        else:
            result.append(piece)
    return tuple(result)
