"""Run the mutation test. See the package's docstring."""

import argparse
import json
import os
import random
import shlex
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.mutation.mutants import ROOT, Mutant, mutants_of
from benchmarks.mutation.reach import FOLDER
from benchmarks.mutation.report import Pair, folder_of, reasons, report, summary, unexplained

FOLDERS = ("equations", "model", "kernels", "text", "training", "study/verify", "classroom")
LEFT_OUT = ("tests/docs", "tests/study/page")
"""Tests of documents and of pages in a browser: many seconds, and their code is not measured."""
LARGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "PYTHONMALLOC": "malloc"}
"""Memory in larger pages, so that a copy of a process has fewer of them to copy: it starts in 5 ms instead of 20."""


def main() -> int:
    """Return 1 if a mutant survives without a reason, or too many survive."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutation", description="Mutation testing of minibert.")
    parser.add_argument("paths", nargs="*", help="folders or files; the default is all that is measured")
    parser.add_argument("--seed", type=int, default=0, help="for the change of each statement, and for --sample")
    parser.add_argument("--sample", type=int, help="number of mutants, drawn at random; the default is all")
    parser.add_argument("--tests", nargs="*", default=["tests", "minibert"], help="files or folders with tests that may run")
    parser.add_argument("--at-least", type=float, help="exit with 1 if a smaller share is noticed; reasons are not asked for")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at the same time")
    parser.add_argument("--folder", type=Path, help="keeps what a run finds, for more runs")
    parser.add_argument("--out", type=Path, help="file for the page, such as benchmarks/mutation.md")
    options = parser.parse_args()
    began = time.monotonic()
    paths = [Path(path) for path in options.paths] or [Path("minibert", folder) for folder in FOLDERS]
    mutants = sampled(paths, options.seed, options.sample)
    print(f"{len(mutants)} mutants, seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if not [*folder.glob("seconds.*.json")]:
            run_pytest("reach", folder, options.tests, ["-n", str(options.jobs), "--dist", "loadfile"])
            print(f"reach: {time.monotonic() - began:.0f} s", flush=True)
        pairs = judged(mutants, folder, options.tests, options.jobs)
    seconds_before = sum(each["seconds"] for _, each in pairs if each.get("is_kept")) / options.jobs
    minutes = (time.monotonic() - began + seconds_before) / 60
    print(summary(pairs, minutes))
    if options.out:
        command = shlex.join(["python", "-m", "benchmarks.mutation", *sys.argv[1:]])
        options.out.write_text(report(pairs, minutes, command), encoding="utf-8")
    if options.at_least is not None:
        return sum(each["test"] is not None for _, each in pairs) < options.at_least * len(pairs)
    return bool(unexplained(pairs))


def judged(mutants: list[Mutant], folder: Path, tests: list[str], jobs: int) -> list[Pair]:
    """Return what the tests say of each mutant: first those of the same folder, in a small process, and then all others."""
    results = noticed_before(mutants, folder)
    groups: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in mutants:
        groups[folder_of(mutant)].append(mutant)
    near = {name: [each for each in (f"tests/{name}", f"minibert/{name}") if is_among(each, tests)] for name in groups}
    for name, group in groups.items():
        if near[name]:
            results |= ask([(mutant, []) for mutant in group if mutant not in results], folder, near[name], jobs)
    rest = [(mutant, near[folder_of(mutant)]) for mutant in mutants if not results.get(mutant, {}).get("test")]
    if any({*without} != {*tests} for _, without in rest):
        results |= ask(rest, folder, tests, jobs)
    return [(mutant, results[mutant]) for mutant in mutants]


def noticed_before(mutants: list[Mutant], folder: Path) -> dict[Mutant, dict[str, Any]]:
    """Return the results of the mutants that an earlier run has noticed, of files that have not changed since."""
    file = folder / "noticed.jsonl"
    kept = dict(map(json.loads, file.read_text(encoding="utf-8").splitlines())) if file.exists() else {}
    return {mutant: kept[mutant.key()] | {"is_kept": True} for mutant in mutants if mutant.key() in kept}


def is_among(name: str, folders: list[str]) -> bool:
    """Return True if a folder is one of some folders, or in one of them."""
    return any(name == each or name.startswith(f"{each}/") for each in folders)


def ask(mutants: list[tuple[Mutant, list[str]]], folder: Path, tests: list[str], jobs: int) -> dict[Mutant, dict[str, Any]]:
    """Run the second plugin for some mutants, for each without the tests of some folders."""
    if not mutants:
        return {}
    known = reasons()
    asked = [{"mutant": vars(mutant), "without": without, "is_known": mutant.name() in known} for mutant, without in mutants]
    (folder / "mutants.json").write_text(json.dumps(asked), encoding="utf-8")
    (folder / "results.jsonl").unlink(missing_ok=True)
    run_pytest("judge", folder, tests, ["-n", "0"], {"MINIBERT_JOBS": str(jobs)})
    lines = (folder / "results.jsonl").read_text(encoding="utf-8").splitlines()
    return {mutants[each["number"]][0]: each for each in map(json.loads, lines)}


def sampled(paths: list[Path], seed: int, count: int | None) -> list[Mutant]:
    """Return the mutants of files and folders, or some of them."""
    files = sorted({file for path in paths for file in (path.rglob("*.py") if (ROOT / path).is_dir() else [path])})
    if count is None:
        return [mutant for file in files for mutant in mutants_of(str(file), seed)]
    generator = random.Random(seed)
    generator.shuffle(files)
    found: list[Mutant] = []
    for file in files:
        found += mutants_of(str(file), seed)
    return sorted(generator.sample(found, min(count, len(found))), key=lambda each: (each.file, each.start, each.new))


def run_pytest(plugin: str, folder: Path, tests: list[str], more: list[str], environment: dict[str, str] | None = None) -> None:
    """Run the tests with one of the two plugins."""
    chosen = ["-m", "not slow and not long and not cuda", *(f"--ignore={folder}" for folder in LEFT_OUT)]
    command = [sys.executable, "-m", "pytest", "-q", "-p", f"benchmarks.mutation.{plugin}", *chosen]
    more_environment = {FOLDER: str(folder), "CI": "1", "PYTHONPATH": str(ROOT), **LARGE_PAGES} | (environment or {})
    log = folder / f"{plugin}.log"
    with log.open("w", encoding="utf-8") as output:
        code = subprocess.call(
            [*command, *more, *tests], cwd=ROOT, env=os.environ | more_environment, stdout=output, stderr=output
        )
    if code not in (0, 1, 5) or (plugin == "judge" and code == 1):
        sys.exit(f"pytest has failed with exit code {code}:\n{log.read_text(encoding='utf-8')[-3000:]}")


if __name__ == "__main__":
    sys.exit(main())
