"""The same command twice gives the same bytes, also with another hash seed of Python, which changes the order of sets."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.review.determinism import command_lines, compare_all, content
from benchmarks.review.hostile.stock import TEXT
from minibert.commands import COMMANDS
from tests.processes import ROOT

CODE = """
import sys
from minibert.commands import main
for words in sys.stdin:
    assert main(words.split()) == 0
"""
PRETRAIN = "pretrain --text text.txt --out bert --steps 2 --batch-size 4 --max-length 16 --vocab-size 120 --device cpu"
LETTERS = "train-letters --out letters --steps 2 --batch-tokens 64 --device cpu"


def start(folder: Path, hash_seed: str) -> subprocess.Popen[str]:
    """Run two commands in a new Python."""
    folder.mkdir()
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT), "MINIBERT_CACHE": str(folder / "cache")}
    (folder / "commands").write_text(f"{PRETRAIN}\n{LETTERS}\n", encoding="utf-8")
    with (folder / "commands").open() as commands, (folder / "output.txt").open("w") as output:
        return subprocess.Popen(
            [sys.executable, "-c", CODE], stdin=commands, stdout=output, env=environment, cwd=folder, text=True
        )


def test_the_hash_seed_changes_no_byte(tmp_path: Path) -> None:
    """Of the vocabulary, the model, the state of the training, the metrics, the figure and the output."""
    folders = tmp_path / "a", tmp_path / "b"
    processes = [start(folder, hash_seed) for folder, hash_seed in zip(folders, "12", strict=True)]
    assert [process.wait() for process in processes] == [0, 0]
    first, second = (
        {
            str(file.relative_to(folder)): content(file).replace(str(folder).encode(), b"FOLDER")
            for name in ("bert", "letters")
            for file in [folder / "output.txt", *(folder / name).rglob("*")]
            if file.is_file()
        }
        for folder in folders
    )
    assert len(first) > 30
    assert [name for name in first.keys() | second.keys() if first.get(name) != second.get(name)] == []


def test_every_command_is_compared() -> None:
    """`command_lines` raises for a command that it does not know."""
    assert {name for name in COMMANDS if any(f"{line} ".startswith(f"{name} ") for line in command_lines(0))} == {*COMMANDS} - {
        "docs build",
        "docs open",
        "class release",
    }


@pytest.mark.slow
def test_the_hash_seed_changes_no_byte_of_any_command() -> None:
    rows = compare_all(command_lines(0), seed=0, only="")
    assert [row["kind"] for row in rows if row["differing"]] == []
