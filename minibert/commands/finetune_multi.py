"""`minibert finetune multi`: fine-tune one BERT for several tasks at once."""

import shlex
from dataclasses import dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tyro.conf import Positional, arg

from minibert.commands.errors import UsageError
from minibert.commands.finetune import BUILT_IN_START, TASKS, check_start
from minibert.commands.terminal import shell_command
from minibert.commands.training import run_training
from minibert.text.labeled.options import LabeledDataOptions
from minibert.text.options import InvalidOption
from minibert.training.options import DeviceOptions, FineTuningConfig, OutputOptions

if TYPE_CHECKING:
    from minibert.training.task import Task


@dataclass(frozen=True)
class FinetuneMulti(OutputOptions):
    """Fine-tune one BERT for several tasks at once: a shared encoder, and a head for each task.

    Batches are drawn in proportion to the sizes of the data. The result is one checkpoint for each task, in a folder with its
    name. Example: minibert finetune multi "sentiment=classify --train a.tsv" "names=tag --train b.txt" --out runs/both
    """

    tasks: Annotated[tuple[str, ...], Positional, arg(metavar='"NAME=TASK OPTIONS" [...]')] = ()
    """A name for each task, and the task with the options of its data, as for `minibert finetune TASK`."""
    out: Path = Path("runs/multi")
    """Folder to write to: checkpoints, metrics.jsonl, loss.png, and at the end a folder for each task."""
    evaluate_every: int | None = None
    """Steps between evaluations on validation data. None: at the end of every epoch."""
    start_from: Annotated[str, arg(name="from", metavar="CHECKPOINT")] = BUILT_IN_START
    """BERT to begin with: a folder with a checkpoint of minibert or transformers, or the id of a model on the Hugging Face hub.
    Its tokenizer is used, too."""
    training: FineTuningConfig = field(default_factory=FineTuningConfig)
    hardware: DeviceOptions = field(default_factory=DeviceOptions)


def run(options: FinetuneMulti) -> int:
    """Train to the end, or until the command is stopped."""
    check_start(options.start_from)
    parsed = parse_tasks(options.tasks)

    def prepare(directory: Path, create_tokenizer: bool) -> "Task":
        from minibert.training.multitask import prepare_multitask

        return prepare_multitask(parsed, options.training, options.start_from)

    def example_command(task: "Task") -> str:
        return "\n  ".join(shell_command("minibert", "predict", options.out / name, "FILE") for name in parsed)

    return run_training(prepare, options, options.hardware, "Fine-tuning", example_command, "--learning-rate")


def parse_tasks(texts: tuple[str, ...]) -> dict[str, tuple[str, LabeledDataOptions, Any]]:
    """Parse the tasks of the command line. Return by name: the task, the options of its data, and its own options.

    Raises: UsageError for a task that cannot be parsed, SystemExit after a message about its options.
    """
    parsed: dict[str, tuple[str, LabeledDataOptions, Any]] = {}
    for text in texts:
        name, _, command = text.partition("=")
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise UsageError(f"{text}: {error}") from error
        if not words or words[0] not in TASKS:
            raise UsageError(f'{text}: must be "NAME=TASK OPTIONS"; tasks: {", ".join(TASKS)}')
        if name in parsed or not name.replace("-", "").replace("_", "").isalnum():
            raise UsageError(f"{text}: the name must be unique, and have only letters, digits, - and _")
        task = words[0]
        own = next(each for each in fields(TASKS[task]) if each.name == task).default_factory
        kind = make_dataclass(
            task,
            [("data", LabeledDataOptions, field(default_factory=LabeledDataOptions)), ("own", own, field(default_factory=own))],
        )
        try:
            options: Any = tyro.cli(
                kind, prog=f"minibert finetune multi: {name}={task}", args=words[1:], config=(tyro.conf.OmitArgPrefixes,)
            )
        except InvalidOption as error:
            raise UsageError(f"{name}: {error}") from error
        parsed[name] = (task, options.data, options.own)
    if len(parsed) < 2:
        raise UsageError("give at least two tasks; for one task use `minibert finetune TASK`")
    return parsed
