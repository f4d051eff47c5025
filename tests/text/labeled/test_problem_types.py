"""The type of a problem, inferred from the labels and described; a type that is not clear is an error."""

import re
from collections.abc import Sequence

import pytest

from minibert.text.labeled.problem_types import ProblemType, infer_problem
from minibert.text.labeled.text_rows import TextRow

CLASSES, SEVERAL, NUMBER = "single_label_classification", "multi_label_classification", "regression"


def rows(labels: Sequence[str | tuple[str, ...]]) -> list[TextRow]:
    return [TextRow("x", label=label, line=line, file="a.tsv") for line, label in enumerate(labels, start=2)]


@pytest.mark.parametrize(
    ("labels", "problem", "reason"),
    [
        (["a", "b", "a"], CLASSES, "2 different labels: 'a', 'b'"),
        (["0", "1", "1"], CLASSES, "2 different labels: '0', '1'"),
        (["1", "2", "3"], CLASSES, "3 different labels: .*unless --regression is given"),
        (["007", "008"], CLASSES, "2 different labels"),
        (["5.000", "3.800", "4"], NUMBER, "labels are numbers with a fraction, such as '5.000' in line 2"),
        (["0.5", "1", "0"], NUMBER, "such as '0.5' in line 2"),
        (["-1.5", "1e-3"], NUMBER, "numbers with a fraction"),
        ([("a",), ("a", "b"), ()], SEVERAL, "labels are lists"),
        ([("a",), ("b",)], SEVERAL, "labels are lists"),
        (["v1.5", "v2.0"], CLASSES, "2 different labels"),
        (["NA", "None"], CLASSES, "2 different labels"),
    ],
)
def test_inferred_types_with_their_reasons(labels: list, problem: str, reason: str) -> None:
    inferred = infer_problem(rows(labels))
    assert inferred.problem_type == problem
    assert re.search(reason, inferred.reason)
    assert not any(finding.is_error for finding in inferred.findings)


def test_scores_are_not_26_classes() -> None:
    """String scores were once taken for the names of 26 classes."""
    scores = [f"{score / 5:.3f}" for score in range(26)] * 4
    inferred = infer_problem(rows(scores))
    assert inferred.problem_type == NUMBER
    assert not inferred.findings


@pytest.mark.parametrize("wrong", ["n/a", "", "nan", "inf", "4,5", "1_0", "good", "1e999"])
def test_a_label_among_scores_that_is_no_number_is_an_error(wrong: str) -> None:
    inferred = infer_problem(rows(["4.5", "3.25", wrong, "1"]))
    assert inferred.problem_type == NUMBER
    [finding] = inferred.findings
    assert (finding.line, finding.is_error) == (4, True)
    assert repr(wrong) in finding.message


@pytest.mark.parametrize("labels", [["3,8", "4,25", "5"], ["3,10", "7", "2,3,4"]])
def test_numbers_with_commas_are_an_error_that_names_both_meanings(labels: list[str]) -> None:
    """A decimal comma, or several labels."""
    [finding] = infer_problem(rows(labels)).findings
    assert finding.is_error
    assert "--multi-label" in finding.message
    assert "decimal point" in finding.message


@pytest.mark.parametrize("labels", [["a", "b", "b|a"], ["a", "b", "a; b"]])
def test_labels_that_seem_to_be_several(labels: list[str]) -> None:
    findings = infer_problem(rows(labels)).findings
    assert [(finding.line, finding.is_error) for finding in findings] == [(4, False)]
    assert "--multi-label" in findings[0].message


@pytest.mark.parametrize(
    "labels", [["4.5 stars", "3 stars"], ["45.2%", "50%"], ["4,5 °C", "3 °C"], ["$4.50", "$3"], ["4.5/5", "3/5"]]
)
def test_scores_with_units_are_unusual_classes(labels: list[str]) -> None:
    [finding] = infer_problem(rows(labels)).findings
    assert "--regression" in finding.message
    assert not infer_problem(rows(["5 stars", "4 stars"])).findings


@pytest.mark.parametrize("missing", ["NaN", "inf", "-Infinity", "1e999", "NA", "#N/A"])
def test_labels_that_may_be_missing_do_not_decide_the_type(missing: str) -> None:
    """Three of five labels are no numbers, and each is an error."""
    inferred = infer_problem(rows(["4.5", missing, missing, missing, "3.25"]))
    assert inferred.problem_type == NUMBER
    assert [finding.line for finding in inferred.findings if finding.is_error] == [3, 4, 5]


@pytest.mark.parametrize("labels", [["pos", "neg", "1", "0"], ["1", "0", "true", "false"]])
def test_numbers_among_names_are_unusual_classes(labels: list[str]) -> None:
    [finding] = infer_problem(rows(labels)).findings
    assert (finding.line, finding.is_error) == (4, False)
    assert "some labels are numbers and others are not" in finding.message


def test_scores_that_are_all_equal_are_unusual() -> None:
    [finding] = infer_problem(rows(["4.5", "4.50"])).findings
    assert str(finding) == "a.tsv, line 2: all rows have the number 4.5; there is nothing to learn from them"
    assert not infer_problem(rows(["4.5"])).findings


def test_a_column_with_a_label_of_its_own_for_each_row_is_unusual() -> None:
    [finding] = infer_problem(rows([f"id{number}" for number in range(50)])).findings
    assert "there are 50 different labels in 50 rows" in finding.message
    assert not infer_problem(rows(["a", "b", "c"])).findings


@pytest.mark.parametrize(
    ("labels", "given", "errors"),
    [
        (["1", "2"], NUMBER, 0),
        (["1", "two"], NUMBER, 1),
        ([("a",), ("b",)], NUMBER, 2),
        ([("a",), ("b",)], CLASSES, 2),
        (["0.5", "1.5"], CLASSES, 0),
        (["3,8", "4,25"], CLASSES, 0),
        ([("a",), "b"], SEVERAL, 1),
    ],
)
def test_labels_that_do_not_agree_with_a_given_type_are_errors(labels: list, given: ProblemType, errors: int) -> None:
    inferred = infer_problem(rows(labels), given, "--option")
    assert inferred.problem_type == given
    assert "--option" in inferred.reason
    assert sum(finding.is_error for finding in inferred.findings) == errors
