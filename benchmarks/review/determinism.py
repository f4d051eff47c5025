"""Run every command with three hash seeds of Python, and compare all files and all output. Writes determinism.json.

    python -m benchmarks.review.determinism [--seed 0] [--only WORD] [--show]

A command is run in the same folder each time, with an empty cache, so that no path differs. `VARYING` lists what may differ.
A command that is neither in `BASES` nor in `LEFT_OUT` is an error. Every command that has the option --seed gets it.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.review.hostile.case import Case
from benchmarks.review.hostile.command_lines import BASES, SLOW, base_words, options_of, write_files
from benchmarks.review.hostile.judge import become, preload
from benchmarks.review.hostile.stock import make_stock
from minibert.commands import COMMANDS

HASH_SEEDS = ("0", "1", "random")
LEFT_OUT = {
    "docs build": "takes minutes; its pages are compared by tests/docs",
    "docs open": "opens a browser",
    "class release": "draws a secret",
    "bench": "prints times",
}
"""Commands that are not compared, and why."""
MORE = {
    "pretrain": [
        "--pairs sop --show 2",
        "--pairs none --whole-word-masking --layout lines",
        "--dupe-factor 2 --max-predictions 2",
        "--family roberta --vocab-size 300 --whole-word-masking",
        "--family albert --embedding-size 16 --num-hidden-groups 2",
        "--family electra --show 1",
        "--family distilbert",
        "--family gpt2 --pieces characters",
        "--family t5",
    ],
    "finetune classify": ["--adapter lora", "--learning-curve 4,all --seeds 2", "--balanced-classes --feature-extraction"],
    "evaluate": ["--out report --receipt"],
    "generate": ["--top-k 5 --json"],
    "study": ["--out page.html --backward", "--step scores"],
}
"""Further options, each for a run of its own."""
VARYING = (
    (r"(?m)^[\w -]+ \d+/\d+, \d+ s left.*\n", "lines of progress, which are printed after some seconds"),
    (r"[\d.,]+ (tokens|texts|rows)/s", "speed"),
    (r"[\d.,]+ GFLOP/s", "speed"),
    (r"(in|for) [\d.,]+ (s|seconds|minutes)\b", "duration"),
    (r'"seconds": [\d.e-]+', "duration of a step in metrics.jsonl"),
)
"""Patterns of what may differ in output and in text files, and what they are."""


def main() -> None:
    """Run, compare, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="the --seed of the commands that have one")
    parser.add_argument("--only", default="", help="commands with this word")
    parser.add_argument("--show", action="store_true", help="print the first difference of each file")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    commands = {name: words for name, words in command_lines(options.seed).items() if options.only in name}
    if options.worker:
        run_all(commands, options.worker, options.seed)
        return
    rows = compare_all(commands, options.seed, options.only, options.show)
    for row in rows:
        print(f"{row['kind']:70} {row['cases']:4} files, {row['differing']} differ")
    if not options.only:
        write(options.seed, rows)
    sys.exit(1 if any(row["differing"] or row["crashed"] for row in rows) else 0)


def write(seed: int, rows: list[dict[str, Any]]) -> None:
    """Write the table. The notes stay as they are."""
    file = Path(__file__).with_suffix(".json")
    if file.exists():
        notes = json.loads(file.read_text(encoding="utf-8"))["notes"]
    else:
        varying = dict.fromkeys(f"may differ: {name}" for _, name in VARYING)
        notes = [*(f"{name} is not compared: it {why}" for name, why in LEFT_OUT.items()), *varying]
    file.write_text(json.dumps({"seed": seed, "rows": rows, "notes": notes}, indent=1) + "\n", encoding="utf-8")


def compare_all(commands: Iterable[str], seed: int, only: str, show: bool = False) -> list[dict[str, Any]]:
    """Run all commands that have a word with each hash seed, and return the rows of the table."""
    with tempfile.TemporaryDirectory() as folder:
        make_stock(Path(folder, "stock"))
        results = [run_worker(Path(folder), hash_seed, seed, only) for hash_seed in HASH_SEEDS]
        return [compare(name, [result / str(number) for result in results], show) for number, name in enumerate(commands)]


def command_lines(seed: int) -> dict[str, list[str]]:
    """Return the words of each run, by the command and its options. Raises: ValueError for a command that is not there."""
    found = {}
    for name, (kind, _) in COMMANDS.items():
        if name in LEFT_OUT:
            continue
        if name not in BASES:
            raise ValueError(f"{name}: add a small command line to BASES")
        has_seed = any(option == "seed" for option, _ in options_of(kind))
        base = [] if name in SLOW else base_words(name)
        for more in ["", *MORE.get(name, [])]:
            words = [*name.split(), *base, *more.split(), *(["--seed", str(seed)] if has_seed else [])]
            found[f"{name} {more}".strip()] = words
    return found


def run_worker(folder: Path, hash_seed: str, seed: int, only: str) -> Path:
    """Run all commands in a new Python with a hash seed. Return the folder of the results."""
    work, result = folder / "work", folder / f"hash-seed-{hash_seed}"
    shutil.copytree(folder / "stock", work / "stock")
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "MINIBERT_CACHE": str(work / "cache"), "HF_HUB_OFFLINE": "1"}
    environment |= {"COLUMNS": "200", "OMP_NUM_THREADS": "1", "BROWSER": "true", "HF_DATASETS_CACHE": str(work / "datasets")}
    words = [sys.executable, "-m", "benchmarks.review.determinism", "--worker", str(work), "--only", only, "--seed", str(seed)]
    subprocess.run(words, env=environment, check=True)
    shutil.rmtree(work / "cache", ignore_errors=True)
    work.rename(result)
    return result


def run_all(commands: dict[str, list[str]], work: Path, seed: int) -> None:
    """Run all commands, each in a copy of this process and in a folder with its number."""
    preload()
    for number, (name, words) in enumerate(commands.items()):
        here = work / str(number)
        here.mkdir()
        write_files(here)
        for file in here.rglob("*"):
            os.utime(file, (0, 0))  # `class grade` stores the time of a submission
        if name == "quickstart":  # its plan depends on the speed of the machine, and is stored for resuming
            plan = {"seconds": 600.0, "seed": seed, "steps": 8, "epoch_factor": 0.1}
            (here / "runs/quickstart").mkdir(parents=True)
            (here / "runs/quickstart/unfinished.json").write_text(json.dumps(plan), encoding="utf-8")
            words = [*words, "--seconds", "600"]
        if not (child := os.fork()):
            become(Case("determinism", name, words), here, here / "output.txt")
        (here / "code.txt").write_text(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])), encoding="utf-8")


def compare(name: str, folders: list[Path], show: bool) -> dict[str, Any]:
    """Compare the files of a command. Return a row of the table."""
    names = sorted({str(file.relative_to(folder)) for folder in folders for file in folder.rglob("*") if file.is_file()})
    different = [each for each in names if len({content(folder / each) for folder in folders}) > 1]
    for each in different:
        print(f"differs: {name}: {each}")
        if show:
            print_difference(*(content(folder / each) for folder in folders))
    code = (folders[0] / "code.txt").read_text()
    has_failed = code not in ("0", "1")  # 1: the command has done its work, and a check did not pass
    if has_failed:
        print(f"{name}: exit code {code}: {(folders[0] / 'output.txt').read_text()[-300:]}")
    crashed, differing = (len(names), 0) if has_failed else (0, len(different))
    row: dict[str, Any] = {"area": "determinism", "kind": name, "cases": len(names)}
    return row | {"equal": len(names) - differing - crashed, "refused": 0, "differing": differing, "crashed": crashed}


def content(file: Path) -> bytes:
    """Return the content of a file, without what may differ."""
    data = file.read_bytes() if file.is_file() else b"(no file)"
    for pattern, _ in VARYING if file.suffix in (".txt", ".jsonl", ".json", ".html") else ():
        data = re.sub(pattern.encode(), b"", data)
    return data


def print_difference(*contents: bytes) -> None:
    """Print the surroundings of the first difference."""
    first, second = next((contents[0], other) for other in contents[1:] if other != contents[0])
    place = next((n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second)))
    for each in (first, second):
        print("   ", ascii(each[max(0, place - 60) : place + 100]))


if __name__ == "__main__":
    main()
