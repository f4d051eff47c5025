"""From raw text to what a pretraining run needs: read, cut into pieces, encoded, and what to hold its loss against."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from minibert.text.examples import PretrainingBatch
from minibert.text.options import TextOptions, VocabularyOptions
from minibert.text.pairs import check_pairs
from minibert.text.source import make_tokenizer, open_corpus
from minibert.text.splits import sufficient_validation_share
from minibert.text.tokenized import TokenizedCorpus, tokenize_corpus
from minibert.text.tokenizer import SPECIAL_TOKENS, TOKENIZER_FILE, load_tokenizer, save_tokenizer, token_id
from minibert.training.baselines import baselines
from minibert.training.options import PretrainingConfig
from minibert.training.recipe import validation_batches


@dataclass(frozen=True)
class Prepared:
    """What training needs, and what its loss can be held against."""

    tokenizer: Tokenizer
    train: TokenizedCorpus
    validation: list[PretrainingBatch]
    """Batches to evaluate on; none, where the validation documents make no pairs."""
    baselines: dict[str, float]
    settings: dict[str, Any]
    """All that decides the numbers, as it is kept in the folder of a run."""
    summary: str
    """How much text there is, for people."""


def prepare(
    source: TextOptions, vocabulary: VocabularyOptions, recipe: PretrainingConfig, directory: Path, learn: bool = True
) -> Prepared:
    """Reads the text, learns the vocabulary, encodes; what is found in the cache is not made again.

    Args:
        directory: where the tokenizer is kept.
        learn: whether to make the tokenizer, even if there is one in the folder.

    Raises: ValueError for text and tokenizers that cannot be used, FileNotFoundError for those that are not there.
    """
    corpus = open_corpus(source)
    share = sufficient_validation_share(corpus.documents, source.validation_share)
    if learn or not (directory / TOKENIZER_FILE).is_file():
        save_tokenizer(make_tokenizer(vocabulary, corpus, share), directory)
    tokenizer = load_tokenizer(directory)
    for token in SPECIAL_TOKENS:
        token_id(tokenizer, token)
    train, validation = tokenize_corpus(corpus, tokenizer, share)
    try:
        check_pairs(train, recipe.examples.pairs)
    except ValueError as error:
        raise ValueError(f"{corpus.name}: {error}") from None
    summary = (
        f"Text: {corpus.name}\n  {len(train.document_starts) - 1:,} documents, {len(train.ids):,} tokens of "
        f"{tokenizer.get_vocab_size():,} pieces to learn from; {len(validation.document_starts) - 1:,} documents held out"
    )
    try:
        check_pairs(validation, recipe.examples.pairs)
        batches = validation_batches(recipe, validation, tokenizer)
    except ValueError as error:
        batches = []
        none = (
            f"{len(train.document_starts) - 1} documents are too few to spare any"
            if source.validation_share
            else "--validation-share is 0"
        )
        why = f"of those held out, {error}" if len(validation.document_starts) > 1 else none
        summary += f"\n  There will be no evaluation: {why}."
    marks = baselines(train, validation, tokenizer)
    summary += "\n  Losses to hold it against: " + ", ".join(f"{name} {value:.2f}" for name, value in marks.items())
    settings = settings_of(source, vocabulary, recipe, corpus.name, train.digest)
    return Prepared(tokenizer, train, batches, marks, settings, summary)


def settings_of(
    source: TextOptions, vocabulary: VocabularyOptions, recipe: PretrainingConfig, name: str, digest: str
) -> dict[str, Any]:
    """All that decides the numbers of a run; `name` and `digest` are those of its text, in pieces."""
    return {
        "recipe": asdict(replace(recipe, learning_rate=recipe.rate)),
        "vocabulary": asdict(vocabulary),
        "corpus": {"name": name, "validation": source.validation_share, "digest": digest},
    }
