"""`minibert pretrain`: pretrain a model on raw text, in one process or several."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

from tyro.conf import arg

from minibert.commands.terminal import shell_command
from minibert.commands.training import run_training
from minibert.text.options import InvalidOption, TextOptions, VocabularyOptions
from minibert.training.options import FAMILY_FIELDS, DeviceOptions, OutputOptions, PretrainingConfig

if TYPE_CHECKING:
    from minibert.training.pretraining_tasks import PreparedTask
    from minibert.training.task import Task


@dataclass(frozen=True)
class Pretrain(OutputOptions):
    """Pretrain a BERT, a relative of it, a GPT-2 or a T5 on text files. The result is a checkpoint that transformers can load.

    If the command is stopped, even by SIGKILL or a power failure, the same command with --resume continues from the last
    checkpoint, with the same results. On several GPUs or machines: torchrun --nproc-per-node=N -m minibert pretrain ...
    """

    out: Path = Path("runs/pretrain")
    """Folder to write to: checkpoints, metrics.jsonl, loss.png, and at the end the model."""
    corpus: TextOptions = field(default_factory=TextOptions)
    start_from: Annotated[str | None, arg(name="from", metavar="CHECKPOINT")] = None
    """Trained model to begin with, instead of random weights: a folder with a checkpoint, or the id of a model on the Hugging
    Face hub. Its family and its tokenizer are used, too."""
    vocabulary: VocabularyOptions = field(default_factory=VocabularyOptions)
    training: PretrainingConfig = field(default_factory=PretrainingConfig)
    hardware: DeviceOptions = field(default_factory=DeviceOptions)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start_from is not None:
            for name in ("preset", *FAMILY_FIELDS):
                if getattr(self.training, name) is not None:
                    both = f"--{name.replace('_', '-')} and --from"
                    raise InvalidOption(f"{both}: give only one, the size of the model is that of the checkpoint")
        if self.start_from is not None and self.vocabulary != VocabularyOptions():
            raise InvalidOption(
                "with --from, the vocabulary is that of the checkpoint: leave out --tokenizer, --vocab-size and the like"
            )


def run(options: Pretrain) -> int:
    """Train to the end, or until the command is stopped."""

    def prepare(directory: Path, create_tokenizer: bool) -> "Task":
        from minibert.training.pretraining_tasks import prepare_task

        return prepare_task(
            options.corpus, options.vocabulary, options.training, directory, create_tokenizer, options.start_from
        )

    def example_command(task: "Task") -> str:
        command, folder, text = cast("PreparedTask", task).usage()
        return shell_command("minibert", command, options.out / folder, text)

    return run_training(prepare, options, options.hardware, "Pretraining", example_command, "--learning-rate")
