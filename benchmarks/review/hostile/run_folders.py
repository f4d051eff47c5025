"""Damaged folders of runs: settings, metrics, checkpoints and task, with the commands that read them."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.review.hostile.case import ESCAPES, MARKUP, Case, Damage, damaged, instead, written
from benchmarks.review.hostile.checkpoints import Runs

RUNS, DRAW = "runs run", "runs run --figure figure.svg"
RESUME = "pretrain --resume --out run --steps 3"
PREDICT, EVALUATE = (
    "predict classifier-run ../stock/corpus.txt",
    "evaluate classifier-run --data ../stock/rows.tsv --resamples 9",
)
METRICS, SETTINGS, TASK = "metrics.jsonl", "run.json", "task.json"
CHECKPOINT = "checkpoints/step-000002"


def cases(seed: int) -> Iterator[Case]:
    """Yield the damages of each file with the commands that read it."""
    for kind, (folder, commands, table) in KINDS.items():
        for name, (damage, *reasons) in table.items():
            for command, reason in zip(commands, reasons * len(commands), strict=False):
                which = f"{kind}: {name} ({command.split()[0]})"
                yield Case("run folders", which, command, damaged(folder, damage), reason)


def _lines(*lines: object) -> Damage:
    """Add lines to the metrics."""

    def damage(run: Path) -> None:
        with (run / METRICS).open("a", encoding="utf-8") as file:
            file.writelines(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)

    return damage


def _step(**fields: object) -> Damage:
    """Change the last step of the metrics."""

    def damage(run: Path) -> None:
        first, last = (run / METRICS).read_text(encoding="utf-8").splitlines()
        (run / METRICS).write_text(f"{first}\n{json.dumps(json.loads(last) | fields)}\n", encoding="utf-8")

    return damage


def _settings(file: str, *path: str, value: object) -> Damage:
    """Change one value in a JSON file."""

    def damage(run: Path) -> None:
        fields: Any = json.loads((run / file).read_text(encoding="utf-8"))
        place = fields
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = value
        (run / file).write_text(json.dumps(fields), encoding="utf-8")

    return damage


def _no_permission(name: str) -> Damage:
    return lambda run: (run / name).chmod(0)


def _evil_state(run: Path) -> None:
    torch.save({"step": Runs()}, run / CHECKPOINT / "training-state.pt")
    (run / CHECKPOINT / "checksums.json").unlink()


DAMAGED = "run: every checkpoint of this run is damaged"
KINDS: dict[str, tuple[str, tuple[str, ...], dict[str, tuple[Any, ...]]]] = {
    "metrics.jsonl": (
        "run",
        (RUNS, DRAW),
        {
            "a folder": (instead(METRICS, Path.mkdir), r"metrics\.jsonl.*folder"),
            "a pipe": (instead(METRICS, os.mkfifo), r"metrics\.jsonl"),
            "missing": (lambda run: (run / METRICS).unlink(), None),
            "empty": (written(METRICS, ""), None),
            "binary": (written(METRICS, bytes(range(256)) * 9), None),
            "UTF-16": (written(METRICS, '{"step": 1}\n'.encode("utf-16")), None),
            "a line of a megabyte": (_lines("x" * 2**20), None),
            "no speed": (_step(seconds=None, tokens=None), None),
            "a list for the seconds": (_step(seconds=[1, 2]), None),
            "a list for a loss": (_step(validation_mlm_loss=[1.0], mlm_loss=[2.0]), None),
            "a list for an accuracy": (_step(validation_mlm_accuracy=[0.5]), None),
            "NaN": (_step(validation_mlm_loss=float("nan"), mlm_loss=float("inf"), seconds=float("nan")), None),
            "huge numbers": (_step(tokens=10**400, seconds=1e308, validation_mlm_loss=1e308), None),
            "huge integers": (_step(mlm_loss=10**400, validation_mlm_loss=10**400, validation_mlm_accuracy=10**400), None),
            "truth values": (_step(seconds=True, tokens=False, validation_mlm_loss=True), None),
            "a step far away": (_lines({"step": 2**62, "mlm_loss": 1.0}), None),
            "a negative step": (_lines({"step": -3, "mlm_loss": 1.0}), None),
            "the same step twice": (_lines({"step": 1, "mlm_loss": 1.0}), None),
            "hostile keys": (_lines({"step": 3, ESCAPES: 1.0, MARKUP: 2.0}), None),
            "negative time": (_step(seconds=-5.0), None),
        },
    ),
    "run.json": (
        "run",
        (RUNS, RESUME),
        {
            "a folder": (instead(SETTINGS, Path.mkdir), r"run\.json"),
            "a pipe": (instead(SETTINGS, os.mkfifo), r"run\.json|no run", r"run\.json|no run"),
            "a list": (written(SETTINGS, "[]"), r"run\.json"),
            "cut": (written(SETTINGS, '{"task": "pretraining", '), r"run\.json"),
            "a deep nest": (written(SETTINGS, '{"a":' * 9000 + "1" + "}" * 9000), r"run\.json"),
            "no task": (written(SETTINGS, "{}"), r"run\.json.*task", r"run\.json.*task"),
            "an unknown task": (_settings(SETTINGS, "task", value=ESCAPES), "task", "task|run"),
            "a list for a task": (_settings(SETTINGS, "task", value=[1]), "task", "task|run"),
            "training is a number": (_settings(SETTINGS, "training", value=5), r"run\.json.*training", r"run\.json.*training"),
            "no steps": (_settings(SETTINGS, "training", "steps", value=None), None, r"steps"),
            "steps are text": (_settings(SETTINGS, "training", "steps", value=ESCAPES), None, r"steps"),
            "an object for a preset": (_settings(SETTINGS, "training", "preset", value={"a": MARKUP}), None, r"preset"),
            "another digest": (_settings(SETTINGS, "corpus", "digest", value="0"), None, r"digest"),
            "options of another command": (_settings(SETTINGS, "options", value={"Evaluate": {}}), None, r"run"),
            "options that are text": (_settings(SETTINGS, "options", value="x"), r"run\.json.*options", r"run\.json.*options"),
            "wrong options": (_settings(SETTINGS, "options", "Pretrain", "training", value=[1]), None, r"run\.json"),
            "negative steps": (
                _settings(SETTINGS, "options", "Pretrain", "training", "batch_size", value=-4),
                None,
                r"batch_size",
            ),
            "text for a number": (
                _settings(SETTINGS, "options", "Pretrain", "training", "batch_size", value="4"),
                None,
                r"batch_size|run\.json",
            ),
            "NaN": (_settings(SETTINGS, "options", "Pretrain", "training", "dropout", value=float("nan")), None, r"dropout"),
            "a text that is gone": (
                _settings(SETTINGS, "options", "Pretrain", "corpus", "text", value=["gone.txt"]),
                None,
                r"gone\.txt",
            ),
            "a number for a text": (_settings(SETTINGS, "options", "Pretrain", "corpus", "text", value=7), None, r"run\.json"),
            "extended from nowhere": (_settings(SETTINGS, "extended_from", value="x"), None, None),
            "a model of no step": (_settings(SETTINGS, "model_of_step", value=[1]), None, None),
        },
    ),
    "checkpoints": (
        "run",
        (RESUME,),
        {
            "a folder for the state": (instead(f"{CHECKPOINT}/training-state.pt", Path.mkdir), DAMAGED),
            "an empty state": (written(f"{CHECKPOINT}/training-state.pt", ""), DAMAGED),
            "code in the state": (_evil_state, DAMAGED),
            "no checksums": (lambda run: (run / CHECKPOINT / "checksums.json").unlink(), DAMAGED),
            "checksums are a list": (written(f"{CHECKPOINT}/checksums.json", "[]"), DAMAGED),
            "checksums of other files": (written(f"{CHECKPOINT}/checksums.json", '{"../../../secret": "0"}'), DAMAGED),
            "another model": (written(f"{CHECKPOINT}/model.safetensors", b"x"), DAMAGED),
            "a file for the folder": (
                lambda run: (shutil.rmtree(run / "checkpoints"), (run / "checkpoints").write_text("x")),
                "run holds a model, but no checkpoint",
            ),
            "odd names": (
                lambda run: [
                    (run / "checkpoints" / name).mkdir() for name in ("step-x", "step-", "step-99999999999999999999", ESCAPES)
                ],
                None,
            ),
            "no permission": (_no_permission(CHECKPOINT), None),
            "no folder": (lambda run: shutil.rmtree(run / "checkpoints"), r"checkpoint"),
        },
    ),
    "task.json": (
        "classifier-run",
        (PREDICT, EVALUATE),
        {
            "a folder": (instead(TASK, Path.mkdir), None),
            "a list": (written(TASK, "[]"), r"task\.json"),
            "empty": (written(TASK, ""), r"task\.json"),
            "an unknown task": (_settings(TASK, "task", value=ESCAPES), r"task\.json"),
            "no settings": (written(TASK, '{"task": "classification"}'), r"task\.json"),
            "settings are text": (_settings(TASK, "settings", value="x"), r"task\.json"),
            "one label": (_settings(TASK, "settings", "labels", value=["bad"]), r"task\.json|label"),
            "the same label twice": (_settings(TASK, "settings", "labels", value=["bad", "bad"]), r"task\.json|label|twice"),
            "hostile labels": (_settings(TASK, "settings", "labels", value=[ESCAPES, MARKUP]), r"task\.json.*classes"),
            "numbers for labels": (_settings(TASK, "settings", "labels", value=[1, 2]), r"task\.json|label"),
            "a text for labels": (_settings(TASK, "settings", "labels", value="ab"), r"task\.json|label"),
            "three labels for two outputs": (
                _settings(TASK, "settings", "labels", value=["a", "b", "c"]),
                r"task\.json|label|class",
            ),
            "no length": (_settings(TASK, "settings", "max_length", value=0), r"task\.json|max_length"),
            "a huge length": (_settings(TASK, "settings", "max_length", value=10**12), r"task\.json|max_length|position"),
            "a text for a length": (_settings(TASK, "settings", "max_length", value="16"), r"task\.json|max_length"),
            "an unknown problem": (_settings(TASK, "settings", "problem_type", value=ESCAPES), r"task\.json|problem_type"),
            "weights that are text": (_settings(TASK, "settings", "class_weights", value="ab"), r"task\.json|weights"),
            "a positive class that is not there": (
                _settings(TASK, "settings", "positive_class", value=ESCAPES),
                r"task\.json|class",
            ),
            "an unknown setting": (_settings(TASK, "settings", "evil", value=ESCAPES), r"task\.json|evil"),
            "an unknown cut": (_settings(TASK, "settings", "cut", value=ESCAPES), r"task\.json|cut"),
        },
    ),
}
"""Of each file: the folder, the commands, and of each damage the patterns of the messages, one for each command or for all."""
