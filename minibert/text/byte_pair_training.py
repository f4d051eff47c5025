"""Training of byte-level BPE: from word counts to merges, in code meant for reading.

Source: Sennrich et al. 2016, section 3.2 (byte-pair encoding); Radford et al. 2019, section 2.2 (bytes instead of characters).
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from minibert.text.byte_alphabet import Merge, byte_pair_vocabulary
from minibert.text.corpus import Document
from minibert.text.token_pairs import PairCounts
from minibert.text.tokenizer import ROBERTA_TOKENS, build_byte_pair_tokenizer, byte_level_pre_tokenizer
from minibert.text.word_counts import count_in_chunks

BEFORE_SPACE = re.compile(r"(?<=\S)(?= )")


def train_byte_pair_tokenizer(
    documents: Iterable[Document], vocab_size: int = 8000, names: Mapping[str, str] = ROBERTA_TOKENS
) -> Tokenizer:
    """Train a tokenizer of byte-level BPE on documents, whose sentences are joined with spaces.

    Args:
        vocab_size: maximum size of the vocabulary, including special tokens and the 256 bytes.
        names: the special tokens, `ROBERTA_TOKENS` or `GPT2_TOKENS`.

    Raises: ValueError if the vocabulary is too small for the special tokens and bytes.
    """
    words = count_byte_words(" ".join(document.sentences) for document in documents)
    return build_byte_pair_tokenizer(train_byte_pairs(words, vocab_size, names.values()), names)


def count_byte_words(texts: Iterable[str]) -> Counter[str]:
    """Count the words of texts, cut by GPT-2's pattern and written in the letters of their bytes.

    A word that begins with a space never continues the text before it. So texts are split there into chunks.

    >>> sorted(count_byte_words(["a cat's cat"]).items())
    [("'s", 1), ('a', 1), ('Ġcat', 2)]
    """
    pre_tokenize = byte_level_pre_tokenizer().pre_tokenize_str
    return count_in_chunks(texts, BEFORE_SPACE.split, lambda chunk: [word for word, _ in pre_tokenize(chunk)])


def train_byte_pairs(word_counts: Mapping[str, int], vocab_size: int, special_tokens: Iterable[str]) -> list[Merge]:
    """Train byte-level BPE and return the merges in their order. `build_byte_pair_tokenizer` makes a tokenizer of them.

    At first, every word is a sequence of bytes. Then, repeatedly, the pair of adjacent tokens with the highest count over all
    words is merged into one token. Of several such pairs, the one with the smallest ids is merged, as by Hugging Face's
    `tokenizers`. Training stops early if no pair occurs at least twice.

    Args:
        word_counts: number of occurrences of each word, from `count_byte_words`.
        vocab_size: maximum size of the vocabulary, including special tokens and the 256 bytes.
        special_tokens: the first tokens of the vocabulary.

    Raises: ValueError if `vocab_size` is too small for the special tokens and bytes.

    >>> train_byte_pairs({"hug": 10, "pug": 5, "hugs": 5}, 260, ["<s>"])
    [('u', 'g'), ('h', 'ug'), ('p', 'ug')]
    """
    vocabulary = byte_pair_vocabulary([], special_tokens)
    _check_vocab_size(vocab_size, vocabulary)
    ids = {token: index for index, token in enumerate(vocabulary)}
    pair_counts = PairCounts((tuple(ids[letter] for letter in word), count) for word, count in word_counts.items())
    merges: list[Merge] = []
    while len(ids) < vocab_size and (pair := pair_counts.most_frequent()):
        first, second = vocabulary[pair[0]], vocabulary[pair[1]]
        merges.append((first, second))
        if first + second not in ids:  # a special token may be spelled like it
            ids[first + second] = len(vocabulary)
            vocabulary.append(first + second)
        pair_counts.merge(pair, ids[first + second])
    return merges


def train_byte_pairs_with_tokenizers(texts: Iterable[str], vocab_size: int, special_tokens: Iterable[str]) -> list[Merge]:
    """Train byte-level BPE with Hugging Face's `tokenizers`. The merges are those of `train_byte_pairs`.

    Raises: ValueError if `vocab_size` is too small for the special tokens and bytes.
    """
    special = list(dict.fromkeys(special_tokens))
    _check_vocab_size(vocab_size, byte_pair_vocabulary([], special))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = byte_level_pre_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    remaining = iter(texts)
    batches = iter(lambda: list(islice(remaining, 1000)), [])  # single texts would be processed on one core only
    tokenizer.train_from_iterator(batches, trainer)
    return [(first, second) for first, second in json.loads(tokenizer.to_str())["model"]["merges"]]


def _check_vocab_size(vocab_size: int, vocabulary: Sequence[str]) -> None:
    if len(vocabulary) > vocab_size:
        raise ValueError(f"vocab_size {vocab_size} is too small: special tokens and bytes need {len(vocabulary)}. Raise it")
