"""`minibert quickstart`: pretrain, fine-tune and look inside, once, on text that every machine has."""

import json
import shlex
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from minibert.commands.errors import Stopped, StopSignal, UsageError, stopping_gently
from minibert.commands.progress import progress, say
from minibert.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence

    from minibert.model import BertForPreTraining
    from minibert.study.quickstart import Plan, QuickstartData
    from minibert.text.corpus import Document
    from minibert.text.examples import PretrainingBatch
    from minibert.training.checkpoints import Checkpoints
    from minibert.training.run import TrainingRun

LATE = 0.85
"""Pretraining ends early when this share of the time is gone: on a machine that is slower than when it was measured."""
METRICS, TRANSFER = "metrics.jsonl", "transfer.json"
EVALUATIONS = 8
EVALUATION_BATCHES = 16
"""Held-out batches in an evaluation on the way; the last one takes all."""


@dataclass(frozen=True)
class Quickstart:
    """Pretrains a small BERT on the docstrings of this machine, fine-tunes it, and compares it with one from scratch.

    Needs no network. All is written to one folder: a checkpoint that transformers loads, figures and report.html.
    """

    seconds: float = 150
    """About how long it may take, on this machine."""
    seed: int = 0
    """Of everything random. The same seed gives the same numbers on the same machine."""
    out: Path = Path("runs/quickstart")
    """The folder to write to. An unfinished run found there is taken up where it stopped."""


def run(options: Quickstart, documents: "Sequence[Document] | None" = None) -> int:
    """Does it all; `documents` stand in for the built-in corpus."""
    if options.seconds <= 0:
        raise UsageError(f"--seconds {options.seconds:g}: must be more than 0")
    if options.seed < 0:
        raise UsageError(f"--seed {options.seed}: must be at least 0")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {options.out}: cannot be made a folder ({error.strerror})") from error
    began = time.monotonic()
    unfinished = options.out / "unfinished.json"
    plan = _unfinished_plan(unfinished, options)
    with stopping_gently() as stop:
        try:
            material = _prepare(options, documents, resumed=plan is not None)
            stop.check()
            plan = plan or _new_plan(unfinished, options, material)
            pretraining = _pretrain(options, material, plan, stop, late=began + LATE * options.seconds)
            accuracies = _fine_tune(options, pretraining, material, plan, stop)
            _report(options, pretraining, material, accuracies)
        except Stopped as stopped:
            message = f"Stopped. What was done is kept in {options.out}; to go on:\n  {_command(options)}"
            raise Stopped(stopped.number, message) from None
    unfinished.unlink()
    shutil.rmtree(_checkpoints(options).directory)
    say(f"\nDone in {time.monotonic() - began:.0f} s. Look at {options.out / 'report.html'}, or ask the model yourself:")
    say(f'  minibert fill-mask {options.out} "returns a new [MASK] with the same shape"')
    return 0


def _unfinished_plan(unfinished: Path, options: Quickstart) -> "Plan | None":
    """The plan of a run that was stopped in this folder; it can only go on as it began."""
    from minibert.study.quickstart import Plan

    if not unfinished.is_file():
        return None
    stored = json.loads(unfinished.read_text(encoding="utf-8"))
    if (stored["seconds"], stored["seed"]) != (options.seconds, options.seed):
        raise UsageError(
            f"{options.out} holds an unfinished run with --seconds {stored['seconds']:g} --seed {stored['seed']}: "
            f"go on with these, choose another --out, or delete {unfinished} to start over"
        )
    return Plan(stored["steps"], stored["epochs"])


def _new_plan(unfinished: Path, options: Quickstart, material: "QuickstartData") -> "Plan":
    from minibert.study.quickstart import plan

    for name in (METRICS, TRANSFER, "results.json"):
        (options.out / name).unlink(missing_ok=True)
    shutil.rmtree(_checkpoints(options).directory, ignore_errors=True)
    made = plan(material, options.seconds, options.seed)
    write_atomically(unfinished, json.dumps({"seconds": options.seconds, "seed": options.seed, **asdict(made)}))
    return made


def _prepare(options: Quickstart, documents: "Sequence[Document] | None", resumed: bool) -> "QuickstartData":
    """Text and vocabulary."""
    from minibert.study.quickstart import learn_vocabulary, tokenize
    from minibert.text.builtin import builtin_corpus
    from minibert.text.tokenizer import TOKENIZER_FILE, load_tokenizer, save_tokenizer

    if documents is None:
        say("Gathering the docstrings of Python and torch (the first time takes some seconds) …")
        documents = list(builtin_corpus().documents)
    words = sum(len(sentence.split()) for document in documents for sentence in document.sentences)
    say(f"  {words:,} words in {len(documents):,} documents")
    if resumed and (options.out / TOKENIZER_FILE).is_file():
        tokenizer = load_tokenizer(options.out)
    else:
        say("Learning a WordPiece vocabulary …")
        tokenizer = learn_vocabulary(documents)
        save_tokenizer(tokenizer, options.out)
    material = tokenize(documents, tokenizer)
    say(f"  {tokenizer.get_vocab_size():,} pieces; {len(material.train.ids):,} tokens to learn from")
    return material


def _checkpoints(options: Quickstart) -> "Checkpoints":
    from minibert.training.checkpoints import Checkpoints

    return Checkpoints(options.out / "checkpoints", keep=1)


def _pretrain(
    options: Quickstart, material: "QuickstartData", plan: "Plan", stop: StopSignal, late: float
) -> "TrainingRun[BertForPreTraining, PretrainingBatch]":
    """Trains to the end of the plan, or until `late` or until stopped, and saves in any case."""
    from minibert.study.quickstart import pretraining_run, validation_batches
    from minibert.training.metrics import pretraining_cost

    run, checkpoints = pretraining_run(material, plan.steps, options.seed), _checkpoints(options)
    if (newest := checkpoints.newest()) is not None:
        run.resume(newest)
    if run.done == plan.steps or (options.out / TRANSFER).is_file():
        return run
    every = max(1, plan.steps // EVALUATIONS)
    with progress("Pretraining", plan.steps, run.done) as advance, (options.out / METRICS).open("a") as metrics:
        began, tokens, validation = time.monotonic(), 0, validation_batches(material, options.seed)[:EVALUATION_BATCHES]
        for step in run.run():
            entry = {"step": step.number, **step.losses, "learning_rate": step.learning_rate}
            if step.number % every == 0:
                entry["validation_mlm"] = run.evaluate(validation)["mlm"].loss
            metrics.write(json.dumps(entry) + "\n")
            tokens += pretraining_cost(run.model.config, run.current)[0]
            speed = tokens / (time.monotonic() - began)
            advance(f"loss {step.losses['mlm']:.2f} + {step.losses['nsp']:.2f} nats; {speed:,.0f} tokens/s")
            if stop.number is not None or time.monotonic() > late:
                break
    run.save(checkpoints)
    run.model.save_pretrained(options.out)
    stop.check()
    if run.done < plan.steps:
        say(f"  This machine is slower than when its speed was measured: stopped at step {run.done} of {plan.steps}.")
    return run


def _fine_tune(
    options: Quickstart,
    pretraining: "TrainingRun[BertForPreTraining, PretrainingBatch]",
    material: "QuickstartData",
    plan: "Plan",
    stop: StopSignal,
) -> dict[str, list[float]]:
    """Test accuracies, one a seed, of the pretrained model and of one from scratch."""
    from minibert.study.quickstart import FINE_TUNING_RATE, FINE_TUNING_SEEDS, fine_tune

    file = options.out / TRANSFER
    accuracies: dict[str, list[float]] = json.loads(file.read_text()) if file.is_file() else {}
    for start in FINE_TUNING_RATE:
        done = accuracies.setdefault(start, [])
        with progress(f"Fine-tuning, {start}", len(FINE_TUNING_SEEDS), len(done)) as advance:
            for seed in FINE_TUNING_SEEDS[len(done) :]:
                accuracy = fine_tune(pretraining.model, start, material, seed, plan.epochs, after_step=stop.check)
                done.append(accuracy)
                write_atomically(file, json.dumps(accuracies))
                advance(f"test accuracy {accuracy:.1%}")
    return accuracies


def _report(
    options: Quickstart,
    pretraining: "TrainingRun[BertForPreTraining, PretrainingBatch]",
    material: "QuickstartData",
    accuracies: dict[str, list[float]],
) -> None:
    """Scores on everything held out, guesses, figures and the page."""
    from minibert.study.quickstart import validation_batches
    from minibert.study.quickstart_report import QuickstartReport

    say("Looking inside …")
    scores = pretraining.evaluate(validation_batches(material, options.seed))
    report = QuickstartReport.of(pretraining.model, scores, material, accuracies, _metrics(options))
    report.write(options.out)
    say(report.summary())


def _metrics(options: Quickstart) -> "list[dict[str, float]]":
    return [json.loads(line) for line in (options.out / METRICS).read_text().splitlines()]


def _command(options: Quickstart) -> str:
    words = ["minibert", "quickstart", "--seconds", f"{options.seconds:g}", "--seed", f"{options.seed}"]
    return shlex.join([*words, "--out", str(options.out)])
