"""Time of grading a class with `minibert class grade`. Prints a table, writes grading.json.

    python -m benchmarks.grading [--students 300] [--jobs 2] [--out FILE]

With another number of students or jobs, the result is written to --out only.

The seconds of the processors count: other work on the machine makes the run longer. `load_before` shows it.
Ten exercises of all kinds. Half of the solutions are right; each of the others has one of the mistakes of the catalogue, or one
that is not in it. The class is graded, graded again without changes, and again after 10 students have changed their code.
"""

import argparse
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.output import result_path, write_result
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.mistakes import Kind, source_with
from minibert.classroom.mistakes.variants import source_of
from minibert.classroom.solution import solution

NAMES = (
    *("softmax", "scaled_dot_product_attention", "multi_head_attention", "layer_norm", "gelu"),
    *("sinusoidal_positions", "cross_entropy", "mask_tokens", "adamw_step", "bert_embeddings"),
)
CHANGED = 10
"""Students who change their code before the third run."""


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--students", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    target = result_path(parser, options, Path(__file__).with_suffix(".json"))
    results: dict[str, Any] = {
        "machine": {"cores": os.cpu_count(), "processor": platform.machine(), "torch": torch.__version__},
        "students": options.students,
        "exercises": NAMES,
        "jobs": options.jobs,
    }
    with tempfile.TemporaryDirectory() as folder:
        submissions = Path(folder, "submissions")
        write_class(submissions, options.students)
        run(folder, "release", "course", "--exercises", *NAMES)
        for title, changed in (("first run", 0), ("second run, nothing changed", 0), (f"{CHANGED} students changed", CHANGED)):
            for path in sorted(submissions.rglob("*.py"))[: changed * len(NAMES)]:
                path.write_text(f"{path.read_text()}\n\n\nprint('changed')\n".replace("return ", "return 1.0 * ", 1))
            grade = ("grade", "submissions", "--course", "course/course.toml", "--jobs", str(options.jobs))
            load = round(os.getloadavg()[0], 1)
            results[title] = measured = {**run(folder, *grade), "load_before": load}
            print(f"{title:30} {measured['seconds']:8.1f} s, {measured['processor_seconds']:8.1f} s of processors", flush=True)
        results["points"] = Path(folder, "results", "grades.csv").read_text().splitlines()[1:4]
    write_result(target, results)


def run(folder: str, *command: str) -> dict[str, float]:
    """Run `minibert class …`, and return its time and the processor time of all its processes."""
    before, start = os.times(), time.perf_counter()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", "minibert", "class", *command], cwd=folder, env=environment, check=True, stdout=2)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return {"seconds": round(time.perf_counter() - start, 1), "processor_seconds": round(used, 1)}


def write_class(folder: Path, students: int) -> None:
    """Write a folder with one file for each exercise for each student."""
    generator = random.Random(0)
    for number in range(students):
        for name in NAMES:
            path = folder / f"student{number:03}" / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code_of(name, generator), encoding="utf-8")


def code_of(name: str, generator: random.Random) -> str:
    """Return a solution: right, with a mistake of the catalogue, or with a factor that no catalogue has."""
    exercise = EXERCISES[name]
    right = solution(exercise)
    chance = generator.random()
    if chance < 0.5:
        return right
    if chance < 0.6:
        return right.replace("return ", f"return {generator.choice((0.7, 1.3, 2.6))} * ", 1)
    own = [each for each in exercise.mistakes if each.function is exercise.reference and each.kind is Kind.BUG]
    imports, _, _ = right.partition("\n\n\n")
    wrong = source_with(generator.choice(own)) if own else source_of(exercise.reference).replace("return ", "return -", 1)
    wrong = re.sub(r"^def \w+", f"def {name}", wrong, count=1, flags=re.MULTILINE)
    return f"{imports}\n\n\n{wrong}"


if __name__ == "__main__":
    main()
