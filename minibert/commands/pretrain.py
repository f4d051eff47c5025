"""`minibert pretrain`: pretrain a BERT on raw text, in one process or several."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from minibert.commands.terminal import shell_command
from minibert.commands.training import run_training
from minibert.text.options import TextOptions, VocabularyOptions
from minibert.training.options import DeviceOptions, OutputOptions, PretrainingConfig

if TYPE_CHECKING:
    from minibert.training.job import Task


@dataclass(frozen=True)
class Pretrain(OutputOptions):
    """Pretrain a BERT on text files. The result is a checkpoint that transformers can load.

    If the command is stopped, even by SIGKILL or a power failure, the same command with --resume continues from the last
    checkpoint, with the same results. On several GPUs or machines: torchrun --nproc-per-node=N -m minibert pretrain ...
    """

    out: Path = Path("runs/pretrain")
    """Folder to write to: checkpoints, metrics.jsonl, loss.png, and at the end the model."""
    corpus: TextOptions = field(default_factory=TextOptions)
    vocabulary: VocabularyOptions = field(default_factory=VocabularyOptions)
    training: PretrainingConfig = field(default_factory=PretrainingConfig)
    hardware: DeviceOptions = field(default_factory=DeviceOptions)


def run(options: Pretrain) -> int:
    """Train to the end, or until the command is stopped."""

    def prepare(directory: Path, create_tokenizer: bool) -> "Task":
        from minibert.training.pretraining import prepare_pretraining

        return prepare_pretraining(options.corpus, options.vocabulary, options.training, directory, create_tokenizer)

    def example_command(task: "Task") -> str:
        return f'{shell_command("minibert", "fill-mask", options.out)} "the [MASK] of the day"'

    return run_training(prepare, options, options.hardware, "Pretraining", example_command, "--learning-rate")
