"""WordPiece training that can be read along: from how often words occur to a vocabulary of pieces.

Source: Schuster and Nakajima 2012; Wu et al. 2016, section 4.1; Devlin et al. 2019, section 3.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice, pairwise

from tokenizers import Tokenizer, models, trainers

from minibert.text.tokenizer import SPECIAL_TOKENS, UNK, normalizer, pre_tokenizer

CONTINUES = "##"
"""In front of a piece that continues a word."""

DISTINCT_CHUNKS = 1_000_000
"""So many are counted before they are looked into, some hundred megabytes."""

Pair = tuple[str, str]
Pieces = tuple[str, ...]


def count_words(texts: Iterable[str], lowercase: bool = True) -> Counter[str]:
    """How often each word occurs, after BERT's normalization and its cuts at white space, punctuation and CJK characters.

    The chunks between spaces are counted first, and only distinct ones are looked into. The words are the same: a space
    always ends a word, and nothing reaches across it.
    """
    normalize, cut = normalizer(lowercase).normalize_str, pre_tokenizer().pre_tokenize_str
    words = Counter[str]()
    for chunks in _count_chunks(texts):
        for chunk, count in chunks.items():
            for word, _ in cut(normalize(chunk)):
                words[word] += count
    return words


def _count_chunks(texts: Iterable[str]) -> Iterator[Counter[str]]:
    """How often each chunk occurs, in parts: where a sentence has no spaces, as in Chinese, hardly one occurs twice."""
    chunks = Counter[str]()
    for text in texts:
        chunks.update(text.replace("\n", " ").split(" "))
        if len(chunks) >= DISTINCT_CHUNKS:
            yield chunks
            chunks = Counter[str]()
    yield chunks


def train_wordpiece(words: Mapping[str, int], size: int, alphabet: int = 1000) -> list[str]:
    """A vocabulary of at most `size` pieces: special tokens, characters, then merges in the order they were made.

    Every word starts as its characters. Again and again the two neighbors that stand together most often, counted over
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
    _check_size(size, vocabulary)
    neighbours = _NeighborCounts(spelled)
    while len(vocabulary) < size and (pair := neighbours.most_frequent()):
        vocabulary[neighbours.merge(pair)] = None
    return list(vocabulary)


def train_with_tokenizers(texts: Iterable[str], size: int, lowercase: bool = True, alphabet: int = 1000) -> list[str]:
    """A vocabulary like that of `train_wordpiece`, straight from texts, by the trainer of Hugging Face's `tokenizers`.

    Differs: from run to run, as its ties are broken by the order of things in memory. It keeps words with a character
        outside the alphabet, and leaves that character out; and every character is also a piece that begins a word.

    Raises: ValueError if not even the characters fit into `size`.
    """
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNK))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer(lowercase), pre_tokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, min_frequency=2, limit_alphabet=alphabet, special_tokens=list(SPECIAL_TOKENS), show_progress=False
    )
    remaining = iter(texts)
    tokenizer.train_from_iterator(iter(lambda: list(islice(remaining, 1000)), []), trainer)  # texts by themselves: on one core
    ids = tokenizer.get_vocab()
    _check_size(size, ids)
    return sorted(ids, key=ids.__getitem__)


def _check_size(size: int, vocabulary: Collection[str]) -> None:
    if len(vocabulary) > size:
        raise ValueError(f"a vocabulary of {size} is too small: special tokens and characters need {len(vocabulary)}")


def _spell(words: Mapping[str, int], alphabet: int) -> list[tuple[Pieces, int]]:
    """Every word as its characters, with its count; without the words that need a character outside the alphabet."""
    characters = Counter[str]()
    for word, count in words.items():
        for character in word:
            characters[character] += count
    kept = set(sorted(characters, key=lambda character: (-characters[character], character))[:alphabet])
    return [
        ((word[0], *(CONTINUES + character for character in word[1:])), count)
        for word, count in sorted(words.items())
        if kept.issuperset(word)
    ]


class _NeighborCounts:
    """How often each pair of pieces stands together, kept up to date while pairs are merged."""

    def __init__(self, spelled: list[tuple[Pieces, int]]) -> None:
        self.spelled = spelled
        self.counts = Counter[Pair]()
        self.words_with = defaultdict[Pair, list[int]](list)
        for number, (pieces, count) in enumerate(spelled):
            for pair in pairwise(pieces):
                self.counts[pair] += count
                self.words_with[pair].append(number)
        self.queue = [(-count, pair) for pair, count in self.counts.items()]
        heapq.heapify(self.queue)

    def most_frequent(self) -> Pair | None:
        """The pair to merge next, or None if no pair occurs twice."""
        while self.queue:
            negative_count, pair = heapq.heappop(self.queue)
            count = self.counts[pair]
            if count == -negative_count:
                return pair if count >= 2 else None
            if count >= 2:  # it has become rarer since
                heapq.heappush(self.queue, (-count, pair))
        return None

    def merge(self, pair: Pair) -> str:
        """Makes one piece of `pair` in every word that has it, and returns the piece."""
        merged = pair[0] + pair[1].removeprefix(CONTINUES)
        more_frequent = set[Pair]()
        for number in self.words_with.pop(pair):
            before, count = self.spelled[number]
            after = _join(before, pair, merged)
            if len(after) == len(before):  # an earlier merge has taken the pair apart
                continue
            self.spelled[number] = after, count
            for old in pairwise(before):
                self.counts[old] -= count
            for new in pairwise(after):
                self.counts[new] += count
                if merged in new:
                    self.words_with[new].append(number)
                    more_frequent.add(new)
        for new in more_frequent:
            heapq.heappush(self.queue, (-self.counts[new], new))
        return merged


def _join(pieces: Pieces, pair: Pair, merged: str) -> Pieces:
    """`pieces` with every occurrence of `pair`, from left to right, as the one piece `merged`."""
    first, second = pair
    joined: list[str] = []
    for piece in pieces:
        if piece == second and joined and joined[-1] == first:
            joined[-1] = merged
        else:
            joined.append(piece)
    return tuple(joined)
