"""The files of a run: run.json with its settings, and metrics.jsonl with one line per step."""

import json
import math
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from minibert.files import write_atomically
from minibert.training.loop import Score, Step

METRICS_FILE, SETTINGS_FILE = "metrics.jsonl", "run.json"


class Column(NamedTuple):
    """One metric of the table of `minibert runs`."""

    heading: str
    metric: str
    """Key in metrics.jsonl."""
    form: str
    """Format specification, such as ".1%"."""


@dataclass(frozen=True)
class TaskMetrics:
    """The metrics of a training task. Each task file of this package declares its own."""

    task: str
    """Name of the task in run.json."""
    term: str
    """Loss term that is drawn in figures."""
    columns: tuple[Column, ...]
    """Validation metrics in the table of `minibert runs`."""
    curve: Column | None = None
    """Validation metric that is drawn next to the loss."""

    @property
    def training_loss(self) -> str:
        """Key of the loss on training batches."""
        return f"{self.term}_loss"

    @property
    def validation_loss(self) -> str:
        """Key of the loss on validation data."""
        return f"validation_{self.term}_loss"


def metrics_of(task: str) -> TaskMetrics:
    """Find the metrics of a task in the files of this package. Raises: ValueError if no file declares them."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        for value in vars(import_module(f"{__package__}.{module.name}")).values():
            if isinstance(value, TaskMetrics) and value.task == task:
                return value
    raise ValueError(f"unknown task {task!r}")


class Evaluation(NamedTuple):
    """The result of an evaluation on validation data."""

    entry: dict[str, float | None]
    """Metrics, as in metrics.jsonl: None for a metric without targets; empty if a loss is not finite."""
    line: str
    """The same metrics in one line of text."""


def format_metric(value: float | None, form: str) -> str:
    """Format a metric; a dash for one that is absent.

    >>> format_metric(0.25, ".1%"), format_metric(None, ".1%")
    ('25.0%', '-')
    """
    return "-" if value is None else format(value, form)


def validation_entry(scores: Mapping[str, Score]) -> dict[str, float | None]:
    """Convert validation scores to metrics; return no metrics if a loss is not finite."""
    entry: dict[str, float | None] = {}
    for term, score in scores.items():
        entry |= {f"validation_{term}_loss": score.loss, f"validation_{term}_accuracy": score.accuracy}
    return entry if all(math.isfinite(value) for value in entry.values() if value is not None) else {}


def step_entry(step: Step, tokens: int, operations: int, seconds: float) -> dict[str, Any]:
    """Convert the result of a step to metrics. A number that is not finite becomes None, as one without targets is.

    Args:
        tokens: tokens of the step, without padding.
        operations: floating-point operations of the step.
        seconds: duration of the step.
    """
    entry: dict[str, Any] = {"step": step.number}
    for term, loss in step.losses.items():
        entry[f"{term}_loss"] = loss if loss is not None and math.isfinite(loss) else None
        if term in step.accuracies:
            entry[f"{term}_accuracy"] = step.accuracies[term]
    return entry | {
        "learning_rate": step.learning_rate,
        "gradient_norm": step.gradient_norm if math.isfinite(step.gradient_norm) else None,
        "skipped": step.skipped,
        "tokens": tokens,
        "operations": operations,
        "seconds": round(seconds, 4),
    }


def append_metrics(directory: Path, entry: Mapping[str, Any]) -> None:
    """Append one step to metrics.jsonl."""
    with (directory / METRICS_FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def drop_metrics_after(directory: Path, step: int) -> None:
    """Delete the metrics of the steps after `step`, which a resumed run repeats."""
    file = directory / METRICS_FILE
    if file.is_file():
        lines = file.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if (entry := _parse(line)) and entry["step"] <= step]
        write_atomically(file, "".join(line + "\n" for line in kept))


def _parse(line: str) -> dict[str, Any] | None:
    try:
        entry: dict[str, Any] = json.loads(line)
    except ValueError:  # the incomplete last line of a process that was killed
        return None
    return entry


def read_settings(directory: Path) -> dict[str, Any]:
    """Read run.json. Raises: ValueError for a run of an earlier version of minibert, FileNotFoundError if there is none."""
    file = directory / SETTINGS_FILE
    settings: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if "task" not in settings:
        raise ValueError(f'{file}: has no "task". An earlier version of minibert wrote this run; train again in another folder')
    return settings


@dataclass(frozen=True)
class RunRecord:
    """The settings and metrics of one run, read from its folder."""

    name: str
    settings: dict[str, Any]
    """Contents of run.json: the task, all hyperparameters, the vocabulary and the corpus."""
    metrics: list[dict[str, Any]]
    """One entry per step."""

    @classmethod
    def read(cls, directory: Path) -> "RunRecord":
        """Read the record of a run.

        Raises: FileNotFoundError if there is no run in the folder, ValueError for a run without a step or of an earlier
        version of minibert.
        """
        if not (directory / METRICS_FILE).is_file() or not (directory / SETTINGS_FILE).is_file():
            raise FileNotFoundError(f"{directory}: holds no run (no {METRICS_FILE} and {SETTINGS_FILE} in it)")
        settings = read_settings(directory)
        lines = (directory / METRICS_FILE).read_text(encoding="utf-8").splitlines()
        metrics = [entry for entry in map(_parse, lines) if entry]
        if not metrics:
            raise ValueError(f"{directory}: this run has no completed step yet")
        return cls(directory.name, settings, metrics)

    @property
    def task_metrics(self) -> TaskMetrics:
        """The metrics that the run's task declares."""
        return metrics_of(self.settings["task"])

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """Entries of the steps with an evaluation on validation data."""
        key = self.task_metrics.validation_loss
        return [entry for entry in self.metrics if key in entry]

    @property
    def seconds(self) -> float:
        """Total duration of the training steps."""
        return float(sum(entry["seconds"] for entry in self.metrics))

    @property
    def tokens_per_second(self) -> float:
        """Average over the whole run, without padding."""
        return float(sum(entry["tokens"] for entry in self.metrics)) / max(1e-9, self.seconds)

    def curve(self, metric: str) -> list[tuple[int, float]]:
        """Collect step and value of all entries that have a metric. A value that is null becomes NaN, a gap in figures."""
        curve = [(entry["step"], entry[metric]) for entry in self.metrics if metric in entry]
        return [(step, math.nan if value is None else value) for step, value in curve]


def compare_runs(records: Sequence[RunRecord]) -> list[dict[str, str]]:
    """Build the table of `minibert runs`: one row per run, with the columns of all their tasks."""
    columns = list(dict.fromkeys(column for record in records for column in record.task_metrics.columns))
    return [_row(record, columns) for record in records]


def _row(record: RunRecord, columns: Sequence[Column]) -> dict[str, str]:
    training, last = record.settings["training"], record.metrics[-1]
    scores = record.evaluations[-1] if record.evaluations else {}
    return {
        "run": record.name,
        "preset": training.get("preset", "-"),
        "seed": str(training["seed"]),
        "step": f"{last['step']}/{training['steps']}",
        **{column.heading: format_metric(scores.get(column.metric), column.form) for column in columns},
        "tokens/s": f"{record.tokens_per_second:,.0f}",
        "minutes": f"{record.seconds / 60:.1f}",
    }


def different_settings(records: Sequence[RunRecord]) -> list[str]:
    """List the settings that are not equal in all runs, one line each, with the value in every run."""
    different = _different_values([record.settings for record in records])
    return [f"{name}: " + ", ".join(map(str, values)) for name, values in different.items()]


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """List the differences between two settings, one line each, such as `training.seed: 0, now 1`."""
    return [f"{name}: {old}, now {new}" for name, (old, new) in _different_values([before, now]).items()]


def _different_values(several: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Map the path of each setting that is not equal everywhere to all its values."""
    flat = [_flatten(settings) for settings in several]
    values = {name: [settings.get(name) for settings in flat] for settings in flat for name in settings}
    return {name: found for name, found in values.items() if any(value != found[0] for value in found)}


def _flatten(settings: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flatten(value, f"{path}{name}.") if isinstance(value, dict) else {f"{path}{name}": value}
    return flat
