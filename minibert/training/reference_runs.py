"""Am I on track? What runs on the built-in text have measured with three seeds, to hold another run against."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minibert.training.records import RunRecord

FILE = Path(__file__).with_name("reference_runs.json")
MEASURES = ("validation_mlm", "validation_mlm_accuracy", "validation_nsp_accuracy")
LEAST_MARGIN = {"validation_mlm": 0.05, "validation_mlm_accuracy": 0.005, "validation_nsp_accuracy": 0.03}
"""How far a run may be outside of what three seeds gave: another release of Python or torch has other docstrings."""


@dataclass(frozen=True)
class Reference:
    """What to expect of a recipe, after each evaluation."""

    settings: dict[str, Any]
    """Of the runs, without their seeds."""
    bands: dict[str, dict[str, list[float]]]
    """By step (as text) and measure: the lowest and the highest value to be expected."""

    @classmethod
    def of(cls, runs: Sequence[RunRecord]) -> "Reference":
        """The bands of some runs of one recipe: what they measured, and on both sides as much as they differ."""
        bands: dict[str, dict[str, list[float]]] = {}
        for entries in zip(*(run.evaluations for run in runs), strict=True):
            step = bands.setdefault(str(entries[0]["step"]), {})
            for measure in MEASURES:
                lowest, highest = (choose(entry[measure] for entry in entries) for choose in (min, max))
                margin = max(highest - lowest, LEAST_MARGIN[measure])
                step[measure] = [round(lowest - margin, 4), round(highest + margin, 4)]
        return cls(comparable(runs[0].about), bands)

    @property
    def loss_band(self) -> list[tuple[int, float, float]]:
        """Step, lowest and highest validation masked-LM loss."""
        bands = {int(step): measures["validation_mlm"] for step, measures in self.bands.items()}
        return [(step, lowest, highest) for step, (lowest, highest) in bands.items()]

    def verdict(self, step: int, entry: Mapping[str, float]) -> str:
        """Whether a run is where it should be after a step; nothing, for a step at which the reference was not evaluated."""
        parts = []
        for measure, (lowest, highest) in self.bands.get(str(step), {}).items():
            value, name = entry[measure], NAMES[measure]
            if not lowest <= value <= highest:
                side = "above" if value > highest else "below"
                form = ".2f" if measure == "validation_mlm" else ".1%"
                parts.append(f"{name} {value:{form}} is {side} {lowest:{form}} to {highest:{form}}")
        if str(step) not in self.bands:
            return ""
        return "off track: " + ", ".join(parts) if parts else "on track"


NAMES = {"validation_mlm": "MLM loss", "validation_mlm_accuracy": "MLM accuracy", "validation_nsp_accuracy": "NSP accuracy"}


def comparable(about: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run, but for its seed and for what tells one machine's built-in text from another's."""
    corpus = {name: about["corpus"][name] for name in ("name", "validation")}
    recipe = {name: value for name, value in about["recipe"].items() if name != "seed"}
    return {"recipe": recipe, "corpus": corpus, "vocabulary": about["vocabulary"]}


def reference_for(about: Mapping[str, Any]) -> Reference | None:
    """The reference that a run can be held against: one of the same settings, with any seed."""
    stored = json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}
    references = [Reference(**entry) for entry in stored.values()]
    return next((reference for reference in references if reference.settings == comparable(about)), None)
