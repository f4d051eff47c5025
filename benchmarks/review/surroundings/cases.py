"""Cases of the review of surroundings, and commands that run in them."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.review.interruptions import Area, Trial
from tests.processes import ForkedCommand


@dataclass(frozen=True)
class Case:
    """One thing that was tried."""

    area: str
    kind: str
    outcome: str
    """equal: it works, with the results of normal surroundings; refused: it ends with a clear message, and nothing is damaged;
    differing: another result, or files that should not be there; crashed: a traceback, or no end."""
    note: str = ""
    """The situation, and the output of the command."""


@dataclass(frozen=True)
class Ended:
    """A command that has ended, or was ended after a while."""

    code: int | None
    shown: str

    def outcome(self, is_equal: Callable[[], bool] = lambda: True) -> str:
        """Judge the command. The results of a command that has finished its work are compared by the argument."""
        if self.code is None or self.code < 0 or "Traceback" in self.shown:
            return "crashed"
        if self.code == 0:
            return "equal" if is_equal() else "differing"
        return "refused" if "minibert: " in self.shown else "crashed"


def run(words: list[str], setup: str = "", seconds: float = 100) -> Ended:
    """Run a command after the code of `setup`, in a copy of a process that has imported torch."""
    process = ForkedCommand(words, setup=setup)
    try:
        shown, _ = process.communicate(seconds)
    except subprocess.TimeoutExpired:
        return Ended(None, "no end")
    return Ended(process.returncode, shown)


def shortened(area: Area) -> Area:
    """Return a command with two steps, each with a checkpoint, and an evaluation."""
    changes = ("--steps", "2", "--checkpoint-every", "1", "--evaluate-every", "2", "--keep", "1")
    return Area(area.name, (*area.words, *changes))


def run_trial(trial: Trial, *more: str, setup: str = "") -> Ended:
    """Run a training command in the folder of a trial, with its cache."""
    os.environ["MINIBERT_CACHE"] = str(trial.root / "cache")
    return run([*trial.area.words, "--out", str(trial.out), *more], setup)


def finished(area: Area, folder: Path) -> Trial:
    """Run a command in normal surroundings."""
    trial = Trial(area, folder)
    ended = run_trial(trial)
    if ended.code != 0:
        raise RuntimeError(f"{area.name}: {ended.shown}")
    return trial


def resumed(trial: Trial, ended: Ended, whole: Trial, area: str, kind: str, note: str) -> Case:
    """Judge a training command that may have failed: with --resume, it must have the results of an undisturbed one."""
    outcome = ended.outcome(lambda: trial.results() == whole.results())
    left = [path.name for path in trial.root.rglob(".*") if path.name != ".lock"] if outcome == "refused" else []
    if outcome == "refused":
        after = run_trial(trial, "--resume")
        if left or after.outcome(lambda: trial.results() == whole.results()) != "equal":
            outcome, note = "differing", f"{note}; left: {left}; resumed: {after.shown[-300:]}"
    shutil.rmtree(trial.root)
    return Case(area, kind, outcome, f"{note}: {ended.shown[-300:]}")
