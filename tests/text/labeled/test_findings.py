"""Findings: their text, and the refusal of data with errors."""

import pytest

from minibert.text.labeled.findings import ERRORS_LISTED, Finding, LabeledData, LabeledDataError, group_findings, refuse_errors


def test_a_finding_is_one_line_that_names_the_file_and_the_line() -> None:
    assert str(Finding("a.tsv", 3, "is odd")) == "a.tsv, line 3: is odd"
    assert str(Finding("a.parquet", 3, "is odd", unit="row")) == "a.parquet, row 3: is odd"
    assert str(Finding("a.tsv", None, "is odd")) == "a.tsv: is odd"


def test_text_of_a_file_cannot_change_the_display() -> None:
    assert str(Finding("a\x1b[31m.tsv", 1, "label 'x\u2028y'")) == "a\\u001b[31m.tsv, line 1: label 'x\\u2028y'"


def test_the_middle_of_a_long_message_is_left_out() -> None:
    shown = str(Finding("a.tsv", 1, f"the label {'x' * 100_000} is long; choose another column"))
    assert len(shown) < 700
    assert shown.startswith("a.tsv, line 1: the label xxx")
    assert shown.endswith("; choose another column")


def test_data_without_errors_is_not_refused() -> None:
    refuse_errors([Finding("a.tsv", 1, "is odd")])


def test_a_single_error_is_the_message() -> None:
    error = Finding("a.tsv", 7, "has no label", is_error=True)
    data = LabeledData([], [Finding("a.tsv", 1, "is odd"), error])
    assert data.errors == [error]
    with pytest.raises(LabeledDataError, match=r"^a\.tsv, line 7: has no label$"):
        refuse_errors(data.findings)


def test_the_first_of_many_errors_are_listed_and_the_others_counted() -> None:
    errors = [Finding("a.tsv", line, f"has label {line}", is_error=True) for line in range(1, ERRORS_LISTED + 4)]
    with pytest.raises(LabeledDataError) as caught:
        refuse_errors(errors)
    lines = str(caught.value).splitlines()
    assert len(lines) == ERRORS_LISTED + 2
    assert lines[ERRORS_LISTED] == f"  {errors[ERRORS_LISTED - 1]}"
    assert "3 more" in lines[-1]
    assert "--check" in lines[-1]


def test_findings_that_differ_in_their_line_alone_are_one() -> None:
    """The file, the message, the kind and the unit make a difference."""
    same = [Finding("a.tsv", line, "has no label", is_error=True) for line in range(10, 22)]
    others = [
        Finding("b.tsv", 5, "has no label", is_error=True),
        Finding("a.tsv", 6, "has no label"),
        Finding("a.tsv", None, "x"),
    ]
    grouped = group_findings([same[0], *others, *same[1:]])
    assert [*map(str, grouped)] == [
        "a.tsv, line 10: has no label (also in 11 lines: 11, 12, 13, 14, 15, …)",
        *map(str, others),
    ]
    assert grouped[0].is_error
    assert not grouped[2].is_error


@pytest.mark.parametrize(
    ("count", "also"),
    [
        (1, ""),
        (2, " (also in line 2)"),
        (3, " (also in 2 lines: 2, 3)"),
        (6, " (also in 5 lines: 2, 3, 4, 5, 6)"),
        (7, " (also in 6 lines: 2, 3, 4, 5, 6, …)"),
    ],
)
def test_up_to_five_further_lines_are_named(count: int, also: str) -> None:
    [finding] = group_findings(Finding("a.tsv", line, "is odd") for line in range(1, count + 1))
    assert str(finding) == f"a.tsv, line 1: is odd{also}"


def test_equal_errors_are_counted_one_by_one_and_listed_once() -> None:
    errors = [Finding("a.tsv", line, "has no label", is_error=True) for line in (3, 4, 9)]
    with pytest.raises(LabeledDataError) as caught:
        refuse_errors(errors)
    expected = "the labeled data has 3 errors:\n  a.tsv, line 3: has no label (also in 2 lines: 4, 9)"
    assert str(caught.value) == expected
