"""`minibert train-letters` and `minibert train-translator`: train the Transformer of 2017."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tyro.conf import Positional

from minibert.commands.terminal import shell_command
from minibert.commands.training import run_training
from minibert.text.options import InvalidOption, LettersTask, ParallelTextOptions, VocabularyOptions
from minibert.training.options import DeviceOptions, LettersConfig, OutputOptions, TranslationConfig

if TYPE_CHECKING:
    from minibert.training.task import Task
    from minibert.training.translation import TranslationTask


RATE = "--learning-rate-factor"
"""Option to lower if the loss diverges."""


@dataclass(frozen=True)
class TrainLetters(OutputOptions):
    """Train the Transformer of 2017 to copy, reverse or sort letters. Takes two minutes; the attention is easy to interpret.

    Use `minibert translate` with the result. If the command is stopped, the same command with --resume continues.
    """

    operation: Positional[LettersTask] = "sort"
    """Operation that the model learns."""
    letters: int = 10
    """Maximum number of letters in a sequence."""
    out: Path = Path("runs/letters")
    """Folder to write to: checkpoints, metrics.jsonl, loss.png, and at the end the model."""
    training: LettersConfig = field(default_factory=LettersConfig)
    hardware: DeviceOptions = field(default_factory=DeviceOptions)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.letters < 1:
            raise InvalidOption(f"letters {self.letters}: must be at least 1")


@dataclass(frozen=True, kw_only=True)
class TrainTranslator(OutputOptions):
    """Train the Transformer of 2017 to translate, from two texts that correspond line by line.

    Use `minibert translate` with the result. If the command is stopped, the same command with --resume continues, with the
    same results. On several GPUs: torchrun --nproc-per-node=N -m minibert train-translator ...
    """

    corpus: ParallelTextOptions
    out: Path = Path("runs/translator")
    """Folder to write to: checkpoints, metrics.jsonl, loss.png, and at the end the model."""
    vocabulary: VocabularyOptions = field(default_factory=partial(VocabularyOptions, cased=True))
    training: TranslationConfig = field(default_factory=TranslationConfig)
    hardware: DeviceOptions = field(default_factory=DeviceOptions)


def run_letters(options: TrainLetters) -> int:
    """Train to the end, or until the command is stopped."""

    def prepare(directory: Path, create_tokenizer: bool) -> "Task":
        from minibert.training.letters import prepare_letters

        return prepare_letters(options.operation, options.letters, options.training, directory)

    return run_training(
        prepare,
        options,
        options.hardware,
        "Training",
        lambda task: _translate(options.out, " ".join("dacb"[: options.letters])),
        RATE,
    )


def run_translator(options: TrainTranslator) -> int:
    """Train to the end, or until the command is stopped."""

    def prepare(directory: Path, create_tokenizer: bool) -> "Task":
        from minibert.training.translation import prepare_translation

        return prepare_translation(options.corpus, options.vocabulary, options.training, directory, create_tokenizer)

    def example_command(task: "Task") -> str:
        sources = cast("TranslationTask", task).validation_text.sources
        return _translate(options.out, sources[0] if sources else "a line")

    return run_training(prepare, options, options.hardware, "Training", example_command, RATE)


def _translate(folder: Path, line: str) -> str:
    return f"{shell_command('echo', line)} | {shell_command('minibert', 'translate', folder)}"
