"""`minibert train-letters` and `minibert train-translator`: the 2017 encoder-decoder, small and large."""

import math
import shlex
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from minibert.commands.job import Job, OutputOptions, join_processes
from minibert.text.options import InvalidOption, ParallelTextOptions, SequenceTask, VocabularyOptions
from minibert.training.options import DeviceOptions, LettersConfig, TranslationConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from minibert.study.translation import PreparedTransformer
    from minibert.training.run import TrainingRun


@dataclass(frozen=True)
class TrainLetters(OutputOptions):
    """Trains the Transformer of 2017 to copy, reverse or sort letters: two minutes, and its attention can be understood.

    `minibert translate` then asks it. It can be stopped at any time: the same command with --resume goes on.
    """

    task: Positional[SequenceTask] = "sort"
    """What is to be learned."""
    letters: int = 10
    """Of the longest sequence."""
    out: Path = Path("runs/letters")
    """The folder to write to: checkpoints, metrics.jsonl, loss.png, and at the end the model."""
    recipe: LettersConfig = field(default_factory=LettersConfig)
    machine: DeviceOptions = field(default_factory=DeviceOptions)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.letters < 1:
            raise InvalidOption(f"letters {self.letters}: must be at least 1")


@dataclass(frozen=True, kw_only=True)
class TrainTranslator(OutputOptions):
    """Trains the Transformer of 2017 to translate, from two texts that belong together line by line.

    `minibert translate` then uses it. It can be stopped at any time: the same command with --resume goes on as if nothing
    had happened. On several GPUs: torchrun --nproc-per-node=N -m minibert train-translator ...
    """

    source: ParallelTextOptions
    out: Path = Path("runs/translator")
    """The folder to write to: checkpoints, metrics.jsonl, loss.png, and at the end the model."""
    vocabulary: VocabularyOptions = field(default_factory=partial(VocabularyOptions, cased=True))
    recipe: TranslationConfig = field(default_factory=TranslationConfig)
    machine: DeviceOptions = field(default_factory=DeviceOptions)


def run(options: TrainLetters | TrainTranslator) -> int:
    """Trains to the end, or until it is stopped."""
    processes = join_processes(options, options.machine)
    Training(options, options.machine, processes, options).work()
    processes.leave()
    return 0


@dataclass
class Training(Job["PreparedTransformer"]):
    """One sequence becomes another."""

    title = "Training"
    options: TrainLetters | TrainTranslator

    def prepare(self, place: Path, learn: bool) -> "PreparedTransformer":
        from minibert.study.translation import prepare_parallel, prepare_sequences

        options = self.options
        if isinstance(options, TrainLetters):
            return prepare_sequences(options.task, options.letters, options.recipe, place)
        return prepare_parallel(options.source, options.vocabulary, options.recipe, place, learn)

    def make_run(self, ready: "PreparedTransformer") -> "TrainingRun[Any, Any]":
        from minibert.training.recipe import transformer_run

        recipe = self.options.recipe
        return transformer_run(recipe, self.machine, ready.train, ready.tokenizer, ready.longest, self.processes)

    def cost(self, run: "TrainingRun[Any, Any]") -> tuple[int, int]:
        from minibert.training.metrics import translation_cost

        return translation_cost(run.model.config, run.current)

    def evaluate(self, run: "TrainingRun[Any, Any]", ready: "PreparedTransformer", step: int) -> tuple[dict[str, float], str]:
        from minibert.study.translation import bleu, exact, translate
        from minibert.training.distributed import reshard
        from minibert.training.tasks import Translation

        if not ready.validation:
            return {}, ""
        score = run.evaluate(ready.validation, Translation(label_smoothing=0.0))["target"]
        entry = {"validation_target": score.loss, "validation_target_accuracy": score.accuracy}
        run.model.eval()
        written = translate(run.model, ready.tokenizer, ready.validation_text.sources, beams=1)
        run.model.train()
        reshard(run.model)
        line = f"  step {step:,}, held out: {score.loss:.3f} nats, {score.accuracy:.1%} of the tokens right"
        if isinstance(self.options, TrainLetters):
            entry["validation_exact"] = exact(written, ready.validation_text.targets)
            return entry, line + f", {entry['validation_exact']:.1%} of the sequences"
        if (found := bleu(written, ready.validation_text.targets)) is not None:
            entry["validation_bleu"] = found
            return entry, line + f", BLEU {found:.1f} (greedy)"
        return entry, line + " (no BLEU: pip install 'minibert[translation]')"

    def draw(self, ready: "PreparedTransformer") -> "Figure":
        from minibert.study.translation import figure
        from minibert.training.records import RunRecord

        letters = isinstance(self.options, TrainLetters)
        measure, name = ("exact", "share that is all right") if letters else ("bleu", "BLEU, greedy")
        baselines = {"ln V": math.log(ready.tokenizer.get_vocab_size())}
        return figure(RunRecord.read(self.keeping.out), baselines, f"held_out_{measure}", name)

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

    def try_it(self, ready: "PreparedTransformer") -> str:
        line = "d a c b" if isinstance(self.options, TrainLetters) else (ready.validation_text.sources or ["a line"])[0]
        return f"echo {shlex.quote(line)} | minibert translate {shlex.quote(str(self.keeping.out))}"
