"""Runs of `transfer.py`: one training with minibert or with transformers, and the file of all results.

Both libraries begin with the same weights, also those of the new head, and train on the same batches with the same
hyperparameters. On transformers' side there is a loop of its model, the loss that it computes, and PyTorch's AdamW. The
predictions of both are scored by the same metrics.
"""

import fcntl
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from minibert.files import read_json, write_atomically
from minibert.text.labeled.options import LabeledDataOptions
from minibert.training.distributed import SINGLE_PROCESS
from minibert.training.events import Started, StepDone
from minibert.training.finetuning import FineTuning
from minibert.training.finetuning_data import prepare_finetuning
from minibert.training.job import Job
from minibert.training.logits import predict
from minibert.training.optimizer import warmup_linear
from minibert.training.options import DeviceOptions, FineTuningConfig, OutputOptions
from minibert.training.task_type import task_types

RESULTS = Path(__file__).with_name("transfer.json")
TRAINING = FineTuningConfig(dropout=0.0)
"""Without dropout, because the two libraries would draw different random numbers."""
TRAIN_SHARE = 0.8
"""Share of the contexts for training, in a data set without validation data."""


@dataclass(frozen=True)
class Dataset:
    """A data set with its task."""

    command: str
    """Name of the task on the command line."""
    options: Any
    """Options of the task."""
    train: str
    """File of the training rows, in the folder of the data."""
    validation: str | None
    """File of the validation rows; None: a part of the training rows, split by their contexts."""
    metric: str
    """The score in the table."""
    validation_limit: int | None = None
    """Number of validation rows; None for all."""


@dataclass(frozen=True)
class Cell:
    """One training."""

    data: str
    """Name of the data set."""
    library: str = "minibert"
    train_limit: int | None = None
    """Number of training rows; None for all."""
    from_scratch: bool = False
    """Begin with random weights instead of the checkpoint."""
    training: FineTuningConfig = TRAINING

    def prepare(self, dataset: Dataset, folder: Path, model: str) -> FineTuning[Any]:
        """Create the task with its subsets of the rows. They are the same for every seed."""
        kind = next(each for each in task_types() if each.command == dataset.command)
        validation = () if dataset.validation is None else (folder / dataset.validation,)
        files = LabeledDataOptions((folder / dataset.train,), validation)
        task = prepare_finetuning(kind, files, dataset.options, self.training, model)
        if dataset.validation is None:
            train, held_out = split_groups([*task.train_rows, *task.validation_rows], kind.group, TRAIN_SHARE)
        else:
            train, held_out = task.train_rows, task.validation_rows
        if self.from_scratch:
            task = replace(task, new_model=partial(kind.network, task.new_model().config))
        limited = subset(train, self.train_limit), subset(held_out, dataset.validation_limit)
        return replace(task, train_rows=limited[0], validation_rows=limited[1])


def split_groups(rows: Sequence[Any], group: Callable[[Any], str], share: float) -> tuple[Sequence[Any], Sequence[Any]]:
    """Split rows into training and validation rows, with a share of the groups, such as contexts, in the first part."""
    groups = subset(sorted({group(row) for row in rows}), None)
    kept = {*groups[: round(share * len(groups))]}
    return [row for row in rows if group(row) in kept], [row for row in rows if group(row) not in kept]


def subset(rows: Sequence[Any], limit: int | None) -> Sequence[Any]:
    """Draw rows at random. Smaller subsets are parts of larger ones."""
    order = np.random.default_rng(0).permutation(len(rows))
    return [rows[index] for index in order[:limit]]


@dataclass(frozen=True)
class Trained:
    """Results of one training."""

    scores: dict[str, float | None]
    losses: list[float]
    """Loss of each step."""
    parameters: int
    """Number of trained parameters."""


def train_minibert(task: FineTuning[Any]) -> Trained:
    """Train and evaluate with minibert."""
    entries: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        output = OutputOptions(Path(folder), evaluate_every=task.steps, checkpoint_every=task.steps)
        for event in Job(lambda directory, create: task, output, device_options(task)).events():
            if isinstance(event, Started):
                model = event.run.model
            if isinstance(event, StepDone):
                entries.append(event.entry)
    prefix = "validation_"
    scores = {name.removeprefix(prefix): value for name, value in entries[-1].items() if name.startswith(prefix)}
    return Trained(scores, [entry[task.metrics.training_loss] for entry in entries], trained_parameters(model))


def train_transformers(task: FineTuning[Any]) -> Trained:
    """Train and evaluate with transformers' model, which begins with the weights of minibert's."""
    run, config = task.make_run(device_options(task), SINGLE_PROCESS), task.config
    with tempfile.TemporaryDirectory() as folder:
        run.export(folder)
        model = getattr(transformers, run.model.architecture).from_pretrained(folder).train()
    decays = {True: 0.0, False: config.weight_decay}
    groups = [
        {"params": [each for name, each in model.named_parameters() if name.endswith(("bias", "LayerNorm.weight")) == ends]}
        | {"weight_decay": decay}
        for ends, decay in decays.items()
    ]
    optimizer = torch.optim.AdamW(groups, lr=config.peak_learning_rate(run.model.config.hidden_size), fused=True)
    schedule = warmup_linear(optimizer, task.steps, config.warmup_fraction)
    losses = []
    for (_, (batch,)), _ in zip(run.batches(), range(task.steps), strict=False):
        targets = {name: each.float() if each.is_floating_point() else each for name, each in batch.targets.items()}
        loss = model(*batch.inputs, **targets).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    predictions = predict(model, task.type, task.validation_rows, task.tokenizer)
    calibrated = task.type.calibrate(task.validation_rows, predictions)
    if calibrated != task.type:
        predictions = predict(model, calibrated, task.validation_rows, task.tokenizer)
    return Trained(calibrated.score(task.validation_rows, predictions), losses, trained_parameters(model))


def trained_parameters(model: torch.nn.Module) -> int:
    """Count the parameters that are trained."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


LIBRARIES: dict[str, Callable[[FineTuning[Any]], Trained]] = {"minibert": train_minibert, "transformers": train_transformers}


def device_options(task: FineTuning[Any]) -> DeviceOptions:
    """Compute each step in one micro-batch, so that the batches of both libraries are the same."""
    return DeviceOptions(device="cpu", micro_batch_size=task.config.batch_size)


def measure(cell: Cell, dataset: Dataset, folder: Path, model: str) -> dict[str, Any]:
    """Train, and return the results with everything that they depend on."""
    task = cell.prepare(dataset, folder, model)
    began, began_cpu = time.perf_counter(), time.process_time()
    trained = LIBRARIES[cell.library](task)
    return {
        **fields_of(cell),
        "score": trained.scores[dataset.metric],
        "metric": dataset.metric,
        "scores": trained.scores,
        "seconds": round(time.perf_counter() - began, 1),
        "CPU seconds": round(time.process_time() - began_cpu, 1),
        "threads": torch.get_num_threads(),
        "rows": [len(task.train_rows), len(task.validation_rows)],
        "steps": task.steps,
        "trained parameters": trained.parameters,
        "losses of the first steps": trained.losses[:10],
        "last loss": trained.losses[-1],
        "task": json.loads(task.type.to_json()),
        "start": task.settings["start"],
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }


def fields_of(cell: Cell) -> dict[str, Any]:
    """Return the fields of a cell as JSON values."""
    fields: dict[str, Any] = json.loads(json.dumps(asdict(cell)))
    return fields


def read_results() -> list[dict[str, Any]]:
    """Return all results."""
    return list(read_json(RESULTS)["results"]) if RESULTS.exists() else []


def find_result(cell: Cell) -> dict[str, Any] | None:
    """Return the result of a cell; None if there is none yet. Options that did not exist then have their defaults."""
    wanted = fields_of(cell)
    for result in read_results():
        known = {name: wanted[name] | result[name] if name == "training" else result[name] for name in wanted}
        if known == wanted:
            return result
    return None


def result_of(cell: Cell, dataset: Dataset, folder: Path, model: str) -> dict[str, Any]:
    """Return the result of a cell. It is measured and kept if there is none yet."""
    if (result := find_result(cell)) is None:
        result = measure(cell, dataset, folder, model)
        with Path(tempfile.gettempdir(), "minibert-transfer.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another process may keep a result, too
            content = {"results": [*read_results(), result]}
            write_atomically(RESULTS, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        print(
            f"{cell.data}, {cell.library}, seed {cell.training.seed}: {result['score']:.4f}, {result['seconds']} s", flush=True
        )
    return result
