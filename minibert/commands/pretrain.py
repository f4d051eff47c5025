"""`minibert pretrain`: from raw text to a checkpoint, in one process or many, to be stopped and taken up at any time."""

import json
import math
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minibert.commands.errors import BadUse, Failed, Stopped, StopSignal, stopping_gently
from minibert.commands.progress import progress, say
from minibert.files import write_atomically
from minibert.text.settings import BadSetting, TextSource, Vocabulary
from minibert.training.settings import Machine, Recipe

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from minibert.model import BertForMaskedLM, BertForPreTraining
    from minibert.study.prepared import Prepared
    from minibert.training.distributed import Processes
    from minibert.training.loop import Step
    from minibert.training.pretraining import PretrainingRun
    from minibert.training.state import Checkpoints

    Run = PretrainingRun[BertForPreTraining | BertForMaskedLM]


SECONDS_BETWEEN_FIGURES = 60.0


@dataclass(frozen=True)
class Pretrain:
    """Pretrains a BERT on text of your own: raw text in, a checkpoint out that transformers loads.

    Whenever it is stopped, even by SIGKILL or a power cut, the same command with --resume goes on from the last checkpoint
    as if nothing had happened. On several GPUs or machines: torchrun --nproc-per-node=N -m minibert pretrain ...
    """

    out: Path = Path("runs/pretrain")
    """The folder to write to: checkpoints, metrics.jsonl, loss.png, and at the end the model."""
    resume: bool = False
    """Go on from the last checkpoint in the folder. Where there is none, begin."""
    checkpoint_every: int = 200
    """Steps from one checkpoint to the next."""
    keep: int = 2
    """Checkpoints that stay; older ones are deleted."""
    evaluate_every: int = 100
    """Steps from one evaluation on held-out documents to the next."""
    show: int = 0
    """Print so many examples of the first step, as the model sees them, before it begins."""
    source: TextSource = field(default_factory=TextSource)
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    recipe: Recipe = field(default_factory=Recipe)
    machine: Machine = field(default_factory=Machine)

    def __post_init__(self) -> None:
        for name in ("checkpoint_every", "keep", "evaluate_every"):
            if getattr(self, name) < 1:
                raise BadSetting(f"{name} {getattr(self, name)}: must be at least 1")
        if self.show < 0:
            raise BadSetting(f"show {self.show}: must be at least 0")


def run(options: Pretrain) -> int:
    """Trains to the end, or until it is stopped."""
    from minibert.training.distributed import join

    try:
        options.out.mkdir(parents=True, exist_ok=True)
        processes = join(options.machine.device)
    except OSError as error:
        raise BadUse(f"--out {options.out}: cannot be made a folder ({error.strerror})") from error
    except ValueError as error:
        raise BadUse(str(error)) from error
    Job(options, processes).work()
    processes.leave()
    return 0


@dataclass
class Job:
    """One process's part of the work."""

    options: Pretrain
    processes: "Processes"

    def work(self) -> None:
        """Everything, from the text to the checkpoint."""
        from minibert.training.recipe import pretraining_run
        from minibert.training.state import Checkpoints

        checkpoints = Checkpoints(self.options.out / "checkpoints", self.options.keep)
        newest = checkpoints.newest()
        self._check_folder(newest)
        ready = self._prepare(newest)
        self._check_settings(ready, fresh=newest is None)
        run = pretraining_run(self.options.recipe, self.options.machine, ready.learnt, ready.tokenizer, self.processes)
        with self._failures_explained(checkpoints):
            if newest is not None:
                run.resume(newest)
                self._say(f"Going on after step {run.done:,}.")
            if self.options.show:
                self._show(run, ready.tokenizer)
            with stopping_gently() as stop:
                self._train(run, ready, checkpoints, stop)
            self._finish(run, ready)

    def _check_folder(self, newest: Path | None) -> None:
        """Nothing that is there is written over, but what was begun and never kept."""
        out = self.options.out
        if newest is not None and not self.options.resume:
            raise BadUse(f"{out} holds a run at {newest.name}: add --resume to go on, or choose another --out")
        if newest is None and any((out / "checkpoints").glob("step-*")):
            raise BadUse(f"{out}: every checkpoint of this run is damaged; choose another --out, or delete the folder")
        if newest is None and (out / "model.safetensors").is_file():
            raise BadUse(f"{out} holds a model, and no checkpoint to go on from: choose another --out")

    def _prepare(self, newest: Path | None) -> "Prepared":
        """The first process of all, then the first of each other machine, then the rest: what one makes the next finds."""
        from minibert.study.prepared import prepare

        options, processes = self.options, self.processes
        place, problem, ready = newest or options.out, "", None
        for turn in (processes.leads, not processes.leads and processes.local_rank == 0, processes.local_rank > 0):
            if turn:
                try:
                    learn = newest is None and processes.leads
                    ready = prepare(options.source, options.vocabulary, options.recipe, place, learn)
                except (ValueError, OSError) as error:
                    problem = str(error)
            if problem := processes.agree(problem):
                if not processes.leads:
                    sys.exit(2)
                raise BadUse(problem)
        assert ready is not None
        self._say(ready.summary)
        return ready

    def _check_settings(self, ready: "Prepared", fresh: bool) -> None:
        """A run only goes on as it began; a new one writes down how it begins."""
        from minibert.study.runs import ABOUT, METRICS, differences

        file = self.options.out / ABOUT
        if not fresh:
            if changed := differences(json.loads(file.read_text()), ready.settings):
                changes = "; ".join(changed)
                raise BadUse(f"{self.options.out} was begun otherwise ({changes}): go on as it began, or choose another --out")
        elif self.processes.leads:
            (self.options.out / METRICS).unlink(missing_ok=True)
            write_atomically(file, json.dumps(ready.settings, indent=2) + "\n")

    def _train(self, run: "Run", ready: "Prepared", checkpoints: "Checkpoints", stop: StopSignal) -> None:
        """The steps that are left. After each what was measured is written down; now and then comes a checkpoint."""
        from minibert.study.runs import METRICS, keep_metrics_until
        from minibert.text.tokenizer import save_tokenizer

        options = self.options
        if self.processes.leads:
            keep_metrics_until(options.out, run.done)
        with self._progress(run) as report, (options.out / METRICS).open("a") as metrics:
            began = drawn = time.perf_counter()
            for step in run.run():
                entry, stopped = self._entry(run, step, time.perf_counter() - began, stop.number or 0)
                ends = step.number == options.recipe.steps
                if ready.held_out and (ends or step.number % options.evaluate_every == 0):
                    entry |= self._evaluate(run, ready, step.number)
                if self.processes.leads:
                    metrics.write(json.dumps(entry) + "\n")
                    metrics.flush()
                    report(entry)
                if ends or stopped or step.number % options.checkpoint_every == 0:
                    run.save(checkpoints, lambda folder: save_tokenizer(ready.tokenizer, folder))
                    if self.processes.leads and (ends or stopped or time.perf_counter() - drawn > SECONDS_BETWEEN_FIGURES):
                        self._draw(ready)
                        drawn = time.perf_counter()
                if stopped:
                    raise Stopped(stopped, f"Stopped. To go on:\n  {_command()}" if self.processes.leads else "")
                began = time.perf_counter()

    def _entry(self, run: "Run", step: "Step", seconds: float, number: int) -> tuple[dict[str, Any], int]:
        """What was measured in a step, over all processes; and the signal that any of them was stopped by, or 0."""
        from minibert.training.metrics import training_operations

        tokens, operations = training_operations(run.model.config, run.current)
        shared = self.processes.total({"tokens": tokens, "operations": operations, "stop": number})
        entry: dict[str, Any] = {"step": step.number}
        for term, loss in step.losses.items():
            entry |= {term: loss if math.isfinite(loss) else None, f"{term}_accuracy": step.accuracies[term]}
        entry |= {
            "learning_rate": step.learning_rate,
            "gradient_norm": step.gradient_norm if math.isfinite(step.gradient_norm) else None,
            "skipped": step.skipped,
            "tokens": int(shared["tokens"]),
            "operations": int(shared["operations"]),
            "seconds": round(seconds, 4),
        }
        return entry, number or (signal.SIGTERM if shared["stop"] else 0)

    def _evaluate(self, run: "Run", ready: "Prepared", step: int) -> dict[str, float]:
        """The scores on the held-out documents, said with what to hold them against."""
        from minibert.study.reference import reference_for
        from minibert.study.runs import held_out_entry, held_out_line

        entry = held_out_entry(run.evaluate(ready.held_out))
        reference = reference_for(ready.settings)
        verdict = reference.verdict(step, entry) if reference and entry else ""
        self._say(held_out_line(step, entry) + (f"; {verdict}" if verdict else ""))
        return entry

    def _finish(self, run: "Run", ready: "Prepared") -> None:
        """The model, in the folder itself; and what can be done with it."""
        from minibert.study.runs import RunRecord
        from minibert.text.tokenizer import save_tokenizer

        out = self.options.out
        run.export(out)
        if not self.processes.leads:
            return
        save_tokenizer(ready.tokenizer, out)
        record = RunRecord.read(out)
        skipped = sum(entry["skipped"] for entry in record.metrics)
        self._say(f"Done: {run.done:,} steps in {record.seconds / 60:.1f} minutes, {record.tokens_per_second:,.0f} tokens/s.")
        if skipped:
            self._say(f"  {skipped} steps were skipped: their loss or gradient was no finite number.")
        self._say(f'Look at {out / "loss.png"}, or ask the model:\n  minibert fill-mask {out} "the [MASK] of the day"')

    def _draw(self, ready: "Prepared") -> None:
        """The curve as far as it goes, beside its landmarks and its reference."""
        from minibert.study.plots import save_png
        from minibert.study.reference import reference_for
        from minibert.study.runs import RunRecord, loss_figure

        record, reference = RunRecord.read(self.options.out), reference_for(ready.settings)
        band = reference.loss_band if reference else ()
        save_png(loss_figure(record, ready.landmarks, band), self.options.out / "loss.png")

    def _show(self, run: "Run", tokenizer: "Tokenizer") -> None:
        """Examples of the next step, as the model will see them."""
        from minibert.text.pretraining import shown

        _, batches = next(run.batches())
        for text in shown(batches, tokenizer)[: self.options.show]:
            self._say(text + "\n")

    def _say(self, text: str) -> None:
        if self.processes.leads:
            say(text)

    @contextmanager
    def _progress(self, run: "Run") -> Iterator[Callable[[dict[str, Any]], None]]:
        """Shows how far it has got, how well and how fast."""
        if not self.processes.leads:
            yield lambda entry: None
            return
        with progress("Pretraining", run.steps, run.done) as advance:
            yield lambda entry: advance(note(entry))

    @contextmanager
    def _failures_explained(self, checkpoints: "Checkpoints") -> Iterator[None]:
        """Says where it stood, which checkpoint is good, and how to go on from it."""
        from torch import distributed

        from minibert.training.loop import Diverged

        try:
            yield
        except Diverged as error:
            advice = "lower --learning-rate, in another --out"
            raise Failed(f"{error}. {_last_good(checkpoints)}. Going on would end the same way: {advice}") from None
        except OSError as error:
            raise Failed(
                f"cannot write to {self.options.out}: {error}. {_last_good(checkpoints)}; to go on:\n  {_command()}"
            ) from error
        except RuntimeError as error:
            if self.processes.count == 1 or not (isinstance(error, distributed.DistError) or "gloo" in str(error)):
                raise
            gone = f"another process of this job has gone (this one was number {self.processes.rank})"
            raise Failed(f"{gone}. {_last_good(checkpoints)}; to go on, start the job again with --resume") from error


def note(entry: dict[str, Any]) -> str:
    """One step in a line: losses, right answers, speed."""
    terms = [term for term in ("mlm", "nsp") if term in entry]
    losses = " + ".join(f"{entry[term]:.2f}" if entry[term] is not None else "not finite" for term in terms)
    found = ", ".join(f"{term.upper()} {entry[f'{term}_accuracy']:.0%}" for term in terms)
    seconds = max(1e-9, entry["seconds"])
    speed = f"{entry['tokens'] / seconds:,.0f} tokens/s, {entry['operations'] / seconds / 1e9:,.1f} GFLOP/s"
    return f"loss {losses} nats; right: {found}; {speed}"


def _last_good(checkpoints: "Checkpoints") -> str:
    newest = checkpoints.newest()
    return f"The last good checkpoint is {newest}" if newest else "There is no checkpoint yet"


def _command() -> str:
    """What was typed, with --resume."""
    if os.environ.get("WORLD_SIZE") != os.environ.get("LOCAL_WORLD_SIZE"):
        return "start the job again on every machine, with --resume"
    words = [word for word in sys.argv[1:] if word != "--resume"]
    start = ["torchrun", f"--nproc-per-node={os.environ['LOCAL_WORLD_SIZE']}", "-m"] if "LOCAL_WORLD_SIZE" in os.environ else []
    return shlex.join([*start, "minibert", *words, "--resume"])
