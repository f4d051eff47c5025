"""Folders that change while they are read, and several commands in one folder at the same time."""

import os
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.review.interruptions import Area, Trial
from benchmarks.review.surroundings.cases import Case, Ended, finished
from tests.processes import ForkedCommand, ForkedJob
from tests.trained_models import WORDS, write_checkpoint

READ = """
import sys
from minibert import load, load_tokenizer
found, failed, crashed = [], [], []
for _ in range({times}):
    try:
        weights = load({folder!r}).state_dict()
        found.append(float(sum(tensor.double().sum() for tensor in weights.values())))
    except (ValueError, OSError) as error:
        failed.append(str(error)[:200])
    except Exception as error:
        crashed.append(repr(error)[:300])
print([found, failed, crashed])
"""
SUM = "from minibert import load; print(float(sum(each.double().sum() for each in load({folder!r}).state_dict().values())))"


def second_run_cases(areas: list[Area], folder: Path, generator: random.Random, times: int) -> Iterator[Case]:
    """Start a command twice in one folder, a moment apart. One of them trains as if it were alone."""
    for area in areas:
        whole = finished(area, folder / f"{area.name} whole")
        for number in range(times):
            trial = Trial(area, folder / f"{area.name} {number}")
            os.environ["MINIBERT_CACHE"] = str(trial.root / "cache")
            resume = ["--resume"] if number % 2 else []
            words = [*area.words, "--out", str(trial.out), *resume]
            processes = [ForkedCommand(words)]
            time.sleep(generator.choice([0, generator.uniform(0, 1)]))
            processes.append(ForkedCommand(words))
            ended = [Ended(process.returncode, shown) for process in processes for shown, _ in [process.communicate(100)]]
            outcomes = sorted(each.outcome(partial(_same, trial, whole)) for each in ended)
            is_right = outcomes in (["equal", "refused"], ["equal", "equal"] if resume else [])  # resumed after its end
            note = f"{outcomes}: " + " | ".join(each.shown[-200:] for each in ended)
            outcome = outcomes[-1] if is_right else "crashed" if "crashed" in outcomes else "differing"
            yield Case("two commands in a folder", area.name, outcome, note)


def _same(trial: Trial, whole: Trial) -> bool:
    return trial.results() == whole.results()


def changing_folder_cases(folder: Path, times: int) -> Iterator[Case]:
    """Load a checkpoint many times while another thread changes its folder. Only whole models are loaded."""
    models = [write_checkpoint(folder / name, WORDS, hidden_size=size) for name, size in (("small", 16), ("large", 64))]
    sums = [float(ForkedJob(["-c", SUM.format(folder=str(model))]).communicate()[0]) for model in models]
    changes: dict[str, Callable[[Path, Path], object]] = {
        "replaced file by file": _replace,
        "overwritten in place": _overwrite,
        "deleted and copied": _copy_again,
        "moved away and back": _move,
    }
    for kind, change in changes.items():
        target = folder / kind
        shutil.copytree(models[0], target)
        is_over = threading.Event()
        thread = threading.Thread(target=_repeat, args=(change, models, target, is_over))
        thread.start()
        job = ForkedJob(["-c", READ.format(folder=str(target), times=times)])
        try:
            shown, _ = job.communicate(200)
        except subprocess.TimeoutExpired:
            shown = "no end"
        is_over.set()
        thread.join()
        yield from _judged(kind, job.returncode, shown, sums)


def _judged(kind: str, code: int | None, shown: str, sums: list[float]) -> Iterator[Case]:
    """Judge what was loaded."""
    area = "checkpoint that changes while it is read"
    if code != 0 or not shown.strip().startswith("["):
        yield Case(area, kind, "crashed", f"exit code {code}: {shown[-500:]}")
        return
    found, failed, crashed = eval(shown.strip().splitlines()[-1])
    others = [value for value in found if value not in sums]
    yield from [Case(area, kind, "crashed", each) for each in crashed]
    yield from [Case(area, kind, "differing", f"the sum of the weights is {value}, not one of {sums}") for value in others]
    yield from [Case(area, kind, "refused", each) for each in failed]
    yield from [Case(area, kind, "equal") for value in found if value in sums]


def _repeat(change: Callable[[Path, Path], object], models: list[Path], target: Path, is_over: threading.Event) -> None:
    number = 0
    while not is_over.is_set():
        number += 1
        change(models[number % 2], target)
        time.sleep(random.uniform(0, 0.03))


def _replace(model: Path, target: Path) -> None:
    """Replace each file, as minibert does."""
    for file in model.iterdir():
        shutil.copy(file, target.with_suffix(".new"))
        target.with_suffix(".new").replace(target / file.name)


def _overwrite(model: Path, target: Path) -> None:
    for file in model.iterdir():
        shutil.copyfile(file, target / file.name)


def _copy_again(model: Path, target: Path) -> None:
    shutil.rmtree(target)
    shutil.copytree(model, target)


def _move(model: Path, target: Path) -> None:
    target.rename(target.with_suffix(".away"))
    time.sleep(0.001)
    target.with_suffix(".away").rename(target)
