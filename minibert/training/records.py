"""What a run has measured, step by step: kept in a file, read again, drawn and compared."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from minibert.files import write_atomically
from minibert.study import figures as plots
from minibert.training.loop import Score

METRICS, ABOUT = "metrics.jsonl", "run.json"
SHOWN = {
    "mlm": {
        "MLM": ("validation_mlm", ".3f"),
        "MLM found": ("validation_mlm_accuracy", ".1%"),
        "NSP": ("validation_nsp_accuracy", ".1%"),
    },
    "target": {
        "target": ("validation_target", ".3f"),
        "found": ("validation_target_accuracy", ".1%"),
        "exact": ("validation_exact", ".1%"),
        "BLEU": ("validation_bleu", ".1f"),
    },
}
"""What was measured on validation text, for each thing that can be learned: hidden words (BERT), or a target (Transformer)."""
MOST_NATS = 700.0
"""Above, a perplexity is too large for a number."""


def keep_metrics_until(directory: Path, step: int) -> None:
    """Takes off what was measured after a step: a run that goes on from there measures it again."""
    file = directory / METRICS
    if file.is_file():
        kept = [line for line in file.read_text().splitlines() if (entry := _parsed(line)) and entry["step"] <= step]
        write_atomically(file, "".join(line + "\n" for line in kept))


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        entry: dict[str, Any] = json.loads(line)
    except ValueError:  # the last line of a process that was killed
        return None
    return entry


@dataclass(frozen=True)
class RunRecord:
    """One run, as its folder tells it."""

    name: str
    about: dict[str, Any]
    """The resolved settings."""
    metrics: list[dict[str, Any]]
    """One entry a step."""

    @classmethod
    def read(cls, directory: Path) -> "RunRecord":
        """Raises: FileNotFoundError if there is no run in the folder, ValueError if it has not made a step."""
        if not (directory / METRICS).is_file() or not (directory / ABOUT).is_file():
            raise FileNotFoundError(f"{directory}: holds no run (no {METRICS} and {ABOUT} in it)")
        entries = [_parsed(line) for line in (directory / METRICS).read_text().splitlines()]
        metrics = [entry for entry in entries if entry]
        if not metrics:
            raise ValueError(f"{directory}: this run has not made a step yet")
        return cls(directory.name, json.loads((directory / ABOUT).read_text()), metrics)

    @property
    def learns(self) -> str:
        """What: one of `SHOWN`."""
        return next(name for name in SHOWN if name in self.metrics[0])

    @property
    def validation(self) -> list[tuple[int, float]]:
        """After which steps it was evaluated on validation text, and its loss there."""
        return [(entry["step"], entry[f"held_out_{self.learns}"]) for entry in self.evaluations]

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """The entries of those steps."""
        return [entry for entry in self.metrics if f"held_out_{self.learns}" in entry]

    @property
    def seconds(self) -> float:
        """Spent on training steps."""
        return float(sum(entry["seconds"] for entry in self.metrics))

    @property
    def tokens_per_second(self) -> float:
        """Over the whole run, padding left out."""
        return float(sum(entry["tokens"] for entry in self.metrics)) / max(1e-9, self.seconds)

    def _row(self, kinds: Sequence[str]) -> dict[str, str]:
        recipe, last = self.about["recipe"], self.metrics[-1]
        shown = self.evaluations[-1] if self.evaluations else {}
        return {
            "run": self.name,
            "preset": recipe["preset"],
            "seed": str(recipe["seed"]),
            "step": f"{last['step']}/{recipe['steps']}",
            **{name: _number(shown.get(measure), form) for kind in kinds for name, (measure, form) in SHOWN[kind].items()},
            "tokens/s": f"{self.tokens_per_second:,.0f}",
            "minutes": f"{self.seconds / 60:.1f}",
        }


def side_by_side(records: Sequence[RunRecord]) -> list[dict[str, str]]:
    """What `minibert runs` shows: a row for each run, with a column for all that can be measured of any of them."""
    kinds = [kind for kind in SHOWN if any(record.learns == kind for record in records)]
    return [record._row(kinds) for record in records]


def validation_entry(scores: Mapping[str, Score]) -> dict[str, float]:
    """Scores on validation documents as they stand in `metrics.jsonl`; nothing, if a loss is no finite number."""
    entry: dict[str, float] = {}
    for term, score in scores.items():
        entry |= {f"held_out_{term}": score.loss, f"held_out_{term}_accuracy": score.accuracy}
    if not all(map(math.isfinite, entry.values())):
        return {}
    return entry | {"validation_perplexity": math.exp(min(scores["mlm"].loss, MOST_NATS))}


def validation_line(step: int, entry: Mapping[str, float]) -> str:
    """The same in a line for people."""
    if not entry:
        return f"  step {step:,}, held out: the loss is no finite number"
    line = (
        f"  step {step:,}, held out: MLM {entry['validation_mlm']:.3f} nats (perplexity {entry['validation_perplexity']:,.0f}, "
        f"{entry['validation_mlm_accuracy']:.1%} found)"
    )
    return line + (f", NSP {entry['validation_nsp_accuracy']:.1%} right" if "validation_nsp_accuracy" in entry else "")


def loss_figure(record: RunRecord, baselines: Mapping[str, float], band: Sequence[tuple[int, float, float]] = ()) -> Figure:
    """The curve of a run beside its landmarks, and the band of its reference runs if there are any."""
    steps = [entry for entry in record.metrics if entry["mlm"] is not None]
    numbers, losses = [entry["step"] for entry in steps], [entry["mlm"] for entry in steps]
    return plots.figure(plots.losses(numbers, losses, record.validation, baselines, "validation documents", band))


def compare_figure(records: Sequence[RunRecord]) -> Figure:
    """The validation loss of several runs over their steps, and over the tokens that they have read."""
    curves: dict[str, list[tuple[float, float, float]]] = {}
    for record in records:
        read, curve = 0, curves.setdefault(record.name, [])
        for entry in record.metrics:
            read += entry["tokens"]
            if (loss := entry.get(f"held_out_{record.learns}")) is not None:
                curve.append((entry["step"], read / 1e6, loss))
    titles = "Held-out loss", "nats per guessed token"
    return plots.figure(
        plots.curves({name: [(step, loss) for step, _, loss in curve] for name, curve in curves.items()}, "step", *titles),
        plots.curves(
            {name: [(read, loss) for _, read, loss in curve] for name, curve in curves.items()},
            "tokens, in millions",
            *titles,
        ),
    )


def what_differs(records: Sequence[RunRecord]) -> list[str]:
    """The settings that are not the same in all runs, one line each: the setting, and its value in every run."""
    found = _differing([record.about for record in records])
    return [f"{name}: " + ", ".join(map(str, values)) for name, values in found.items()]


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Where two settings differ, one line each, such as `recipe.seed: 0, now 1`."""
    return [f"{name}: {old}, now {new}" for name, (old, new) in _differing([before, now]).items()]


def _differing(several: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The settings that are not the same everywhere, by their paths, with all their values."""
    flat = [_flat(settings) for settings in several]
    values = {name: [settings.get(name) for settings in flat] for settings in flat for name in settings}
    return {name: found for name, found in values.items() if any(value != found[0] for value in found)}


def _flat(settings: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= _flat(value, f"{path}{name}.") if isinstance(value, dict) else {f"{path}{name}": value}
    return found


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
