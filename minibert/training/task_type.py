"""Fine-tuning tasks: their interface. Each task is one file of this package, such as `classification.py`."""

import json
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from minibert.model.checkpoints.loading import Checkpoint
from minibert.model.config import BertConfig
from minibert.model.families import FAMILIES
from minibert.model.heads import BertWithHead
from minibert.printable import with_article
from minibert.text.labeled.examples import Example, LabeledBatch
from minibert.text.labeled.findings import Finding, LabeledData
from minibert.text.labeled.options import LabeledSource, TableColumns
from minibert.training.metrics.results import Results
from minibert.training.objective import LossSum, count_targets
from minibert.training.records import Column, TaskMetrics

RowT = TypeVar("RowT")
TaskT = TypeVar("TaskT", bound="TaskType[Any]")
Logits = NDArray[np.float64]
"""The scores of one example: one per class; or for each of its tokens, one per class."""
Prediction = dict[str, Any]
"""The prediction for one row, as JSON values."""
Scores = dict[str, float | None]
"""Metrics over a whole evaluation set, by name. The first one is printed first. None: the metric is not defined there."""

TASK_FILE = "task.json"
"""File next to a fine-tuned model: the task and its settings, which `minibert evaluate` and `predict` need."""


@dataclass(frozen=True)
class TaskData(Generic[RowT]):
    """Labeled data for training and validation."""

    train: LabeledData[RowT]
    validation: LabeledData[RowT]

    def map_rows(self, change: Callable[[RowT], RowT]) -> "TaskData[RowT]":
        """Return the data with changed rows."""
        train, validation = (replace(part, rows=[*map(change, part.rows)]) for part in (self.train, self.validation))
        return TaskData(train, validation)


@dataclass(frozen=True)
class Inferred(Generic[RowT]):
    """A task with the settings that were inferred from labeled data, and these data."""

    type: "TaskType[RowT]"
    data: TaskData[RowT]
    """The data, with the labels of the task where the files have other names for them."""
    notes: Sequence[str]
    """Lines for display about the inferred settings, with the reasons."""
    findings: Sequence[Finding]
    """Faults that only show in the data as a whole, such as a label that is only in the validation data."""


class HeadObjective(ABC):
    """The loss of a network with a head, computed from its output. Most tasks have one term, and one target for each output."""

    term: ClassVar[str]
    """Name of the loss term."""

    def target_counts(self, batch: LabeledBatch) -> Mapping[str, Tensor]:
        """Count the targets of the loss term."""
        first, *_ = batch.targets.values()
        return {self.term: count_targets(first)}

    def loss_sums(self, model: nn.Module, batch: LabeledBatch) -> dict[str, LossSum]:
        """Run the model on a batch and compute its losses."""
        return self.losses(model(*batch.inputs), batch)

    @abstractmethod
    def losses(self, output: Any, batch: LabeledBatch) -> dict[str, LossSum]:
        """Compute each loss term from the output of the network: its sum, and the number of correct predictions."""


@dataclass(frozen=True)
class TaskType(ABC, Generic[RowT]):
    """A kind of fine-tuning task: how rows of labeled data become model inputs, a loss, predictions and scores.

    The fields of a subclass are its settings. They are stored next to the model in task.json. The methods are in the order of
    their use: rows, settings, model inputs and loss, predictions and scores. A new task defines those that are abstract.
    """

    command: ClassVar[str]
    """Name of the task on the command line."""
    network: ClassVar[type[BertWithHead]]
    """The network that is trained."""
    options_class: ClassVar[type[Any]]
    """Options of the task on the command line."""
    rows_name: ClassVar[str] = "rows"
    """Name of several rows, such as sentences."""
    input_fields: ClassVar[tuple[str, ...]]
    """Names of the inputs of a row, in the order in which a line of text contains them, with tabs between them."""
    task_metrics: ClassVar[TaskMetrics]
    """Name of the task in run.json, loss term, and all metrics that its runs can have."""
    has_head_dropout: ClassVar[bool] = True
    """True if the head of the network has dropout before its classifier."""
    group_phrase: ClassVar[str] = "are"
    """The verb of a sentence about rows of a `group` that is also in other data: rows … also in the training data."""

    @classmethod
    @abstractmethod
    def read(cls, source: LabeledSource, options: Any) -> LabeledData[RowT]:
        """Read rows from files or a dataset.

        Args:
            options: an instance of `options_class`.

        Raises: ValueError, with file and line, for a file that cannot be read at all. Other errors are findings.
        """

    @classmethod
    def read_inputs(cls, source: LabeledSource, options: Any) -> LabeledData[RowT]:
        """Read rows from files, as `read` does, but without their labels, which need not be there."""
        return cls.read(source, options)

    @classmethod
    def write_repaired(cls, source: LabeledSource, options: Any, target: Path) -> None:
        """Write a repaired copy of a file, in the same format. Rows that cannot be repaired are written as they are.

        Raises: ValueError if the source is not one file, or has another format than the target.
        """
        raise ValueError(f"a repaired copy cannot be written for `minibert finetune {cls.command}`")

    @classmethod
    def built_in(cls) -> tuple[LabeledData[RowT], LabeledData[RowT]]:
        """Return the built-in training and validation rows. Raises: ValueError if the task has none."""
        raise ValueError(
            f"there is no built-in data for this task: give --train FILE (`minibert finetune {cls.command} --help`)"
        )

    @classmethod
    def is_labeled_file(cls, path: Path) -> bool:
        """Return True if a text file has a format of labeled data that its name does not show, such as columns of CoNLL."""
        return False

    def input_columns(self, names: Sequence[str], columns: TableColumns, location: str) -> dict[str, str]:
        """Return the columns of a table that contain the inputs of its rows, by the name of the input.

        Args:
            names: names of the columns.
            columns: columns given by the user.
            location: beginning of error messages.

        Raises: ValueError if there are none, or if they are not those that the model was trained on.
        """
        return {name: name for name in self.input_fields if name in names}

    def input_fault(self, row: RowT) -> str:
        """Return the reason why a row is no input for the model, such as one text instead of two; "" if it is one."""
        return ""

    @classmethod
    @abstractmethod
    def input_row(cls, values: Mapping[str, Any]) -> RowT:
        """Return a row without label, for a prediction. Raises: ValueError for inputs that are missing or no text.

        Args:
            values: the inputs of the row, by the names in `input_fields`.
        """

    @classmethod
    @abstractmethod
    def group(cls, row: RowT) -> str:
        """Return a key of a row. Rows with equal keys are all used for training, or all for validation."""

    def stratum(self, row: RowT) -> Hashable:
        """Return a property of a row, such as its label, of which a sample of the rows should have the same shares as all."""
        return None

    @classmethod
    @abstractmethod
    def from_data(cls, data: TaskData[RowT], options: Any, start: BertConfig) -> Inferred[RowT]:
        """Choose the settings of the task for labeled data, such as the order of the labels.

        Args:
            start: config of the checkpoint that training begins with. If its head is for the same labels, their order is kept.
        """

    @classmethod
    @abstractmethod
    def of_model(cls: type[TaskT], config: BertConfig) -> TaskT:
        """Return the task of a trained network without a task.json, such as one from the Hugging Face hub."""

    def to_score(self, data: LabeledData[RowT]) -> LabeledData[RowT]:
        """Prepare labeled data for the evaluation of a trained model, such as by renaming labels to those of the model.

        Raises: ValueError if the model has none of the labels.
        """
        return data

    def with_settings(self: TaskT, **settings: Any) -> TaskT:
        """Return the task with other settings; those that are None stay. Raises: ValueError for one that it does not have."""
        given = {name: value for name, value in settings.items() if value is not None}
        if missing := given.keys() - {each.name for each in fields(self)}:
            raise ValueError(f"this model is for `{self.command}`, which has no {', '.join(sorted(missing))}")
        return replace(self, **given)

    @property
    @abstractmethod
    def reading_options(self) -> Any:
        """The options with which labeled data for a trained model are read: an instance of `options_class`."""

    @property
    @abstractmethod
    def max_length(self) -> int:
        """Maximum number of tokens of an example. It is a setting of every task."""

    @abstractmethod
    def model_config(self, config: BertConfig) -> BertConfig:
        """Return the config of a checkpoint with the labels and the kind of head of this task."""

    @abstractmethod
    def encode(self, rows: Sequence[RowT], tokenizer: Tokenizer) -> list[Example]:
        """Convert rows to model inputs. A row gives one example or several."""

    def describe_examples(self, rows: Sequence[RowT], examples: Sequence[Example]) -> str:
        """Return what is unusual in the examples of rows, as the end of a sentence; "" if nothing is."""
        return ""

    @property
    @abstractmethod
    def objective(self) -> HeadObjective:
        """The loss."""

    def with_balanced_classes(self, examples: Sequence[Example]) -> "TaskType[RowT]":
        """Return the task with weights of the classes, so that rare ones count as much as frequent ones.

        Raises: ValueError for a task that does not predict one class per text or word.
        """
        raise ValueError("--balanced-classes: this task does not predict one class for each text or word")

    @abstractmethod
    def logits(self, output: Any) -> Tensor:
        """Return the logits of the network's output: (batch, classes) or (batch, tokens, classes)."""

    @abstractmethod
    def predict(self, rows: Sequence[RowT], examples: Sequence[Example], logits: Sequence[Logits]) -> list[Prediction]:
        """Return one prediction per row.

        Args:
            examples: the examples that `encode` has made of the rows.
            logits: the logits of each example, without padding.
        """

    def calibrate(self, rows: Sequence[RowT], predictions: Sequence[Prediction]) -> "TaskType[RowT]":
        """Choose settings of the predictions, such as a threshold, on labeled rows. Most tasks have none."""
        return self

    @abstractmethod
    def results(self, rows: Sequence[RowT], predictions: Sequence[Prediction]) -> Results:
        """Compare predictions for labeled rows with their labels."""

    def score(self, rows: Sequence[RowT], predictions: Sequence[Prediction]) -> Scores:
        """Compute the metrics of predictions for labeled rows."""
        return self.results(rows, predictions).values

    @property
    @abstractmethod
    def main_metric(self) -> Column:
        """The metric by which models are compared."""

    def to_json(self) -> str:
        """Return the contents of task.json."""
        return json.dumps({"task": self.task_metrics.task, "settings": asdict(self)}, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_settings(cls: type[TaskT], settings: Mapping[str, Any]) -> TaskT:
        """Create the task from the settings in task.json. Raises: TypeError or ValueError for settings it does not have."""
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
        kinds = get_type_hints(cls)
        for name, value in values.items():
            if name in kinds and not has_type(value, kinds[name]):
                raise TypeError(f"{name} cannot be {value!r}")
        return cls(**values)


def bert_config(checkpoint: Checkpoint) -> BertConfig:
    """Return the config of a BERT, or of one of its relatives. Raises: ValueError for another architecture."""
    config_class = checkpoint.networks[0].config_class
    if not issubclass(config_class, BertConfig):
        known = ", ".join(["BERT", *(family.title for family in FAMILIES.values())])
        raise ValueError(f"{checkpoint.source}: is {with_article(checkpoint.model_type)}; the tasks are for {known}")
    return config_class.from_fields(checkpoint.config, checkpoint.config_file)


def has_type(value: object, kind: Any) -> bool:
    """Return True if a setting has this type: a class, a literal, a tuple of any length, or a union of these.

    >>> has_type((1, 0.5), tuple[float, ...] | None), has_type("1", int), has_type(True, int)
    (True, False, False)
    """
    arguments = get_args(kind)
    if get_origin(kind) is Literal:
        return value in arguments
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(has_type(each, arguments[0]) for each in value)
    if arguments:
        return any(has_type(value, each) for each in arguments)
    return type(value) in ((int, float) if kind is float else (kind,))


def task_types() -> "list[type[TaskType[Any]]]":
    """Return all fine-tuning tasks: the subclasses of `TaskType` in the files of this package."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        import_module(f"{__package__}.{module.name}")
    return TaskType.__subclasses__()
