"""Where text comes from, and the vocabulary it is cut into: what becomes of the settings."""

from tokenizers import Tokenizer

from minibert.text.builtin import builtin_corpus
from minibert.text.corpus import Corpus, find_files, read_files, read_hub
from minibert.text.options import TextOptions, VocabularyOptions
from minibert.text.splits import in_validation
from minibert.text.tokenizer import build_tokenizer, load_tokenizer
from minibert.text.wordpiece_training import count_words, train_with_tokenizers, train_wordpiece


def open_corpus(source: TextOptions) -> Corpus:
    """The documents. Raises: CorpusError that names file and line, for text that cannot be read."""
    layout = None if source.layout == "auto" else source.layout
    if source.dataset is not None:
        return read_hub(source.dataset, source.config, source.split, layout, source.column)
    return read_files(find_files(source.text), layout, source.column) if source.text else builtin_corpus()


def make_tokenizer(vocabulary: VocabularyOptions, corpus: Corpus, validation: float) -> Tokenizer:
    """The tokenizer that is asked for, learned from all documents but those held out, if it is to be learned.

    Raises: ValueError for a size that is too small, or a tokenizer that cannot be read; FileNotFoundError if there is none.
    """
    if vocabulary.tokenizer is not None:
        return load_tokenizer(vocabulary.tokenizer)
    train = (document for document in corpus.documents if not in_validation(document.source, validation))
    sentences = (sentence for document in train for sentence in document.sentences)
    lowercase = not vocabulary.cased
    if vocabulary.trainer == "tokenizers":
        return build_tokenizer(train_with_tokenizers(sentences, vocabulary.vocab_size, lowercase), lowercase)
    return build_tokenizer(train_wordpiece(count_words(sentences, lowercase), vocabulary.vocab_size), lowercase)
