"""A training job of the command line: begun, stopped and taken up again, in one process or many, whatever it is that learns."""

import json
import math
import os
import shlex
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

from minibert.commands.errors import Stopped, StopSignal, UsageError, WorkFailed, stopping_gently
from minibert.commands.progress import progress, say
from minibert.files import write_atomically
from minibert.text.options import InvalidOption
from minibert.training.options import DeviceOptions

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from tokenizers import Tokenizer

    from minibert.training.checkpoints import Checkpoints
    from minibert.training.distributed import Processes
    from minibert.training.loop import Step
    from minibert.training.run import TrainingRun


SECONDS_BETWEEN_FIGURES = 60.0


@dataclass(frozen=True)
class OutputOptions:
    """Where a run is kept, and how often."""

    out: Path = Path("runs/run")
    """The folder to write to: checkpoints, metrics.jsonl, loss.png, and at the end the model."""
    resume: bool = False
    """Go on from the last checkpoint in the folder, with the settings it began with. Where there is none, begin."""
    checkpoint_every: int = 200
    """Steps from one checkpoint to the next."""
    keep: int = 2
    """Checkpoints that stay; older ones are deleted."""
    evaluate_every: int = 100
    """Steps from one evaluation on what is held out to the next."""
    show: int = 0
    """Print so many examples of the first step, as the model sees them, before it begins."""

    def __post_init__(self) -> None:
        for name in ("checkpoint_every", "keep", "evaluate_every"):
            if getattr(self, name) < 1:
                raise InvalidOption(f"{name} {getattr(self, name)}: must be at least 1")
        if self.show < 0:
            raise InvalidOption(f"show {self.show}: must be at least 0")


def join_processes(keeping: OutputOptions, machine: DeviceOptions) -> "Processes":
    """Makes the folder, and finds the processes that train together. Raises: BadUse, if either cannot be."""
    from minibert.training.distributed import join

    try:
        keeping.out.mkdir(parents=True, exist_ok=True)
        return join(machine.device)
    except OSError as error:
        raise UsageError(f"--out {keeping.out}: cannot be made a folder ({error.strerror})") from error
    except ValueError as error:
        raise UsageError(str(error)) from error


@runtime_checkable
class Prepared(Protocol):
    """What is made ready before the first step."""

    @property
    def tokenizer(self) -> "Tokenizer":
        """It is kept beside the model."""
        ...

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides the numbers, as it is kept in the folder of a run."""
        ...

    @property
    def summary(self) -> str:
        """How much there is to learn from, for people."""
        ...


Ready = TypeVar("Ready", bound=Prepared)


@dataclass
class Job(ABC, Generic[Ready]):
    """One process's part of the work. What is learned, a command says in the methods that are abstract here."""

    title: ClassVar[str]
    """What it is called beside the bar that shows how far it has got."""

    keeping: OutputOptions
    machine: DeviceOptions
    processes: "Processes"

    @abstractmethod
    def prepare(self, place: Path, learn: bool) -> Ready:
        """Everything before the first step; `place` has the tokenizer, or it is learned and put there.

        Raises: ValueError, OSError for what cannot be used.
        """

    @abstractmethod
    def make_run(self, ready: Ready) -> "TrainingRun[Any, Any]":
        """The run at its first step."""

    @abstractmethod
    def cost(self, run: "TrainingRun[Any, Any]") -> tuple[int, int]:
        """The tokens of the last step, and the floating-point operations that it took."""

    @abstractmethod
    def evaluate(self, run: "TrainingRun[Any, Any]", ready: Ready, step: int) -> tuple[dict[str, float], str]:
        """The scores after a step as they are written down, and said in a line; nothing, where nothing was held out."""

    @abstractmethod
    def draw(self, ready: Ready) -> "Figure":
        """The curve as far as it goes."""

    @abstractmethod
    def examples(self, run: "TrainingRun[Any, Any]", ready: Ready) -> list[str]:
        """The examples of the next step, as the model will see them."""

    @abstractmethod
    def try_it(self, ready: Ready) -> str:
        """The command with which the finished model is tried."""

    def work(self) -> None:
        """Everything, from the text to the checkpoint."""
        from minibert.training.checkpoints import Checkpoints

        checkpoints = Checkpoints(self.keeping.out / "checkpoints", self.keeping.keep)
        newest = checkpoints.newest()
        self._check_folder(newest)
        ready = self._prepare(newest)
        self._check_settings(ready, fresh=newest is None)
        run = self.make_run(ready)
        with self._failures_explained(checkpoints):
            if newest is not None:
                run.resume(newest)
                self._say(f"Going on after step {run.done:,}.")
            if self.keeping.show:
                for text in self.examples(run, ready)[: self.keeping.show]:
                    self._say(text + "\n")
            with stopping_gently() as stop:
                self._train(run, ready, checkpoints, stop)
            self._finish(run, ready)

    def _check_folder(self, newest: Path | None) -> None:
        """Nothing that is there is written over, but what was begun and never kept."""
        out = self.keeping.out
        if newest is not None and not self.keeping.resume:
            raise UsageError(f"{out} holds a run at {newest.name}: add --resume to go on, or choose another --out")
        if newest is None and any((out / "checkpoints").glob("step-*")):
            raise UsageError(f"{out}: every checkpoint of this run is damaged; choose another --out, or delete the folder")
        if newest is None and (out / "model.safetensors").is_file():
            raise UsageError(f"{out} holds a model, and no checkpoint to go on from: choose another --out")

    def _prepare(self, newest: Path | None) -> Ready:
        """The first process of all, then the first of each other machine, then the rest: what one makes the next finds."""
        processes = self.processes
        place, problem, ready = newest or self.keeping.out, "", None
        for turn in (processes.is_main, not processes.is_main and processes.local_rank == 0, processes.local_rank > 0):
            if turn:
                try:
                    ready = self.prepare(place, learn=newest is None and processes.is_main)
                except (ValueError, OSError) as error:
                    problem = str(error)
            if problem := processes.agree(problem):
                if not processes.is_main:
                    sys.exit(2)
                raise UsageError(problem)
        assert ready is not None
        self._say(ready.summary)
        return ready

    def _check_settings(self, ready: Ready, fresh: bool) -> None:
        """A run only goes on as it began; a new one writes down how it begins."""
        from minibert.training.records import ABOUT, METRICS, differences

        file = self.keeping.out / ABOUT
        if not fresh:
            if changed := differences(json.loads(file.read_text()), ready.settings):
                changes = "; ".join(changed)
                raise UsageError(
                    f"{self.keeping.out} was begun otherwise ({changes}): go on as it began, or choose another --out"
                )
        elif self.processes.is_main:
            (self.keeping.out / METRICS).unlink(missing_ok=True)
            write_atomically(file, json.dumps(ready.settings, indent=2) + "\n")

    def _train(self, run: "TrainingRun[Any, Any]", ready: Ready, checkpoints: "Checkpoints", stop: StopSignal) -> None:
        """The steps that are left. After each what was measured is written down; now and then comes a checkpoint."""
        from minibert.study.figures import save_png
        from minibert.text.tokenizer import save_tokenizer
        from minibert.training.records import METRICS, keep_metrics_until

        keeping = self.keeping
        if self.processes.is_main:
            keep_metrics_until(keeping.out, run.done)
        with self._progress(run) as report, (keeping.out / METRICS).open("a") as metrics:
            began = drawn = time.perf_counter()
            for step in run.run():
                entry, stopped = self._entry(run, step, time.perf_counter() - began, stop.number or 0)
                ends = step.number == run.steps
                if ends or step.number % keeping.evaluate_every == 0:
                    scores, line = self.evaluate(run, ready, step.number)
                    entry |= scores
                    if line:
                        self._say(line)
                if self.processes.is_main:
                    metrics.write(json.dumps(entry) + "\n")
                    metrics.flush()
                    report(entry)
                if ends or stopped or step.number % keeping.checkpoint_every == 0:
                    run.save(checkpoints, lambda folder: save_tokenizer(ready.tokenizer, folder))
                    if self.processes.is_main and (ends or stopped or time.perf_counter() - drawn > SECONDS_BETWEEN_FIGURES):
                        save_png(self.draw(ready), keeping.out / "loss.png")
                        drawn = time.perf_counter()
                if stopped:
                    raise Stopped(stopped, f"Stopped. To go on:\n  {_command()}" if self.processes.is_main else "")
                began = time.perf_counter()

    def _entry(self, run: "TrainingRun[Any, Any]", step: "Step", seconds: float, number: int) -> tuple[dict[str, Any], int]:
        """What was measured in a step, over all processes; and the signal that any of them was stopped by, or 0."""
        tokens, operations = self.cost(run)
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

    def _finish(self, run: "TrainingRun[Any, Any]", ready: Ready) -> None:
        """The model, in the folder itself; and what can be done with it."""
        from minibert.text.tokenizer import save_tokenizer
        from minibert.training.records import RunRecord

        out = self.keeping.out
        run.export(out)
        if not self.processes.is_main:
            return
        save_tokenizer(ready.tokenizer, out)
        record = RunRecord.read(out)
        skipped = sum(entry["skipped"] for entry in record.metrics)
        self._say(f"Done: {run.done:,} steps in {record.seconds / 60:.1f} minutes, {record.tokens_per_second:,.0f} tokens/s.")
        if skipped:
            self._say(f"  {skipped} steps were skipped: their loss or gradient was no finite number.")
        self._say(f"Look at {out / 'loss.png'}, or try the model:\n  {self.try_it(ready)}")

    def _say(self, text: str) -> None:
        if self.processes.is_main:
            say(text)

    @contextmanager
    def _progress(self, run: "TrainingRun[Any, Any]") -> Iterator[Callable[[dict[str, Any]], None]]:
        """Shows how far it has got, how well and how fast."""
        if not self.processes.is_main:
            yield lambda entry: None
            return
        with progress(self.title, run.steps, run.done) as advance:
            yield lambda entry: advance(note(entry))

    @contextmanager
    def _failures_explained(self, checkpoints: "Checkpoints") -> Iterator[None]:
        """Says where it stood, which checkpoint is good, and how to go on from it."""
        from torch import distributed

        from minibert.training.loop import DivergenceError

        try:
            yield
        except DivergenceError as error:
            advice = "lower --learning-rate, in another --out"
            raise WorkFailed(f"{error}. {_last_good(checkpoints)}. Going on would end the same way: {advice}") from None
        except OSError as error:
            raise WorkFailed(
                f"cannot write to {self.keeping.out}: {error}. {_last_good(checkpoints)}; to go on:\n  {_command()}"
            ) from error
        except RuntimeError as error:
            if self.processes.count == 1 or not (isinstance(error, distributed.DistError) or "gloo" in str(error)):
                raise
            gone = f"another process of this job has gone (this one was number {self.processes.rank})"
            raise WorkFailed(f"{gone}. {_last_good(checkpoints)}; to go on, start the job again with --resume") from error


def note(entry: dict[str, Any]) -> str:
    """One step in a line: losses, right answers, speed."""
    terms = [name.removesuffix("_accuracy") for name in entry if name.endswith("_accuracy") and "validation" not in name]
    losses = " + ".join(f"{entry[term]:.2f}" if entry[term] is not None else "not finite" for term in terms)
    found = ", ".join(f"{_called(term)} {entry[f'{term}_accuracy']:.0%}" for term in terms)
    seconds = max(1e-9, entry["seconds"])
    speed = f"{entry['tokens'] / seconds:,.0f} tokens/s, {entry['operations'] / seconds / 1e9:,.1f} GFLOP/s"
    return f"loss {losses} nats; right: {found}; {speed}"


def _called(term: str) -> str:
    return term.upper() if len(term) == 3 else term


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
