"""Several runs of one fine-tuning task: with several seeds, and with more and more training data (a learning curve)."""

import json
import math
import shutil
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Literal, NamedTuple

import numpy as np

from minibert.files import read_json, write_atomically
from minibert.model.heads import BertWithHead
from minibert.study import figures
from minibert.study.drawing import Draw
from minibert.text.batching import IntArray
from minibert.training.finetuning import FineTuning
from minibert.training.records import Column, RunRecord, differences, format_metric, read_settings

Start = Literal["pretrained", "from scratch"]
STARTS: tuple[Start, ...] = ("pretrained", "from scratch")
MIN_STEPS = 100
"""Minimum number of steps in a learning curve. A few passes over a few rows would be too few steps to learn anything
(Mosbach et al. 2021, "On the Stability of Fine-tuning BERT")."""
SCORES_FILE = "scores.json"
"""File in the folder of a finished run: its validation scores."""

Scores = Mapping[str, float | None]


@dataclass(frozen=True)
class Variation:
    """One run of a task."""

    seed: int
    start: Start = "pretrained"
    """The weights of the checkpoint, or random weights of a model with the same config."""
    rows: int | None = None
    """Number of training rows; None for all of them."""

    @property
    def folder(self) -> Path:
        """Folder of the run, below that of all runs."""
        seed = f"seed-{self.seed}"
        return Path(seed) if self.rows is None else Path(self.start.replace(" ", "-"), f"{self.rows}-rows", seed)

    @property
    def name(self) -> str:
        """Name for display."""
        return f"seed {self.seed}" if self.rows is None else f"{self.rows:,} rows, {self.start}, seed {self.seed}"

    def apply(self, task: FineTuning[Any]) -> FineTuning[Any]:
        """Return the task with the rows, the start and the seed of this run."""
        config, rows = replace(task.config, seed=self.seed), task.train_rows
        if self.rows is not None:
            order = nested_order([task.type.stratum(row) for row in rows], np.random.default_rng(self.seed))
            rows = [rows[index] for index in sorted(order[: self.rows])]
            config = replace(config, epochs=max(config.epochs, MIN_STEPS * config.batch_size / len(rows)))
        new_model = partial(_with_random_weights, task.new_model) if self.start == "from scratch" else task.new_model
        varied = replace(task, config=config, train_rows=rows, new_model=new_model)
        changed = {"seed": self.seed, "epochs": config.epochs, "steps": varied.steps, "start": self.start, "rows": self.rows}
        return replace(varied, settings={**task.settings, "training": {**task.settings.get("training", {}), **changed}})


def _with_random_weights(new_model: Callable[[], BertWithHead]) -> BertWithHead:
    """Create a model with the config of another one, and initial weights."""
    model = new_model()
    return type(model)(model.config)


def nested_order(strata: Sequence[Hashable], generator: np.random.Generator) -> IntArray:
    """Return a random order of rows, of which every beginning has about the same share of each stratum as all rows.

    So the first rows of this order are a stratified sample, and a smaller sample is a part of a larger one.

    >>> order = nested_order([*"aaaaaabbb"], np.random.default_rng(0))
    >>> ["aaaaaabbb"[index] for index in order]
    ['a', 'b', 'a', 'a', 'b', 'a', 'a', 'b', 'a']
    """
    members: dict[Hashable, list[int]] = {}
    for index, stratum in enumerate(strata):
        members.setdefault(stratum, []).append(index)
    position = np.zeros(len(strata))
    for indices in members.values():
        position[generator.permutation(indices)] = (np.arange(len(indices)) + 0.5) / len(indices)
    return np.argsort(position, kind="stable")


def seed_variations(seed: int, seeds: int) -> list[Variation]:
    """Return the runs with several seeds on all rows."""
    return [Variation(number) for number in range(seed, seed + seeds)]


def curve_variations(sizes: Iterable[int], seed: int, seeds: int) -> list[Variation]:
    """Return the runs of a learning curve: for each number of rows both starts, with the same rows for the same seed."""
    return [Variation(number, start, rows) for rows in sizes for start in STARTS for number in range(seed, seed + seeds)]


def parse_sizes(text: str, rows: int) -> list[int]:
    """Parse the numbers of rows of a learning curve, such as "32,128,all".

    Raises: ValueError for a number that is not one, is below 2, or is larger than the number of training rows.

    >>> parse_sizes("32, 128, all", rows=500)
    [32, 128, 500]
    """
    sizes = set()
    for part in text.split(","):
        word = part.strip()
        if word != "all" and not (word.isdecimal() and 2 <= int(word) <= rows):
            raise ValueError(f'{word!r} is not "all", nor a number from 2 to {rows:,}, the number of training rows')
        sizes.add(rows if word == "all" else int(word))
    return sorted(sizes)


class Spread(NamedTuple):
    """Mean and standard deviation of a metric over seeds."""

    mean: float | None
    """None if a run has no value."""
    deviation: float | None
    """Sample standard deviation; None for a single run."""

    @classmethod
    def of(cls, values: Sequence[float | None]) -> "Spread":
        """Compute both."""
        known = [value for value in values if value is not None and math.isfinite(value)]
        if not known or len(known) < len(values):
            return cls(None, None)
        return cls(mean(known), stdev(known) if len(known) > 1 else None)

    def format(self, form: str) -> str:
        """Format as "mean ± standard deviation"."""
        return format_metric(self.mean, form) + ("" if self.deviation is None else f" ± {format_metric(self.deviation, form)}")


@dataclass(frozen=True)
class RunScores:
    """The scores of several runs of one task."""

    metrics: Sequence[Column]
    """The metrics of the tables. The first one is the main metric of the task."""
    scores: Mapping[Variation, Scores]
    """Validation scores of the model in the folder of each run."""

    @classmethod
    def create(cls, task: FineTuning[Any], scores: Mapping[Variation, Scores]) -> "RunScores":
        """Choose the metrics of the tables: those of the task that the runs have, and its main metric first."""
        main = task.type.main_metric
        measured = {name for each in scores.values() for name in each}
        return cls([main, *(each for each in task.metrics.columns if each != main and each.name in measured)], scores)

    @property
    def main(self) -> Column:
        """The main metric."""
        return self.metrics[0]

    def groups(self) -> dict[tuple[int | None, Start], dict[str, Spread]]:
        """Summarize the runs that differ in their seeds alone: mean and deviation of every metric."""
        grouped: dict[tuple[int | None, Start], list[Scores]] = {}
        for variation, scores in self.scores.items():
            grouped.setdefault((variation.rows, variation.start), []).append(scores)
        return {
            key: {name: Spread.of([scores.get(name) for scores in runs]) for name in runs[0]} for key, runs in grouped.items()
        }

    def to_json(self) -> dict[str, Any]:
        """Return all scores, and their means and deviations, as JSON values."""
        described = {variation: {"start": variation.start, "rows": variation.rows} for variation in self.scores}
        return {
            "metric": self.main.name,
            "runs": [
                {"folder": variation.folder.as_posix(), "seed": variation.seed, **described[variation], "scores": {**scores}}
                for variation, scores in self.scores.items()
            ],
            "summary": [
                {
                    "start": start,
                    "rows": rows,
                    "runs": sum((each.rows, each.start) == (rows, start) for each in self.scores),
                    "metrics": {name: spread._asdict() for name, spread in spreads.items()},
                }
                for (rows, start), spreads in self.groups().items()
            ],
        }

    def figure(self) -> Draw:
        """Draw the main metric over the number of training rows."""
        curves: dict[str, dict[int, list[float]]] = {}
        for variation, scores in self.scores.items():
            value = scores.get(self.main.name)
            points = curves.setdefault(variation.start, {}).setdefault(variation.rows or 0, [])
            points.append(math.nan if value is None else value)
        heading = self.main.heading
        return figures.learning_curves(
            curves, f"Learning curve: {heading}", "labeled training rows", heading, percent=self.main.form.endswith("%")
        )


def finish(folder: Path, step: int) -> Scores:
    """Store the validation scores of a finished run, and delete its checkpoints, which are no longer needed.

    Args:
        step: the step of the model in the folder.

    Raises: ValueError if there was no evaluation after this step.
    """
    entries = [entry for entry in RunRecord.read(folder).evaluations if entry["step"] == step]
    if not entries:
        raise ValueError(f"{folder}: has no evaluation after step {step}")
    prefix = "validation_"
    scores = {name.removeprefix(prefix): value for name, value in entries[0].items() if name.startswith(prefix)}
    write_atomically(folder / SCORES_FILE, json.dumps(scores) + "\n")
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return scores


def stored_scores(folder: Path, settings: Mapping[str, Any]) -> Scores | None:
    """Return the scores of a finished run; None if it is not finished. Raises: ValueError if it had other settings."""
    if not (folder / SCORES_FILE).is_file():
        return None
    stored = {name: value for name, value in read_settings(folder).items() if name != "options"}
    if changed := differences(stored, json.loads(json.dumps(settings))):
        raise ValueError(
            f"{folder} was started with other settings ({'; '.join(changed)}): use the same settings, or choose another --out"
        )
    return read_json(folder / SCORES_FILE)
