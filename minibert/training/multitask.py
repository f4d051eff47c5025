"""Multi-task learning: one encoder, and a head for each task (Liu et al. 2019, "Multi-Task Deep Neural Networks")."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from minibert.model.adapters.files import find_adapter
from minibert.model.multitask import MultiTaskBert, OneTask
from minibert.text.batching import BatchSampler, IntArray, batches_of_similar_length
from minibert.text.labeled.examples import LabeledBatch, LabeledEpoch
from minibert.text.labeled.options import LabeledDataOptions
from minibert.text.tokenizer import save_tokenizer
from minibert.training.checkpoints import set_seed
from minibert.training.costs import finetuning_cost
from minibert.training.distributed import Processes
from minibert.training.finetuning import FineTuning, describe_steps, number_of_steps, run_settings
from minibert.training.finetuning_data import prepare_finetuning
from minibert.training.loop import Score
from minibert.training.objective import LossSum, Objective
from minibert.training.options import DeviceOptions, FineTuningConfig
from minibert.training.preparation import prepare_model
from minibert.training.records import Column, Evaluation, TaskMetrics
from minibert.training.run import TrainingRun
from minibert.training.task_type import TASK_FILE, task_types

MULTITASK = TaskMetrics(
    task="multi-task",
    term="multitask",
    columns=(
        Column("mean score", "validation_mean_score", ".3f"),
        Column("mean loss", "validation_multitask_loss", ".3f", higher_is_better=False),
    ),
)


@dataclass(frozen=True)
class MultiTaskBatch:
    """A batch of one task."""

    task: str
    batch: LabeledBatch

    def to(self, device: torch.device) -> "MultiTaskBatch":
        """Copy the batch to a device."""
        return MultiTaskBatch(self.task, self.batch.to(device))


@dataclass(frozen=True)
class MultiTaskEpoch:
    """One pass over the examples of all tasks. Every batch is of one task."""

    epochs: Mapping[str, LabeledEpoch]
    seed: tuple[int, ...]

    @cached_property
    def starts(self) -> IntArray:
        """Index of the first example of each task, and the number of all examples."""
        return np.cumsum([0, *(len(epoch.examples) for epoch in self.epochs.values())])

    @property
    def lengths(self) -> IntArray:
        """Number of tokens of each example."""
        return np.concatenate([epoch.lengths for epoch in self.epochs.values()])

    def batch_indices(self, batch_sampler: BatchSampler) -> list[IntArray]:
        """Return the batches of all tasks in random order: each task has as many as its number of examples gives."""
        batches = [
            indices + start
            for start, epoch in zip(self.starts, self.epochs.values(), strict=False)
            for indices in epoch.batch_indices(batch_sampler)
        ]
        return [batches[position] for position in np.random.default_rng(self.seed).permutation(len(batches))]

    def batch(self, indices: IntArray) -> MultiTaskBatch:
        """Return a batch of examples of one task. Without indices, return one example that has no targets."""
        number = int(np.searchsorted(self.starts, indices[0], side="right")) - 1 if len(indices) else 0
        task = [*self.epochs][number]
        return MultiTaskBatch(task, self.epochs[task].batch(indices - self.starts[number]))


@dataclass(frozen=True)
class MultiTaskExamples:
    """The training examples of all tasks."""

    tasks: Mapping[str, FineTuning[Any]]
    seed: int

    def epoch(self, number: int) -> MultiTaskEpoch:
        """Return an epoch; numbers start at 0."""
        return MultiTaskEpoch({name: task.train.epoch(number) for name, task in self.tasks.items()}, (self.seed, number))


@dataclass(frozen=True)
class MultiTaskObjective:
    """The objective of the task that a batch is of. All tasks share one loss term."""

    objectives: Mapping[str, Objective[LabeledBatch]]
    term: ClassVar[str] = MULTITASK.term

    def target_counts(self, batch: MultiTaskBatch) -> Mapping[str, float | Tensor]:
        return {self.term: sum(self.objectives[batch.task].target_counts(batch.batch).values())}

    def loss_sums(self, model: nn.Module, batch: MultiTaskBatch) -> dict[str, LossSum]:
        sums = self.objectives[batch.task].loss_sums(OneTask(model, batch.task), batch.batch)
        return {self.term: next(iter(sums.values()))}


@dataclass(frozen=True)
class MultiTask:
    """Fine-tuning for several tasks at once: a `Task` for `Job`."""

    metrics: ClassVar[TaskMetrics] = MULTITASK
    tasks: Mapping[str, FineTuning[Any]]
    """The tasks by name. They have the same tokenizer, and models of the same size."""
    config: FineTuningConfig
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def tokenizer(self) -> Tokenizer:
        return next(iter(self.tasks.values())).tokenizer

    @property
    def summary(self) -> str:
        parts = [f"{name}:\n  {task.data_summary}" for name, task in self.tasks.items()]
        return "\n".join([*parts, f"All tasks:\n  {describe_steps(self.config, self.steps_per_epoch)}"])

    @property
    def main_metric(self) -> Column | None:
        has_validation = any(task.validation_rows for task in self.tasks.values())
        return self.metrics.columns[0] if has_validation else None

    @property
    def baselines(self) -> Mapping[str, float]:
        return {}

    @property
    def steps_per_epoch(self) -> int:
        """Number of optimizer updates in one pass over the training examples of all tasks."""
        return sum(math.ceil(len(task.train.examples) / self.config.batch_size) for task in self.tasks.values())

    @property
    def steps(self) -> int:
        """Number of optimizer updates of the run."""
        return number_of_steps(self.config, self.steps_per_epoch)

    def make_run(self, device_options: DeviceOptions, processes: Processes) -> TrainingRun[MultiTaskBert, MultiTaskBatch]:
        """Create the run at its first step. Raises: ValueError for several processes."""
        if processes.world_size > 1:
            raise ValueError("multi-task learning runs in one process, because a step trains only one of the heads")
        if self.config.transfer.feature_extraction or self.config.adapter.adapter != "none":
            raise ValueError(
                "--feature-extraction and --adapter are for one task; --freeze encoder freezes the encoder of several"
            )
        torch.manual_seed(self.config.seed)
        model = MultiTaskBert({name: task.new_model() for name, task in self.tasks.items()})
        prepare_model(model, self.config.precision, device_options)
        run = TrainingRun(
            model,
            MultiTaskExamples(self.tasks, self.config.seed),
            MultiTaskObjective({name: task.type.objective for name, task in self.tasks.items()}),
            batch_sampler=partial(batches_of_similar_length, batch_size=self.config.batch_size),
            **run_settings(model, self.config, self.steps_per_epoch),
            micro_batch_size=device_options.micro_batch_size,
            processes=processes,
        )
        run.extra_files.update(self._files())
        set_seed(self.config.seed + processes.rank)  # different dropout in each process
        return run

    def _files(self) -> dict[str, str]:
        """Return the task and the tokenizer for the folder of each task, by file name."""
        with TemporaryDirectory() as folder:
            save_tokenizer(self.tokenizer, folder)
            files = {path.name: path.read_text(encoding="utf-8") for path in Path(folder).iterdir()}
        return {
            f"{name}/{file}": text
            for name, task in self.tasks.items()
            for file, text in {**files, TASK_FILE: task.type.to_json()}.items()
        }

    def cost(self, run: TrainingRun[Any, MultiTaskBatch]) -> tuple[int, int]:
        return finetuning_cost(run.model, [batch.batch for batch in run.last_batches])

    def evaluate(self, run: TrainingRun[Any, MultiTaskBatch]) -> Evaluation | None:
        """Evaluate every task that has validation rows. The mean score is the mean of their main metrics."""
        evaluations = {
            name: task.evaluate_with(partial(self._evaluate, run, name))
            for name, task in self.tasks.items()
            if task.validation_rows
        }
        if not evaluations:
            return None
        entry: dict[str, float | None] = {}
        scores, losses = [], []
        for name, (evaluation, task_type) in evaluations.items():
            run.extra_files[f"{name}/{TASK_FILE}"] = task_type.to_json()
            if not evaluation.entry:
                return Evaluation({}, f"{name}: {evaluation.line}")
            entry |= {f"validation_{name}_{key.removeprefix('validation_')}": value for key, value in evaluation.entry.items()}
            scores.append(evaluation.entry[task_type.main_metric.metric])
            losses.append(evaluation.entry[task_type.task_metrics.validation_loss])
        known = [score for score in scores if score is not None]
        entry["validation_mean_score"] = mean(known) if known else None
        entry[MULTITASK.validation_loss] = mean(loss for loss in losses if loss is not None)
        return Evaluation(entry, "; ".join(f"{name}: {result.line}" for name, (result, _) in evaluations.items()))

    def _evaluate(
        self,
        run: TrainingRun[Any, MultiTaskBatch],
        name: str,
        batches: Sequence[LabeledBatch],
        objective: Objective[LabeledBatch],
    ) -> dict[str, Score]:
        scores = run.evaluate([MultiTaskBatch(name, batch) for batch in batches], MultiTaskObjective({name: objective}))
        return {self.tasks[name].metrics.term: scores[MULTITASK.term]}

    def describe(self, batches: Sequence[MultiTaskBatch]) -> list[str]:
        return [f"{batch.task}: {text}" for batch in batches for text in self.tasks[batch.task].describe([batch.batch])]


def prepare_multitask(
    tasks: Mapping[str, tuple[str, LabeledDataOptions, Any]], config: FineTuningConfig, start_from: str
) -> MultiTask:
    """Read the checkpoint and the labeled data of each task.

    Args:
        tasks: by name, the task on the command line, the options of its data, and its own options.

    Raises: as `prepare_finetuning`.
    """
    if config.adapter.adapter != "none" or find_adapter(start_from) is not None:
        raise ValueError("several tasks at once cannot have an adapter: give no --adapter, and begin with a whole model")
    kinds = {kind.command: kind for kind in task_types()}
    prepared: dict[str, FineTuning[Any]] = {}
    for name, (command, data, options) in tasks.items():
        try:
            prepared[name] = prepare_finetuning(kinds[command], data, options, config, start_from)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    first = next(iter(prepared.values()))
    task = MultiTask(prepared, first.config)
    task.settings.update(
        {
            "task": MULTITASK.task,
            "training": {**first.settings["training"], "steps": task.steps},
            "start": first.settings["start"],
            "task_settings": {name: each.settings["task_settings"] for name, each in prepared.items()},
            "corpus": {name: each.settings["corpus"] for name, each in prepared.items()},
        }
    )
    return task
