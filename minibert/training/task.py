"""The interface of a training task, such as pretraining, translation or fine-tuning: the part of it that `Job` uses."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from tokenizers import Tokenizer

from minibert.training.distributed import Processes
from minibert.training.options import DeviceOptions
from minibert.training.records import Column, Evaluation, TaskMetrics
from minibert.training.run import TrainingRun


@runtime_checkable
class Task(Protocol):
    """A training task: its prepared data, and the functions that differ from task to task."""

    @property
    def metrics(self) -> TaskMetrics:
        """Name and metrics of the task."""
        ...

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that is saved with the model."""
        ...

    @property
    def settings(self) -> dict[str, Any]:
        """Contents of run.json: everything that determines the results."""
        ...

    @property
    def summary(self) -> str:
        """Size of the training and validation data, as text."""
        ...

    @property
    def baselines(self) -> Mapping[str, float]:
        """Losses of trivial predictions, for comparison."""
        ...

    def make_run(self, device_options: DeviceOptions, processes: Processes) -> TrainingRun[Any, Any]:
        """Create the run at its first step."""
        ...

    def cost(self, run: TrainingRun[Any, Any]) -> tuple[int, int]:
        """Compute the tokens and the floating-point operations of the last step in this process."""
        ...

    @property
    def main_metric(self) -> Column | None:
        """The metric by which evaluations are compared; None if there is no validation data."""
        ...

    def evaluate(self, run: TrainingRun[Any, Any]) -> Evaluation | None:
        """Evaluate the model on validation data; None if there is none."""
        ...

    def describe(self, batches: Sequence[Any]) -> list[str]:
        """Describe each example of the batches as text, in an order in which the first ones show the most."""
        ...
