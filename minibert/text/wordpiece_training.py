"""WordPiece training: from word counts to a vocabulary, in code meant for reading.

Source: Schuster and Nakajima 2012; Wu et al. 2016, section 4.1; Devlin et al. 2019, section 3.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from itertools import islice

from tokenizers import Tokenizer, models, trainers

from minibert.text.corpus import Document
from minibert.text.token_pairs import PairCounts
from minibert.text.tokenizer import SPECIAL_TOKENS, UNK, bert_normalizer, bert_pre_tokenizer, build_tokenizer
from minibert.text.word_counts import count_in_chunks

CONTINUATION_PREFIX = "##"
"""Prefix of tokens that continue a word."""

MIN_ALPHABET_SIZE, CHARACTER_COVERAGE = 1000, 0.9995
"""Default of the alphabet: the least number of characters, and the share of the text that they need not exceed, as in
SentencePiece (Kudo and Richardson 2018)."""

Pieces = tuple[str, ...]
"""The tokens that spell a word."""


def train_tokenizer(documents: Iterable[Document], vocab_size: int = 8000, lowercase: bool = True) -> Tokenizer:
    """Train a WordPiece tokenizer on documents.

    Args:
        vocab_size: maximum size of the vocabulary, including special tokens.
        lowercase: lowercase the text and strip accents.

    Raises: ValueError if the vocabulary is too small for the special tokens and characters.
    """
    sentences = (sentence for document in documents for sentence in document.sentences)
    return build_tokenizer(train_wordpiece(count_words(sentences, lowercase), vocab_size), lowercase)


def count_words(texts: Iterable[str], lowercase: bool = True) -> Counter[str]:
    """Count the words of texts, after BERT's normalization and pre-tokenization.

    A space always ends a word, and normalization never depends on characters across a space. So chunks between spaces can be
    normalized and split by themselves.
    """
    normalize, pre_tokenize = bert_normalizer(lowercase).normalize_str, bert_pre_tokenizer().pre_tokenize_str
    return count_in_chunks(
        texts,
        split=lambda text: text.replace("\n", " ").split(" "),
        words_of=lambda chunk: [word for word, _ in pre_tokenize(normalize(chunk))],
    )


def train_wordpiece(word_counts: Mapping[str, int], vocab_size: int, alphabet_size: int | None = None) -> list[str]:
    """Train a WordPiece vocabulary: special tokens, then characters, then merged tokens in the order of the merges.

    At first, every word is a sequence of characters. Then, repeatedly, the pair of adjacent tokens with the highest count over
    all words is merged into one token. Among pairs with equal counts, the first in lexicographic order is merged, so that the
    vocabulary depends only on the word counts. Training stops early if no pair occurs at least twice.

    Args:
        word_counts: number of occurrences of each word, from `count_words`.
        vocab_size: maximum size of the vocabulary, including special tokens.
        alphabet_size: maximum number of different characters. The most frequent ones are kept; words with others are ignored.
            Default: as many as cover 99.95% of the text, but at most half of the vocabulary, and at least 1000.

    Differs: Schuster and Nakajima merge the pair that increases the likelihood most, which favors rare characters. Google has
        not published BERT's training code. Hugging Face's `tokenizers` also merges the most frequent pair, but the order in
        which it breaks ties changes from run to run.

    Raises: ValueError if `vocab_size` is too small for the special tokens and characters.

    >>> train_wordpiece({"hug": 10, "pug": 5, "hugs": 5}, vocab_size=14)[5:]
    ['##g', '##s', '##u', 'h', 'p', '##ug', 'hug', 'hugs', 'pug']
    """
    spelled = _spell(word_counts, _alphabet(word_counts, vocab_size, alphabet_size))
    characters = sorted({piece for pieces, _ in spelled for piece in pieces})
    vocabulary = dict.fromkeys([*SPECIAL_TOKENS, *characters])  # a dict, because two different merges can give the same token
    _check_vocab_size(vocab_size, vocabulary)
    pair_counts = PairCounts(spelled)
    while len(vocabulary) < vocab_size and (pair := pair_counts.most_frequent()):
        merged = pair[0] + pair[1].removeprefix(CONTINUATION_PREFIX)
        vocabulary[merged] = None
        pair_counts.merge(pair, merged)
    return list(vocabulary)


def train_with_tokenizers(
    texts: Iterable[str], vocab_size: int, lowercase: bool = True, alphabet_size: int | None = None
) -> list[str]:
    """Train a WordPiece vocabulary with Hugging Face's `tokenizers`.

    Differs: from `train_wordpiece`. The vocabulary changes from run to run, because ties are broken in no fixed order. Words
        with characters outside the alphabet are kept without these characters. Every character is also a token that can begin
        a word. By default, the alphabet has half as many characters as the vocabulary has tokens, and at least 1000.

    Raises: ValueError if `vocab_size` is too small for the special tokens and characters.
    """
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNK))
    tokenizer.normalizer, tokenizer.pre_tokenizer = bert_normalizer(lowercase), bert_pre_tokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        limit_alphabet=alphabet_size or max(MIN_ALPHABET_SIZE, vocab_size // 2),
        special_tokens=list(SPECIAL_TOKENS),
        show_progress=False,
    )
    remaining = iter(texts)
    batches = iter(lambda: list(islice(remaining, 1000)), [])  # single texts would be processed on one core only
    tokenizer.train_from_iterator(batches, trainer)
    ids = tokenizer.get_vocab()
    _check_vocab_size(vocab_size, ids)
    return sorted(ids, key=ids.__getitem__)


def _check_vocab_size(vocab_size: int, vocabulary: Collection[str]) -> None:
    if len(vocabulary) > vocab_size:
        raise ValueError(
            f"vocab_size {vocab_size} is too small: special tokens and characters need {len(vocabulary)}. "
            "Raise it, or lower alphabet_size"
        )


def _alphabet(word_counts: Mapping[str, int], vocab_size: int, size: int | None) -> set[str]:
    """Choose the most frequent characters. Of characters with equal counts, the first in Unicode order are chosen."""
    counts, initial, continuing = Counter[str](), set[str](), set[str]()
    for word, count in word_counts.items():
        initial.add(word[0])
        continuing.update(word[1:])
        for character in word:
            counts[character] += count
    ranked = sorted(counts, key=lambda character: (-counts[character], character))
    if size is not None:
        return set(ranked[:size])
    alphabet, covered, tokens = set[str](), 0, 0
    for character in ranked:
        covered, tokens = covered + counts[character], tokens + (character in initial) + (character in continuing)
        is_full = tokens > vocab_size // 2 or covered - counts[character] >= CHARACTER_COVERAGE * counts.total()
        if is_full and len(alphabet) >= MIN_ALPHABET_SIZE:
            break
        alphabet.add(character)
    return alphabet


def _spell(word_counts: Mapping[str, int], alphabet: set[str]) -> list[tuple[Pieces, int]]:
    """Split every word into characters. Words that need a character outside the alphabet are skipped."""
    return [
        ((word[0], *(CONTINUATION_PREFIX + character for character in word[1:])), count)
        for word, count in word_counts.items()
        if alphabet.issuperset(word)
    ]
