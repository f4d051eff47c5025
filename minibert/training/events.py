"""The events of a training job, which the caller shows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minibert.training.best import BestEvaluation
from minibert.training.records import Evaluation
from minibert.training.run import TrainingRun
from minibert.training.task import Task


@dataclass(frozen=True)
class Prepared:
    """Event: the data is ready."""

    task: Task


@dataclass(frozen=True)
class Started:
    """Event: the run is at its first step, or at the step it resumes from (`run.steps_done`)."""

    run: TrainingRun[Any, Any]
    extended_from: int | None
    """Number of steps of the run before it was extended in this job; None if it was not."""
    lost_metrics: int
    """Number of steps before this one that have no entry in metrics.jsonl."""


@dataclass(frozen=True)
class StepDone:
    """Event: a step is done and its metrics are written."""

    entry: dict[str, Any]
    evaluation: Evaluation | None
    is_best: bool = False
    """True if this evaluation is the best one so far."""


@dataclass(frozen=True)
class Saved:
    """Event: a checkpoint is written."""

    step: int


@dataclass(frozen=True)
class Interrupted:
    """Event: the job ends before its last step, because `Job.stop` was called in some process. A checkpoint is written."""

    step: int


@dataclass(frozen=True)
class Finished:
    """Event: all steps are done, or the run has stopped early, and the model is written to the folder."""

    folder: Path
    step: int
    """Number of the last step."""
    best: BestEvaluation
    model_of_step: int
    """The step whose model is written: the last one, or that of the best evaluation."""
    notes: list[str]
    """Lines about the parameters that have moved in all steps."""


Event = Prepared | Started | StepDone | Saved | Interrupted | Finished
