"""Rows that occur twice: in one file, or in the training and the validation data."""

from dataclasses import replace

import pytest

from minibert.text.labeled.duplicates import drop_shared, find_duplicates, find_shared, text_key
from minibert.text.labeled.findings import LabeledData
from minibert.text.labeled.tables import row_key
from minibert.text.labeled.text_rows import TextRow


def data(*texts: str, name: str = "train.tsv", label: str = "a", digest: str = "") -> LabeledData[TextRow]:
    rows = [TextRow(text, label=label, line=line, file=name) for line, text in enumerate(texts, start=2)]
    return LabeledData(rows, name=name, digest=digest)


def test_equal_texts_may_differ_in_blanks_and_in_the_form_of_accents() -> None:
    assert text_key(" a  caf\u00e9\u00a0\n") == text_key("a cafe\u0301")
    assert text_key("a") != text_key("A")


def test_the_texts_of_a_pair_have_an_order_and_a_boundary() -> None:
    assert row_key(TextRow("a", "b")) != row_key(TextRow("b", "a"))
    assert row_key(TextRow("a b", "c")) != row_key(TextRow("a", "b c"))
    assert row_key(TextRow(" a  b", "c ")) == row_key(TextRow("a b", "c"))


def test_repeated_rows_are_counted_and_contradictions_are_listed() -> None:
    rows = data("x", "y", "x", "x", "y").rows
    rows[4] = replace(rows[4], label="b")
    found = find_duplicates(rows, row_key, lambda row: row.label)
    assert [str(finding) for finding in found] == [
        "train.tsv, line 6: has the label 'b', but the same text has 'a' in line 3; correct one of them, or delete both",
        "train.tsv, line 4: has the text and the label of line 2 (2 such rows)",
    ]
    assert not any(finding.is_error or finding.is_repaired for finding in found)


def test_rows_of_other_files_are_named_with_their_file() -> None:
    rows = [*data("x").rows, *data("x", name="b.tsv").rows]
    [finding] = find_duplicates(rows, row_key, lambda row: row.label)
    assert str(finding) == "b.tsv, line 2: has the text and the label of train.tsv, line 2"


def test_rows_that_are_in_both_files_are_found_and_dropped_from_the_training_data() -> None:
    """Whatever their labels are."""
    train, validation = data("x", "y", "z"), data("v", "z", "x", name="v.tsv", label="b")
    [finding] = find_shared(train, validation, row_key)
    assert (finding.file, finding.is_error) == ("v.tsv", False)
    assert "2 of 3 rows are also in the training data: lines 3 (train.tsv, line 4), 4 (train.tsv, line 2)" in finding.message
    assert "--drop-shared" in finding.message
    assert [row.text for row in drop_shared(train, validation, row_key)] == ["y"]
    assert find_shared(train, data("v", name="v.tsv"), row_key) == []


@pytest.mark.parametrize(("count", "more"), [(1, ""), (5, ""), (6, " and 1 more"), (8, " and 3 more")])
def test_the_first_rows_that_are_in_both_files_are_listed(count: int, more: str) -> None:
    texts = "abcdefgh"[:count]
    [finding] = find_shared(data(*texts), data("z", *texts, name="v.tsv"), row_key)
    listed = ", ".join(f"{line + 1} (train.tsv, line {line})" for line in range(2, 2 + min(count, 5)))
    share = f"{count} of {count + 1} rows are also in the training data"
    assert finding.message == f"{share}: lines {listed}{more}; --drop-shared leaves them out of the training data"


def test_the_training_data_given_as_validation_data_are_an_error() -> None:
    """Also under another name, in another format, or in another order."""
    [finding] = find_shared(data("x", "y"), data("y", "x", name="copy.csv"), row_key)
    assert finding.is_error
    assert "the same rows as the training data train.tsv" in finding.message
