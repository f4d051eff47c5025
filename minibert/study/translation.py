"""From texts to a trained encoder-decoder and back: what it is given, what it writes, and how good that is."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from tokenizers import Tokenizer

from minibert.model import Transformer
from minibert.study import figures as plots
from minibert.text.batching import padded
from minibert.text.corpus import CorpusError
from minibert.text.options import ParallelTextOptions, SequenceTask, VocabularyOptions
from minibert.text.parallel import (
    ALPHABET,
    ParallelBatch,
    ParallelExamples,
    ParallelText,
    SequenceExamples,
    read_parallel,
    split_parallel,
)
from minibert.text.tokenizer import SPECIAL_TOKENS, TOKENIZER_FILE, build_tokenizer, load_tokenizer, save_tokenizer, token_id
from minibert.text.wordpiece_training import count_words, train_with_tokenizers, train_wordpiece
from minibert.training.options import TranslationConfig
from minibert.training.records import RunRecord
from minibert.training.run import Examples

SEQUENCES_IN_AN_EPOCH, SEQUENCES_TO_TEST = 5000, 500
EVALUATED_AT_ONCE = 64
BETWEEN_LETTERS = re.compile(r"(?<=\w) ([-'’/]) (?=\w)")


@dataclass(frozen=True)
class PreparedTransformer:
    """What training needs, and what it is measured on."""

    tokenizer: Tokenizer
    train: Examples[ParallelBatch]
    validation: list[ParallelBatch]
    """Batches to evaluate on; none, where nothing was held out."""
    validation_text: ParallelText
    """Its targets without what the tokenizer takes off, such as capital letters: as they can be written."""
    longest: int
    """Tokens on a side."""
    settings: dict[str, Any]
    """All that decides the numbers, as it is kept in the folder of a run."""
    summary: str
    """How much there is to learn from, for people."""


def prepare_sequences(task: SequenceTask, longest: int, recipe: TranslationConfig, directory: Path) -> PreparedTransformer:
    """Sequences of up to `longest` letters, drawn as they are needed; a tenth of all is never learned from."""
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, *ALPHABET])
    save_tokenizer(tokenizer, directory)
    train = SequenceExamples(task, tokenizer, recipe.seed, SEQUENCES_IN_AN_EPOCH, longest)
    validation = SequenceExamples(task, tokenizer, 0, SEQUENCES_TO_TEST, longest, validation=True)
    summary = f"To {task}: sequences of 1 to {longest} letters; a tenth of all sequences is never learned from"
    epoch = validation.epoch(0)
    batches = [epoch.batch(some) for some in _some_at_once(epoch.lengths)]
    settings = {"recipe": asdict(recipe), "corpus": {"name": task, "longest": longest}}
    return PreparedTransformer(tokenizer, train, batches, validation.texts(0), longest + 2, settings, summary)


def prepare_parallel(
    source: ParallelTextOptions, vocabulary: VocabularyOptions, recipe: TranslationConfig, directory: Path, learn: bool
) -> PreparedTransformer:
    """Reads both sides, learns one vocabulary of them together (Vaswani et al. 2017, section 5.1), and encodes.

    Args:
        directory: where the tokenizer is kept.
        learn: whether to make the tokenizer, even if there is one in the folder.

    Raises: ValueError for text and tokenizers that cannot be used, FileNotFoundError for those that are not there.
    """
    text = read_parallel(source.text)
    train, validation = (text, read_parallel(source.valid)) if source.valid else split_parallel(text, source.validation_share)
    if not len(train):
        raise CorpusError(f"{source.text[0]}: there is nothing to learn from, all of it is held out")
    if learn or not (directory / TOKENIZER_FILE).is_file():
        save_tokenizer(_joint_tokenizer(vocabulary, train), directory)
    tokenizer = load_tokenizer(directory)
    for token in SPECIAL_TOKENS:
        token_id(tokenizer, token)
    examples = ParallelExamples(train, tokenizer, recipe.seed, source.longest)
    epoch = ParallelExamples(validation, tokenizer, 0, source.longest).epoch(0)
    batches = [epoch.batch(some) for some in _some_at_once(epoch.lengths)]
    if not examples.sources:
        raise CorpusError(f"{source.text[0]}: every pair has more than {source.longest} tokens on a side: raise --longest")
    summary = (
        f"Text: {' and '.join(path.name for path in source.text)}\n  {len(examples.sources):,} pairs, "
        f"{int(examples.epoch(0).lengths.sum()):,} tokens of {tokenizer.get_vocab_size():,} pieces to learn from; "
        f"{len(validation):,} pairs held out"
    )
    if not len(validation):
        summary += "\n  There will be no evaluation: give --valid, or raise --validation-share."
    if text.left_out:
        summary += f"\n  Left out: {text.left_out:,} with an empty side."
    if examples.left_out:
        summary += f"\n  Left out: {examples.left_out:,} with more than {source.longest} tokens on a side (--longest)."
    if tokenizer.normalizer is not None:
        validation = replace(validation, targets=[tokenizer.normalizer.normalize_str(target) for target in validation.targets])
    corpus = {
        "name": " and ".join(path.name for path in source.text),
        "validation": [path.name for path in source.valid] or source.validation_share,
        "pairs": len(examples.sources),
        "digest": hashlib.sha256(json.dumps([examples.sources, examples.targets]).encode()).hexdigest()[:16],
        "longest": source.longest,
    }
    settings = {"recipe": asdict(recipe), "vocabulary": asdict(vocabulary), "corpus": corpus}
    return PreparedTransformer(tokenizer, examples, batches, validation, source.longest, settings, summary)


def _joint_tokenizer(vocabulary: VocabularyOptions, text: ParallelText) -> Tokenizer:
    """One vocabulary for both sides, so that they can share one table of vectors."""
    if vocabulary.tokenizer is not None:
        return load_tokenizer(vocabulary.tokenizer)
    lowercase, both = not vocabulary.cased, [*text.sources, *text.targets]
    if vocabulary.trainer == "tokenizers":
        return build_tokenizer(train_with_tokenizers(both, vocabulary.vocab_size, lowercase), lowercase)
    return build_tokenizer(train_wordpiece(count_words(both, lowercase), vocabulary.vocab_size), lowercase)


def translate(model: Transformer, tokenizer: Tokenizer, lines: Sequence[str], beams: int = 4, alpha: float = 0.6) -> list[str]:
    """What the model makes of each line, in order. A blank line stays one: there is nothing to read in it.

    WordPiece forgets where there were no spaces. They are taken out where tokenizers' decoder does so, in front of full stops
    and the like, and around hyphens and apostrophes between letters.

    Raises: ValueError for a line that is longer than learned positions reach.
    """
    written = [""] * len(lines)
    full = [number for number, line in enumerate(lines) if line.strip()]
    encoded = [encoding.ids for encoding in tokenizer.encode_batch([lines[number] for number in full])]
    longest = model.config.max_position_embeddings
    for number, found in zip(full, encoded, strict=True):
        if model.config.positions == "learned" and len(found) > longest:
            raise ValueError(f"line {number + 1} has {len(found)} tokens; this model has learned positions for {longest}")
    pad = model.config.pad_token_id
    for some in _some_at_once(np.array([len(ids) for ids in encoded], dtype=np.int64)):
        ids, keep = padded([encoded[place] for place in some], pad)
        device = model.words.weight.device
        for place, output in zip(some, model.generate(ids.to(device), keep.to(device), beams, alpha), strict=True):
            text = tokenizer.decode(output.tokens, skip_special_tokens=True)
            written[full[place]] = BETWEEN_LETTERS.sub(r"\1", text)
    return written


def _some_at_once(lengths: np.ndarray[Any, np.dtype[np.int64]]) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
    """Everything once, in batches of like length."""
    order = np.argsort(lengths, kind="stable")
    return [order[start : start + EVALUATED_AT_ONCE] for start in range(0, len(order), EVALUATED_AT_ONCE)]


def bleu(written: Sequence[str], targets: Sequence[str]) -> float | None:
    """BLEU as sacrebleu computes it (Papineni et al. 2002; Post 2018), from 0 to 100; None where sacrebleu is not installed."""
    try:
        from sacrebleu import corpus_bleu
    except ImportError:
        return None
    return float(corpus_bleu(list(written), [list(targets)]).score)


def exact(written: Sequence[str], targets: Sequence[str]) -> float:
    """The share of outputs that are right from the first sign to the last."""
    return sum(one == other for one, other in zip(written, targets, strict=True)) / max(1, len(targets))


def figure(record: RunRecord, baselines: dict[str, float], measure: str, name: str) -> Figure:
    """The loss over the steps, and what is written validation: `measure` of the metrics, called `name`."""
    training = [(entry["step"], entry["target"]) for entry in record.metrics if entry["target"] is not None]
    points = [(entry["step"], entry[measure]) for entry in record.metrics if entry.get(measure) is not None]
    steps, losses = [step for step, _ in training], [loss for _, loss in training]
    loss = plots.losses(
        steps, losses, record.validation, baselines, "held out, without label smoothing", title="Loss", unit="nats per token"
    )
    return plots.figure(loss, *([plots.curves({record.name: points}, "step", name, "on what was held out")] if points else []))
