"""Preparing a fine-tuning task: labeled data, the starting checkpoint, and the settings that are inferred from both."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any, TypeVar

import torch
from tokenizers import Tokenizer

from minibert.model.checkpoints.loading import Checkpoint, read_checkpoint
from minibert.model.config import BertConfig
from minibert.text.labeled.duplicates import drop_shared, find_shared
from minibert.text.labeled.findings import Finding, LabeledData, LabeledDataError, group_findings, refuse_errors
from minibert.text.labeled.options import LabeledDataOptions
from minibert.text.splits import validation_keys
from minibert.text.tokenizer import vocabulary_size
from minibert.text.tokenizer_files import has_tokenizer
from minibert.text.tokenizer_loading import load_tokenizer
from minibert.training.adapting import check_adapter
from minibert.training.finetuning import FineTuning, start_model
from minibert.training.options import FineTuningConfig
from minibert.training.task_type import Inferred, TaskData, TaskType, bert_config

RowT = TypeVar("RowT")
FINDINGS_SHOWN = 10
"""Number of findings that are printed before a run."""


def read_data(kind: type[TaskType[RowT]], data: LabeledDataOptions, options: Any) -> TaskData[RowT]:
    """Read the training and validation rows. Without validation data, a part of the training rows is held out.

    Raises: ValueError for data that cannot be read.
    """
    if data.train_source is None:
        return TaskData(*kind.built_in())
    train = kind.read(data.train_source, options)
    if data.validation_source is not None:
        return TaskData(train, kind.read(data.validation_source, options))
    return hold_out(kind, train, data.validation_fraction)


def hold_out(kind: type[TaskType[RowT]], train: LabeledData[RowT], fraction: float) -> TaskData[RowT]:
    """Split rows into training and validation rows. Rows of one group, such as those with equal texts, stay together."""
    held_out = validation_keys(map(kind.group, train.rows), fraction)
    parts: tuple[list[RowT], list[RowT]] = ([], [])
    for row in train.rows:
        parts[kind.group(row) in held_out].append(row)
    return TaskData(*(replace(train, rows=rows) for rows in parts))


def check_data(kind: type[TaskType[RowT]], options: LabeledDataOptions, task_options: Any, start: BertConfig) -> Inferred[RowT]:
    """Read labeled data and infer the settings of the task.

    Args:
        options: options of the data.
        task_options: options of the task, an instance of `kind.options_class`.
        start: config of the checkpoint that training begins with.

    Returns: the task and the data, with all findings and notes: those of the readers, then those about the data as a whole.
    """
    data = read_data(kind, options, task_options)
    # Rows that are held out from the training data have the same findings and notes.
    findings = dict.fromkeys([*data.train.findings, *data.validation.findings])
    notes = dict.fromkeys([*data.train.notes, *data.validation.notes])
    shared: list[Finding] = []
    if options.validation_source is not None:
        data, shared = check_shared(kind, data, options.drop_shared)
    inferred = kind.from_data(data, task_options, start)
    return replace(inferred, notes=[*notes, *inferred.notes], findings=[*findings, *shared, *inferred.findings])


def check_shared(kind: type[TaskType[Any]], data: TaskData[Any], drop: bool) -> tuple[TaskData[Any], list[Finding]]:
    """Find the rows that are in the training and in the validation data, and leave them out of the training data or not."""
    if not drop:
        return data, find_shared(data.train, data.validation, kind.group, kind.group_phrase)
    kept = drop_shared(data.train, data.validation, kind.group)
    message = f"{len(data.train.rows) - len(kept):,} rows {kind.group_phrase} also in the validation data; they were left out"
    return TaskData(replace(data.train, rows=kept), data.validation), [
        Finding(data.train.name, None, message, is_error=not kept)
    ]


def prepare_finetuning(
    kind: type[TaskType[RowT]],
    data: LabeledDataOptions,
    options: Any,
    config: FineTuningConfig,
    start_from: str,
) -> FineTuning[RowT]:
    """Read the checkpoint and the labeled data, and create the task.

    Args:
        kind: the task.
        options: options of the task, an instance of `kind.options_class`.
        start_from: checkpoint of the model to begin with, and of its tokenizer.

    Raises: ValueError for data and checkpoints that cannot be used, FileNotFoundError if they do not exist.
    """
    if config.classifier_dropout is not None and not kind.has_head_dropout:
        raise ValueError(f"--classifier-dropout: the head of `{kind.command}` has no dropout; --dropout is that of the encoder")
    checkpoint = read_checkpoint(start_from)
    stored = bert_config(checkpoint)
    config = replace(config, learning_rate=config.peak_learning_rate(stored.hidden_size))
    tokenizer = _load_tokenizer(start_from, checkpoint, stored)
    inferred = check_data(kind, data, options, stored)
    train, validation, task_type = inferred.data.train, inferred.data.validation, inferred.type
    refuse_errors(inferred.findings)
    check_adapter(config.adapter, task_type, stored, checkpoint.adapter.adapter if checkpoint.adapter else None)
    if not train.rows:
        raise LabeledDataError(f"{train.name}: has no training rows")
    if config.balanced_classes:
        task_type = task_type.with_balanced_classes(task_type.encode(train.rows, tokenizer))
    sources = f"Data: {train.name}; validation: {validation.name}"
    task = FineTuning(
        task_type,
        config,
        partial(start_model, checkpoint, task_type, config),
        tokenizer,
        train.rows,
        validation.rows,
        notes=[sources, *inferred.notes, *_first_findings(inferred.findings)],
    )
    _check_examples(task, inferred.data, stored, start_from)
    settings = {
        "task": kind.task_metrics.task,
        "training": {
            **asdict(config),
            "steps": task.steps,
            "start_from": start_from,
        },
        "task_settings": asdict(task_type),
        "start": {"digest": weights_digest(checkpoint)},
        "corpus": {"train": train.name, "validation": validation.name, "digest": [train.digest, validation.digest]},
    }
    task.settings.update(settings)
    return task


def _load_tokenizer(start_from: str, checkpoint: Checkpoint, stored: BertConfig) -> Tokenizer:
    """Load the tokenizer of the checkpoint, or of its base model if it is an adapter, and compare it with the model."""
    tokenizer = load_tokenizer(start_from if has_tokenizer(start_from) else checkpoint.source)
    if (size := vocabulary_size(tokenizer)) > stored.vocab_size:
        raise ValueError(f"{start_from}: its tokenizer has {size:,} pieces, more than the {stored.vocab_size:,} of its model")
    return tokenizer


def _check_examples(task: FineTuning[RowT], data: TaskData[RowT], stored: BertConfig, start_from: str) -> None:
    """Refuse rows that give no model inputs, and pairs of texts for a model with one segment."""
    for part, examples in ((data.train, task.train.examples), (data.validation, task.validation)):
        if part.rows and not examples:
            raise LabeledDataError(f"{part.name}: none of the texts gives a token; are they in a script of the model?")
    segments = max((max(example.token_type_ids) for example in (*task.train.examples, *task.validation)), default=0) + 1
    if stored.has_segments and segments > stored.type_vocab_size:
        raise ValueError(
            f"{start_from}: has one segment embedding (type_vocab_size), but the texts have two parts; choose another model"
        )


def weights_digest(checkpoint: Checkpoint) -> str:
    """Return a hash of the weights of a checkpoint, with those of its adapter."""
    digest = hashlib.sha256()
    inserted = {} if checkpoint.adapter is None else checkpoint.adapter.inserted
    for name, tensor in sorted([*checkpoint.weights.items(), *inserted.items()]):
        digest.update(name.encode())
        digest.update(tensor.contiguous().view(torch.uint8).numpy().data if tensor.ndim else str(tensor.item()).encode())
    return digest.hexdigest()[:16]


def _first_findings(findings: Sequence[Finding]) -> list[str]:
    if not findings:
        return []
    groups = group_findings(findings)
    more = len(groups) - FINDINGS_SHOWN
    listed = [f"  {finding}" for finding in groups[:FINDINGS_SHOWN]]
    return [
        f"findings in the data: {len(findings):,}",
        *listed,
        *([f"  and {more:,} more: add --check to list them"] * (more > 0)),
    ]
