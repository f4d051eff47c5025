"""From raw text to what a pretraining run needs: read, cut into pieces, encoded, and what to hold its loss against."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from minibert.study.landmarks import landmarks
from minibert.text.held_out import enough_held_out
from minibert.text.pairs import check_pairs
from minibert.text.pretraining import PretrainingBatch
from minibert.text.settings import TextSource, Vocabulary
from minibert.text.source import make_tokenizer, open_corpus
from minibert.text.tokenized import TokenizedCorpus, tokenize
from minibert.text.tokenizer import SPECIAL_TOKENS, TOKENIZER_FILE, load_tokenizer, save_tokenizer, token_id
from minibert.training.recipe import held_out_batches
from minibert.training.settings import Recipe


@dataclass(frozen=True)
class Prepared:
    """What training needs, and what its loss can be held against."""

    tokenizer: Tokenizer
    learnt: TokenizedCorpus
    held_out: list[PretrainingBatch]
    """Batches to evaluate on; none, where the held-out documents make no pairs."""
    landmarks: dict[str, float]
    settings: dict[str, Any]
    """All that decides the numbers, as it is kept in the folder of a run."""
    summary: str
    """How much text there is, for people."""


def prepare(source: TextSource, vocabulary: Vocabulary, recipe: Recipe, directory: Path, learn: bool = True) -> Prepared:
    """Reads the text, learns the vocabulary, encodes; what is found in the cache is not made again.

    Args:
        directory: where the tokenizer is kept.
        learn: whether to make the tokenizer, even if there is one in the folder.

    Raises: ValueError for text and tokenizers that cannot be used, FileNotFoundError for those that are not there.
    """
    corpus = open_corpus(source)
    share = enough_held_out(corpus.documents, source.held_out)
    if learn or not (directory / TOKENIZER_FILE).is_file():
        save_tokenizer(make_tokenizer(vocabulary, corpus, share), directory)
    tokenizer = load_tokenizer(directory)
    for token in SPECIAL_TOKENS:
        token_id(tokenizer, token)
    learnt, held_out = tokenize(corpus, tokenizer, share)
    try:
        check_pairs(learnt, recipe.examples.pairs)
    except ValueError as error:
        raise ValueError(f"{corpus.name}: {error}") from None
    summary = (
        f"Text: {corpus.name}\n  {len(learnt.document_starts) - 1:,} documents, {len(learnt.ids):,} tokens of "
        f"{tokenizer.get_vocab_size():,} pieces to learn from; {len(held_out.document_starts) - 1:,} documents held out"
    )
    try:
        check_pairs(held_out, recipe.examples.pairs)
        batches = held_out_batches(recipe, held_out, tokenizer)
    except ValueError as error:
        batches = []
        none = f"{len(learnt.document_starts) - 1} documents are too few to spare any" if source.held_out else "--held-out is 0"
        why = f"of those held out, {error}" if len(held_out.document_starts) > 1 else none
        summary += f"\n  There will be no evaluation: {why}."
    marks = landmarks(learnt, held_out, tokenizer)
    summary += "\n  Losses to hold it against: " + ", ".join(f"{name} {value:.2f}" for name, value in marks.items())
    settings = settings_of(source, vocabulary, recipe, corpus.name, learnt.digest)
    return Prepared(tokenizer, learnt, batches, marks, settings, summary)


def settings_of(source: TextSource, vocabulary: Vocabulary, recipe: Recipe, name: str, digest: str) -> dict[str, Any]:
    """All that decides the numbers of a run; `name` and `digest` are those of its text, in pieces."""
    return {
        "recipe": asdict(replace(recipe, learning_rate=recipe.rate)),
        "vocabulary": asdict(vocabulary),
        "corpus": {"name": name, "held_out": source.held_out, "digest": digest},
    }
