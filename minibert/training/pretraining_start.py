"""The beginning of a pretraining run: its text, a new model or that of a checkpoint, and the settings of its loop."""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from tokenizers import Tokenizer

from minibert.model import PRESETS
from minibert.model.checkpoints.loading import read_checkpoint
from minibert.model.config import TextConfig
from minibert.model.pretrained import PretrainedModel
from minibert.text.batching import batches_by_count
from minibert.text.corpus import Corpus
from minibert.text.from_options import NewTokenizer, open_corpus, tokenizer_in
from minibert.text.options import TextOptions, VocabularyOptions
from minibert.text.splits import sufficient_validation_fraction, training_sentences
from minibert.text.tokenized import PLAIN, Ends, TokenizedCorpus, tokenize_corpus
from minibert.text.tokenizer import PAD, token_id, vocabulary_size
from minibert.training.distributed import Processes
from minibert.training.optimizer import adamw, warmup_linear
from minibert.training.options import CONTINUED_LEARNING_RATE, DEFAULT_PRESET, DeviceOptions, PretrainingConfig
from minibert.training.pretraining_families import complete, method_for
from minibert.training.run import STATE_FILE

MICRO_BATCH_SIZE_ON_CPU = 16


def load_start(source: str | Path, config: PretrainingConfig) -> PretrainedModel:
    """Load the model to begin with. Heads that the checkpoint lacks are initialized, with a warning.

    Raises: ValueError for a checkpoint that cannot be trained with these settings; FileNotFoundError if there is none.
    """
    config = complete(config, read_checkpoint(source).model_type, str(source))
    torch.manual_seed(config.seed)
    model = method_for(config).network.from_pretrained(source)
    check_positions(config, model, str(source))
    if config.examples.pairs != "none" and getattr(model.config, "type_vocab_size", 0) < 2:
        raise ValueError(f"{source}: this model has no second segment; use --pairs none")
    return model


def start_source(directory: Path, start_from: str) -> str | Path:
    """Return the checkpoint that a run reads its model from: its own newest one if it is resumed, or else `start_from`."""
    return directory if (directory / STATE_FILE).is_file() else start_from


def continued(
    config: PretrainingConfig, vocabulary: VocabularyOptions, start_from: str
) -> tuple[PretrainingConfig, VocabularyOptions]:
    """Return the options of a run that begins with a checkpoint: its tokenizer, and a smaller learning rate."""
    learning_rate = config.learning_rate or CONTINUED_LEARNING_RATE
    return replace(config, learning_rate=learning_rate), replace(vocabulary, tokenizer=start_from)


def check_positions(config: PretrainingConfig, model: PretrainedModel, source: str) -> None:
    """Raise ValueError for examples that are longer than the texts of a model from `source`."""
    if config.examples.max_length > (limit := model.text_config.max_tokens):
        raise ValueError(f"{source}: this model has {limit} positions; use --max-length {limit} or less")


def check_pieces(tokenizer: Tokenizer, model: PretrainedModel, source: str) -> None:
    """Raise ValueError for a tokenizer with more pieces than its model from `source`."""
    if (size := vocabulary_size(tokenizer)) > (limit := model.text_config.vocab_size):
        raise ValueError(f"{source}: its tokenizer has {size:,} pieces, more than the {limit:,} of its model")


class RunText(NamedTuple):
    """The text of a run, with its tokenizer."""

    corpus: Corpus
    tokenizer: Tokenizer
    train: TokenizedCorpus
    validation: TokenizedCorpus


def prepare_text(
    text: TextOptions,
    vocabulary: VocabularyOptions,
    directory: Path,
    create_tokenizer: bool,
    kind: NewTokenizer,
    ends: Ends = PLAIN,
    start: PretrainedModel | None = None,
) -> RunText:
    """Read the text of a run, train or load its tokenizer, and tokenize. The results are stored in the cache.

    Args:
        directory, create_tokenizer: as in `prepare_pretraining`.
        kind: kind of a new tokenizer.
        start: model to begin with. Its tokenizer is that of `vocabulary`.

    Raises: ValueError for text and tokenizers that cannot be used, FileNotFoundError if they do not exist.
    """
    corpus = open_corpus(text)
    fraction = sufficient_validation_fraction(corpus.documents, text.validation_fraction)
    tokenizer = tokenizer_in(directory, vocabulary, training_sentences(corpus.documents, fraction), create_tokenizer, kind)
    if start is not None:
        check_pieces(tokenizer, start, f"{vocabulary.tokenizer}")
    return RunText(corpus, tokenizer, *tokenize_corpus(corpus, tokenizer, fraction, ends))


def new_model(config: PretrainingConfig, tokenizer: Tokenizer) -> PretrainedModel:
    """Create the model of a run, with the sizes of its preset and initial weights."""
    network, size = method_for(config).network, PRESETS[config.preset or DEFAULT_PRESET]
    fields = {"vocab_size": vocabulary_size(tokenizer), **config.family_fields, **trained_fields(config, tokenizer)}
    model_config = cast("type[TextConfig]", network.config_class).of_size(size, **fields)
    not_for_tokens = model_config.max_position_embeddings - model_config.max_tokens
    return network(replace(model_config, max_position_embeddings=config.examples.max_length + not_for_tokens))


def trained_fields(config: PretrainingConfig, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the fields of the model's config that the run sets, also if it begins with a trained model."""
    return {
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.dropout,
        "pad_token_id": token_id(tokenizer, PAD),
    }


def run_arguments(config: PretrainingConfig, device_options: DeviceOptions, processes: Processes) -> dict[str, Any]:
    """Return the arguments of `TrainingRun` that do not depend on the family."""
    on_cpu = MICRO_BATCH_SIZE_ON_CPU if processes.device.type == "cpu" else None
    return {
        "batch_sampler": partial(batches_by_count, batch_size=config.batch_size),
        "optimizer": partial(adamw, learning_rate=config.peak_learning_rate, weight_decay=config.weight_decay),
        "schedule": partial(warmup_linear, steps=config.steps, warmup_fraction=config.warmup_fraction),
        "steps": config.steps,
        "max_grad_norm": config.max_grad_norm,
        "autocast_dtype": torch.bfloat16 if config.precision == "bfloat16" else None,
        "micro_batch_size": device_options.micro_batch_size or on_cpu,
        "sharding": device_options.sharding,
        "processes": processes,
    }


def collect_settings(
    task: str,
    text: TextOptions,
    vocabulary: VocabularyOptions,
    config: PretrainingConfig,
    corpus_name: str,
    corpus_digest: str,
    start_from: str | None = None,
) -> dict[str, Any]:
    """Collect everything that determines the results of a run, for run.json, with default values filled in."""
    preset = config.preset or (DEFAULT_PRESET if start_from is None else None)
    chosen = replace(config, preset=preset, learning_rate=config.peak_learning_rate)
    return {
        "task": task,
        "training": {**asdict(chosen), "start_from": start_from},
        "vocabulary": asdict(vocabulary),
        "corpus": {"name": corpus_name, "validation_fraction": text.validation_fraction, "digest": corpus_digest},
    }
