"""Pretraining of GPT-2: prediction of the next token in packed documents (Radford et al. 2019, section 2)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from minibert.model import PRESETS, GPT2Config, GPT2LMHeadModel
from minibert.printable import printable
from minibert.text.options import TextOptions, VocabularyOptions
from minibert.text.packing import LINES, NextTokenBatch, PackedExamples, in_order, target_ids
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import END_OF_TEXT, token_id, vocabulary_size
from minibert.training.checkpoints import set_seed
from minibert.training.costs import next_token_cost
from minibert.training.distributed import SINGLE_PROCESS, Processes
from minibert.training.next_token_text import describe_text, next_token_baselines
from minibert.training.objective import LossSum, count_targets
from minibert.training.options import DEFAULT_PRESET, DeviceOptions, PretrainingConfig
from minibert.training.preparation import prepare_model
from minibert.training.pretraining_families import for_whole_texts
from minibert.training.pretraining_start import (
    check_positions,
    collect_settings,
    continued,
    prepare_text,
    run_arguments,
    start_source,
)
from minibert.training.records import Column, Evaluation, TaskMetrics, format_metric, validation_entry
from minibert.training.run import TrainingRun

NEXT_TOKEN = TaskMetrics(
    task="next-token",
    term="clm",
    columns=(
        Column("CLM loss", "validation_clm_loss", ".3f", higher_is_better=False),
        Column("CLM acc.", "validation_clm_accuracy", ".1%"),
        Column("nats/character", "validation_nats_per_character", ".3f", higher_is_better=False),
    ),
)
VALIDATION_WINDOWS, VALIDATION_BATCH_SIZE = 1024, 64


@dataclass(frozen=True)
class NextTokenObjective:
    """Causal language modeling: the cross-entropy of every token after the tokens before it. For `GPT2LMHeadModel`.

    Tests: tests/training/test_next_token.py::TestNextTokenObjective
    """

    def target_counts(self, batch: NextTokenBatch) -> dict[str, Tensor]:
        """Count the targets."""
        return {"clm": count_targets(batch.next_tokens)}

    def loss_sums(self, model: nn.Module, batch: NextTokenBatch) -> dict[str, LossSum]:
        """Compute the sum of the losses and the number of correct predictions."""
        output = model(batch.input_ids, next_tokens=batch.next_tokens)
        return {"clm": LossSum(output.loss_sum, output.correct)}


@dataclass(frozen=True)
class NextTokenTask:
    """Pretraining of GPT-2, with its prepared data."""

    metrics: ClassVar[TaskMetrics] = NEXT_TOKEN
    config: PretrainingConfig
    tokenizer: Tokenizer
    train: TokenizedCorpus
    validation: list[NextTokenBatch]
    """Validation batches, in the order of the text; empty if there are no validation documents."""
    baselines: dict[str, float]
    settings: dict[str, Any]
    summary: str
    start: GPT2LMHeadModel | None = None
    """Model to begin with; None for a new one."""

    def make_run(self, device_options: DeviceOptions, processes: Processes) -> TrainingRun[GPT2LMHeadModel, NextTokenBatch]:
        return next_token_run(self.config, device_options, self.train, self.tokenizer, processes, self.start)

    def cost(self, run: TrainingRun[Any, NextTokenBatch]) -> tuple[int, int]:
        return next_token_cost(run.model.config, run.last_batches)

    @property
    def main_metric(self) -> Column | None:
        return self.metrics.columns[0] if self.validation else None

    def evaluate(self, run: TrainingRun[Any, NextTokenBatch]) -> Evaluation | None:
        if not self.validation:
            return None
        entry = validation_entry(run.evaluate(self.validation))
        loss = entry.get("validation_clm_loss")
        if loss is None:
            return Evaluation({}, "the loss is not finite")
        per_character = loss * tokens_per_character(self.validation, self.tokenizer)
        entry |= {"validation_nats_per_character": per_character, "validation_bits_per_character": per_character / math.log(2)}
        accuracy = format_metric(entry["validation_clm_accuracy"], ".1%")
        return Evaluation(
            entry,
            f"CLM loss {loss:.3f} nats per token, CLM accuracy {accuracy}; {per_character:.3f} nats per character "
            f"({per_character / math.log(2):.3f} bits)",
        )

    def describe(self, batches: Sequence[NextTokenBatch]) -> list[str]:
        rows = [row for batch in batches for row in batch.next_tokens]
        return [self.tokenizer.decode(row[row >= 0].tolist(), skip_special_tokens=False) for row in rows]

    def usage(self) -> tuple[str, str, str]:
        """Return what `PretrainingTask.usage` does. The text is the first words of the corpus."""
        first = self.tokenizer.decode(self.train.ids[:100].tolist()).split()
        return "generate", "", " ".join(first[:3])


def tokens_per_character(batches: Sequence[NextTokenBatch], tokenizer: Tokenizer) -> float:
    """Return the number of targets for each character of their text. The end of a document is a target, but no character.

    A loss per character does not depend on the tokenizer, so that runs with different tokenizers can be compared.
    """
    ids = target_ids(batches)
    return len(ids) / max(1, len(tokenizer.decode(ids.tolist(), skip_special_tokens=True)))


def prepare_next_token(
    text: TextOptions,
    vocabulary: VocabularyOptions,
    config: PretrainingConfig,
    directory: Path,
    create_tokenizer: bool = True,
    start_from: str | None = None,
) -> NextTokenTask:
    """Read the text, train or load the tokenizer, and tokenize. The arguments are those of `prepare_pretraining`.

    Raises: ValueError for text, tokenizers, options and checkpoints that cannot be used, FileNotFoundError for missing ones.
    """
    config, start = for_whole_texts(config, "gpt2"), None
    if start_from is not None:
        config, vocabulary = continued(config, vocabulary, start_from)
        start = GPT2LMHeadModel.from_pretrained(start_source(directory, start_from))
        check_positions(config, start, start_from)
    corpus, tokenizer, train, validation = prepare_text(text, vocabulary, directory, create_tokenizer, "gpt2", LINES, start)
    batches = in_order(validation, tokenizer, config.examples.max_length, VALIDATION_WINDOWS, VALIDATION_BATCH_SIZE)
    baselines = next_token_baselines(train, batches, tokenizer)
    lines = [
        f"Text: {printable(corpus.name)}",
        *map(printable, corpus.layout),
        *describe_text(train, validation, tokenizer, baselines, text.validation_fraction),
    ]
    settings = collect_settings(NEXT_TOKEN.task, text, vocabulary, config, corpus.name, train.digest, start_from)
    return NextTokenTask(config, tokenizer, train, batches, baselines, settings, "\n  ".join(lines), start)


def next_token_run(
    config: PretrainingConfig,
    device_options: DeviceOptions,
    train: TokenizedCorpus,
    tokenizer: Tokenizer,
    processes: Processes = SINGLE_PROCESS,
    start: GPT2LMHeadModel | None = None,
) -> TrainingRun[GPT2LMHeadModel, NextTokenBatch]:
    """Create a run at its first step.

    Args:
        start: model to begin with; None for a new one. Its size and its weights are used, with the dropout of `config`. The run
            takes over its tensors, so that memory holds them once.
    """
    dropout = {"hidden_dropout_prob": config.dropout, "attention_probs_dropout_prob": config.dropout}
    torch.manual_seed(config.seed)
    model = new_model(config, tokenizer, **dropout) if start is None else start.with_config(**dropout)
    run = TrainingRun(
        prepare_model(model, config.precision, device_options),
        PackedExamples(train, tokenizer, config.examples.max_length, config.seed),
        NextTokenObjective(),
        **run_arguments(config, device_options, processes),
    )
    set_seed(config.seed + processes.rank)  # different dropout in each process
    return run


def new_model(config: PretrainingConfig, tokenizer: Tokenizer, **others: Any) -> GPT2LMHeadModel:
    """Create the model of a run, with the sizes of its preset and initial weights."""
    return GPT2LMHeadModel(
        GPT2Config.of_size(
            PRESETS[config.preset or DEFAULT_PRESET],
            vocab_size=vocabulary_size(tokenizer),
            max_position_embeddings=config.examples.max_length,
            eos_token_id=token_id(tokenizer, END_OF_TEXT),
            **others,
        )
    )
