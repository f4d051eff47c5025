"""Kill training runs at random moments, some with a power failure, resume them, and compare with runs without interruption.

python -m benchmarks.review.interruptions [--seed 0] [--cases 8]

Each case is a run of `minibert` that is killed by SIGKILL, in front of a random operation on the disk or at a random moment
after a random step. A power failure also loses or damages everything that was not flushed to the disk. Then the same command
with --resume must end with the same metrics and the same model, bit for bit. It may refuse if nothing is left.
Writes interruptions.json.
"""

import argparse
import json
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.review.disk import power_failure
from benchmarks.review.page import OUTCOMES
from tests.processes import ForkedCommand
from tests.trained_models import WORDS, write_checkpoint

KINDS = ("killed at a random moment", "killed in front of a random operation on the disk", "power failure")
SETTINGS = "--batch-size 6 --checkpoint-every 2 --evaluate-every 5 --dropout 0.1 --device cpu"
SETUP = "from benchmarks.review.disk import Disk, kill_at, log_to; Disk({root!r}, {record!r}, {fail})"


@dataclass(frozen=True)
class Area:
    """A command that is interrupted."""

    name: str
    words: tuple[str, ...]
    processes: int = 1
    share: float = 1.0
    """Share of the number of cases."""


def areas(inputs: Path) -> list[Area]:
    """Write small texts and a small model, and return the commands that train on them."""
    generator = np.random.default_rng(0)
    words = [f"{a}{b}" for a in "abcdef" for b in "uvwxyz"]
    documents = ["\n".join(" ".join(generator.choice(words, 6)) + "." for _ in range(4)) for _ in range(40)]
    (inputs / "text.txt").write_text("\n\n".join(documents))
    rows = [(" ".join(generator.choice(WORDS, 5)), str(generator.choice(["good", "bad"]))) for _ in range(40)]
    (inputs / "rows.tsv").write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))
    tagged = ["".join(f"{word} {'B-X' if word in ('film', 'movie') else 'O'}\n" for word in text.split()) for text, _ in rows]
    (inputs / "words.txt").write_text("\n".join(tagged))
    write_checkpoint(inputs / "model", WORDS)
    pretrain = ("pretrain", "--text", str(inputs / "text.txt"), "--max-length", "16", "--vocab-size", "90", "--steps", "10")
    settings, start = tuple(SETTINGS.split()), ("--from", str(inputs / "model"), "--steps", "10")
    classify = f"classify --train {inputs / 'rows.tsv'} --validation-fraction 0.25"
    tag = f"tag --train {inputs / 'words.txt'} --validation-fraction 0.25"
    finetune = ("finetune", *classify.split(), *start, *settings)
    return [
        Area("pretraining", (*pretrain, *settings)),
        Area("fine-tuning", finetune),
        Area("fine-tuning, best model", (*finetune, "--restore-best", "--keep", "1")),
        Area("several tasks", ("finetune", "multi", f"texts={classify}", f"words={tag}", *start, *settings)),
        Area("two processes, ddp", (*pretrain, *settings), processes=2, share=0.5),
        Area("two processes, fsdp", (*pretrain, *settings, "--sharding", "fsdp"), processes=2, share=0.5),
        Area("compiled", (*finetune, "--compile"), share=0.25),
    ]


class Trial:
    """One command in a folder of its own, with a cache of its own, which a power failure damages too."""

    def __init__(self, area: Area, folder: Path) -> None:
        self.area, self.root, self.record = area, folder / "disk", folder / "record"
        self.out, self.log = self.root / "run", folder / "operations"
        self.root.mkdir(parents=True)

    def start(self, *more: str, kill_at: int = 0, record: bool = False) -> ForkedCommand:
        """Start the command. It is killed in front of an operation on the disk, or not if the number is 0."""
        os.environ["MINIBERT_CACHE"] = str(self.root / "cache")
        fail = f"kill_at({kill_at})" if kill_at else f"log_to({str(self.log)!r})"
        setup = SETUP.format(root=str(self.root), record=str(self.record) if record else None, fail=fail)
        return ForkedCommand([*self.area.words, "--out", str(self.out), *more], self.area.processes, setup)

    def results(self) -> tuple[list[dict[str, object]], dict[str, bytes]]:
        """Read all metrics that do not depend on the speed, and all models."""
        lines = (self.out / "metrics.jsonl").read_text().splitlines()
        metrics = [{name: value for name, value in json.loads(line).items() if name != "seconds"} for line in lines]
        models = sorted(path for path in self.out.rglob("model.safetensors") if "checkpoints" not in path.parts)
        return metrics, {str(path.relative_to(self.out)): path.read_bytes() for path in models}

    def kill(self, kind: str, operations: int, generator: random.Random) -> bool:
        """Run and kill the command. Return False if it ended before."""
        if kind == KINDS[0]:
            process, metrics, step = self.start(), self.out / "metrics.jsonl", generator.randrange(10)
            while process.poll() is None and not (metrics.is_file() and metrics.read_bytes().count(b"\n") >= step):
                time.sleep(0.002)
            time.sleep(generator.uniform(0, 0.05))
            process.kill()
        else:
            process = self.start(kill_at=generator.randint(1, operations), record=kind == KINDS[2])
        _wait(process)
        if kind == KINDS[2]:
            power_failure(self.root, self.record, generator)
        return process.returncode != 0


def _wait(process: ForkedCommand) -> str:
    """Wait for the end. If one of several processes was killed, end the others, as torchrun does."""
    while process.poll() is None and not process.failed:
        time.sleep(0.01)
    if process.failed:
        process.kill()
    shown, _ = process.communicate(timeout=300)
    return shown


def outcome(trial: Trial, expected: object) -> tuple[str, str]:
    """Resume the command and compare its results. Return the outcome and what was printed."""
    process = trial.start("--resume")
    shown = _wait(process)
    if process.returncode == 2 and "Traceback" not in shown:
        return "refused", shown
    if process.returncode != 0:
        return "crashed", shown
    return ("equal" if trial.results() == expected else "differing"), shown


def review_area(area: Area, cases: int, generator: random.Random, folder: Path) -> tuple[list[dict[str, object]], list[str]]:
    """Interrupt one command in all kinds of ways. Return the rows of the table, and what was printed in other outcomes."""
    whole = Trial(area, folder / "whole")
    process = whole.start()
    shown = _wait(process)
    if process.returncode != 0:
        raise RuntimeError(f"{area.name}: the run without interruption failed:\n{shown}")
    expected, operations, rows, notes = whole.results(), len(whole.log.read_text().splitlines()), [], []
    for kind in KINDS:
        outcomes: Counter[str] = Counter()
        for number in range(max(2, round(area.share * cases))):
            trial = Trial(area, folder / f"{KINDS.index(kind)}-{number}")
            if not trial.kill(kind, operations, generator):
                notes.append(f"{area.name}, {kind}: the run ended before the kill in one case")
            found, shown = outcome(trial, expected)
            outcomes[found] += 1
            if found != "equal":
                notes.append(f"{area.name}, {kind}: {found}: {shown[-400:]}")
        counts = {name: outcomes[name] for name in OUTCOMES}
        rows.append({"area": area.name, "kind": kind, "cases": outcomes.total(), **counts})
        print(f"{area.name:<24}{kind:<52}" + "".join(f"{name} {counts[name]}  " for name in OUTCOMES), flush=True)
    return rows, notes


def main(arguments: Sequence[str] | None = None) -> int:
    """Review all areas. Return 1 if a resumed run differs or crashes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=8, help="number of cases of each kind and area")
    parser.add_argument("--area", default="", help="only the areas whose name begins with this text")
    options = parser.parse_args(arguments)
    generator, rows, notes = random.Random(options.seed), [], []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "inputs").mkdir()
        for number, area in enumerate(areas(Path(folder) / "inputs")):
            if area.name.startswith(options.area):
                more_rows, more_notes = review_area(area, options.cases, generator, Path(folder) / str(number))
                rows, notes = rows + more_rows, notes + more_notes
    for note in notes:
        print(note)
    if not options.area:
        report = {"seed": options.seed, "rows": rows, "notes": notes}
        Path(__file__).with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return int(any(row["differing"] or row["crashed"] for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
