"""Corpora and tokenizers from the options of the command line."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from tokenizers import Tokenizer

from minibert.text.builtin import builtin_corpus
from minibert.text.byte_pair_training import count_byte_words, train_byte_pairs, train_byte_pairs_with_tokenizers
from minibert.text.characters import build_character_tokenizer, choose_characters, count_characters
from minibert.text.corpus import Corpus, read_corpus, read_dataset
from minibert.text.options import TextOptions, VocabularyOptions
from minibert.text.tokenizer import (
    END_OF_TEXT,
    GPT2_TOKENS,
    PAD,
    ROBERTA_TOKENS,
    SPECIAL_TOKENS,
    T5_TOKENS,
    build_byte_pair_tokenizer,
    build_tokenizer,
    save_tokenizer,
    sentinel,
    token_id,
)
from minibert.text.tokenizer_files import TOKENIZER_FILE
from minibert.text.tokenizer_loading import load_tokenizer
from minibert.text.wordpiece_training import count_words, train_with_tokenizers, train_wordpiece

NewTokenizer = Literal["bert", "roberta", "gpt2", "t5"]
"""Model whose kind of tokenizer is trained."""
SENTINELS = {f"sentinel {number}": sentinel(number) for number in range(100)}
BYTE_PAIR_TOKENS = {"roberta": ROBERTA_TOKENS, "gpt2": GPT2_TOKENS, "t5": T5_TOKENS | SENTINELS}
"""Special tokens of the models with byte-level BPE."""
SENTENCE_START = {"roberta": " ", "gpt2": "", "t5": " "}
"""Text before a sentence in a document: a space after another sentence, or nothing at the start of a line."""
NEEDED_TOKENS = {
    "bert": SPECIAL_TOKENS,
    "roberta": SPECIAL_TOKENS,
    "gpt2": (END_OF_TEXT,),
    "t5": (PAD, T5_TOKENS["eos_token"], sentinel(0)),
}
"""Special tokens without which a model cannot be trained, by BERT's names, and GPT-2's for the end of a document."""


def open_corpus(options: TextOptions) -> Corpus:
    """Read the corpus: files, a dataset, or the built-in corpus.

    Raises: CorpusError, with file and line, for text that cannot be read.
    """
    layout = None if options.layout == "auto" else options.layout
    if options.dataset is not None:
        return read_dataset(options.dataset, options.dataset_config, options.split, layout, options.column)
    return read_corpus(options.text, layout, options.column) if options.text else builtin_corpus()


def make_tokenizer(options: VocabularyOptions, texts: Iterable[str], kind: NewTokenizer = "bert") -> Tokenizer:
    """Load the tokenizer named in the options, or train one on `texts`.

    Args:
        kind: bert trains WordPiece. roberta, gpt2 and t5 train byte-level BPE with the special tokens of that model.

    Raises: ValueError for a vocabulary size that is too small and a tokenizer that cannot be loaded, FileNotFoundError if there
    is no tokenizer.
    """
    if options.tokenizer is not None:
        return load_tokenizer(options.tokenizer)
    if options.pieces == "characters":
        return _characters(options, texts, kind)
    if kind in BYTE_PAIR_TOKENS:
        return _train_byte_pairs(options, (SENTENCE_START[kind] + text for text in texts), BYTE_PAIR_TOKENS[kind])
    lowercase = not options.cased
    if options.trainer == "tokenizers":
        vocabulary = train_with_tokenizers(texts, options.vocab_size, lowercase, options.alphabet_size)
    else:
        vocabulary = train_wordpiece(count_words(texts, lowercase), options.vocab_size, options.alphabet_size)
    return build_tokenizer(vocabulary, lowercase)


def _characters(options: VocabularyOptions, texts: Iterable[str], kind: NewTokenizer) -> Tokenizer:
    if kind != "gpt2":
        raise ValueError("pieces: a vocabulary of characters has no tokens for masks and pairs of texts; it is for gpt2 only")
    most = min(options.vocab_size - 1, options.alphabet_size or options.vocab_size)  # without <|endoftext|>
    return build_character_tokenizer(choose_characters(count_characters(texts), most))


def _train_byte_pairs(options: VocabularyOptions, texts: Iterable[str], names: Mapping[str, str]) -> Tokenizer:
    if options.alphabet_size is not None:
        raise ValueError("alphabet_size: byte-level BPE always has the 256 bytes as its alphabet; leave it out")
    if options.trainer == "tokenizers":
        merges = train_byte_pairs_with_tokenizers(texts, options.vocab_size, names.values())
    else:
        merges = train_byte_pairs(count_byte_words(texts), options.vocab_size, names.values())
    return build_byte_pair_tokenizer(merges, names)


def tokenizer_in(
    directory: Path, options: VocabularyOptions, texts: Iterable[str], create: bool, kind: NewTokenizer = "bert"
) -> Tokenizer:
    """Return the tokenizer of a run: the one in its folder, or else, and with `create`, a new one that is saved there.

    Args:
        kind: see `make_tokenizer`. Only GPT-2 needs no special tokens for padding, masks and pairs.

    Raises: ValueError for a tokenizer without a special token that the model needs, and as `make_tokenizer`.
    """
    if create or not (directory / TOKENIZER_FILE).is_file():
        save_tokenizer(make_tokenizer(options, texts, kind), directory)
    tokenizer = load_tokenizer(directory)
    for token in NEEDED_TOKENS[kind]:
        token_id(tokenizer, token)
    return tokenizer
