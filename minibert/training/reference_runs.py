"""Reference runs: expected metrics of pretraining on the built-in text, measured with three seeds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minibert.training.records import RunRecord, differences

FILE = Path(__file__).with_name("reference_runs.json")
METRICS = {
    "validation_mlm_loss": ("MLM loss", ".2f"),
    "validation_mlm_accuracy": ("MLM accuracy", ".1%"),
    "validation_nsp_accuracy": ("NSP accuracy", ".1%"),
}
"""Compared metrics, with their names and formats in messages."""
MIN_MARGIN = {"validation_mlm_loss": 0.05, "validation_mlm_accuracy": 0.005, "validation_nsp_accuracy": 0.03}
"""Minimum distance allowed outside the range of the three seeds: other releases of Python and torch have other docstrings."""


@dataclass(frozen=True)
class Reference:
    """Expected metrics of one configuration after each evaluation."""

    settings: dict[str, Any]
    """Settings of the reference runs, without their seeds."""
    bands: dict[str, dict[str, list[float]]]
    """Lowest and highest expected value, by step (as text) and metric."""

    @classmethod
    def from_runs(cls, runs: Sequence[RunRecord]) -> "Reference":
        """Compute the bands of runs with different seeds: the range of each metric, extended by its size on each side."""
        bands: dict[str, dict[str, list[float]]] = {}
        for entries in zip(*(run.evaluations for run in runs), strict=True):
            step = bands.setdefault(str(entries[0]["step"]), {})
            for metric in METRICS:
                values = [value for entry in entries if (value := entry.get(metric)) is not None]
                if values:
                    margin = max(max(values) - min(values), MIN_MARGIN[metric])
                    step[metric] = [round(min(values) - margin, 4), round(max(values) + margin, 4)]
        return cls(comparable_settings(runs[0].settings), bands)

    @property
    def loss_band(self) -> list[tuple[int, float, float]]:
        """Step, lowest and highest validation loss of masked language modeling."""
        metric = "validation_mlm_loss"
        bands = {int(step): metrics[metric] for step, metrics in self.bands.items() if metric in metrics}
        return [(step, lowest, highest) for step, (lowest, highest) in bands.items()]

    def verdict(self, step: int, entry: Mapping[str, float | None]) -> str:
        """Compare the metrics of a step: "on track", or "off track" with the reasons; "" if the reference has no such step."""
        if str(step) not in self.bands:
            return ""
        outside = []
        for metric, (lowest, highest) in self.bands[str(step)].items():
            value, (name, form) = entry.get(metric), METRICS[metric]
            if value is None:
                outside.append(f"there is no {name}")
            elif not lowest <= value <= highest:
                side = "above" if value > highest else "below"
                outside.append(f"{name} {value:{form}} is {side} {lowest:{form}} to {highest:{form}}")
        return "off track: " + ", ".join(outside) if outside else "on track"


def comparable_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Remove the seed and everything about the corpus that varies between machines from the settings of a run."""
    comparable = {section: value for section, value in settings.items() if section != "options"}
    for section, ignored in (("training", "seed"), ("corpus", "digest")):
        if section in comparable:
            comparable[section] = {name: value for name, value in comparable[section].items() if name != ignored}
    return comparable


def reference_for(settings: Mapping[str, Any]) -> Reference | None:
    """Find the reference with the same settings, for any seed; None if there is none."""
    stored = json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}
    references = [Reference(**entry) for entry in stored.values()]
    own = comparable_settings(settings)
    return next((reference for reference in references if not differences(reference.settings, own)), None)
