"""The same command twice gives the same bytes, also with another hash seed of Python, which changes the order of sets."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.review.determinism import command_lines, compare_all, content
from benchmarks.review.hostile.stock import TEXT
from minibert.commands import COMMANDS, main
from tests.processes import ROOT

WORDS = "pretrain --text text.txt --out bert --steps 2 --batch-size 4 --max-length 16 --vocab-size 120 --device cpu"


def prepare(folder: Path) -> Path:
    folder.mkdir()
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """Read the files of a run, without durations and the name of the folder.

    The state of Python's generator is left out: beartype, which checks types in tests, draws from it.
    """
    left_out = ("training-state.pt", "checksums.json")
    found = [file for file in (folder / "bert").rglob("*") if file.is_file() and file.name not in left_out]
    return {str(file.relative_to(folder)): content(file).replace(str(folder).encode(), b"FOLDER") for file in found}


@pytest.mark.slow
def test_the_hash_seed_changes_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the vocabulary, the model, the metrics and the figure. The other hash seed is that of a new Python."""
    here, there = prepare(tmp_path / "here"), prepare(tmp_path / "there")
    environment = os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT), "MINIBERT_CACHE": str(there / "cache")}
    with subprocess.Popen([sys.executable, "-m", "minibert", *WORDS.split()], env=environment, cwd=there) as process:
        monkeypatch.chdir(here)
        monkeypatch.setenv("MINIBERT_CACHE", str(here / "cache"))
        assert main(WORDS.split()) == 0
    assert process.returncode == 0
    first, second = files(here), files(there)
    assert len(first) == 13
    assert [name for name in first.keys() | second.keys() if first.get(name) != second.get(name)] == []


def test_every_command_is_compared() -> None:
    """`command_lines` raises for a command that it does not know."""
    compared = {name for name in COMMANDS if any(f"{line} ".startswith(f"{name} ") for line in command_lines(0))}
    assert compared == {*COMMANDS} - {"docs build", "docs open", "class release", "bench"}


@pytest.mark.long
def test_the_hash_seed_changes_no_byte_of_any_command() -> None:
    rows = compare_all(command_lines(0), seed=0, only="")
    assert [row["kind"] for row in rows if row["differing"] or row["crashed"]] == []
