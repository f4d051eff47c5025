"""Corpora and tokenizers from the options of the command line."""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer

from minibert.text.builtin import builtin_corpus
from minibert.text.corpus import Corpus, read_corpus, read_dataset
from minibert.text.options import TextOptions, VocabularyOptions
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, load_tokenizer, save_tokenizer, token_id
from minibert.text.tokenizer_files import TOKENIZER_FILE
from minibert.text.wordpiece_training import count_words, train_with_tokenizers, train_wordpiece


def open_corpus(options: TextOptions) -> Corpus:
    """Read the corpus: files, a dataset, or the built-in corpus.

    Raises: CorpusError, with file and line, for text that cannot be read.
    """
    layout = None if options.layout == "auto" else options.layout
    if options.dataset is not None:
        return read_dataset(options.dataset, options.dataset_config, options.split, layout, options.column)
    return read_corpus(options.text, layout, options.column) if options.text else builtin_corpus()


def make_tokenizer(options: VocabularyOptions, texts: Iterable[str]) -> Tokenizer:
    """Load the tokenizer named in the options, or train one on `texts`.

    Raises: ValueError for a vocabulary size that is too small and a tokenizer that cannot be loaded, FileNotFoundError if there
    is no tokenizer.
    """
    if options.tokenizer is not None:
        return load_tokenizer(options.tokenizer)
    lowercase = not options.cased
    if options.trainer == "tokenizers":
        vocabulary = train_with_tokenizers(texts, options.vocab_size, lowercase, options.alphabet_size)
    else:
        vocabulary = train_wordpiece(count_words(texts, lowercase), options.vocab_size, options.alphabet_size)
    return build_tokenizer(vocabulary, lowercase)


def tokenizer_in(directory: Path, options: VocabularyOptions, texts: Iterable[str], create: bool) -> Tokenizer:
    """Return the tokenizer of a run: the one in its folder, or else, and with `create`, a new one that is saved there.

    Raises: ValueError for a tokenizer without one of BERT's special tokens, and as `make_tokenizer`.
    """
    if create or not (directory / TOKENIZER_FILE).is_file():
        save_tokenizer(make_tokenizer(options, texts), directory)
    tokenizer = load_tokenizer(directory)
    for token in SPECIAL_TOKENS:
        token_id(tokenizer, token)
    return tokenizer
