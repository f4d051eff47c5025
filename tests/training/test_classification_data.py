"""Labeled data of a classification task: the type of the problem, the labels and their order, and faults in both files."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from minibert.model import BertConfig
from minibert.text.labeled.options import LabeledDataOptions, TableColumns
from minibert.text.labeled.text_rows import TextRow
from minibert.training.classification import Classification
from minibert.training.finetuning_data import check_data
from minibert.training.finetuning_options import ClassifyOptions
from minibert.training.task_type import Inferred, TaskData

START = BertConfig(vocab_size=10, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)


def check(
    folder: Path, train: str, validation: str = "", start: BertConfig = START, drop: bool = False, **options: Any
) -> Inferred[TextRow]:
    """Check a training file and a validation file, each given as lines of text and label with a comma between them."""
    files = []
    for name, lines in (("train.tsv", train), ("validation.tsv", validation)):
        if lines:
            rows = [line.replace(",", "\t", 1) for line in lines.split()]
            (folder / name).write_text("\n".join(["text\tlabel", *rows]) + "\n")
            files.append((folder / name,))
    data = LabeledDataOptions(*files, drop_shared=drop)
    return check_data(Classification, data, ClassifyOptions(**options), start)


def labels(data: TaskData[Any]) -> tuple[list[Any], list[Any]]:
    return [row.label for row in data.train.rows], [row.label for row in data.validation.rows]


def test_classes_are_in_order_and_described(tmp_path: Path) -> None:
    checked = check(tmp_path, "a,10 b,9 c,10 d,9", "e,9 f,10")
    assert checked.type.labels == ("9", "10")
    assert checked.type.problem_type == "single_label_classification"
    assert any("one class for each text (2 different labels" in note for note in checked.notes)
    assert "labels: '9', '10'" in checked.notes
    assert checked.findings == []


def test_the_length_is_at_most_that_of_the_model(tmp_path: Path) -> None:
    short = replace(START, max_position_embeddings=32)
    assert check(tmp_path, "a,x b,y", max_length=40).type.max_length == 40
    assert check(tmp_path, "a,x b,y", start=short, max_length=40).type.max_length == 32
    assert check(tmp_path, "a,x b,y", start=short, max_length=20).type.max_length == 20


def test_labels_from_1_to_k_are_classes(tmp_path: Path) -> None:
    checked = check(tmp_path, "a,1 b,2 c,3 d,1 e,2 f,3", "g,2")
    assert checked.type.labels == ("1", "2", "3")
    assert [checked.type.target(row) for row in checked.data.train.rows] == [0, 1, 2, 0, 1, 2]


def test_scores_are_a_regression(tmp_path: Path) -> None:
    checked = check(tmp_path, "a,4.5 b,0.25 c,5.0", "d,1.5 e,good")
    assert checked.type.problem_type == "regression"
    assert len(checked.type.labels) == 1
    [error] = [finding for finding in checked.findings if finding.is_error]
    assert (Path(error.file).name, error.line) == ("validation.tsv", 3)
    assert check(tmp_path, "a,1 b,2", regression=True).type.problem_type == "regression"


def test_several_labels(tmp_path: Path) -> None:
    checked = check(tmp_path, "a,x,y b,x c, d,y", "e,y f,z", multi_label=True)
    assert checked.type.problem_type == "multi_label_classification"
    assert checked.type.labels == ("x", "y")
    assert labels(checked.data) == ([("x", "y"), ("x",), (), ("y",)], [("y",), ("z",)])
    assert any("'z' is not in the training data" in finding.message for finding in checked.findings)


def test_a_label_that_is_only_in_the_validation_data_stays_and_gives_no_target(tmp_path: Path) -> None:
    checked = check(tmp_path, "a,x b,y c,x d,y", "e,z f,x")
    [finding] = checked.findings
    assert not finding.is_error
    assert "'z' is not in the training data; predictions for it count as wrong (1 rows)" in finding.message
    assert labels(checked.data)[1] == ["z", "x"]
    assert checked.type.labels == ("x", "y")


def test_labels_of_the_checkpoint_keep_their_order_and_names(tmp_path: Path) -> None:
    start = START.with_labels(["NEUTRAL", "POSITIVE", "NEGATIVE"])
    checked = check(tmp_path, "a,positive b,negative c,neutral d,positive e,negative f,neutral", "g,neutral h,positive", start)
    assert checked.type.labels == ("NEUTRAL", "POSITIVE", "NEGATIVE")
    assert labels(checked.data)[1] == ["NEUTRAL", "POSITIVE"]
    assert checked.findings == []
    assert any("in the order of the checkpoint" in note for note in checked.notes)


def test_numbers_are_not_matched_with_the_names_of_the_checkpoint(tmp_path: Path) -> None:
    start = START.with_labels(["negative", "positive"])
    [error] = check(tmp_path, "a,0 b,1 c,0 d,1", "e,0 f,1", start).findings
    assert error.is_error
    assert "'negative', 'positive'" in error.message
    assert "--label-names 0=NAME,1=NAME" in error.message
    named = check(tmp_path, "a,0 b,1 c,0 d,1", "e,0 f,1", start, table=TableColumns(label_names="1=negative,0=positive"))
    assert named.findings == []
    assert named.type.labels == ("negative", "positive")
    assert labels(named.data)[1] == ["positive", "negative"]


def test_the_problem_type_of_the_checkpoint_is_obeyed_if_the_labels_agree(tmp_path: Path) -> None:
    scores = replace(START.with_labels(["score"]), problem_type="regression")
    checked = check(tmp_path, "a,1 b,2 c,1 d,2", "e,1", scores)
    assert checked.type.problem_type == "regression"
    assert any("problem_type of the checkpoint" in note for note in checked.notes)
    assert check(tmp_path, "a,x b,y c,x d,y", "e,x", scores).type.labels == ("x", "y")
    several = replace(START.with_labels(["x", "y"]), problem_type="multi_label_classification")
    checked = check(tmp_path, "a,x b,y c,x d,y", "e,x", several)
    assert checked.type.problem_type == "multi_label_classification"
    assert labels(checked.data) == ([("x",), ("y",), ("x",), ("y",)], [("x",)])
    classes = replace(START.with_labels(["x", "y"]), problem_type="single_label_classification")
    assert check(tmp_path, "a,1.5 b,2.5", "e,1.5", classes).type.problem_type == "regression"


def test_rows_in_both_files_are_found_or_dropped(tmp_path: Path) -> None:
    train, validation = "a,x b,y c,x d,y e,x", "a,x f,y b,x"
    [finding] = check(tmp_path, train, validation).findings
    assert "2 of 3 rows are also in the training data" in finding.message
    checked = check(tmp_path, train, validation, drop=True)
    assert [row.text for row in checked.data.train.rows] == ["c", "d", "e"]
    assert "2 rows are also in the validation data; they were left out" in checked.findings[0].message
    assert not checked.findings[0].is_error
    assert check(tmp_path, "a,x b,y", "a,x b,y c,x", drop=True).findings[0].is_error


def test_the_training_file_as_validation_file_is_an_error(tmp_path: Path) -> None:
    [finding] = check(tmp_path, "a,x b,y c,x d,y", "a,x b,y c,x d,y").findings
    assert finding.is_error


def test_a_file_with_one_class_is_an_error(tmp_path: Path) -> None:
    assert any(finding.is_error for finding in check(tmp_path, "a,x b,x", "c,x").findings)


@pytest.mark.parametrize("options", [{}, {"multi_label": True}, {"regression": True}])
def test_a_file_without_a_usable_row_gives_errors_and_no_exception(tmp_path: Path, options: dict[str, bool]) -> None:
    checked = check(tmp_path, "a b c", "d,1", **options)
    assert any(finding.is_error for finding in checked.findings)


def test_pairs_and_single_texts_in_one_task_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("sentence1\tsentence2\tlabel\na\tb\tx\nc\td\ty\n")
    (tmp_path / "validation.tsv").write_text("text\tlabel\na\tx\nb\ty\n")
    data = LabeledDataOptions((tmp_path / "train.tsv",), (tmp_path / "validation.tsv",))
    [error] = [finding for finding in check_data(Classification, data, ClassifyOptions(), START).findings if finding.is_error]
    assert (Path(error.file).name, error.line) == ("validation.tsv", 2)
    assert "has one text, where other rows have pairs" in error.message


@pytest.mark.parametrize("count", [2, 3, 10, 40])
def test_a_tenth_of_the_texts_but_at_least_one_is_held_out_and_equal_texts_stay_together(tmp_path: Path, count: int) -> None:
    data = check(tmp_path, " ".join(f"t{number % count},{number % 2}" for number in range(2 * count))).data
    train, validation = ({row.text for row in part.rows} for part in (data.train, data.validation))
    assert not train & validation
    assert (len(train), len(validation)) == (count - max(1, count // 10), max(1, count // 10))
