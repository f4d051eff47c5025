"""Run all benchmarks of speed, and print one table of the ratios next to what they should be. About 40 minutes on two cores.

python -m benchmarks.run [--only pretraining inference …] [--table]

Each benchmark runs in a process of its own, completely, and replaces its JSON file next to this one, on any machine. Those of
fine-tuning and of translation need SST-2 and Multi30k: MINIBERT_DATA=FOLDER. With --table nothing runs, and the table is that
of the files. It is also written to docs/speed.md, with that of the optimizations (benchmarks/ablation.py). The new results are
in results/MACHINE.json, too. Files there with a version in their names were written by hand, and no run replaces them.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine, result_file
from benchmarks.output import write_result

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "docs" / "speed.md"
BEGIN, END = "<!-- {}: python -m benchmarks.run --table -->", "<!-- end of the {} -->"
"""Where the tables of docs/speed.md begin and end."""
BENCHMARKS: tuple[str, ...] = (
    ("pretraining", "inference", "attention")
    if torch.cuda.is_available()
    else ("pretraining", "finetuning", "inference", "generation", "translation_speed", "attention", "data", "ablation")
)
NEEDS_DATA = {"finetuning": "sst2", "translation_speed": "multi30k"}

FASTER, PEAK, MEMORY = "times faster than sdpa", "share of the matrix-product peak", "added MiB"
EAGER, BEST = "times faster than eager", "times faster than the fastest"
TORCH = "times faster than torch"
HALF = "bfloat16 times faster than float32"


@dataclass(frozen=True)
class Target:
    """A number of a benchmark, and what it should be."""

    what: str
    file: str
    row: dict[str, str]
    """Values of the row in the file; empty if it has one result."""
    fields: tuple[str, ...]
    floor: float
    goal: float
    is_upper: bool = False
    """True if smaller is better."""

    def result(self) -> dict[str, Any]:
        """Return the row of the file. Raises: SystemExit if the file does not have it, or not this number."""
        found = json.loads((FOLDER / f"{self.file}.json").read_text(encoding="utf-8"))
        row = next((row for row in found.get("rows", [found]) if self.row.items() <= row.items()), None)
        if row is None or self.fields[0] not in row:
            wanted = ", ".join(f"{name} {value}" for name, value in self.row.items()) or "its result"
            raise SystemExit(
                f"{self.file}.json lacks {self.fields[0]!r} of {wanted}. "
                f"Write the whole file: python -m benchmarks.run --only {self.file.removesuffix('_gpu')}"
            )
        return dict(row)

    def line(self) -> str:
        """Return the line of the table, with the ratio to eager attention if that is lower. What misses its floor is bold."""
        row = self.result()
        value: Any = row
        for field in self.fields:
            value = value[field]
        eager = row.get(EAGER) if self.fields == (FASTER,) else None
        is_lower = eager is not None and eager["median"] < value["median"]
        numbers = f"{self._shown(value)} | {self._shown(eager) if is_lower else ''}"
        return f"| {self.what} | {numbers} | {'at most ' if self.is_upper else ''}{self.floor:g} / {self.goal:g} |"

    def _shown(self, value: Any) -> str:
        spread = ""
        if isinstance(value, dict):
            value, spread = value["median"], f" ({value['lower']:.2f} to {value['upper']:.2f})"
        elif isinstance(value, list):
            value = value[0] / value[1]
        is_reached = value <= self.floor if self.is_upper else value >= self.floor
        return (f"{value:.2f}" if is_reached else f"**{value:.2f}**") + spread


def gpu_step(case: str, field: str, floor: float, goal: float) -> Target:
    """Return a target of a pretraining step of BERT-base in bfloat16 on a GPU."""
    what = f"GPU, pretraining step, {case}{': share of the peak' if field == PEAK else ''}"
    return Target(what, "pretraining_gpu", {"case": case, "precision": "bfloat16"}, (field,), floor, goal)


def step(case: str, precision: str, field: str, floor: float, goal: float) -> Target:
    """Return a target of a pretraining step."""
    number = {FASTER: "", PEAK: ": share of the peak", MEMORY: ": added memory"}[field]
    what = f"pretraining step, {'mini, lengths 16 to 128' if case == 'ragged' else case}, {precision}{number}"
    return Target(what, "pretraining", {"case": case, "precision": precision}, (field,), floor, goal, field == MEMORY)


TARGETS = [
    gpu_step("base", BEST, 1.5, 2),
    gpu_step("base, half padded", BEST, 2.5, 3.5),
    gpu_step("base", PEAK, 0.4, 0.55),
    gpu_step("base, length 512", PEAK, 0.4, 0.55),
    Target("GPU, inference, 64 texts, lengths 16 to 128", "inference_gpu", {"case": "ragged"}, (BEST,), 2, 3),
    step("tiny", "float32", FASTER, 4.6, 5),
    step("mini", "float32", FASTER, 2.8, 3),
    step("small", "float32", FASTER, 2.3, 2.5),
    step("ragged", "float32", FASTER, 3.8, 4.5),
    step("tiny", "bfloat16", FASTER, 4.5, 5),
    step("mini", "bfloat16", FASTER, 3.2, 3.5),
    step("small", "bfloat16", FASTER, 2.4, 2.9),
    step("ragged", "bfloat16", FASTER, 3.8, 4.5),
    step("tiny", "float32", PEAK, 0.3, 0.45),
    step("mini", "float32", PEAK, 0.65, 0.8),
    step("small", "float32", PEAK, 0.85, 0.95),
    step("tiny", "float32", MEMORY, 0.3, 0.1),
    step("mini", "float32", MEMORY, 0.4, 0.2),
    step("small", "float32", MEMORY, 0.5, 0.35),
    Target("fine-tuning step, lengths of SST-2, float32", "finetuning", {"precision": "float32"}, (FASTER,), 1.5, 2.5),
    Target("fine-tuning step, lengths of SST-2, bfloat16", "finetuning", {"precision": "bfloat16"}, (FASTER,), 1.5, 2.5),
    Target("inference, one text", "inference", {"case": "one"}, (FASTER,), 1.1, 1.25),
    Target("inference, 32 texts", "inference", {"case": "batch"}, (FASTER,), 1.0, 1.1),
    Target("inference, 32 texts, lengths 16 to 128", "inference", {"case": "ragged"}, (FASTER,), 1.5, 1.8),
    Target("inference, one text: bfloat16 against float32", "inference", {"case": "one"}, (HALF,), 1.7, 2),
    Target("inference, 32 texts: bfloat16 against float32", "inference", {"case": "batch"}, (HALF,), 3.3, 4),
    Target("generation, GPT-2 tiny", "generation", {"size": "tiny"}, ("times faster than transformers",), 2, 4),
    Target("generation, GPT-2 mini", "generation", {"size": "mini"}, ("times faster than transformers",), 2, 4),
    Target("generation, GPT-2 small", "generation", {"size": "small"}, ("times faster than transformers",), 2, 4),
    Target("translation, training step (next to torch)", "translation_speed", {}, ("training step", TORCH), 1.2, 1.5),
    Target("translation, greedy decoding (next to torch)", "translation_speed", {}, ("greedy decoding", TORCH), 3, 8),
    Target("share of a step spent waiting for its batch, tiny", "data", {}, ("waiting: tiny",), 0.02, 0.01, is_upper=True),
    Target("share of a step spent waiting for its batch, mini", "data", {}, ("waiting: mini",), 0.02, 0.01, is_upper=True),
]


def ablation() -> str:
    """Return the table of what a step takes without each optimization."""
    rows = json.loads((FOLDER / "ablation.json").read_text(encoding="utf-8"))["rows"]
    cases = [*dict.fromkeys(row["case"] for row in rows)]
    lines = ["| without | " + " | ".join(cases) + " |", "|---|" + "---|" * len(cases)]
    for name in dict.fromkeys(row["without"] for row in rows):
        cells = {row["case"]: row for row in rows if row["without"] == name}
        lines.append(f"| {name} | " + " | ".join(_cell(cells.get(case)) for case in cases) + " |")
    return "\n".join(lines)


def _cell(row: dict[str, Any] | None) -> str:
    return "" if row is None else f"{row['times']['median']:.2f}"


def save_results(names: Iterable[str]) -> None:
    """Write the results of benchmarks that ran now to the file with the name of this machine. Its other results stay."""
    target = FOLDER / "results" / f"{machine()}.json"
    target.parent.mkdir(exist_ok=True)
    results = json.loads(target.read_text(encoding="utf-8"))["results"] if target.is_file() else {}
    results |= {name: json.loads(result_file(name).read_text(encoding="utf-8")) for name in names}
    write_result(target, {"machine": machine(), "results": results})


def fill(page: str, name: str, content: str) -> str:
    """Replace a table of the page."""
    begin, end = BEGIN.format(name), END.format(name)
    before, _, rest = page.partition(begin)
    return f"{before}{begin}\n\n{content}\n\n{end}{rest.partition(end)[2]}"


def table() -> str:
    """Return the table of all ratios that have been measured."""
    rows = [target.line() for target in TARGETS if (FOLDER / f"{target.file}.json").is_file()]
    return "\n".join(["| | ratio (quartiles) | to eager, where lower | at least / goal |", "|---|---|---|---|", *rows])


def main() -> None:
    """Run the benchmarks and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=BENCHMARKS)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    ran = []
    for name in () if options.table else options.only:
        words = ["--out", str(result_file(name))]
        if (data := os.environ.get("MINIBERT_DATA")) is None and name in NEEDS_DATA:
            print(f"{name}: set MINIBERT_DATA to the folder with data/{NEEDS_DATA[name]}")
            continue
        if name == "translation_speed":
            files = Path(str(data)) / "data" / "multi30k"
            words += ["--text", *(str(files / f"train.{language}.gz") for language in ("de", "en"))]
            words += ["--test", *(str(files / f"test_2016_flickr.{language}.gz") for language in ("de", "en"))]
        print(f"{name}:", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *words], check=True)
        ran.append(name)
    if ran:
        save_results(ran)
    print(shown := table())
    print(effects := ablation())
    page = fill(PAGE.read_text(encoding="utf-8"), "table", shown)
    PAGE.write_text(fill(page, "ablation", effects), encoding="utf-8")


if __name__ == "__main__":
    main()
