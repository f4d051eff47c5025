"""The pretraining of every family: masked language modeling, prediction of the next token, or span corruption."""

from collections.abc import Callable, Mapping
from pathlib import Path

from minibert.model.checkpoints.loading import read_checkpoint
from minibert.printable import with_article
from minibert.text.options import TextOptions, VocabularyOptions
from minibert.training.next_token import NextTokenTask, prepare_next_token
from minibert.training.options import PretrainingConfig
from minibert.training.pretraining import PretrainingTask, prepare_pretraining
from minibert.training.pretraining_families import METHODS
from minibert.training.pretraining_start import start_source
from minibert.training.span_corruption import SpanCorruptionTask, prepare_span_corruption

PreparedTask = PretrainingTask | NextTokenTask | SpanCorruptionTask

PREPARATIONS: Mapping[str, Callable[..., PreparedTask]] = {
    **dict.fromkeys(METHODS, prepare_pretraining),
    "gpt2": prepare_next_token,
    "t5": prepare_span_corruption,
}
"""The function that prepares the pretraining of a family. All have the same arguments."""


def prepare_task(
    text: TextOptions,
    vocabulary: VocabularyOptions,
    config: PretrainingConfig,
    directory: Path,
    create_tokenizer: bool = True,
    start_from: str | None = None,
) -> PreparedTask:
    """Prepare the pretraining of the family of the options, or of the checkpoint to begin with; see `prepare_pretraining`.

    Raises: ValueError for a checkpoint of another family, or one without pretraining, and as the preparation.
    """
    family: str = config.family or "bert"
    if start_from is not None:
        family = read_checkpoint(start_source(directory, start_from)).model_type
        if family not in PREPARATIONS:
            raise ValueError(f"{start_from}: is {with_article(family)}; pretraining is for {', '.join(PREPARATIONS)}")
        if config.family not in (None, family):
            raise ValueError(f"{start_from}: its family is {family}, not {config.family}; leave out --family")
    return PREPARATIONS[family](text, vocabulary, config, directory, create_tokenizer, start_from)
