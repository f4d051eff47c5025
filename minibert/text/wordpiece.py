"""WordPiece training that can be read along: from how often words occur to a vocabulary of pieces.

Source: Schuster and Nakajima 2012; Wu et al. 2016, section 4.1; Devlin et al. 2019, section 3.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise

from minibert.text.tokenizer import SPECIAL_TOKENS, normalizer, pre_tokenizer

CONTINUES = "##"
"""In front of a piece that continues a word."""

Pair = tuple[str, str]


def count_words(texts: Iterable[str], lowercase: bool = True) -> Counter[str]:
    """How often each word occurs, after BERT's normalisation and its cuts at white space, punctuation and CJK characters."""
    normalize, cut = normalizer(lowercase).normalize_str, pre_tokenizer().pre_tokenize_str
    return Counter(word for text in texts for word, _ in cut(normalize(text)))


def train_wordpiece(words: Mapping[str, int], size: int, alphabet: int = 1000) -> list[str]:
    """A vocabulary of at most `size` pieces: special tokens, characters, then merges in the order they were made.

    Every word starts as its characters. Again and again the two neighbours that stand together most often, counted over
    all words, become one piece. Of equals, the pair that comes first in lexicographic order is merged, so the same words
    always give the same vocabulary. It ends early when no pair occurs twice.

    Args:
        words: how often each word occurs, see `count_words`.
        size: of the vocabulary, special tokens included.
        alphabet: so many of the most frequent characters become pieces; a word with another one is unknown.

    Differs: Schuster and Nakajima choose the pair that raises the likelihood most, which favours rare characters; Google
        never published BERT's trainer. The most frequent pair is what Hugging Face's `tokenizers` chooses too, but it
        breaks ties in an order that changes from run to run.

    Raises: ValueError if not even the characters fit into `size`.

    >>> train_wordpiece({"hug": 10, "pug": 5, "hugs": 5}, size=14)[5:]
    ['##g', '##s', '##u', 'h', 'p', '##ug', 'hug', 'hugs', 'pug']
    """
    spelled = _spell(words, alphabet)
    characters = sorted({piece for pieces, _ in spelled for piece in pieces})
    vocabulary = dict.fromkeys([*SPECIAL_TOKENS, *characters])  # a dict, as two different merges can spell one piece
    if len(vocabulary) > size:
        raise ValueError(f"a vocabulary of {size} is too small: special tokens and characters need {len(vocabulary)}")
    neighbours = _Neighbours(spelled)
    while len(vocabulary) < size and (pair := neighbours.most_frequent()):
        vocabulary[neighbours.merge(pair)] = None
    return list(vocabulary)


def _spell(words: Mapping[str, int], alphabet: int) -> list[tuple[list[str], int]]:
    """Every word as its characters, with its count; without the words that need a character outside the alphabet."""
    characters = Counter[str]()
    for word, count in words.items():
        for character in word:
            characters[character] += count
    kept = sorted(characters, key=lambda character: (-characters[character], character))[:alphabet]
    return [
        ([word[0], *(CONTINUES + character for character in word[1:])], count)
        for word, count in sorted(words.items())
        if set(kept).issuperset(word)
    ]


class _Neighbours:
    """How often each pair of pieces stands together, kept up to date while pairs are merged."""

    def __init__(self, spelled: list[tuple[list[str], int]]) -> None:
        self.spelled = spelled
        self.counts = Counter[Pair]()
        self.words_with = defaultdict[Pair, set[int]](set)
        for number, (pieces, count) in enumerate(spelled):
            for pair in pairwise(pieces):
                self.counts[pair] += count
                self.words_with[pair].add(number)
        self.queue = [(-count, pair) for pair, count in self.counts.items()]
        heapq.heapify(self.queue)

    def most_frequent(self) -> Pair | None:
        """The pair to merge next, or None if no pair occurs twice."""
        while self.queue:
            negative_count, pair = heapq.heappop(self.queue)
            if self.counts[pair] == -negative_count:  # else the count has changed since and stands elsewhere in the queue
                return pair if self.counts[pair] >= 2 else None
        return None

    def merge(self, pair: Pair) -> str:
        """Makes one piece of `pair` in every word that has it, and returns the piece."""
        merged = pair[0] + pair[1].removeprefix(CONTINUES)
        changed = set[Pair]()
        for number in self.words_with.pop(pair):
            before, count = self.spelled[number]
            after = _join(before, pair, merged)
            self.spelled[number] = after, count
            for old in pairwise(before):
                self.counts[old] -= count
            for new in pairwise(after):
                self.counts[new] += count
                self.words_with[new].add(number)
            changed.update(pairwise(before), pairwise(after))
        for touched in changed:
            heapq.heappush(self.queue, (-self.counts[touched], touched))
        return merged


def _join(pieces: list[str], pair: Pair, merged: str) -> list[str]:
    """`pieces` with every occurrence of `pair`, from left to right, as the one piece `merged`."""
    joined: list[str] = []
    for piece in pieces:
        if joined and (joined[-1], piece) == pair:
            joined[-1] = merged
        else:
            joined.append(piece)
    return joined
