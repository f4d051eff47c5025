"""A classification task: its settings, the rows that it accepts, and its predictions and results."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minibert.model import BertConfig
from minibert.text.corpus import Document
from minibert.text.labeled.findings import LabeledData, LabeledDataError
from minibert.text.labeled.options import LabeledSource, TableColumns
from minibert.text.labeled.text_rows import TextRow
from minibert.text.module_families import MODULE_FAMILIES
from minibert.text.options import MIN_LENGTH
from minibert.training import classification
from minibert.training.classification import Classification
from minibert.training.finetuning_options import ClassifyOptions
from minibert.training.task_type import TaskData

SINGLE = Classification(("bad", "good"), pairs=False)
PAIR = replace(SINGLE, pairs=True)
SEVERAL = Classification(("red", "round", "soft"), "multi_label_classification")
NUMBER = Classification(("score",), "regression")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": ("a", "b"), "max_length": 2}, "max_length 2: must be at least"),
        ({"labels": ("a", "b"), "problem_type": "regression"}, "a regression predicts one number, not 2: a, b"),
        ({"labels": ("a", "b"), "positive_class": "c"}, "the positive class 'c' is not one of a, b"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Classification(**settings)


def test_a_length_has_room_for_two_texts() -> None:
    """And no more is asked for."""
    assert Classification(("a", "b"), max_length=MIN_LENGTH).max_length == MIN_LENGTH
    with pytest.raises(ValueError, match="must be at least"):
        Classification(("a", "b"), max_length=MIN_LENGTH - 1)


def test_the_second_of_two_classes_is_positive_unless_another_is_named() -> None:
    assert (SINGLE.positive, replace(SINGLE, positive_class="bad").positive, SEVERAL.positive) == ("good", "bad", None)


def test_a_model_without_a_task_file_has_the_type_of_its_config() -> None:
    config = BertConfig(vocab_size=10, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    assert Classification.of_model(config.with_labels(["score"])).problem_type == "regression"
    two = Classification.of_model(config.with_labels(["a", "b"]))
    assert (two.labels, two.problem_type, two.max_length) == (("a", "b"), "single_label_classification", 512)
    several = replace(config.with_labels(["a", "b"]), problem_type="multi_label_classification")
    assert Classification.of_model(several).problem_type == "multi_label_classification"


@pytest.mark.parametrize("task", [SINGLE, SEVERAL, NUMBER])
def test_the_config_of_a_model_says_what_it_is_for(task: Classification) -> None:
    """Whatever the model to begin with was for."""
    start = BertConfig(vocab_size=10, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    for config in (start, replace(start, problem_type="regression")):
        found = task.model_config(config)
        assert ((*found.id2label.values(),), found.problem_type) == (task.labels, task.problem_type)


def test_notes_are_sentences() -> None:
    """Where the order of the classes is not known, nothing is said about it."""
    rows, numbers = ([TextRow("a", None, one), TextRow("b", None, other)] for one, other in ("xy", "01"))
    config = BertConfig(vocab_size=10, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    for found, start in ((rows, config), (rows, config.with_labels(["y", "x"])), (numbers, config.with_labels(["y", "x"]))):
        data = TaskData(LabeledData(found), LabeledData(found))
        inferred = Classification.from_data(data, ClassifyOptions(), start)
        assert all(inferred.notes)
        assert any(finding.is_error for finding in inferred.findings) == (found is numbers)


def test_texts_of_the_built_in_validation_data_are_of_other_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are as many of each class as its limit allows, the same every time."""
    modules = [f"{packages[0]}.m{number}" for packages in MODULE_FAMILIES.values() for number in range(20)]
    documents = [Document(module, (f"{module} {part}", "more"), module) for module in modules for part in range(2)]
    monkeypatch.setattr(classification, "builtin_corpus", lambda: SimpleNamespace(documents=documents))
    monkeypatch.setattr(classification, "BUILT_IN_TRAIN_LIMIT", 7)
    monkeypatch.setattr(classification, "BUILT_IN_VALIDATION_LIMIT", 1)
    train, validation = Classification.built_in()
    for data, count in ((train, 7), (validation, 1)):
        assert Counter(row.label for row in data.rows) == dict.fromkeys(MODULE_FAMILIES, count)
    assert validation.name == f"{train.name} (other modules)"
    assert not {row.text.split()[0] for row in train.rows} & {row.text.split()[0] for row in validation.rows}
    assert Classification.built_in()[0].rows == train.rows


class TestInputs:
    """Inputs of `predict`. The model was trained on pairs, on single texts, or it is not known on which of them."""

    def test_columns_of_a_table(self) -> None:
        columns = TableColumns()
        assert SINGLE.input_columns(["text", "more"], TableColumns(text_column="text"), "t.tsv") == {"text": "text"}
        both = {"text": "premise", "pair": "hypothesis"}
        assert PAIR.input_columns(["premise", "hypothesis"], columns, "t.tsv") == both
        assert replace(SINGLE, pairs=None).input_columns(["premise", "hypothesis"], columns, "t.tsv") == both
        with pytest.raises(ValueError, match=r"t.tsv: has one text, but the model was trained on pairs \(column 'text'\)"):
            PAIR.input_columns(["text"], columns, "t.tsv")
        message = r"has a second text, .* single texts \(columns 'premise' and 'hypothesis'\); choose with --text-column"
        with pytest.raises(ValueError, match=message):
            SINGLE.input_columns(["premise", "hypothesis"], columns, "t.tsv")

    def test_a_repaired_copy_has_the_columns_and_the_labels_of_the_options(self, tmp_path: Path) -> None:
        source, target = tmp_path / "a.csv", tmp_path / "b.csv"
        source.write_text("review,tags\r\nfine,x|y\r\n")
        options = ClassifyOptions(table=TableColumns(text_column="review", label_column="tags"), multi_label=True)
        Classification.write_repaired(LabeledSource((source,)), options, target)
        assert target.read_text() == "review,tags\nfine,x|y\n"

    def test_faults_of_a_row(self) -> None:
        one, two = TextRow("a"), TextRow("a", "b")
        assert (SINGLE.input_fault(one), PAIR.input_fault(two)) == ("", "")
        assert SINGLE.input_fault(two) == "has a second text, but the model was trained on single texts"
        assert PAIR.input_fault(one) == "has one text, but the model was trained on pairs"

    def test_values_of_a_row(self) -> None:
        first, second = Classification.input_fields
        assert Classification.input_row({first: "a"}) == TextRow("a")
        assert Classification.input_row({first: "a", second: None}) == TextRow("a")
        assert Classification.input_row({first: "a", second: "b"}) == TextRow("a", "b")
        for wrong, message in (({first: None}, f"the '{first}' is null"), ({first: "a", second: 3}, second), ({}, first)):
            with pytest.raises(ValueError, match=message):
                Classification.input_row(wrong)


class TestDataToScore:
    def test_labels_keep_the_order_of_the_model(self) -> None:
        scored = SINGLE.to_score(LabeledData([TextRow("a", label="good"), TextRow("b", label="bad")], name="t.tsv"))
        assert [row.label for row in scored.rows] == ["good", "bad"]
        assert [SINGLE.target(row) for row in scored.rows] == [1, 0]

    def test_a_note_says_which_labels_got_other_names(self) -> None:
        """It comes after the notes that are there."""
        data = LabeledData([TextRow("a", label="GOOD"), TextRow("b", label="bad")], name="t.tsv", notes=["read"])
        scored = SINGLE.to_score(data)
        assert [row.label for row in scored.rows] == ["good", "bad"]
        assert scored.notes[0] == "read"
        assert scored.notes[1].startswith("labels of the model: ")
        assert SINGLE.to_score(replace(data, rows=[TextRow("a", label="good")])).notes == ["read"]

    def test_a_single_label_is_a_set_of_one(self) -> None:
        rows = [TextRow("a", label=("red", "soft")), TextRow("b", label="round")]
        scored = SEVERAL.to_score(LabeledData(rows, name="t.tsv"))
        assert scored.rows[1].label == ("round",)
        assert [SEVERAL.target(row) for row in scored.rows] == [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]

    def test_numbers_stay(self) -> None:
        scored = NUMBER.to_score(LabeledData([TextRow("a", label="1.5"), TextRow("b", label="2.0")], name="t.tsv"))
        assert [NUMBER.target(row) for row in scored.rows] == [[1.5], [2.0]]
        assert math.isnan(NUMBER.target(TextRow("a"))[0])  # type: ignore[index]

    def test_text_that_is_no_number_is_found(self) -> None:
        assert NUMBER.to_score(LabeledData([TextRow("a", label="x", line=3)], name="t.tsv")).findings

    def test_texts_of_another_kind_are_refused_with_the_option_that_helps(self) -> None:
        with pytest.raises(LabeledDataError, match=r"t.tsv: has a second text.*; name the column with --text-column"):
            SINGLE.to_score(LabeledData([TextRow("a", "b", label="good")], name="t.tsv"))
        with pytest.raises(LabeledDataError, match=r"t.tsv: has one text.*; name the second column with --pair-column"):
            PAIR.to_score(LabeledData([TextRow("a", label="good")], name="t.tsv"))

    def test_the_options_for_reading_are_those_of_the_task(self) -> None:
        kinds = [(each.multi_label, each.regression) for each in (t.reading_options for t in (SINGLE, SEVERAL, NUMBER))]
        assert kinds == [(False, False), (True, False), (False, True)]

    def test_a_regression_has_no_strata(self) -> None:
        row = TextRow("a", label="1")
        assert (SINGLE.stratum(row), NUMBER.stratum(row)) == ("1", None)


class TestPredictions:
    def predict(self, task_type: Classification, *logits: list[float]) -> list[dict[str, Any]]:
        return task_type.predict([], [], [np.array(each) for each in logits])

    def test_the_class_of_the_largest_logit(self) -> None:
        [prediction] = self.predict(SINGLE, [0.0, math.log(3)])
        assert prediction["label"] == "good"
        assert prediction["score"] == pytest.approx(0.75)
        assert prediction["scores"] == pytest.approx({"bad": 0.25, "good": 0.75})

    def test_all_classes_above_one_half(self) -> None:
        """One half itself is no prediction, as the logit 0 is none in the loss."""
        [prediction] = self.predict(SEVERAL, [0.0, math.log(3), -math.log(3)])
        assert prediction["labels"] == ["round"]
        assert prediction["scores"] == pytest.approx({"red": 0.5, "round": 0.75, "soft": 0.25})

    def test_the_number_itself(self) -> None:
        assert self.predict(NUMBER, [1.5]) == [{"score": 1.5}]

    def test_results_are_those_of_the_type(self) -> None:
        rows = [TextRow("a", label="good"), TextRow("b", label="bad")]
        assert SINGLE.results(rows, self.predict(SINGLE, [0.0, 9.0], [0.0, 9.0])).values["accuracy"] == 0.5
        sets = [replace(row, label=label) for row, label in zip(rows, (("red",), ("round",)), strict=True)]
        outcomes = SEVERAL.results(sets, self.predict(SEVERAL, [9.0, -9, -9], [9.0, -9, -9])).outcomes
        assert [outcome.is_correct for outcome in outcomes] == [True, False]
        numbers = [TextRow("a", label="1"), TextRow("b", label="2")]
        assert NUMBER.results(numbers, self.predict(NUMBER, [2.0], [4.0])).values["pearson"] == pytest.approx(1.0)
