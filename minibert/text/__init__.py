"""From text to batches: corpora, tokenizers, examples.

Public names are loaded on first use, so that importing `minibert.text.options` stays fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_MODULES = {
    "ExampleConfig": "options",
    "LabeledExamples": "labeled.examples",
    "PackedExamples": "packing",
    "ParallelExamples": "parallel",
    "PretrainingExamples": "examples",
    "TokenizedCorpus": "tokenized",
    "batches_by_count": "batching",
    "batches_by_length": "batching",
    "batches_of_similar_length": "batching",
    "builtin_corpus": "builtin",
    "epoch_batches": "batching",
    "iterate_batches": "batching",
    "load_tokenizer": "tokenizer_loading",
    "read_corpus": "corpus",
    "read_dataset": "corpus",
    "read_parallel": "parallel",
    "read_squad": "labeled.squad",
    "read_table": "labeled.tables",
    "save_tokenizer": "tokenizer",
    "split_documents": "splits",
    "train_byte_pair_tokenizer": "byte_pair_training",
    "train_tokenizer": "wordpiece_training",
    "vocabulary_size": "tokenizer",
}
"""Public names and the modules that define them."""

__all__ = [*_MODULES]

if TYPE_CHECKING:
    from minibert.text.batching import batches_by_count as batches_by_count
    from minibert.text.batching import batches_by_length as batches_by_length
    from minibert.text.batching import batches_of_similar_length as batches_of_similar_length
    from minibert.text.batching import epoch_batches as epoch_batches
    from minibert.text.batching import iterate_batches as iterate_batches
    from minibert.text.builtin import builtin_corpus as builtin_corpus
    from minibert.text.byte_pair_training import train_byte_pair_tokenizer as train_byte_pair_tokenizer
    from minibert.text.corpus import read_corpus as read_corpus
    from minibert.text.corpus import read_dataset as read_dataset
    from minibert.text.examples import PretrainingExamples as PretrainingExamples
    from minibert.text.labeled.examples import LabeledExamples as LabeledExamples
    from minibert.text.labeled.squad import read_squad as read_squad
    from minibert.text.labeled.tables import read_table as read_table
    from minibert.text.options import ExampleConfig as ExampleConfig
    from minibert.text.packing import PackedExamples as PackedExamples
    from minibert.text.parallel import ParallelExamples as ParallelExamples
    from minibert.text.parallel import read_parallel as read_parallel
    from minibert.text.splits import split_documents as split_documents
    from minibert.text.tokenized import TokenizedCorpus as TokenizedCorpus
    from minibert.text.tokenizer import save_tokenizer as save_tokenizer
    from minibert.text.tokenizer import vocabulary_size as vocabulary_size
    from minibert.text.tokenizer_loading import load_tokenizer as load_tokenizer
    from minibert.text.wordpiece_training import train_tokenizer as train_tokenizer


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'minibert.text' has no attribute {name!r}")
    return getattr(import_module(f"minibert.text.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
