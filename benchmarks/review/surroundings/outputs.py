"""Outputs that are closed, full, or read by a program that ends after the first line."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.review.interruptions import Area, Trial
from benchmarks.review.surroundings.cases import Case, finished, resumed, run, run_trial, shortened
from benchmarks.review.surroundings.machines import commands

NEW_STREAM = "\nimport sys; sys.stdout = open(1, 'w', encoding='utf-8', closefd=False)\n"
OUTPUTS = {
    "full device": "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 1)" + NEW_STREAM,
    "closed pipe": "import os; reader, writer = os.pipe(); os.dup2(writer, 1); os.close(reader); os.close(writer)" + NEW_STREAM,
    "pipe closed after a line": """
import os, threading
reader, writer = os.pipe()
os.dup2(writer, 1)
os.close(writer)
threading.Thread(target=lambda: (os.read(reader, 10), os.close(reader)), daemon=True).start()
"""
    + NEW_STREAM,
    "no standard output": "import os, sys; os.close(1); os.open(os.devnull, os.O_RDONLY); sys.stdout = None",
    "no standard streams": "import sys; sys.stdin = sys.stdout = sys.stderr = None",
    "no standard input": "import os, sys; os.close(0); sys.stdin = None",
}


def output_cases(areas: list[Area], model: Path, folder: Path) -> Iterator[Case]:
    """Run commands with every kind of output. Training continues after it with the same results."""
    (folder / "texts.txt").write_text("good film\n中文\n", encoding="utf-8")
    wholes = {area: finished(area, folder / f"{area.name} whole") for area in map(shortened, areas)}
    for kind, setup in OUTPUTS.items():
        for words in commands(model, folder):
            ended = run(words, f"import os; os.chdir({str(folder)!r})\n{setup}")
            yield Case("output", kind, ended.outcome(), f"{words[:2]}: {ended.code} {ended.shown[-500:]}")
        for area, whole in wholes.items():
            trial = Trial(area, folder / f"{area.name} {kind}")
            yield resumed(trial, run_trial(trial, setup=setup), whole, "output", kind, area.name)
