"""Labels of single records, without a file."""

from typing import Any

import pytest

from minibert.text.labeled.finding_log import FindingLog
from minibert.text.labeled.label_reader import LabelReader
from minibert.text.labeled.label_values import Label, LabelError
from minibert.text.labeled.options import TableColumns
from minibert.text.labeled.text_rows import TextRow
from minibert.text.table import Record


def reader(*columns: str, multi_label: bool = False, **options: str) -> LabelReader:
    columns = columns or ("label",)
    return LabelReader(columns, dict.fromkeys(columns), TableColumns(**options), multi_label, FindingLog("data.jsonl"))


@pytest.mark.parametrize(
    ("value", "label"),
    [("a, b", ("a", "b")), (["a", "b"], ("a", "b")), (["a, b"], ("a, b",)), (1, ("1",)), (True, ("true",)), ("", ()), ([], ())],
)
def test_a_value_of_any_type_gives_several_labels(value: Any, label: Label) -> None:
    """Only in text there are separators."""
    assert reader(multi_label=True).read(Record(1, {"label": value})) == label


def test_a_list_with_text_in_it_has_names() -> None:
    """A list of numbers and Boolean values may have one for each class."""
    assert reader().read(Record(1, {"label": ["0", "1", "0"]})) == ("0", "1")
    assert reader().read(Record(1, {"label": [0, 1, "0"]})) == ("0", "1")
    with pytest.raises(LabelError, match="a list with 0 or 1 for each class"):
        reader().read(Record(1, {"label": [0, 1, 0]}))


@pytest.mark.parametrize("yes", [1, 1.0, True, "1", "1.0", "true", "TRUE", " 1 "])
@pytest.mark.parametrize("no", [0, 0.0, False, "0", "0.0", "false", "False"])
def test_a_column_for_each_class_has_truth_values(yes: Any, no: Any) -> None:
    assert reader("a", "b", "c").read(Record(1, {"a": yes, "b": no, "c": yes})) == ("a", "c")


@pytest.mark.parametrize("columns", [("label",), ("label", "other")])
def test_a_record_without_a_column_of_labels(columns: tuple[str, ...]) -> None:
    message = "^has no column 'label', which contains the label; its columns: 'text', 'id'$"
    with pytest.raises(LabelError, match=message):
        reader(*columns).read(Record(1, {"text": "x", "id": 7}))


def finish(reader: LabelReader, *labels: Label) -> list[str]:
    """Return the messages about labels of rows, with their lines."""
    reader.finish([TextRow("x", label=label, line=line) for line, label in enumerate(labels, start=1)])
    return [str(finding).removeprefix("data.jsonl, ") for finding in reader.log.findings]


def test_every_label_without_a_given_name_is_an_error() -> None:
    """Also the first one, and several of one text, in their order."""
    names = "fedcbazyxwvu"
    messages = finish(reader(multi_label=True, label_names="1=good"), (*names, "1"), ("good",))
    assert messages == [f"line 1: has the label {name!r}, which has no name in --label-names" for name in names]


def test_a_separator_is_right_if_some_texts_have_several_labels() -> None:
    assert finish(reader(multi_label=True), ("a", "b"), ("a|b",)) == []
    assert finish(reader(multi_label=True), ("a",), ("a|b",)) == [
        "line 2: has the label 'a|b', and no text has several; if these are several labels, give --label-separator '|'"
    ]
    assert finish(reader(), "a", "a|b") == []


def test_the_first_label_may_be_a_missing_one_too() -> None:
    advice = "if it stands for a missing label, delete the row"
    assert finish(reader(), "NA", "b") == [f"line 1: the label 'NA' is read as it is; {advice}"]
