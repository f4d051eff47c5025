"""`minibert finetune`: fine-tune a BERT on labeled data, for classification and other tasks."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from tyro.conf import arg

from minibert.commands.errors import UsageError
from minibert.commands.finetune_several import run_several
from minibert.commands.terminal import say, shell_command
from minibert.commands.training import run_training
from minibert.text.labeled.options import LabeledDataOptions
from minibert.text.options import InvalidOption
from minibert.training.finetuning_options import AnswerOptions, ClassifyOptions, TagOptions
from minibert.training.options import DeviceOptions, FineTuningConfig, OutputOptions

if TYPE_CHECKING:
    from minibert.training.finetuning import FineTuning
    from minibert.training.task import Task
    from minibert.training.task_type import TaskType

BUILT_IN_START = "runs/quickstart"
BUILT_IN_TASK = ["finetune", "classify"]
"""The command that `minibert finetune` alone runs. Its data are built in."""
MAX_SEEDS = 1000
"""Largest --seeds. Each of them is a run."""


@dataclass(frozen=True)
class Finetune(OutputOptions):
    """Options of fine-tuning for every task."""

    out: Path = Path("runs/finetune")
    """Folder to write to: checkpoints, metrics.jsonl, loss.png, and at the end the model. Also study.html, a page that
    shows the model from the inside; not with --seeds or --learning-curve."""
    evaluate_every: int | None = None
    """Steps between evaluations on validation data. None: at the end of every epoch."""
    start_from: Annotated[str, arg(name="from", metavar="CHECKPOINT")] = BUILT_IN_START
    """BERT to begin with: a folder with a checkpoint of minibert or transformers, or the id of a model on the Hugging Face hub.
    Its tokenizer is used, too."""
    data: LabeledDataOptions = field(default_factory=LabeledDataOptions)
    check: bool = False
    """Only list the faults in the data, with file and line, and what was inferred from them."""
    write_repaired: Path | None = None
    """With --check: write a copy of the training file in the same format, without the faults that can be repaired."""
    seeds: Annotated[int, arg(metavar="N")] = 1
    """Number of seeds, from --seed on. With several, each is a run in a subfolder, and the mean and the standard deviation of
    their scores are printed."""
    learning_curve: Annotated[str | None, arg(metavar="N,N,...,all")] = None
    """Train on the first so many rows of a random order, from the checkpoint and from random weights, and draw the scores."""
    training: FineTuningConfig = field(default_factory=FineTuningConfig)
    hardware: DeviceOptions = field(default_factory=DeviceOptions)
    task: ClassVar[str]
    """Name of the task on the command line, and of the field with its own options."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.seeds <= MAX_SEEDS:
            raise InvalidOption(f"seeds {self.seeds}: must be at least 1 and at most {MAX_SEEDS:,}")

    @property
    def task_options(self) -> Any:
        """The options of the task alone."""
        return getattr(self, self.task)


@dataclass(frozen=True)
class FinetuneClassify(Finetune):
    """Fine-tune a BERT to classify texts or pairs of texts, or to predict a number for each.

    The data are TSV, CSV, JSONL or Parquet files (optionally .gz), or a dataset. Without --train, the model learns which part
    of Python or torch a docstring is from. The result is a checkpoint that transformers can load. If the command is stopped,
    the same command with --resume continues it, with the same results.
    """

    task: ClassVar[str] = "classify"
    classify: ClassifyOptions = field(default_factory=ClassifyOptions)


@dataclass(frozen=True)
class FinetuneAnswer(Finetune):
    """Fine-tune a BERT to answer questions with a part of a given text.

    The data are JSON files in SQuAD's format, version 1.1 or 2.0, or JSONL or Parquet with the columns id, context, question
    and answers (optionally .gz), or a dataset. Questions without an answer are learned if the data have some. The result is a
    checkpoint that transformers can load. If the command is stopped, the same command with --resume continues it, with the
    same results.
    """

    task: ClassVar[str] = "answer"
    answer: AnswerOptions = field(default_factory=AnswerOptions)


@dataclass(frozen=True)
class FinetuneTag(Finetune):
    """Fine-tune a BERT to tag the words of sentences, such as named entities.

    The data are CoNLL files: a word and its columns on each line, the tag in the last column, and a blank line after each
    sentence; or JSONL or Parquet files with a list of words and a list of tags in each row (optionally .gz); or a dataset. Tags
    in IOB1, IOBES and other schemes are converted to BIO. The score is entity-level F1, as in the script conlleval. The result
    is a checkpoint that transformers can load.
    """

    task: ClassVar[str] = "tag"
    tag: TagOptions = field(default_factory=TagOptions)


TASKS: dict[str, type[Finetune]] = {kind.task: kind for kind in (FinetuneClassify, FinetuneTag, FinetuneAnswer)}
"""The options class of each task."""


def run(options: Finetune) -> int:
    """Check the data, or train to the end, or until the command is stopped."""
    if options.write_repaired is not None and not options.check:
        raise UsageError("--write-repaired: give it with --check; a run repairs the data that it reads")
    if options.check:
        return check(options)
    check_start(options.start_from)

    def prepare(directory: Path, create_tokenizer: bool) -> "FineTuning[Any]":
        from minibert.training.finetuning_data import prepare_finetuning

        return prepare_finetuning(_task_type(options), options.data, options.task_options, options.training, options.start_from)

    def example_command(task: "Task") -> str:
        return shell_command("minibert", "predict", options.out, "FILE")

    def write_page(task: "FineTuning[Any]") -> str:
        from minibert.commands.study_page import page_of_trained_model

        return page_of_trained_model(options.out, *task.short_texts)

    if options.seeds > 1 or options.learning_curve is not None:
        return run_several(options, prepare)
    return run_training(prepare, options, options.hardware, "Fine-tuning", example_command, "--learning-rate", write_page)


def check_start(start_from: str) -> None:
    """Raise UsageError if the model of the quickstart is to be used and there is none."""
    if _is_missing(start_from):
        raise UsageError(f"--from {BUILT_IN_START}: does not exist; `minibert quickstart` creates it")


def _is_missing(start_from: str) -> bool:
    return start_from == BUILT_IN_START and not Path(BUILT_IN_START).exists()


def check(options: Finetune) -> int:
    """List the findings in the data. Return 1 if there are errors."""
    from minibert.model import BertConfig
    from minibert.model.checkpoints.loading import read_checkpoint
    from minibert.text.labeled.findings import errors_in, group_findings
    from minibert.training.finetuning_data import check_data
    from minibert.training.task_type import bert_config

    try:
        start = BertConfig() if _is_missing(options.start_from) else bert_config(read_checkpoint(options.start_from))
        kind, source = _task_type(options), options.data.train_source
        checked = check_data(kind, options.data, options.task_options, start)
        if options.write_repaired is not None:
            if source is None:
                raise UsageError("--write-repaired: give the file with --train")
            kind.write_repaired(source, options.task_options, options.write_repaired)
    except (ValueError, OSError) as error:
        raise UsageError(error) from error
    for finding in group_findings(checked.findings):
        say(f"{'error: ' if finding.is_error else ''}{finding}")
    for note in checked.notes:
        say(note)
    errors = errors_in(checked.findings)
    repaired = [finding for finding in checked.findings if finding.is_repaired]
    say(f"findings: {len(checked.findings):,} (repaired in a run: {len(repaired):,}, errors: {len(errors):,})")
    if options.write_repaired is not None:
        say(f"Wrote {options.write_repaired}")
    return 1 if errors else 0


def _task_type(options: Finetune) -> "type[TaskType[Any]]":
    from minibert.training.task_type import task_types

    return next(kind for kind in task_types() if kind.command == options.task)
