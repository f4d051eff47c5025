"""Give every command damaged and hostile inputs, and judge what it does. Prints a table, writes hostile_inputs.json.

    python -m benchmarks.review.hostile_inputs [--seed 0] [--areas submissions] [--kinds code files] [--only WORD] [--verbose]

Each case runs in a copy of a process that has imported torch. The results:

equal      the input is valid, and the command does its work
refused    the message names the file or option and says what is wrong
differing  another message, an input that should be refused, or another exit code
crashed    executed code, no end, a traceback, a raw terminal escape, code in a page, or a half-written file
"""

import argparse
import importlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.review.hostile.case import Case
from benchmarks.review.hostile.judge import Verdict, preload, run
from benchmarks.review.hostile.stock import make_stock
from benchmarks.review.page import OUTCOMES, sums

AREAS = {
    "checkpoints": "checkpoints",
    "tokenizers": "tokenizers",
    "run folders": "run_folders",
    "corpora": "corpora",
    "labeled files": "labeled_files",
    "submissions": "submissions",
    "command lines": "command_lines",
}
"""The module of each area."""


def main() -> None:
    """Run all cases, print the failures and the table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--areas", nargs="+", choices=[*AREAS], default=[*AREAS])
    parser.add_argument("--kinds", nargs="+", default=[])
    parser.add_argument("--only", default="", help="run the cases that have this word in their description")
    parser.add_argument("--verbose", action="store_true", help="print every message")
    options = parser.parse_args()
    preload()
    counts: dict[tuple[str, str], Counter[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"MINIBERT_CACHE": f"{folder}/cache", "HF_HUB_OFFLINE": "1", "BROWSER": "true", "COLUMNS": "200"}
        make_stock(Path(folder, "stock"))
        for number, case in enumerate(find_cases(options)):
            here = Path(folder, str(number))
            verdict = run(case, here)
            show(case, verdict, options.verbose)
            counts.setdefault((case.area, kind_of(case)), Counter())[verdict.result] += 1
            remove(here)
    rows = [
        {"area": area, "kind": kind, "cases": count.total(), **{result: count[result] for result in OUTCOMES}}
        for (area, kind), count in counts.items()
    ]
    print_table(rows)
    if not options.only:
        write(options.seed, rows)


def find_cases(options: argparse.Namespace) -> Iterator[Case]:
    """Yield the cases of some areas and kinds."""
    for area in options.areas:
        module = importlib.import_module(f"benchmarks.review.hostile.{AREAS[area]}")
        for case in module.cases(options.seed):
            if options.only in case.kind and (not options.kinds or kind_of(case) in options.kinds):
                yield case


def kind_of(case: Case) -> str:
    """Return the kind of a case without its description."""
    return case.kind.partition(":")[0]


def show(case: Case, verdict: Verdict, verbose: bool) -> None:
    """Print a case that fails, or every case."""
    if verbose or verdict.result in ("differing", "crashed"):
        print(f"{verdict.result:9} {case.area} | {case.kind} | {verdict.why} | {verdict.seconds:.1f} s", flush=True)
        message = verdict.output.strip().encode("ascii", "backslashreplace").decode()
        print("          " + message[-600:].replace("\n", "\n          "), flush=True)


def remove(here: Path) -> None:
    """Remove the folder of a case, also what has no permissions."""
    for folder in [here, *(path for path in here.rglob("*") if path.is_dir() and not path.is_symlink())]:
        folder.chmod(0o700)
    shutil.rmtree(here)
    here.with_suffix(".log").unlink()


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print a line for each area and kind, and the sums."""
    print(f"{'area':16}{'kind':34}{'cases':>6}" + "".join(f"{result:>11}" for result in OUTCOMES))
    for row in [*rows, {"area": "all", "kind": "", **sums(rows)}]:
        print(f"{row['area']:16}{str(row['kind'])[:32]:34}{row['cases']:6}" + "".join(f"{row[name]:11}" for name in OUTCOMES))


def write(seed: int, rows: list[dict[str, Any]]) -> None:
    """Write the table. Rows of other kinds and the notes stay as they are."""
    file = Path(__file__).with_suffix(".json")
    before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"rows": [], "notes": []}
    new = {(row["area"], row["kind"]) for row in rows}
    rows = [*rows, *(row for row in before["rows"] if (row["area"], row["kind"]) not in new)]
    rows.sort(key=lambda row: [*AREAS].index(row["area"]))
    content = {"seed": seed, "rows": rows, "notes": before["notes"]}
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
