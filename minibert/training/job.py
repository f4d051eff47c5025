"""A training job in a folder: prepare, train or resume, evaluate, write metrics, save checkpoints and export the model.

A job works for every task and for any number of processes. It prints nothing: it yields what happens, and the caller shows it.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from tokenizers import Tokenizer

from minibert.files import describe, write_atomically
from minibert.training.checkpoints import Checkpoints
from minibert.training.distributed import SINGLE_PROCESS, Processes
from minibert.training.loop import Step
from minibert.training.options import DeviceOptions, OutputOptions, options_to_json
from minibert.training.records import (
    EXTENDED_FROM,
    SETTINGS_FILE,
    Evaluation,
    TaskMetrics,
    append_metrics,
    differences,
    drop_metrics_after,
    read_settings,
    step_entry,
)
from minibert.training.run import TrainingRun


@runtime_checkable
class Task(Protocol):
    """A training task: its prepared data, and the functions that differ from task to task."""

    @property
    def metrics(self) -> TaskMetrics:
        """Name and metrics of the task."""
        ...

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that is saved with the model."""
        ...

    @property
    def settings(self) -> dict[str, Any]:
        """Contents of run.json: everything that determines the results."""
        ...

    @property
    def summary(self) -> str:
        """Size of the training and validation data, as text."""
        ...

    @property
    def baselines(self) -> Mapping[str, float]:
        """Losses of trivial predictions, for comparison."""
        ...

    def make_run(self, device_options: DeviceOptions, processes: Processes) -> TrainingRun[Any, Any]:
        """Create the run at its first step."""
        ...

    def cost(self, run: TrainingRun[Any, Any]) -> tuple[int, int]:
        """Compute the tokens and the floating-point operations of the last step in this process."""
        ...

    def evaluate(self, run: TrainingRun[Any, Any]) -> Evaluation | None:
        """Evaluate the model on validation data; None if there is none."""
        ...

    def describe(self, batches: Sequence[Any]) -> list[str]:
        """Describe each example of the batches as text, in an order in which the first ones show the most."""
        ...


class JobError(Exception):
    """Error for a job that cannot start in its folder or with its settings."""


class EvaluationError(Exception):
    """Error for an evaluation that has failed. The step before it is saved."""


@dataclass(frozen=True)
class Prepared:
    """Event: the data is ready."""

    task: Task


@dataclass(frozen=True)
class Started:
    """Event: the run is at its first step, or at the step it resumes from (`run.steps_done`)."""

    run: TrainingRun[Any, Any]
    extended_from: int | None
    """Number of steps of the run before it was extended in this job; None if it was not."""
    lost_metrics: int
    """Number of steps before this one that have no entry in metrics.jsonl."""


@dataclass(frozen=True)
class StepDone:
    """Event: a step is done and its metrics are written."""

    entry: dict[str, Any]
    evaluation: Evaluation | None


@dataclass(frozen=True)
class Saved:
    """Event: a checkpoint is written."""

    step: int


@dataclass(frozen=True)
class Interrupted:
    """Event: the job ends before its last step, because `Job.stop` was called in some process. A checkpoint is written."""

    step: int


@dataclass(frozen=True)
class Finished:
    """Event: all steps are done and the model is written to the folder."""

    folder: Path


Event = Prepared | Started | StepDone | Saved | Interrupted | Finished


class Job:
    """One training job.

    Args:
        prepare: a function that prepares the task. Its arguments are the folder with the tokenizer and a flag: True to create
            the tokenizer, False to load it. It raises ValueError or OSError for data that cannot be used.
        output: folder, and frequency of checkpoints and evaluations.
        device_options: device and parallelism.
        processes: the processes that run this job together. Each must iterate over `events` to the end.
    """

    def __init__(
        self,
        prepare: Callable[[Path, bool], Task],
        output: OutputOptions,
        device_options: DeviceOptions = DeviceOptions(),  # noqa: B008 - frozen
        processes: Processes = SINGLE_PROCESS,
    ) -> None:
        self.prepare = prepare
        self.output = output
        self.device_options = device_options
        self.processes = processes
        self.checkpoints = Checkpoints(output.out / "checkpoints", output.keep)
        self._stop_requested = False

    def stop(self) -> None:
        """End the job after the current step with a checkpoint, in all processes."""
        self._stop_requested = True

    def events(self) -> Iterator[Event]:
        """Run the job and yield its events.

        Raises: JobError if it cannot start, DivergenceError if the loss is not finite, EvaluationError for any error in an
        evaluation, OSError if a file cannot be written.
        """
        newest = self.checkpoints.newest()
        self._check_folder(newest)
        task = self._prepare_in_order(newest)
        yield Prepared(task)
        extended_from = self._check_settings(task, newest)
        run = task.make_run(self.device_options, self.processes)
        if newest is not None:
            try:
                run.resume(newest)
            except ValueError as error:
                raise JobError(str(error)) from error
        lost_metrics = drop_metrics_after(self.output.out, run.steps_done) if self.processes.is_main else 0
        yield Started(run, extended_from, lost_metrics)
        with closing(run.run()) as steps:
            yield from self._steps(steps, run, task)
        if run.steps_done == run.steps:
            run.export(self.output.out, task.tokenizer)
            yield Finished(self.output.out)

    def _steps(self, steps: Iterator[Step], run: TrainingRun[Any, Any], task: Task) -> Iterator[Event]:
        """Train, evaluate, and write metrics and checkpoints."""
        began = time.perf_counter()
        for step in steps:
            cost = dict(zip(("tokens", "operations"), task.cost(run), strict=True))
            totals = self.processes.all_reduce_sum(cost)
            seconds = time.perf_counter() - began
            entry = step_entry(step, int(totals["tokens"]), int(totals["operations"]), seconds)
            is_last = step.number == run.steps
            is_due = is_last or step.number % self.output.evaluate_every == 0
            evaluation, error_message = self._evaluate(run, task) if is_due else (None, "")
            if evaluation is not None:
                entry |= evaluation.entry
            if self.processes.is_main:
                append_metrics(self.output.out, entry)
            yield StepDone(entry, evaluation)
            interrupted = self._stop_requested_anywhere()
            if is_last or interrupted or error_message or step.number % self.output.checkpoint_every == 0:
                run.save(self.checkpoints, task.tokenizer)
                yield Saved(step.number)
            if error_message:
                raise EvaluationError(f"the evaluation after step {step.number} has failed: {error_message}")
            if interrupted:
                yield Interrupted(step.number)
                return
            began = time.perf_counter()

    def _evaluate(self, run: TrainingRun[Any, Any], task: Task) -> tuple[Evaluation | None, str]:
        """Evaluate the model. Return the result, and the message of the first error in any process, "" if there is none."""
        evaluation, error_message = None, ""
        try:
            evaluation = task.evaluate(run)
        except Exception as error:  # any error: the steps since the last checkpoint must not be lost
            error_message = f"{type(error).__name__}: {error}"
        return evaluation, self.processes.first_error(error_message)

    def _check_folder(self, newest: Path | None) -> None:
        """Refuse to overwrite an existing run or model, unless the run has no checkpoint and no model."""
        out = self.output.out
        if newest is not None and not self.output.resume:
            raise JobError(f"{out} holds a run at {newest.name}: add --resume to continue it, or choose another --out")
        if newest is None and any(self.checkpoints.directory.glob("step-*")):
            raise JobError(f"{out}: every checkpoint of this run is damaged; choose another --out, or delete the folder")
        if newest is None and (out / "model.safetensors").is_file():
            raise JobError(f"{out} holds a model, but no checkpoint to resume from: choose another --out")

    def _prepare_in_order(self, newest: Path | None) -> Task:
        """Prepare the task in the main process, then in the first process of each other machine, then in all others.

        Later processes find the files that earlier ones have written to the cache. An error in any process is raised in all.
        """
        processes = self.processes
        is_main, is_first_here = processes.is_main, processes.local_rank == 0
        task, error_message = None, ""
        for own_turn in (is_main, is_first_here and not is_main, not is_first_here):
            if own_turn:
                try:
                    task = self.prepare(newest or self.output.out, newest is None and is_main)
                except (ValueError, OSError) as error:
                    error_message = describe(error)
            if error_message := processes.first_error(error_message):
                raise JobError(error_message)
        assert task is not None
        return task

    def _check_settings(self, task: Task, newest: Path | None) -> int | None:
        """Refuse to resume a run with other settings, except with more steps. Write the settings.

        Returns: the number of steps of the run before, if it is extended now.
        """
        out, settings, extended_from = self.output.out, dict(task.settings), None
        if newest is not None:
            try:
                stored = read_settings(out)
            except (ValueError, OSError) as error:
                raise JobError(describe(error)) from None
            if stored["task"] != settings["task"]:
                raise JobError(f"{out} holds a run of another task ({stored['task']}): choose another --out")
            earlier = stored.pop(EXTENDED_FROM, [])
            stored.pop("options", None)
            extended_from = _extended_from(stored, settings)
            if extended_from is not None:
                stored["training"]["steps"] = settings["training"]["steps"]
                earlier = [*earlier, extended_from]
            if changed := differences(stored, settings):
                raise JobError(
                    f"{out} was started with other settings ({'; '.join(changed)}): "
                    "use the same settings, or choose another --out"
                )
            settings |= {EXTENDED_FROM: earlier} if earlier else {}
        if self.processes.is_main:
            settings["options"] = options_to_json(self.output)
            write_atomically(out / SETTINGS_FILE, json.dumps(settings, indent=2) + "\n")
        return extended_from

    def _stop_requested_anywhere(self) -> bool:
        return bool(self.processes.all_reduce_sum({"stop": float(self._stop_requested)})["stop"])


def _extended_from(before: Mapping[str, Any], now: Mapping[str, Any]) -> int | None:
    """Return the earlier number of steps if there are more steps now."""
    old, new = (settings.get("training", {}).get("steps") for settings in (before, now))
    return old if isinstance(old, int) and isinstance(new, int) and old < new else None
