"""The text of a translation run: what is printed about it before training."""

from collections.abc import Iterator, Sequence
from operator import eq

from tokenizers import Tokenizer

from minibert.text.parallel import ParallelExamples
from minibert.text.tokenizer import UNK, vocabulary_size
from minibert.text.unknown import UnknownText


def describe_parallel(
    examples: ParallelExamples,
    held_out: ParallelExamples,
    unknown: Sequence[UnknownText],
    tokenizer: Tokenizer,
    bleu_ceiling: float | None,
) -> Iterator[str]:
    """Describe the training and validation text, a line for each fact. `unknown` is that of the sources and the targets."""
    tokens = int(examples.epoch(0).lengths.sum())
    yield f"Training: {len(examples.sources):,} pairs, {tokens:,} tokens; vocabulary: {vocabulary_size(tokenizer):,}"
    yield f"Validation: {len(held_out.sources):,} pairs"
    for name, split in (("training", examples), ("validation", held_out)):
        if split.skipped:
            yield f"Skipped in {name}: {split.describe_skipped()}."
    if not held_out.sources:
        yield "There will be no evaluation: use --validation, or raise --validation-fraction."
    elif bleu_ceiling is not None:
        yield f"Ceiling of BLEU: {bleu_ceiling:.1f}, that of the validation targets themselves, tokenized and decoded."
    for name, side in zip(("sources", "targets"), unknown, strict=True):
        yield f"Training {name}: {side.describe()}"
    if count := sum(examples.unk_id in target for target in examples.targets):
        yield f"{count:,} training targets contain {UNK}, which is not learned."
    training_pairs = {*zip(examples.text.sources, examples.text.targets, strict=True)}
    if count := sum(pair in training_pairs for pair in zip(held_out.text.sources, held_out.text.targets, strict=True)):
        yield f"Warning: {count:,} validation pairs are also in the training text."
    if (count := sum(map(eq, examples.sources, examples.targets))) > len(examples.sources) / 2:
        yield f"Warning: in {count:,} pairs source and target are equal."
