"""`minibert distill`: train a network with fewer layers on raw text, with a trained one as its teacher."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

from tyro.conf import Fixed, Positional, Suppress, arg

from minibert.commands.terminal import shell_command
from minibert.commands.training import run_training
from minibert.text.options import ExampleConfig, PairTask, TextOptions
from minibert.training.distillation_options import DistillationConfig
from minibert.training.options import DeviceOptions, FamilyName, OutputOptions, Preset

if TYPE_CHECKING:
    from minibert.training.pretraining import PretrainingTask
    from minibert.training.task import Task


@dataclass(frozen=True)
class Examples(ExampleConfig):
    """Examples of distillation: whole sentences with masked tokens."""

    pairs: Suppress[Fixed[PairTask | None]] = None


@dataclass(frozen=True)
class Training(DistillationConfig):
    """Hyperparameters of distillation, without those that the teacher decides."""

    family: Suppress[Fixed[FamilyName | None]] = None
    preset: Suppress[Fixed[Preset | None]] = None
    embedding_size: Suppress[Fixed[int | None]] = None
    num_hidden_groups: Suppress[Fixed[int | None]] = None
    examples: Examples = field(default_factory=Examples)


@dataclass(frozen=True, kw_only=True)
class Distill(OutputOptions):
    """Train a smaller network on text files, with a trained one as its teacher (Sanh et al. 2019). The result is a checkpoint.

    The student begins with every other layer of its teacher. It learns the teacher's probabilities of the masked words, the
    words themselves, and the directions of the teacher's vectors.
    """

    teacher: Annotated[Positional[str], arg(metavar="TEACHER")]
    """The teacher: a folder with a checkpoint, or the id of a model on the Hugging Face hub. It is a BERT, RoBERTa, ALBERT or
    DistilBERT with a masked-LM head."""
    out: Path = Path("runs/distill")
    """Folder to write to: checkpoints, metrics.jsonl, loss.png, and at the end the model."""
    corpus: TextOptions = field(default_factory=TextOptions)
    training: Training = field(default_factory=Training)
    hardware: DeviceOptions = field(default_factory=DeviceOptions)


def run(options: Distill) -> int:
    """Train to the end, or until the command is stopped."""

    def prepare(directory: Path, create_tokenizer: bool) -> "Task":
        from minibert.training.distillation import prepare_distillation

        return prepare_distillation(options.corpus, options.training, directory, create_tokenizer, options.teacher)

    def example_command(task: "Task") -> str:
        command, folder, text = cast("PretrainingTask", task).usage()
        return shell_command("minibert", command, options.out / folder, text)

    return run_training(prepare, options, options.hardware, "Distillation", example_command, "--learning-rate")
