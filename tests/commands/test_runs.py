"""`minibert runs`."""

import json
from pathlib import Path
from typing import Any

import pytest

from minibert.commands import main


def write_run(folder: Path, task: str, problem_type: str | None = None, digest: str = "", **metrics: float) -> None:
    folder.mkdir()
    settings: dict[str, Any] = {"task": task, "training": {"seed": 0, "steps": 1}, "corpus": {"digest": [digest]}}
    if problem_type is not None:
        settings["task_settings"] = {"problem_type": problem_type}
    (folder / "run.json").write_text(json.dumps(settings))
    entry = {"step": 1, f"validation_{task}_loss": 0.5, "seconds": 1, "tokens": 9} | metrics
    (folder / "metrics.jsonl").write_text(json.dumps(entry) + "\n")


def test_runs_of_each_kind_of_task_have_a_table_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table has the metrics of its runs alone, and its settings are compared with each other alone."""
    digests = ["0123456789ab" + end * 52 for end in "cd"]
    write_run(tmp_path / "one", "classification", "single_label_classification", digests[0], validation_accuracy=0.75)
    write_run(tmp_path / "two", "classification", "single_label_classification", digests[1], validation_accuracy=0.5)
    write_run(tmp_path / "number", "classification", "regression", validation_pearson=0.25)
    write_run(tmp_path / "names", "tagging", validation_entity_f1=0.125)
    assert main(["runs", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    headings = [line for line in shown.splitlines() if line.startswith("run ")]
    assert [[name in heading for name in ("accuracy", "Pearson", "entity F1")] for heading in headings] == [
        [False, False, True],
        [False, True, False],
        [True, False, False],
    ]
    assert [kind in shown.splitlines() for kind in ("tagging", "classification, regression")] == [True, True]
    assert "Different settings" in shown
    assert "task:" not in shown
    assert "corpus.digest: ['0123456789ab…'], ['0123456789ab…']" in shown


def test_runs_of_one_task_are_one_table_without_a_title(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "one", "tagging", validation_entity_f1=0.125)
    assert main(["runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("run ")
