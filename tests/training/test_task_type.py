"""What all tasks have in common: settings, task.json, and the defaults of what a task may do in its own way."""

import json
from pathlib import Path

import pytest

from minibert.text.labeled.options import LabeledSource
from minibert.training.answering import Answering
from minibert.training.classification import Classification
from minibert.training.finetuning_options import ClassifyOptions
from minibert.training.tagging import Tagging
from minibert.training.task_type import task_types

TEXTS = Classification(("schlecht", "größer"))


def test_the_tasks_are_those_of_the_commands() -> None:
    assert {kind.command for kind in task_types()} >= {"classify", "tag", "answer"}


def test_task_json_is_a_text_of_lines() -> None:
    """People read it. The task can be made from it again."""
    text = TEXTS.to_json()
    stored = json.loads(text)
    assert text == json.dumps(stored, indent=2, ensure_ascii=False) + "\n"
    assert "größer" in text
    assert (stored["task"], Classification.from_settings(stored["settings"])) == ("classification", TEXTS)


def test_other_settings() -> None:
    """Those that are None stay. One that the task does not have is an error."""
    assert TEXTS.with_settings(max_length=9, cut=None) == Classification(TEXTS.labels, max_length=9)
    with pytest.raises(ValueError, match="this model is for `classify`, which has no a, z"):
        TEXTS.with_settings(max_length=9, z=1, a=1, b=None)


def test_settings_of_another_task_are_an_error() -> None:
    """The message has the name, also for values of a wrong type."""
    for settings, message in (({"labels": ["a"], "other": 1}, "argument 'other'"), ({"labels": 3}, "labels cannot be 3")):
        with pytest.raises(TypeError, match=message):
            Classification.from_settings(settings)


def test_inputs_are_read_as_rows_with_labels_are(tmp_path: Path) -> None:
    """Unless a task does it in another way."""
    (tmp_path / "a.csv").write_text("text,label\na,x\nb,y\n")
    source = LabeledSource((tmp_path / "a.csv",))
    assert len(Classification.read_inputs(source, ClassifyOptions()).rows) == 2
    assert Classification.read_inputs(source, ClassifyOptions()) == Classification.read(source, ClassifyOptions())


def test_what_a_task_does_not_do(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a O\n")
    assert not Answering.is_labeled_file(tmp_path / "a.txt")
    for kind in (Tagging, Answering):
        with pytest.raises(ValueError, match=f"no built-in data for this task: give --train FILE .*finetune {kind.command} "):
            kind.built_in()
