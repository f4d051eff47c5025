"""The files of a run: run.json with its settings, and metrics.jsonl with one line per step."""

import json
import math
import pkgutil
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from minibert.files import flush_file, flush_folder, naming, read_json, write_atomically
from minibert.training.loop import Score, Step

METRICS_FILE, SETTINGS_FILE = "metrics.jsonl", "run.json"
EXTENDED_FROM = "extended_from"
"""Key in run.json: the number of steps that the run had before each extension."""
MODEL_OF_STEP = "model_of_step"
"""Key in run.json: the step of the best evaluation, if its model is the one that was written at the end."""
DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{28,}\b")
"""A long hexadecimal number, and its beginning."""
DATA_NAME = re.compile(r"corpus\.(.+\.)?(train|validation)")
"""Path of a setting with the name of labeled data. Its digest is another setting."""
SUMMED = ("tokens", "operations", "seconds")
"""Metrics that are summed over the steps. They are numbers, never null."""
MAX_METRIC = 1e300
"""Largest number in metrics.jsonl."""
SECTIONS = ("training", "vocabulary", "corpus", "start", "task_settings", "options")
"""Parts of run.json. A task need not have all of them. `options` holds the options of the command, for resuming."""


class Column(NamedTuple):
    """One metric of the table of `minibert runs`."""

    heading: str
    metric: str
    """Key in metrics.jsonl."""
    form: str
    """Format specification, such as ".1%"."""
    higher_is_better: bool = True

    @property
    def name(self) -> str:
        """The metric without the name of the data it is computed on."""
        return self.metric.removeprefix("validation_")

    def is_better(self, value: float | None, than: float | None) -> bool:
        """Compare two values. None, NaN and infinity are worse than every number."""
        if value is None or not math.isfinite(value):
            return False
        if than is None or not math.isfinite(than):
            return True
        return value > than if self.higher_is_better else value < than


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
    curve_baseline: Column | None = None
    """Its baseline, if that changes from evaluation to evaluation."""

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
    raise ValueError(f"the task {task!r} is not one of minibert")


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
    path = directory / METRICS_FILE
    with naming(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def flush_metrics(directory: Path) -> None:
    """Flush metrics.jsonl to the disk, so that after a power failure no step before a checkpoint lacks its metrics."""
    flush_file(directory / METRICS_FILE)
    flush_folder(directory)


def drop_metrics_after(directory: Path, step: int) -> int:
    """Delete the metrics of the steps after `step`, which a resumed run repeats.

    Returns: the number of steps up to `step` that have no metrics.
    """
    kept = [entry for entry in read_metrics(directory) if entry["step"] <= step]
    write_atomically(directory / METRICS_FILE, "".join(json.dumps(entry) + "\n" for entry in kept))
    return step - len(kept)


def read_metrics(directory: Path) -> list[dict[str, Any]]:
    """Read the entries of metrics.jsonl, one per step. Lines that are no such entry are left out.

    A process that was killed may leave an incomplete last line.

    Raises: ValueError if there is something else with the name of the file, such as a folder.
    """
    file = directory / METRICS_FILE
    if file.exists() and not file.is_file():
        raise ValueError(f"{file}: is not a file; move it away, or train again in another folder")
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.exists() else []
    entries = {entry["step"]: entry for entry in map(_parse, lines) if entry is not None}
    return [entries[step] for step in sorted(entries)]


def _parse(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_entry = isinstance(entry, dict) and type(entry.get("step")) is int and 0 < entry["step"] < sys.maxsize
    return entry if is_entry and all(_is_value(name, value) for name, value in entry.items()) else None


def _is_value(name: str, value: object) -> bool:
    """Return True for the values of an entry: numbers, truth values, null, and lists of the learning rates of groups."""
    if name in SUMMED:
        return _is_number(value)
    if name == "learning_rate" and isinstance(value, list):
        return all(map(_is_number, value))
    return value is None or isinstance(value, bool) or _is_number(value)


def _is_number(value: object) -> bool:
    """Return True for a number that is not too large for a sum of numbers to be a float."""
    return isinstance(value, int | float) and not isinstance(value, bool) and not abs(value) > MAX_METRIC


def read_settings(directory: Path) -> dict[str, Any]:
    """Read run.json. Raises: ValueError, naming the file, if it cannot be used; FileNotFoundError if there is none."""
    file = directory / SETTINGS_FILE
    try:
        settings = read_json(file)
    except FileNotFoundError:
        raise FileNotFoundError(f"{directory}: holds no run, it has no {SETTINGS_FILE}") from None
    except ValueError as error:
        raise ValueError(f"{error}; restore it, or train again in another folder") from None
    if not all(isinstance(settings.get(name, {}), dict) for name in SECTIONS):
        raise ValueError(f"{file}: its fields {', '.join(SECTIONS)} must be JSON objects")
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
    """One entry per step; empty before the first step."""

    @classmethod
    def read(cls, directory: Path) -> "RunRecord":
        """Read the record of a run. Raises: as `read_settings`."""
        settings = {name: value for name, value in read_settings(directory).items() if name != "options"}
        return cls(directory.resolve().name, settings, read_metrics(directory))

    @property
    def task_metrics(self) -> TaskMetrics:
        """The metrics that the run's task declares. Raises: ValueError for a task that is not in this package."""
        try:
            return metrics_of(self.settings["task"])
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None

    @property
    def kind(self) -> str:
        """The task, and the type of its problem if it has several. Runs of one kind have the same metrics."""
        problem = self.settings.get("task_settings", {}).get("problem_type")
        return f"{self.settings['task']}, {problem}" if problem else str(self.settings["task"])

    @property
    def steps_done(self) -> int:
        """Number of the last step."""
        return int(self.metrics[-1]["step"]) if self.metrics else 0

    @property
    def lost_steps(self) -> int:
        """Number of steps before the last one that have no entry."""
        return self.steps_done - len(self.metrics)

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """Entries of the steps with an evaluation on validation data."""
        key = self.task_metrics.validation_loss
        return [entry for entry in self.metrics if key in entry]

    @property
    def last_evaluation(self) -> dict[str, Any]:
        """Entry of the last step with an evaluation; empty if there is none."""
        return self.evaluations[-1] if self.evaluations else {}

    @property
    def model_evaluation(self) -> dict[str, Any]:
        """Entry of the evaluation of the written model: the last one, unless the model is that of the best evaluation."""
        step = self.settings.get(MODEL_OF_STEP)
        return next((entry for entry in self.evaluations if entry["step"] == step), self.last_evaluation)

    @property
    def seconds(self) -> float:
        """Total duration of the training steps."""
        return float(sum(entry.get("seconds", 0) for entry in self.metrics))

    @property
    def tokens_per_second(self) -> float:
        """Average over the whole run, without padding."""
        return float(sum(entry.get("tokens", 0) for entry in self.metrics)) / max(1e-9, self.seconds)

    def curve(self, metric: str) -> list[tuple[int, float]]:
        """Collect the step and the value of all entries that have a metric. Null becomes NaN, a gap in figures."""
        curve = [(entry["step"], entry[metric]) for entry in self.metrics if metric in entry]
        return [(step, math.nan if value is None else value) for step, value in curve]


def compare_runs(records: Sequence[RunRecord]) -> list[dict[str, str]]:
    """Build the table of `minibert runs`: one row per run, with the validation metrics that any of them has."""
    columns = dict.fromkeys(column for record in records for column in record.task_metrics.columns)
    measured = {metric for record in records for metric in record.model_evaluation}
    return [_row(record, [column for column in columns if column.metric in measured]) for record in records]


def _row(record: RunRecord, columns: Sequence[Column]) -> dict[str, str]:
    training, scores = record.settings.get("training", {}), record.model_evaluation
    return {
        "run": record.name,
        "preset": str(training.get("preset") or "-"),
        "seed": str(training.get("seed", "-")),
        "step": f"{record.steps_done}/{training.get('steps', '-')}",
        **{column.heading: format_metric(scores.get(column.metric), column.form) for column in columns},
        "tokens/s": format_metric(record.tokens_per_second if record.metrics else None, ",.0f"),
        "minutes": f"{record.seconds / 60:.1f}",
    }


def different_settings(records: Sequence[RunRecord]) -> list[str]:
    """List the settings that are not equal in all runs, one line each, with the value in every run."""
    different = _different_values([record.settings for record in records])
    return [f"{name}: " + ", ".join(map(_shortened, values)) for name, values in different.items()]


def _shortened(value: Any) -> str:
    """Return a setting for display, with the beginnings of digests only."""
    return DIGEST.sub(r"\1…", str(value))


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """List the differences between the settings of two runs, one line each, such as `training.seed: 0, now 1`.

    The same data can have several names, such as a relative and an absolute path. Their digests show if they are the same.
    """
    different = {name: values for name, values in _different_values([before, now]).items() if not DATA_NAME.fullmatch(name)}
    return [f"{name}: {_shortened(old)}, now {_shortened(new)}" for name, (old, new) in different.items()]


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
