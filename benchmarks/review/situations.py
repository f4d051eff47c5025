"""Run minibert in surroundings in which it was not tried before, and compare the results with those in normal ones.

python -m benchmarks.review.situations [--seed 0] [--group disk]

Recordings in several processes, folders that change while they are read, two commands in one folder, clocks that jump, disks
that are full at every operation in turn, file systems that lack operations, machines without a home folder, languages without
UTF-8, and outputs that are closed or full. A command must work as always, or end with a message that says why, damage nothing,
and continue later with the same results. Takes about half an hour. Writes situations.json.
"""

import argparse
import json
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.review.interruptions import OUTCOMES, areas
from benchmarks.review.surroundings.cases import Case
from benchmarks.review.surroundings.disks import disk_cases
from benchmarks.review.surroundings.folders import changing_folder_cases, second_run_cases
from benchmarks.review.surroundings.machines import clock_cases, encoding_cases, home_cases
from benchmarks.review.surroundings.outputs import output_cases
from benchmarks.review.surroundings.recording import recording_cases


def all_cases(folder: Path, seed: int, every: int, only: str) -> Iterator[Case]:
    """Run all cases, or those of the groups whose name begins with a text."""
    (folder / "inputs").mkdir()
    training, generator = areas(folder / "inputs")[:2], random.Random(seed)
    model = folder / "inputs" / "model"
    groups = {
        "recording": lambda out: recording_cases(seed),
        "reading": lambda out: changing_folder_cases(out, times=300),
        "two commands": lambda out: second_run_cases(training, out, generator, times=8),
        "clock": lambda out: clock_cases(training, out, seed),
        "home": lambda out: home_cases(training, model, out),
        "encoding": lambda out: encoding_cases(model, out),
        "output": lambda out: output_cases(training, model, out),
        "disk": lambda out: disk_cases(training, out, every),
    }
    for name, cases in groups.items():
        if name.startswith(only):
            (folder / name).mkdir()
            yield from cases(folder / name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Review all situations. Return 1 if anything differs or crashes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, help="a full disk at every n-th operation only")
    parser.add_argument("--group", default="", help="only the groups whose name begins with this text")
    options = parser.parse_args(arguments)
    counts: dict[tuple[str, str], Counter[str]] = {}
    notes = []
    with tempfile.TemporaryDirectory() as folder:
        for case in all_cases(Path(folder), options.seed, options.every, options.group):
            counts.setdefault((case.area, case.kind), Counter())[case.outcome] += 1
            if case.outcome in ("differing", "crashed"):
                notes.append(f"{case.area}, {case.kind}: {case.outcome}: {case.note}")
                print(notes[-1], flush=True)
    rows = [
        {"area": area, "kind": kind, "cases": found.total(), **{name: found[name] for name in OUTCOMES}}
        for (area, kind), found in counts.items()
    ]
    for row in rows:
        print(f"{row['area']:<42}{row['kind']:<32}" + "".join(f"{name} {row[name]}  " for name in OUTCOMES))
    if not options.group:
        report = {"seed": options.seed, "rows": rows, "notes": notes}
        Path(__file__).with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return int(any(row["differing"] or row["crashed"] for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
