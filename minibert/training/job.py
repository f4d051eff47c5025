"""A training job in a folder: prepare, train or resume, evaluate, write metrics, save checkpoints and export the model.

A job works for every task and for any number of processes. It prints nothing: it yields what happens, and the caller shows it.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from minibert.files import describe, locked, make_folder, write_atomically
from minibert.training.checkpoints import Checkpoints
from minibert.training.distributed import SINGLE_PROCESS, Processes
from minibert.training.events import Event, Finished, Interrupted, Prepared, Saved, Started, StepDone
from minibert.training.loop import Step
from minibert.training.options import DeviceOptions, OutputOptions, options_to_json
from minibert.training.records import (
    EXTENDED_FROM,
    MODEL_OF_STEP,
    SETTINGS_FILE,
    Column,
    Evaluation,
    append_metrics,
    differences,
    drop_metrics_after,
    flush_metrics,
    read_settings,
    step_entry,
)
from minibert.training.run import TrainingRun
from minibert.training.task import Task

LOCK_FILE = ".lock"
LENGTH = {"steps", "epochs"}
"""Settings that may be larger when a run is resumed."""


class JobError(Exception):
    """Error for a job that cannot start in its folder or with its settings."""


class EvaluationError(Exception):
    """Error for an evaluation that has failed. The step before it is saved."""


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
        with self._only_job_in_folder():
            yield from self._events()

    @contextmanager
    def _only_job_in_folder(self) -> Iterator[None]:
        """Keep other jobs out of the folder until the end of the block. Raises: JobError, in all processes, if there is one."""
        with ExitStack() as stack:
            error_message = ""
            try:
                if self.processes.is_main:
                    make_folder(self.output.out)
                    stack.enter_context(locked(self.output.out / LOCK_FILE))
            except BlockingIOError:
                error_message = f"another process is training in {self.output.out}: wait for its end, or choose another --out"
            if error_message := self.processes.first_error(error_message):
                raise JobError(error_message)
            yield

    def _events(self) -> Iterator[Event]:
        newest = self.checkpoints.newest()
        self._check_folder(newest)
        task = self._prepare_in_order(newest)
        yield Prepared(task)
        extended_from = self._check_settings(task, newest)
        try:
            run = task.make_run(self.device_options, self.processes)
            if newest is not None:
                run.resume(newest)
        except ValueError as error:
            raise JobError(str(error)) from error
        self._check_best(run, task)
        lost_metrics = drop_metrics_after(self.output.out, run.steps_done) if self.processes.is_main else 0
        yield Started(run, extended_from, lost_metrics)
        if not self.is_done(run):
            with closing(run.run()) as steps:
                yield from self._steps(steps, run, task)
        if self.is_done(run):
            yield self._finish(run, task)

    def is_done(self, run: TrainingRun[Any, Any]) -> bool:
        """Return True if all steps are done, or if the run has stopped early."""
        return run.steps_done == run.steps or self._stops_early(run)

    def _steps(self, steps: Iterator[Step], run: TrainingRun[Any, Any], task: Task) -> Iterator[Event]:
        """Train, evaluate, and write metrics and checkpoints."""
        began = time.perf_counter()
        for step in steps:
            cost = dict(zip(("tokens", "operations"), task.cost(run), strict=True))
            totals = self.processes.sum_numbers(cost)
            seconds = max(0.0, time.perf_counter() - began)  # some virtual machines have clocks that go back
            entry = step_entry(step, int(totals["tokens"]), int(totals["operations"]), seconds)
            evaluation, error_message = self._evaluate(run, task) if self._evaluation_is_due(run) else (None, "")
            if evaluation is not None:
                entry |= evaluation.entry
                self._update_best(run, task.main_metric, entry)
            is_best = evaluation is not None and run.best.step == step.number
            if self.processes.is_main:
                append_metrics(self.output.out, entry)
            yield StepDone(entry, evaluation, is_best)
            interrupted, is_done = self._stop_requested_anywhere(), self.is_done(run)
            is_regular = step.number % self.output.checkpoint_every == 0
            if is_regular or is_done or interrupted or error_message or (is_best and self.output.keeps_best):
                if self.processes.is_main:
                    flush_metrics(self.output.out)
                run.save(self.checkpoints, task.tokenizer)
                yield Saved(step.number)
            if error_message:
                raise EvaluationError(f"the evaluation after step {step.number} has failed: {error_message}")
            if interrupted:
                yield Interrupted(step.number)
            if interrupted or self._stops_early(run):
                return
            began = time.perf_counter()

    def _stops_early(self, run: TrainingRun[Any, Any]) -> bool:
        """Return True if the last evaluations were not better than the best one."""
        return self.output.patience is not None and run.best.evaluations_since >= self.output.patience

    def _evaluation_is_due(self, run: TrainingRun[Any, Any]) -> bool:
        """Return True after the last step, and after every `evaluate_every` steps or every epoch."""
        every = self.output.evaluate_every
        return run.steps_done == run.steps or (run.position.ends_epoch if every is None else run.steps_done % every == 0)

    def _evaluate(self, run: TrainingRun[Any, Any], task: Task) -> tuple[Evaluation | None, str]:
        """Evaluate the model. Return the result, and the message of the first error in any process, "" if there is none."""
        evaluation, error_message = None, ""
        try:
            evaluation = task.evaluate(run)
        except Exception as error:  # any error: the steps since the last checkpoint must not be lost
            error_message = f"{type(error).__name__}: {error}"
        error_message = self.processes.first_error(error_message)
        return None if error_message else evaluation, error_message

    def _update_best(self, run: TrainingRun[Any, Any], metric: Column | None, entry: Mapping[str, Any]) -> None:
        """Compare an evaluation with the best one. All processes use the value of the main one."""
        value = None if metric is None else entry.get(metric.metric)
        number = math.nan if value is None else value
        agreed = self.processes.sum_numbers({"value": number if self.processes.is_main else 0.0})["value"]
        if metric is not None:
            run.best = run.best.after(run.steps_done, agreed, metric)
        self.checkpoints.kept_step = run.best.step if self.output.keeps_best else None

    def _check_best(self, run: TrainingRun[Any, Any], task: Task) -> None:
        """Refuse to look for the best evaluation without evaluations, and without the checkpoint of the best one so far."""
        if not self.output.keeps_best:
            return
        if task.main_metric is None:
            raise JobError("the best evaluation needs validation data: leave out --patience and --restore-best, or give some")
        if run.best.step and self.checkpoints.of_step(run.best.step) is None:
            raise JobError(
                f"the best evaluation of this run was after step {run.best.step}, whose checkpoint is damaged or was not kept: "
                "leave out --patience and --restore-best, or start again in another --out"
            )
        self.checkpoints.kept_step = run.best.step

    def _finish(self, run: TrainingRun[Any, Any], task: Task) -> Finished:
        """Export the model of the last step, or that of the best evaluation."""
        weights = {} if run.report is None else run.weights()
        notes = run.report.after(weights) if run.report is not None and self.processes.is_main else []
        model_of_step = run.best.step if self.output.keeps_best and run.best.step else run.steps_done
        if model_of_step != run.steps_done:
            folder = self.checkpoints.of_step(model_of_step)
            if folder is None:
                raise JobError(f"the checkpoint of the best evaluation, step {model_of_step}, is damaged: resume without it")
            run.restore_weights(folder)
            if self.processes.is_main:
                settings = read_settings(self.output.out) | {MODEL_OF_STEP: model_of_step}
                write_atomically(self.output.out / SETTINGS_FILE, json.dumps(settings, indent=2) + "\n")
        run.export(self.output.out, task.tokenizer)
        return Finished(self.output.out, run.steps_done, run.best, model_of_step, notes)

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
        out, settings, extended_from = self.output.out, json.loads(json.dumps(task.settings)), None
        if newest is not None:
            try:
                stored = read_settings(out)
            except (ValueError, OSError) as error:
                raise JobError(describe(error)) from None
            if stored["task"] != settings["task"]:
                raise JobError(f"{out} holds a run of another task ({stored['task']}): choose another --out")
            earlier = stored.pop(EXTENDED_FROM, [])
            for name in ("options", MODEL_OF_STEP):
                stored.pop(name, None)
            extended_from = _extended_from(stored, settings)
            if extended_from is not None:
                stored["training"] |= {name: settings["training"][name] for name in LENGTH & {*settings["training"]}}
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
        return bool(self.processes.sum_numbers({"stop": self._stop_requested})["stop"])


def _extended_from(before: Mapping[str, Any], now: Mapping[str, Any]) -> int | None:
    """Return the earlier number of steps if there are more steps now."""
    old, new = (settings.get("training", {}).get("steps") for settings in (before, now))
    return old if isinstance(old, int) and isinstance(new, int) and old < new else None
