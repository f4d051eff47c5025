"""Training the Transformer of 2017 on a toy task: sorting, reversing or copying letters."""

from dataclasses import asdict
from pathlib import Path

from minibert.text.letters import ALPHABET, LettersExamples
from minibert.text.options import LettersTask
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer
from minibert.training.decoding import exact_match
from minibert.training.options import TranslationConfig
from minibert.training.records import Column, TaskMetrics
from minibert.training.translation import TARGET_COLUMNS, TranslationTask, validation_batches

EXACT_MATCH = Column("exact match", "validation_exact_match", ".1%")
LETTERS = TaskMetrics("letters", "target", (*TARGET_COLUMNS, EXACT_MATCH), curve=EXACT_MATCH)
EXAMPLES_PER_EPOCH, VALIDATION_EXAMPLES = 5000, 500


def prepare_letters(operation: LettersTask, max_letters: int, config: TranslationConfig, directory: Path) -> TranslationTask:
    """Prepare training on sequences of up to `max_letters` letters. One tenth of all sequences is used for validation only.

    Args:
        directory: folder to write the tokenizer to.

    Raises: ValueError if a pair of sequences does not fit into a step.
    """
    if (longest := 2 * max_letters + 3) > config.batch_tokens:  # [CLS] and [SEP] twice; the last [SEP] is no input
        raise ValueError(
            f"a pair of sequences of {max_letters} letters has {longest} tokens, but a step has {config.batch_tokens}: "
            "raise --batch-tokens, or lower --letters"
        )
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, *ALPHABET])
    save_tokenizer(tokenizer, directory)
    train = LettersExamples(operation, tokenizer, config.seed, EXAMPLES_PER_EPOCH, max_letters)
    validation = LettersExamples(operation, tokenizer, 0, VALIDATION_EXAMPLES, max_letters, validation=True)
    return TranslationTask(
        LETTERS,
        config,
        tokenizer,
        train,
        validation_batches(validation.epoch(0)),
        validation.texts(0),
        max_letters + 2,  # [CLS] and [SEP]
        exact_match,
        {"task": LETTERS.task, "training": asdict(config), "corpus": {"name": operation, "max_letters": max_letters}},
        f"Task: {operation}. Sequences of 1 to {max_letters} letters; one tenth of all sequences is used for validation only",
    )
