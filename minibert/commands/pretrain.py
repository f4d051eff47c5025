"""`minibert pretrain`: from raw text to a checkpoint, in one process or many, to be stopped and taken up at any time."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minibert.commands.job import Job, OutputOptions, join_processes
from minibert.text.options import TextOptions, VocabularyOptions
from minibert.training.options import DeviceOptions, PretrainingConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from minibert.study.prepared import Prepared
    from minibert.training.run import TrainingRun


@dataclass(frozen=True)
class Pretrain(OutputOptions):
    """Pretrains a BERT on text of your own: raw text in, a checkpoint out that transformers loads.

    Whenever it is stopped, even by SIGKILL or a power cut, the same command with --resume goes on from the last checkpoint
    as if nothing had happened. On several GPUs or machines: torchrun --nproc-per-node=N -m minibert pretrain ...
    """

    out: Path = Path("runs/pretrain")
    """The folder to write to: checkpoints, metrics.jsonl, loss.png, and at the end the model."""
    source: TextOptions = field(default_factory=TextOptions)
    vocabulary: VocabularyOptions = field(default_factory=VocabularyOptions)
    recipe: PretrainingConfig = field(default_factory=PretrainingConfig)
    machine: DeviceOptions = field(default_factory=DeviceOptions)


def run(options: Pretrain) -> int:
    """Trains to the end, or until it is stopped."""
    processes = join_processes(options, options.machine)
    Pretraining(options, options.machine, processes, options).work()
    processes.leave()
    return 0


@dataclass
class Pretraining(Job["Prepared"]):
    """Masked words, and sentences that follow each other."""

    title = "Pretraining"
    options: Pretrain

    def prepare(self, place: Path, learn: bool) -> "Prepared":
        from minibert.study.prepared import prepare

        return prepare(self.options.source, self.options.vocabulary, self.options.recipe, place, learn)

    def make_run(self, ready: "Prepared") -> "TrainingRun[Any, Any]":
        from minibert.training.recipe import pretraining_run

        return pretraining_run(self.options.recipe, self.machine, ready.train, ready.tokenizer, self.processes)

    def cost(self, run: "TrainingRun[Any, Any]") -> tuple[int, int]:
        from minibert.training.metrics import pretraining_cost

        return pretraining_cost(run.model.config, run.current)

    def evaluate(self, run: "TrainingRun[Any, Any]", ready: "Prepared", step: int) -> tuple[dict[str, float], str]:
        from minibert.training.records import validation_entry, validation_line
        from minibert.training.reference_runs import reference_for

        if not ready.validation:
            return {}, ""
        entry = validation_entry(run.evaluate(ready.validation))
        reference = reference_for(ready.settings)
        verdict = reference.verdict(step, entry) if reference and entry else ""
        return entry, validation_line(step, entry) + (f"; {verdict}" if verdict else "")

    def draw(self, ready: "Prepared") -> "Figure":
        from minibert.training.records import RunRecord, loss_figure
        from minibert.training.reference_runs import reference_for

        reference = reference_for(ready.settings)
        return loss_figure(RunRecord.read(self.keeping.out), ready.baselines, reference.loss_band if reference else ())

    def examples(self, run: "TrainingRun[Any, Any]", ready: "Prepared") -> list[str]:
        from minibert.text.examples import shown

        _, batches = next(run.batches())
        return shown(batches, ready.tokenizer)

    def try_it(self, ready: "Prepared") -> str:
        return f'minibert fill-mask {shlex.quote(str(self.keeping.out))} "the [MASK] of the day"'
