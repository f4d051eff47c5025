"""A part of a benchmark does not replace the committed result, and the table says what a file lacks."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import run
from benchmarks.output import FIGURES, FOLDER, figure_path, result_path, write_result

BEFORE = {"rows": ["before"]}


def path_for(words: list[str], committed: Path, **kinds: Any) -> Path | None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", nargs="+", default=["tiny", "mini"])
    parser.add_argument("--max-steps", type=int, default=9)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--out", type=Path)
    return result_path(parser, parser.parse_args(words), committed, **kinds)


@pytest.fixture
def committed(tmp_path: Path) -> Path:
    file = tmp_path / "some.json"
    write_result(file, BEFORE | {"threads": torch.get_num_threads()})
    return file


@pytest.mark.parametrize("words", [[], ["--text", "a.txt"], ["--cases", "tiny", "mini"], ["--max-steps", "9"]])
def test_a_complete_run_replaces_the_committed_result(words: list[str], committed: Path) -> None:
    assert path_for(words, committed, inputs=("text",)) == committed
    assert path_for(words, committed.with_name("new.json"), inputs=("text",)) == committed.with_name("new.json")


@pytest.mark.parametrize("words", [["--cases", "tiny"], ["--max-steps", "2"], ["--text", "a.txt"]])
def test_a_part_is_only_printed(words: list[str], committed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the option that makes it a part."""
    before = committed.read_bytes()
    path = path_for(words, committed)
    write_result(path, {"rows": ["a part"]})
    assert path is None
    assert committed.read_bytes() == before
    said = capsys.readouterr().out
    assert committed.name in said
    assert words[0] in said
    assert "--out" in said


def test_a_run_with_another_number_of_threads_is_only_printed(committed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_result(committed, BEFORE | {"threads": torch.get_num_threads() + 1})
    assert path_for([], committed) is None
    assert "threads" in capsys.readouterr().out


def test_a_run_without_its_data_is_only_printed(committed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert path_for([], committed, missing="SST-2") is None
    assert "without SST-2" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["--cases", "tiny"]])
def test_out_is_always_written(words: list[str], committed: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    path = path_for([*words, "--out", str(other)], committed, missing="SST-2")
    write_result(path, {"rows": ["now"]})
    assert json.loads(other.read_text(encoding="utf-8")) == {"rows": ["now"]}


def test_the_figure_of_a_part_is_not_that_of_the_guide(tmp_path: Path) -> None:
    assert figure_path(FOLDER / "attention.json") == FIGURES / "attention.png"
    assert figure_path(tmp_path / "attention.json") == tmp_path / "attention.png"


@pytest.mark.parametrize("rows", [[], [{"case": "tiny", "precision": "float32"}]], ids=["no row", "no number"])
def test_the_table_names_a_missing_row(rows: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "FOLDER", tmp_path)
    write_result(tmp_path / "pretraining.json", {"rows": rows})
    with pytest.raises(SystemExit, match=r"pretraining\.json lacks .* of case tiny, precision float32"):
        run.step("tiny", "float32", run.FASTER, 4.6, 5).line()


def test_results_of_this_machine_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of some benchmarks replaces their results only, and takes none from files of another machine."""
    monkeypatch.setattr(run, "FOLDER", tmp_path)
    monkeypatch.setattr(run, "result_file", lambda name: tmp_path / f"{name}.json")
    for name in ("inference", "attention"):
        write_result(tmp_path / f"{name}.json", {"of": name})
    run.save_results(["inference"])
    target = tmp_path / "results" / f"{run.machine()}.json"
    assert json.loads(target.read_text(encoding="utf-8"))["results"] == {"inference": {"of": "inference"}}
    run.save_results(["attention"])
    assert [*json.loads(target.read_text(encoding="utf-8"))["results"]] == ["inference", "attention"]


def test_no_run_replaces_results_of_another_layout() -> None:
    """The name of a machine has no version, and only files of the layout of `save_results` have such names."""
    layouts = {file.stem: "results" in json.loads(file.read_text(encoding="utf-8")) for file in (FOLDER / "results").iterdir()}
    assert all(is_written or "torch" in name for name, is_written in layouts.items()), layouts


def test_the_guide_has_the_tables_of_the_files() -> None:
    page = run.PAGE.read_text(encoding="utf-8")
    assert run.fill(run.fill(page, "table", run.table()), "ablation", run.ablation()) == page
