"""Pretraining of T5: spans of a text are removed, and predicted (Raffel et al. 2020, section 3.1.4)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from minibert.equations import IGNORE_INDEX, unigram_entropy
from minibert.model import PRESETS
from minibert.model.t5 import T5ForConditionalGeneration
from minibert.model.t5_config import T5Config
from minibert.printable import printable
from minibert.text.options import ExampleConfig, TextOptions, VocabularyOptions
from minibert.text.parallel import ParallelBatch
from minibert.text.spans import DOCUMENTS, END, SpanExamples
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import PAD, sentinel, token_id, vocabulary_size
from minibert.training.checkpoints import set_seed
from minibert.training.costs import translation_cost
from minibert.training.distributed import SINGLE_PROCESS, Processes
from minibert.training.optimizer import adamw
from minibert.training.options import DEFAULT_PRESET, DeviceOptions, PretrainingConfig
from minibert.training.preparation import prepare_model
from minibert.training.pretraining_families import for_whole_texts
from minibert.training.pretraining_start import collect_settings, continued, prepare_text, run_arguments, start_source
from minibert.training.pretraining_text import UNIFORM, UNIGRAM, describe_missing_evaluation, describe_size
from minibert.training.records import Column, Evaluation, TaskMetrics, format_metric, validation_entry
from minibert.training.run import TrainingRun
from minibert.training.translation import TARGET_COLUMNS, TranslationObjective

SPAN_CORRUPTION = TaskMetrics(task="span-corruption", term="target", columns=TARGET_COLUMNS)
VALIDATION_WINDOWS, VALIDATION_BATCH_SIZE = 1024, 64
SAMPLE_WINDOWS = 4096
"""Number of training windows whose targets are counted."""


@dataclass(frozen=True)
class SpanCorruptionTask:
    """Pretraining of T5, with its prepared data."""

    metrics: ClassVar[TaskMetrics] = SPAN_CORRUPTION
    config: PretrainingConfig
    tokenizer: Tokenizer
    train: TokenizedCorpus
    validation: list[ParallelBatch]
    """Validation batches, in the order of the text; empty if there are no validation documents."""
    baselines: dict[str, float]
    settings: dict[str, Any]
    summary: str
    start: T5ForConditionalGeneration | None = None
    """Model to begin with; None for a new one."""

    def make_run(
        self, device_options: DeviceOptions, processes: Processes
    ) -> TrainingRun[T5ForConditionalGeneration, ParallelBatch]:
        return span_corruption_run(self.config, device_options, self.train, self.tokenizer, processes, self.start)

    def cost(self, run: TrainingRun[Any, ParallelBatch]) -> tuple[int, int]:
        return translation_cost(run.model.config, run.last_batches)

    @property
    def main_metric(self) -> Column | None:
        return self.metrics.columns[0] if self.validation else None

    def evaluate(self, run: TrainingRun[Any, ParallelBatch]) -> Evaluation | None:
        if not self.validation:
            return None
        entry = validation_entry(run.evaluate(self.validation))
        loss = entry.get("validation_target_loss")
        if loss is None:
            return Evaluation({}, "the loss is not finite")
        accuracy = format_metric(entry["validation_target_accuracy"], ".1%")
        return Evaluation(entry, f"target loss {loss:.3f} nats per removed token, target accuracy {accuracy}")

    def describe(self, batches: Sequence[ParallelBatch]) -> list[str]:
        pairs = [pair for batch in batches for pair in zip(batch.input_ids, batch.labels, strict=True)]
        pad = token_id(self.tokenizer, PAD)
        return [f"{self._text(source[source != pad])} → {self._text(target[target >= 0])}" for source, target in pairs]

    def _text(self, ids: Tensor) -> str:
        text: str = self.tokenizer.decode(ids.tolist(), skip_special_tokens=False)
        return text

    def usage(self) -> tuple[str, str, str]:
        """Return what `PretrainingTask.usage` does. The text is the first words of the corpus, with a sentinel."""
        words = self.tokenizer.decode(self.train.ids[:100].tolist()).split()
        return "generate", "", " ".join([*words[:3], sentinel(0), *words[5:8]])


def prepare_span_corruption(
    text: TextOptions,
    vocabulary: VocabularyOptions,
    config: PretrainingConfig,
    directory: Path,
    create_tokenizer: bool = True,
    start_from: str | None = None,
) -> SpanCorruptionTask:
    """Read the text, train or load the tokenizer, and tokenize. The arguments are those of `prepare_pretraining`.

    Raises: ValueError for text, tokenizers, options and checkpoints that cannot be used, FileNotFoundError for missing ones.
    """
    config, start = for_whole_texts(config, "t5", "mlm_probability"), None
    if start_from is not None:
        config, vocabulary = continued(config, vocabulary, start_from)
        start = T5ForConditionalGeneration.from_pretrained(start_source(directory, start_from))
    corpus, tokenizer, train, validation = prepare_text(text, vocabulary, directory, create_tokenizer, "t5", DOCUMENTS, start)
    batches = validation_batches(validation, tokenizer, config.examples)
    baselines = span_baselines(train, batches, tokenizer, config.examples)
    lines = [f"Text: {printable(corpus.name)}", *map(printable, corpus.layout), *describe_size(train, validation, tokenizer)]
    if not batches:
        reason = ValueError("there is no text")
        lines.append(describe_missing_evaluation(train, validation, text.validation_fraction, reason))
    losses = ", ".join(f"{name} {value:.2f}" for name, value in baselines.items())
    lines.append(f"Baselines of the validation loss, in nats per removed token: {losses}")
    settings = collect_settings(SPAN_CORRUPTION.task, text, vocabulary, config, corpus.name, train.digest, start_from)
    return SpanCorruptionTask(config, tokenizer, train, batches, baselines, settings, "\n  ".join(lines), start)


def in_order(
    corpus: TokenizedCorpus, tokenizer: Tokenizer, config: ExampleConfig, windows: int
) -> tuple[SpanExamples, list[ParallelBatch]]:
    """Return the examples of a corpus, and the first ones in batches, in the order of the text, always with the same spans."""
    examples = SpanExamples(corpus, tokenizer, config.max_length, config.mlm_probability, seed=None)
    epoch = examples.epoch(0)
    numbers = np.arange(min(windows, len(epoch.lengths)))
    starts = range(0, len(numbers), VALIDATION_BATCH_SIZE)
    return examples, [epoch.batch(numbers[start : start + VALIDATION_BATCH_SIZE]) for start in starts]


def validation_batches(corpus: TokenizedCorpus, tokenizer: Tokenizer, config: ExampleConfig) -> list[ParallelBatch]:
    """Return the validation batches. Only the removed tokens have labels: sentinels soon are easy to predict."""
    examples, batches = in_order(corpus, tokenizer, config, VALIDATION_WINDOWS)
    easy = torch.from_numpy(np.append(examples.sentinels, examples.end_id))
    masked = (batch.labels.masked_fill(torch.isin(batch.labels, easy), IGNORE_INDEX) for batch in batches)
    return [replace(batch, labels=labels) for batch, labels in zip(batches, masked, strict=True)]


def span_baselines(
    train: TokenizedCorpus, validation: Sequence[ParallelBatch], tokenizer: Tokenizer, config: ExampleConfig
) -> dict[str, float]:
    """Compute the validation losses of predictions without attention, in nats per removed token.

    ln V is the loss of a uniform prediction. The unigram entropy is the loss of predicting each token from its frequency in the
    targets of the training text. Sentinels are counted in it, because where a span ends has to be predicted, too.
    """
    vocab_size = vocabulary_size(tokenizer)
    losses = {UNIFORM: math.log(vocab_size)}
    if len(targets := _labels(validation)):
        sample = _labels(in_order(train, tokenizer, config, SAMPLE_WINDOWS)[1])
        losses[UNIGRAM] = unigram_entropy(sample, targets, vocab_size).item()
    return losses


def _labels(batches: Sequence[ParallelBatch]) -> Tensor:
    """Return all labels of some batches."""
    labels = torch.cat([torch.empty(0, dtype=torch.int64), *(batch.labels.flatten() for batch in batches)])
    return labels[labels != IGNORE_INDEX]


def span_corruption_run(
    config: PretrainingConfig,
    device_options: DeviceOptions,
    train: TokenizedCorpus,
    tokenizer: Tokenizer,
    processes: Processes = SINGLE_PROCESS,
    start: T5ForConditionalGeneration | None = None,
) -> TrainingRun[T5ForConditionalGeneration, ParallelBatch]:
    """Create a run at its first step.

    Args:
        start: model to begin with; None for a new one. Its size and its weights are used, with the dropout of `config`. The run
            takes over its tensors, so that memory holds them once.
    """
    dropout = {"hidden_dropout_prob": config.dropout, "attention_probs_dropout_prob": config.dropout}
    torch.manual_seed(config.seed)
    model = new_model(config, tokenizer, **dropout) if start is None else start.with_config(**dropout)
    # The word embeddings are √d times as large as the other matrices, and so are their steps. T5 was trained with Adafactor,
    # whose steps are relative to the size of a matrix (Shazeer and Stern 2018, section 8).
    factors = {"words.weight": model.config.hidden_size**0.5}
    optimizer = partial(
        adamw, learning_rate=config.peak_learning_rate, weight_decay=config.weight_decay, learning_rate_factors=factors
    )
    run = TrainingRun(
        prepare_model(model, config.precision, device_options),
        SpanExamples(train, tokenizer, config.examples.max_length, config.examples.mlm_probability, config.seed),
        TranslationObjective(label_smoothing=0.0),
        **run_arguments(config, device_options, processes) | {"optimizer": optimizer},
    )
    set_seed(config.seed + processes.rank)  # different dropout in each process
    return run


def new_model(config: PretrainingConfig, tokenizer: Tokenizer, **others: Any) -> T5ForConditionalGeneration:
    """Create the model of a run, with the sizes of its preset and initial weights."""
    pad = token_id(tokenizer, PAD)
    return T5ForConditionalGeneration(
        T5Config.of_size(
            PRESETS[config.preset or DEFAULT_PRESET],
            vocab_size=vocabulary_size(tokenizer),
            max_position_embeddings=config.examples.max_length,
            pad_token_id=pad,
            decoder_start_token_id=pad,
            eos_token_id=token_id(tokenizer, END),
            **others,
        )
    )
