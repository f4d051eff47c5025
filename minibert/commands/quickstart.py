"""`minibert quickstart`: pretrain, fine-tune and visualize a small BERT on the built-in text."""

import json
import shutil
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from minibert.commands.errors import Stopped, StopSignal, UsageError, deferred_signals
from minibert.commands.progress import progress
from minibert.commands.terminal import say, shell_command
from minibert.commands.training import create_folder, describe_step
from minibert.files import write_atomically
from minibert.printable import printable
from minibert.training.options import OutputOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from minibert.model import BertForPreTraining
    from minibert.study.quickstart import QuickstartData
    from minibert.study.quickstart_plan import Plan
    from minibert.study.quickstart_report import QuickstartReport
    from minibert.text.corpus import Document
    from minibert.text.examples import PretrainingBatch
    from minibert.training.run import TrainingRun
    from minibert.training.task import Task

FIXED_SECONDS = 22.5
"""Time for everything but training, on two CPU cores: reading the text, training the vocabulary, evaluation and figures."""
MIN_SECONDS, MAX_SECONDS = 45.0, 7 * 86_400
"""Limits of --seconds; the upper one is a week."""
PLAN_FILE, ACCURACIES_FILE, RESULTS_FILE = "unfinished.json", "transfer.json", "results.json"
FINE_TUNING_FOLDER = "fine-tuning"
EVALUATIONS = 8
"""Number of evaluations during pretraining."""


@dataclass(frozen=True)
class Quickstart:
    """Pretrain a small BERT on the docstrings of Python and torch, fine-tune it, and compare it with training from scratch.

    Needs no network. Everything is written to one folder: a checkpoint that transformers can load, figures, report.html, and
    study.html, a page in which every number of the model can be looked at and changed.
    """

    seconds: float = 150
    """Approximate duration on this machine, at least 45. Everything but training takes about 20 seconds on two CPU cores."""
    seed: int = 0
    """Seed of all random numbers. The same seed gives the same results on the same machine."""
    out: Path = Path("runs/quickstart")
    """Folder to write to. An unfinished quickstart in this folder is resumed."""


def run(options: Quickstart, documents: "Sequence[Document] | None" = None) -> int:
    """Run all stages.

    Args:
        documents: documents to use instead of the built-in corpus.
    """
    if not MIN_SECONDS <= options.seconds <= MAX_SECONDS:
        limits = f"at least {MIN_SECONDS:g} and at most {MAX_SECONDS:,}"
        reason = "everything but training takes about 20 seconds on two CPU cores"
        raise UsageError(f"--seconds {options.seconds:g}: must be {limits}; {reason}")
    if not 0 <= options.seed < 2**63:
        raise UsageError(f"--seed {options.seed}: must be at least 0 and below 2^63")
    from minibert.commands.study_page import page_of_trained_model

    create_folder(options.out)
    began = time.monotonic()
    plan = _unfinished_plan(options)
    if plan is None:
        _check_folder(options.out)
    with deferred_signals() as stop:
        try:
            data = _prepare(options, documents, resumed=plan is not None)
            stop.check()
            plan = plan or _new_plan(options, data)
            seconds = FIXED_SECONDS + plan.pretraining_share * (options.seconds - FIXED_SECONDS)
            pretraining = _pretrain(options, data, plan, stop, late=began + seconds)
            accuracies = _fine_tune_all(options, pretraining.model, data, plan, stop)
            report = _report(options, pretraining, data, accuracies)
            page = page_of_trained_model(options.out, report.predictions[0][0])
        except Stopped as stopped:
            saved = f"Stopped. All finished work is saved in {printable(options.out)}. To continue:"
            raise Stopped(stopped.number, f"{saved}\n  {_resume_command(options)}") from None
    (options.out / PLAN_FILE).unlink()
    for folder in list(options.out.rglob("checkpoints")):
        shutil.rmtree(folder)
    report_file = printable(options.out / "report.html")
    say(f"\nDone in {time.monotonic() - began:.0f} s. The results are in {report_file}. To use the model:")
    say(f'  {shell_command("minibert", "fill-mask", options.out)} "returns a new [MASK] with the same shape"')
    say(page)
    return 0


def _unfinished_plan(options: Quickstart) -> "Plan | None":
    """Read the plan of an unfinished quickstart in the folder. It must be continued with the same options."""
    from minibert.study.quickstart_plan import Plan

    file = options.out / PLAN_FILE
    if not file.is_file():
        return None
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        seconds, seed = float(stored["seconds"]), int(stored["seed"])
        plan = Plan(int(stored["steps"]), float(stored["epoch_factor"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UsageError(f"{file}: cannot be read; choose another --out, or delete {options.out} to start over") from None
    if (seconds, seed) != (options.seconds, options.seed):
        raise UsageError(
            f"{options.out} holds an unfinished run with --seconds {seconds:g} --seed {seed}: "
            f"use these options, choose another --out, or delete {options.out} to start over"
        )
    return plan


def _check_folder(out: Path) -> None:
    """Refuse to overwrite a finished quickstart or another run."""
    from minibert.training.records import SETTINGS_FILE

    if (out / RESULTS_FILE).is_file():
        raise UsageError(
            f"{out} holds a finished quickstart, see {out / 'report.html'}: to run another one, choose another --out or delete "
            "this folder"
        )
    if (out / SETTINGS_FILE).is_file() or (out / "model.safetensors").is_file() or (out / "checkpoints").is_dir():
        raise UsageError(f"{out} holds a run that is not a quickstart: choose another --out")


def _new_plan(options: Quickstart, data: "QuickstartData") -> "Plan":
    """Choose the number of steps."""
    from minibert.study.quickstart_plan import make_plan

    plan = make_plan(data, options.seconds - FIXED_SECONDS, options.seed)
    stored = {"seconds": options.seconds, "seed": options.seed, **asdict(plan)}
    write_atomically(options.out / PLAN_FILE, json.dumps(stored))
    return plan


def _prepare(options: Quickstart, documents: "Sequence[Document] | None", resumed: bool) -> "QuickstartData":
    """Read the text, and train or load the vocabulary."""
    from minibert.study.quickstart import tokenize, train_vocabulary
    from minibert.text.builtin import builtin_corpus
    from minibert.text.tokenizer import save_tokenizer
    from minibert.text.tokenizer_files import TOKENIZER_FILE
    from minibert.text.tokenizer_loading import load_tokenizer

    if documents is None:
        say("Reading the docstrings of Python and torch (takes some seconds the first time) …")
        documents = list(builtin_corpus().documents)
    words = sum(len(sentence.split()) for document in documents for sentence in document.sentences)
    say(f"  {words:,} words in {len(documents):,} documents")
    if resumed and (options.out / TOKENIZER_FILE).is_file():
        tokenizer = load_tokenizer(options.out)
    else:
        say("Training a WordPiece vocabulary …")
        tokenizer = train_vocabulary(documents)
        save_tokenizer(tokenizer, options.out)
    return tokenize(documents, tokenizer)


def _pretrain(
    options: Quickstart, data: "QuickstartData", plan: "Plan", stop: StopSignal, late: float
) -> "TrainingRun[BertForPreTraining, PretrainingBatch]":
    """Pretrain to the end of the plan, or until the time `late`, or until a signal. A checkpoint is saved in each case."""
    from minibert.study.quickstart import pretraining_task
    from minibert.training.events import Interrupted, Prepared, Started, StepDone
    from minibert.training.job import Job

    every = max(1, plan.steps // EVALUATIONS)
    output = OutputOptions(options.out, resume=True, checkpoint_every=every, keep=1, evaluate_every=every)
    job = Job(lambda directory, create_tokenizer: pretraining_task(data, plan.steps, options.seed), output)
    is_over = (options.out / FINE_TUNING_FOLDER).is_dir()
    with _job_errors(), ExitStack() as stack:
        for event in job.events():
            match event:
                case Prepared(task):
                    say(task.summary)
                case Started(run):
                    if is_over:
                        break
                    advance = stack.enter_context(progress("Pretraining", plan.steps, run.steps_done))
                case StepDone(entry):
                    advance(describe_step(entry))
                    if stop.number is not None or time.monotonic() > late:
                        job.stop()
                case Interrupted():
                    run.export(options.out, data.tokenizer)
    stop.check()
    if run.steps_done < plan.steps and not is_over:
        say(f"  This machine is slower than when its speed was measured: stopped at step {run.steps_done} of {plan.steps}.")
    return run


def _fine_tune_all(
    options: Quickstart, encoder: "BertForPreTraining", data: "QuickstartData", plan: "Plan", stop: StopSignal
) -> dict[str, dict[int, list[float]]]:
    """Fine-tune with every number of labels and every seed from both starts. Return the test accuracies."""
    from minibert.study.quickstart import CURVE_RUNS, fine_tuning_task

    accuracies: dict[str, dict[int, list[float]]] = {}
    with progress("Fine-tuning", len(CURVE_RUNS)) as advance:
        for run in CURVE_RUNS:
            labels, folder = run.point.labels_per_class, options.out / FINE_TUNING_FOLDER / run.name
            accuracy = _fine_tune(fine_tuning_task(encoder, run, data, plan.epoch_factor), folder, stop)
            accuracies.setdefault(run.start, {}).setdefault(labels, []).append(accuracy)
            advance(f"{run.start}, {labels} labels per class: test accuracy {accuracy:.1%}")
    write_atomically(options.out / ACCURACIES_FILE, json.dumps(accuracies))
    return accuracies


def _fine_tune(task: "Task", folder: Path, stop: StopSignal) -> float:
    """Run or resume one fine-tuning and return its test accuracy."""
    from minibert.training.events import StepDone
    from minibert.training.job import Job
    from minibert.training.records import RunRecord

    at_the_end = 10**9
    output = OutputOptions(folder, resume=True, checkpoint_every=at_the_end, keep=1, evaluate_every=at_the_end)
    folder.mkdir(parents=True, exist_ok=True)
    job = Job(lambda directory, create_tokenizer: task, output)
    with _job_errors():
        for event in job.events():
            if isinstance(event, StepDone) and stop.number is not None:
                job.stop()
    stop.check()
    accuracy: float = RunRecord.read(folder).evaluations[-1]["validation_accuracy"]
    return accuracy


@contextmanager
def _job_errors() -> "Iterator[None]":
    """Convert errors of jobs that cannot start to `UsageError`."""
    from minibert.training.job import JobError

    try:
        yield
    except JobError as error:
        raise UsageError(error) from error


def _report(
    options: Quickstart,
    pretraining: "TrainingRun[BertForPreTraining, PretrainingBatch]",
    data: "QuickstartData",
    accuracies: dict[str, dict[int, list[float]]],
) -> "QuickstartReport":
    """Evaluate on all validation documents, and write predictions, figures and the report."""
    from minibert.study.quickstart import quickstart_validation_batches
    from minibert.study.quickstart_report import QuickstartReport
    from minibert.training.records import RunRecord

    say("Evaluating …")
    scores = pretraining.evaluate(quickstart_validation_batches(data, options.seed))
    report = QuickstartReport.create(pretraining.model, scores, data, accuracies, RunRecord.read(options.out))
    report.write(options.out)
    say(report.summary())
    return report


def _resume_command(options: Quickstart) -> str:
    words = ["minibert", "quickstart", "--seconds", f"{options.seconds:g}", "--seed", f"{options.seed}"]
    return shell_command(*words, "--out", options.out)
