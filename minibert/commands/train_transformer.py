"""`minibert train-transformer`: the 2017 encoder-decoder, on sequences of letters or on two languages."""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tyro.conf import Positional

from minibert.commands.errors import BadUse
from minibert.commands.job import Job, Keeping, join_processes
from minibert.text.settings import BadSetting, ParallelSource, Vocabulary
from minibert.training.settings import Machine, TransformerRecipe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from minibert.study.translation import PreparedTransformer
    from minibert.training.run import TrainingRun


@dataclass(frozen=True)
class TrainTransformer(Keeping):
    """Trains the Transformer of 2017 to copy, reverse or sort letters, or to translate; `minibert translate` then uses it.

    It can be stopped at any time: the same command with --resume goes on as if nothing had happened. On several GPUs:
    torchrun --nproc-per-node=N -m minibert train-transformer ...
    """

    task: Positional[Literal["copy", "reverse", "sort", "translate"]] = "sort"
    """What is to be learnt; translate needs --text."""
    out: Path = Path("runs/transformer")
    """The folder to write to: checkpoints, metrics.jsonl, loss.png, and at the end the model."""
    letters: int = 12
    """Of the longest sequence, for copy, reverse and sort."""
    source: ParallelSource = field(default_factory=ParallelSource)
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    recipe: TransformerRecipe = field(default_factory=TransformerRecipe)
    machine: Machine = field(default_factory=Machine)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.letters < 1:
            raise BadSetting(f"letters {self.letters}: must be at least 1")


def run(options: TrainTransformer) -> int:
    """Trains to the end, or until it is stopped."""
    if options.task == "translate" and not options.source.text:
        raise BadUse("translate needs two texts: --text SOURCE TARGET, or one file with a tab in each line")
    if options.task != "translate" and (options.source.text or options.source.valid):
        raise BadUse(f"{options.task} draws its own sequences: leave out --text and --valid, or choose translate")
    processes = join_processes(options, options.machine)
    Training(options, options.machine, processes, options).work()
    processes.leave()
    return 0


@dataclass
class Training(Job["PreparedTransformer"]):
    """One sequence becomes another."""

    title = "Training"
    options: TrainTransformer

    def prepare(self, place: Path, learn: bool) -> "PreparedTransformer":
        from minibert.study.translation import prepare_parallel, prepare_sequences

        options = self.options
        if options.task == "translate":
            return prepare_parallel(options.source, options.vocabulary, options.recipe, place, learn)
        return prepare_sequences(options.task, options.letters, replace(options.recipe, smoothing=0.0), place)

    def make_run(self, ready: "PreparedTransformer") -> "TrainingRun[Any, Any]":
        from minibert.training.recipe import transformer_run

        recipe = TransformerRecipe(**ready.settings["recipe"])
        return transformer_run(recipe, self.machine, ready.learnt, ready.tokenizer, ready.longest, self.processes)

    def cost(self, run: "TrainingRun[Any, Any]") -> tuple[int, int]:
        from minibert.training.metrics import transformer_operations

        return transformer_operations(run.model.config, run.current)

    def evaluate(self, run: "TrainingRun[Any, Any]", ready: "PreparedTransformer", step: int) -> tuple[dict[str, float], str]:
        from minibert.study.translation import bleu, exact, translate
        from minibert.training.loop import evaluate
        from minibert.training.tasks import Translation

        if not ready.held_out:
            return {}, ""
        batches = [batch.to(self.processes.device) for batch in ready.held_out]
        score = evaluate(run.model, batches, Translation(smoothing=0.0))["target"]
        entry = {"held_out_target": score.loss, "held_out_target_accuracy": score.accuracy}
        run.model.eval()
        written = translate(run.model, ready.tokenizer, ready.held_out_text.sources, beams=1)
        run.model.train()
        line = f"  step {step:,}, held out: {score.loss:.3f} nats, {score.accuracy:.1%} of the tokens right"
        if self.options.task != "translate":
            entry["held_out_exact"] = exact(written, ready.held_out_text.targets)
            return entry, line + f", {entry['held_out_exact']:.1%} of the sequences"
        if (found := bleu(written, ready.held_out_text.targets)) is not None:
            entry["held_out_bleu"] = found
            return entry, line + f", BLEU {found:.1f} (greedy)"
        return entry, line + " (no BLEU: pip install 'minibert[translation]')"

    def draw(self, ready: "PreparedTransformer") -> "Figure":
        from minibert.study.runs import RunRecord
        from minibert.study.translation import figure

        measure, name = ("bleu", "BLEU, greedy") if self.options.task == "translate" else ("exact", "share that is all right")
        landmarks = {"ln V": math.log(ready.tokenizer.get_vocab_size())}
        return figure(RunRecord.read(self.keeping.out), landmarks, f"held_out_{measure}", name)

    def examples(self, run: "TrainingRun[Any, Any]", ready: "PreparedTransformer") -> list[str]:
        _, batches = next(run.batches())
        texts: list[str] = []

        def named(number: int) -> str:
            return str(ready.tokenizer.id_to_token(number))

        for batch in batches:
            for ids, keep, labels in zip(batch.input_ids, batch.attention_mask, batch.labels, strict=True):
                source, target = ids[keep].tolist(), [label for label in labels.tolist() if label >= 0]
                texts.append(f"source: {' '.join(map(named, source))}\ntarget: {' '.join(map(named, target))}")
        return texts

    def try_it(self) -> str:
        line = "A small dog runs ." if self.options.task == "translate" else "d a c b"
        return f'echo "{line}" | minibert translate {self.keeping.out}'
