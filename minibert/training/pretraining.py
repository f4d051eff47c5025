"""Pretraining of BERT and its relatives on masked text (Devlin et al. 2019, section 3.1; `pretraining_families`)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from tokenizers import Tokenizer

from minibert.model.pretrained import PretrainedModel
from minibert.printable import printable
from minibert.text.batching import batches_by_count
from minibert.text.examples import PretrainingBatch, PretrainingExamples, format_examples, masked_sentence
from minibert.text.options import ExampleConfig, TextOptions, VocabularyOptions
from minibert.text.pair_statistics import check_labels, labeled_fraction, length_accuracy
from minibert.text.pairs import check_pairs
from minibert.text.tokenized import TokenizedCorpus
from minibert.training.checkpoints import set_seed
from minibert.training.distributed import SINGLE_PROCESS, Processes
from minibert.training.options import DeviceOptions, PretrainingConfig
from minibert.training.preparation import prepare_model
from minibert.training.pretraining_families import PretrainingMethod, complete, method_for
from minibert.training.pretraining_objectives import ORIGINAL
from minibert.training.pretraining_start import (
    collect_settings,
    continued,
    load_start,
    new_model,
    prepare_text,
    run_arguments,
    start_source,
    trained_fields,
)
from minibert.training.pretraining_text import describe_baselines, describe_missing_evaluation, describe_size, mlm_baselines
from minibert.training.records import Column, Evaluation, TaskMetrics, format_metric, validation_entry
from minibert.training.reference_runs import reference_for
from minibert.training.run import TrainingRun

MLM_LOSS = Column("MLM loss", "validation_mlm_loss", ".3f", higher_is_better=False)
TOTAL_LOSS = Column("total loss", "validation_total_loss", ".3f", higher_is_better=False)
"""Main metric of an ELECTRA. Its MLM loss is that of the generator alone, and the discriminator is exported."""
REPLACED_ACCURACY = Column("replaced acc.", "validation_replaced_accuracy", ".1%")
ORIGINAL_SHARE = Column('always "original"', "validation_original_share", ".1%")
"""Accuracy of the discriminator of an ELECTRA, and that of the answer "original" for every token."""
PRETRAINING = TaskMetrics(
    task="pretraining",
    term="mlm",
    columns=(
        MLM_LOSS,
        Column("MLM acc.", "validation_mlm_accuracy", ".1%"),
        Column("NSP acc.", "validation_nsp_accuracy", ".1%"),
        Column("SOP acc.", "validation_sop_accuracy", ".1%"),
        REPLACED_ACCURACY,
        ORIGINAL_SHARE,
        TOTAL_LOSS,
    ),
    curve=REPLACED_ACCURACY,
    curve_baseline=ORIGINAL_SHARE,
)
TERMS = {"mlm": "MLM", "nsp": "NSP", "sop": "SOP", "replaced": "replaced-token"}
"""The terms of the objectives, in words."""
VALIDATION_EXAMPLES, VALIDATION_BATCH_SIZE = 1024, 64
MAX_EXPONENT = 700.0
"""Upper limit of the loss from which the perplexity is computed. exp(710) is too large for a float."""


@dataclass(frozen=True)
class PretrainingTask:
    """Pretraining, with its prepared data."""

    metrics: ClassVar[TaskMetrics] = PRETRAINING
    config: PretrainingConfig
    tokenizer: Tokenizer
    train: TokenizedCorpus
    validation: list[PretrainingBatch]
    """Validation batches; empty if the validation documents give no sentence pairs."""
    baselines: dict[str, float]
    settings: dict[str, Any]
    summary: str
    start: PretrainedModel | None = None
    """Model to begin with; None for a new one."""
    length_accuracy: float | None = None
    """Accuracy of the best prediction of the sentence pairs' labels from segment lengths alone; None without such labels."""

    @property
    def method(self) -> PretrainingMethod:
        """The method of the family: its objective, masks and cost."""
        return method_for(self.config)

    def make_run(self, device_options: DeviceOptions, processes: Processes) -> TrainingRun[PretrainedModel, PretrainingBatch]:
        return pretraining_run(self.config, device_options, self.train, self.tokenizer, processes, self.start)

    def cost(self, run: TrainingRun[Any, PretrainingBatch]) -> tuple[int, int]:
        return self.method.cost(run.model, run.last_batches)

    @property
    def main_metric(self) -> Column | None:
        if not self.validation:
            return None
        return MLM_LOSS if self.method.loss_weights is None else TOTAL_LOSS

    def evaluate(self, run: TrainingRun[Any, PretrainingBatch]) -> Evaluation | None:
        if not self.validation:
            return None
        scores = run.evaluate(self.validation, self.method.evaluation)
        original = scores.pop(ORIGINAL, None)
        entry = validation_entry(scores)
        if not entry:
            return Evaluation({}, "the loss is not finite")
        loss = entry["validation_mlm_loss"]
        perplexity = entry["validation_perplexity"] = None if loss is None else math.exp(min(loss, MAX_EXPONENT))
        line = f"MLM loss {format_metric(loss, '.3f')} nats (perplexity {format_metric(perplexity, ',.0f')})"
        for term, title in TERMS.items():
            if (name := f"validation_{term}_accuracy") in entry:
                line += f", {title} accuracy {format_metric(entry[name], '.1%')}"
        if original is not None:
            entry["validation_original_share"] = original.accuracy
            line += f' (always "original": {format_metric(original.accuracy, ".1%")})'
        if (weights := self.method.loss_weights) is not None:
            terms = {term: each for term in weights if (each := scores[term].loss) is not None}
            entry[TOTAL_LOSS.metric] = total = sum(weights[term] * each for term, each in terms.items())
            line += f", {TOTAL_LOSS.heading} {format_metric(total, TOTAL_LOSS.form)}"
        if self.length_accuracy is not None:
            entry[f"validation_{self.config.examples.pair_task}_length_accuracy"] = self.length_accuracy
            line += f" (from segment lengths alone: {self.length_accuracy:.1%})"
        reference = reference_for(self.settings)
        verdict = reference.verdict(run.steps_done, entry) if reference else ""
        return Evaluation(entry, line + (f"; {verdict}" if verdict else ""))

    def describe(self, batches: Sequence[PretrainingBatch]) -> list[str]:
        return format_examples(batches, self.tokenizer, self.config.examples.pair_task)

    def usage(self) -> tuple[str, str, str]:
        """Return a command that uses the trained model, the folder of its model in that of the run, and a text for it."""
        return "fill-mask", self.method.masked_lm_folder, masked_sentence(self.train, self.tokenizer)


def prepare_pretraining(
    text: TextOptions,
    vocabulary: VocabularyOptions,
    config: PretrainingConfig,
    directory: Path,
    create_tokenizer: bool = True,
    start_from: str | None = None,
) -> PretrainingTask:
    """Read the text, train or load the tokenizer, and tokenize. Results are cached and reused.

    Args:
        directory: folder of the tokenizer; for a resumed run, its newest checkpoint.
        create_tokenizer: True to create the tokenizer even if the folder has one.
        start_from: checkpoint of the model to begin with, and of its tokenizer; None for a new model.

    Raises: ValueError for text, tokenizers and checkpoints that cannot be used, FileNotFoundError if they do not exist.
    """
    start = None
    if start_from is not None:
        config, vocabulary = continued(config, vocabulary, start_from)
        start = load_start(start_source(directory, start_from), config)
    config = complete(config, None if start is None else start.config.model_types[0])
    pairs, kind = config.examples.pair_task, method_for(config).tokenizer
    corpus, tokenizer, train, validation = prepare_text(text, vocabulary, directory, create_tokenizer, kind, start=start)
    try:
        check_pairs(train, pairs)
        labeled = labeled_fraction(train, config.examples)
        check_labels(labeled, config.examples)
    except ValueError as error:
        raise ValueError(f"{corpus.name}: {error}") from None
    lines = [f"Text: {printable(corpus.name)}", *map(printable, corpus.layout), *describe_size(train, validation, tokenizer)]
    if pairs != "none":
        lines.append(f"{labeled:.0%} of the examples have a label for {pairs.upper()}")
    lengths_only, batches = None, []
    try:
        batches = validation_batches(config, validation, tokenizer)
        lengths_only = length_accuracy(train, validation, validation_config(config))
    except ValueError as error:
        lines.append(describe_missing_evaluation(train, validation, text.validation_fraction, error))
    losses = mlm_baselines(train, validation, tokenizer)
    lines += [(train.unknown + validation.unknown).describe(), *describe_baselines(losses, pairs, lengths_only)]
    settings = pretraining_settings(text, vocabulary, config, corpus.name, train.digest, start_from)
    return PretrainingTask(config, tokenizer, train, batches, losses, settings, "\n  ".join(lines), start, lengths_only)


def pretraining_settings(
    text: TextOptions,
    vocabulary: VocabularyOptions,
    config: PretrainingConfig,
    corpus_name: str,
    corpus_digest: str,
    start_from: str | None = None,
) -> dict[str, Any]:
    """Collect everything that determines the results of a run, for run.json."""
    return collect_settings(PRETRAINING.task, text, vocabulary, complete(config), corpus_name, corpus_digest, start_from)


def validation_config(config: PretrainingConfig) -> ExampleConfig:
    """Return the config of the validation examples."""
    return ExampleConfig(max_length=config.examples.max_length, pairs=config.examples.pair_task)


def validation_batches(
    config: PretrainingConfig, validation: TokenizedCorpus, tokenizer: Tokenizer, limit: int = VALIDATION_EXAMPLES
) -> list[PretrainingBatch]:
    """Create validation batches of at most `limit` examples.

    Runs with the same `max_length` and `pairs` have the same validation examples. They do not depend on the seed or on any
    other hyperparameter.

    Raises: ValueError if the validation documents give no sentence pairs.
    """
    mask_share = method_for(config).mask_share
    epoch = PretrainingExamples(validation, tokenizer, validation_config(config), 0, mask_share).epoch(0)
    chosen = epoch.batch_indices(partial(batches_by_count, batch_size=limit))[0]
    by_length = chosen[epoch.lengths[chosen].argsort(kind="stable")]
    starts = range(0, len(by_length), VALIDATION_BATCH_SIZE)
    return [epoch.batch(by_length[start : start + VALIDATION_BATCH_SIZE]) for start in starts]


def pretraining_run(
    config: PretrainingConfig,
    device_options: DeviceOptions,
    train: TokenizedCorpus,
    tokenizer: Tokenizer,
    processes: Processes = SINGLE_PROCESS,
    start: PretrainedModel | None = None,
) -> TrainingRun[PretrainedModel, PretrainingBatch]:
    """Create a pretraining run at its first step.

    Args:
        start: model to begin with; None for a new one. Its size and its weights are used, with the dropout of `config`. The run
            takes over its tensors, so that memory holds them once.
    """
    config = complete(config, None if start is None else start.config.model_types[0])
    torch.manual_seed(config.seed)
    model = new_model(config, tokenizer) if start is None else start.with_config(**trained_fields(config, tokenizer))
    method = method_for(config)
    run = TrainingRun(
        prepare_model(model, config.precision, device_options),
        PretrainingExamples(train, tokenizer, config.examples, config.seed, method.mask_share),
        method.objective,
        **run_arguments(config, device_options, processes),
    )
    set_seed(config.seed + processes.rank)  # different dropout in each process
    return run
