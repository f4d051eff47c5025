"""Run minibert in surroundings in which it was not tried before, and compare the results with those in normal ones.

python -m benchmarks.review.situations [--seed 0] [--group disk --every 1]

Recordings in several processes, folders that change while they are read, two commands in one folder, clocks that jump, disks
that are full at one operation after the other, file systems that lack operations, machines without a home folder, languages
without UTF-8, and outputs that are closed or full. A command must work as always, or end with a message that says why, damage
nothing, and continue later with the same results. Takes about a quarter of an hour. Writes situations.json.
"""

import argparse
import json
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.review.interruptions import areas
from benchmarks.review.page import OUTCOMES
from benchmarks.review.surroundings.cases import Case
from benchmarks.review.surroundings.disks import disk_cases
from benchmarks.review.surroundings.folders import changing_folder_cases, second_run_cases
from benchmarks.review.surroundings.machines import clock_cases, encoding_cases, home_cases
from benchmarks.review.surroundings.outputs import output_cases
from benchmarks.review.surroundings.recording import recording_cases


def groups_of_cases(folder: Path, seed: int, every: int) -> dict[str, Callable[[Path], Iterator[Case]]]:
    """Return the groups of cases. Each is a function of a folder to work in."""
    (folder / "inputs").mkdir()
    training, generator = areas(folder / "inputs")[:2], random.Random(seed)
    model = folder / "inputs" / "model"
    return {
        "recording": lambda out: recording_cases(seed),
        "reading": lambda out: changing_folder_cases(out, times=300),
        "two commands": lambda out: second_run_cases(training, out, generator, times=8),
        "clock": lambda out: clock_cases(training, out, seed),
        "home": lambda out: home_cases(training, model, out),
        "encoding": lambda out: encoding_cases(model, out),
        "output": lambda out: output_cases(training, model, out),
        "disk": lambda out: disk_cases(training, out, every),
    }


def review(cases: Iterator[Case]) -> tuple[list[dict[str, object]], list[str]]:
    """Run the cases of a group. Return and print the rows of the table, and the cases that differ or crash."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    notes = []
    for case in cases:
        counts.setdefault((case.area, case.kind), Counter())[case.outcome] += 1
        if case.outcome in ("differing", "crashed"):
            notes.append(f"{case.area}, {case.kind}: {case.outcome}: {case.note}")
            print(notes[-1], flush=True)
    rows = []
    for (area, kind), found in counts.items():
        rows.append({"area": area, "kind": kind, "cases": found.total(), **{name: found[name] for name in OUTCOMES}})
        print(f"{area:<42}{kind:<32}" + "".join(f"{name} {found[name]}  " for name in OUTCOMES), flush=True)
    return rows, notes


def main(arguments: Sequence[str] | None = None) -> int:
    """Review all situations, or one group of them, whose rows are then replaced. Return 1 if anything differs or crashes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=3, help="a full disk at every n-th operation only; 1 takes half an hour")
    parser.add_argument("--group", default="", help="only the group with this name")
    options = parser.parse_args(arguments)
    file = Path(__file__).with_suffix(".json")
    report = {"seed": options.seed, "rows": [], "notes": []}
    if options.group:
        report = json.loads(file.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        for name, cases in groups_of_cases(Path(folder), options.seed, options.every).items():
            if options.group in ("", name):
                (Path(folder) / name).mkdir()
                rows, notes = review(cases(Path(folder) / name))
                new = {(row["area"], row["kind"]) for row in rows}
                report["rows"] = [row for row in report["rows"] if (row["area"], row["kind"]) not in new] + rows
                report["notes"] += notes
                file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return int(any(row["differing"] or row["crashed"] for row in report["rows"]))


if __name__ == "__main__":
    raise SystemExit(main())
