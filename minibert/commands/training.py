"""Display of a training job: progress, evaluations, figures and signals."""

import argparse
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minibert.commands.errors import Stopped, UsageError, deferred_signals
from minibert.commands.failures import explained_failures, resume_command
from minibert.commands.progress import progress
from minibert.commands.terminal import say
from minibert.files import read_json, reason_of
from minibert.printable import printable
from minibert.text.options import InvalidOption
from minibert.training.options import OPTIONS_FILE, DeviceOptions, OptionsT, OutputOptions, options_from_json

if TYPE_CHECKING:
    from minibert.training.distributed import Processes
    from minibert.training.events import Finished
    from minibert.training.job import Job
    from minibert.training.records import Column
    from minibert.training.run import TrainingRun
    from minibert.training.task import Task

SECONDS_BETWEEN_FIGURES = 60.0


def run_training(
    prepare: "Callable[[Path, bool], Task]",
    output: OutputOptions,
    device_options: DeviceOptions,
    title: str,
    example_command: "Callable[[Task], str]",
    learning_rate_option: str,
    write_page: "Callable[[Any], str] | None" = None,
) -> int:
    """Run a training job in this process, or its part of it under torchrun, and return the exit code.

    Args:
        prepare: see `Job`.
        title: text in front of the progress bar.
        example_command: a function that returns a command that uses the trained model.
        learning_rate_option: name of the option to lower if the loss diverges.
        write_page: a function that writes a page of the trained model, and returns a line about it.
    """
    processes = join_processes(output, device_options)
    from minibert.training.job import Job

    job = Job(prepare, output, device_options, processes)
    # Signals stay deferred until a failure is explained: torchrun sends SIGTERM to the processes that outlive a lost one.
    with ExitStack() as stack, explained_failures(job, learning_rate_option):
        if processes.is_main:
            _show(job, title, example_command, write_page, stack)
        else:
            _follow(job, stack)
    processes.close()
    return 0


def stored_options(kind: type[OptionsT], words: Sequence[str]) -> OptionsT | None:
    """Return the options that the run in the folder of --out began with, if the words of the command line have --resume.

    Raises: UsageError if the run's settings cannot be read, or if there is no run and there are no options to start one.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(
        "--out", nargs="?", type=Path, default=next(each.default for each in fields(kind) if each.name == "out")
    )
    parser.add_argument("--resume", action="store_true")
    known, others = parser.parse_known_args(words)
    if not known.resume or known.out is None:
        return None
    from minibert.training.records import SETTINGS_FILE, read_settings

    file = next((known.out / name for name in (SETTINGS_FILE, OPTIONS_FILE) if (known.out / name).is_file()), None)
    if file is None:
        if not others:  # a run with all defaults is hardly meant
            raise UsageError(f"--out {known.out}: holds no run to resume; leave out --resume to start one with the defaults")
        return None
    try:
        settings = read_settings(known.out) if file.name == SETTINGS_FILE else read_json(file)
    except (ValueError, OSError) as error:
        raise UsageError(error) from error
    try:
        stored = options_from_json(kind, settings.get("options", {}))
    except (ValueError, TypeError, IndexError, InvalidOption) as error:
        raise UsageError(f"{file}: its options cannot be used ({str(error).partition(chr(10))[0]})") from error
    return None if stored is None else replace(stored, out=known.out, resume=True, show=0)


def join_processes(output: OutputOptions, device_options: DeviceOptions) -> "Processes":
    """Create the folder and join the processes that train together."""
    from minibert.training.distributed import start_processes

    create_folder(output.out)
    try:
        return start_processes(device_options.device)
    except ValueError as error:
        raise UsageError(error) from error


def create_folder(folder: Path) -> None:
    """Create the folder of --out. Raises: UsageError if that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {folder}: cannot create this folder ({reason_of(error)})") from error


def _show(
    job: "Job",
    title: str,
    example_command: "Callable[[Task], str]",
    write_page: "Callable[[Any], str] | None",
    stack: ExitStack,
) -> None:
    """Run the job in the main process and print its events. From the first step on, signals are deferred by the stack."""
    from minibert.training.events import Finished, Interrupted, Prepared, Saved, Started, StepDone

    output, last_figure = job.output, time.monotonic()
    for event in job.events():
        match event:
            case Prepared(task):
                say(task.summary)
            case Started(run, extended_from, lost_metrics):
                _say_how_it_starts(run, extended_from, lost_metrics, job.is_done(run))
                report = [] if run.report is None else run.report.before(run.position.epoch)
                for line in [*run.notes, *report]:
                    say(f"  {printable(line)}")
                for text in _first_examples(run, task, output.show):
                    say(text + "\n")
                received = stack.enter_context(deferred_signals())
                advance = stack.enter_context(progress(title, run.steps, run.steps_done))
            case StepDone(entry, evaluation, is_best):
                if evaluation is not None:
                    best = " (the best so far)" if is_best and output.keeps_best else ""
                    say(f"  step {entry['step']:,}, validation: {evaluation.line}{best}")
                advance(describe_step(entry))
                if received.number is not None:
                    job.stop()
            case Saved():
                ends = job.is_done(run) or received.number is not None
                if ends or time.monotonic() - last_figure > SECONDS_BETWEEN_FIGURES:
                    _draw(job, task)
                    last_figure = time.monotonic()
            case Interrupted():
                number = received.number or signal.SIGTERM
                raise Stopped(number, f"Stopped. To continue:\n  {resume_command()}")
            case Finished():
                stack.close()
                _say_which_model(event, run.steps, task.main_metric)
                _show_results(event.folder, example_command(task))
                if write_page is not None:
                    say(write_page(task))


def _say_how_it_starts(run: "TrainingRun[Any, Any]", extended_from: int | None, lost_metrics: int, is_done: bool) -> None:
    if run.steps_done == run.steps:
        say(f"All {run.steps:,} steps of this run are done. To extend it, give a higher number of --steps.")
    elif is_done:
        say(f"This run has stopped early, after step {run.steps_done:,}. To continue it, give a higher --patience.")
    elif run.steps_done:
        say(f"Resuming after step {run.steps_done:,}.")
    if extended_from is not None:
        say(
            f"The run is extended from {extended_from:,} to {run.steps:,} steps. From here on, its learning rate is that of a "
            f"run of {run.steps:,} steps."
        )
    if lost_metrics:
        say(f"{lost_metrics:,} of these steps have no entry in metrics.jsonl; the loss curve will lack them.")


def run_quietly(job: "Job", title: str, learning_rate_option: str) -> "Finished":
    """Run a job and show its progress alone. For one of several jobs.

    Raises: Stopped after a signal, with the command that continues.
    """
    from minibert.training.events import Finished, Interrupted, Started, StepDone

    with ExitStack() as stack, explained_failures(job, learning_rate_option):
        for event in job.events():
            match event:
                case Started(run):
                    received = stack.enter_context(deferred_signals())
                    shown = progress(title, run.steps, run.steps_done) if job.processes.is_main else nullcontext()
                    advance = stack.enter_context(shown)
                case StepDone(entry):
                    if advance is not None:
                        advance(describe_step(entry))
                    if received.number is not None:
                        job.stop()
                case Interrupted():
                    number = received.number or signal.SIGTERM
                    raise Stopped(number, f"Stopped. To continue:\n  {resume_command()}" if job.processes.is_main else "")
                case Finished():
                    return event
    raise AssertionError("a job ends with an event")


def _follow(job: "Job", stack: ExitStack) -> None:
    """Run the job in a process other than the main one. Nothing is printed. Signals are deferred as in the main process."""
    from minibert.training.events import Interrupted, Started, StepDone

    for event in job.events():
        match event:
            case Started():
                received = stack.enter_context(deferred_signals())
            case StepDone() if received.number is not None:
                job.stop()
            case Interrupted():
                raise Stopped(received.number or signal.SIGTERM, "")


def _first_examples(run: "TrainingRun[Any, Any]", task: "Task", count: int) -> list[str]:
    if not count:
        return []
    _, batches = next(run.batches())
    return task.describe(batches)[:count]


def describe_step(entry: dict[str, Any]) -> str:
    """Describe the metrics of one step in a line: losses, accuracies and speed."""
    from minibert.training.records import format_metric

    terms = [name.removesuffix("_loss") for name in entry if name.endswith("_loss") and not name.startswith("validation")]
    losses = " + ".join(
        # In metrics.jsonl, null is a loss that is not finite, or a term without targets, whose accuracy is null too.
        "not finite" if loss is None and entry.get(f"{term}_accuracy", 0) is not None else format_metric(loss, ".2f")
        for term in terms
        for loss in [entry[f"{term}_loss"]]
    )
    with_accuracy = [term for term in terms if f"{term}_accuracy" in entry]  # a squared error has none, and is not in nats
    accuracies = ", ".join(f"{_readable(term)} {format_metric(entry[f'{term}_accuracy'], '.0%')}" for term in with_accuracy)
    seconds = max(1e-9, entry["seconds"])
    speed = f"{entry['tokens'] / seconds:,.0f} tokens/s, {entry['operations'] / seconds / 1e9:,.1f} GFLOP/s"
    return "; ".join([f"loss {losses} nats", f"accuracy: {accuracies}", speed] if accuracies else [f"loss {losses}", speed])


def _readable(term: str) -> str:
    return term.upper() if len(term) == 3 else term


def _draw(job: "Job", task: "Task") -> None:
    from minibert.study.drawing import save
    from minibert.study.run_figures import loss_figure
    from minibert.training.records import RunRecord

    save(loss_figure(RunRecord.read(job.output.out), task.baselines), job.output.out / "loss.png")


def _say_which_model(finished: "Finished", steps: int, metric: "Column | None") -> None:
    """Print the parameters that have moved, an early stop, and a choice between the best model and the last one."""
    for line in finished.notes:
        say(f"  {printable(line)}")
    best = finished.best
    if finished.step < steps:
        evaluations = "evaluation was" if best.evaluations_since == 1 else f"{best.evaluations_since} evaluations were"
        reason = f": the last {evaluations} not better than the best one" if best.step else ""
        say(f"Stopped early, after step {finished.step:,} of {steps:,}{reason}.")
    if metric is not None and best.evaluations_since and not best.step:
        say(f"No evaluation has a value of the main metric ({metric.heading}), so the model is that of the last step.")
    elif finished.model_of_step != finished.step:
        say(f"The model is that of step {finished.model_of_step:,}, the best evaluation.")
    elif metric is not None and metric.is_better(best.value, _last_value(finished.folder, metric)):
        say(f"The model is that of the last step. The best evaluation was after step {best.step:,}; see --restore-best.")


def _last_value(folder: Path, metric: "Column") -> float | None:
    """Return the value of a metric in the last evaluation of a run."""
    from minibert.training.records import RunRecord

    return RunRecord.read(folder).last_evaluation.get(metric.metric)


def _show_results(folder: Path, example_command: str) -> None:
    from minibert.training.records import RunRecord

    record = RunRecord.read(folder)
    duration = f"{record.seconds / 60:.1f} minutes" if record.seconds >= 60 else f"{record.seconds:.1f} seconds"
    say(f"Done: {record.steps_done:,} steps in {duration}, {record.tokens_per_second:,.0f} tokens/s.")
    if skipped := sum(entry.get("skipped", False) for entry in record.metrics):
        say(f"  {skipped} steps were skipped: their loss or gradient was not finite.")
    say(f"The loss curve is in {printable(folder / 'loss.png')}. To use the model:\n  {example_command}")
