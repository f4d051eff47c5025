"""Tables of labeled texts: every format and source gives the same rows."""

import json
import os
from pathlib import Path

import datasets
import pyarrow
import pytest
from pyarrow import parquet

from minibert.text.labeled.options import LabeledSource, TableColumns
from minibert.text.labeled.tables import read_table
from minibert.text.options import InvalidOption
from tests.text.labeled.table_files import FORMATS, ROWS, cells, first_line, read, write

DATA = Path(os.environ.get("MINIBERT_DATA", ""), "data")
real_data = pytest.mark.skipif(not os.environ.get("MINIBERT_DATA"), reason="MINIBERT_DATA is not set")


@pytest.mark.parametrize("kind", [*FORMATS, *(f"{kind}.gz" for kind in FORMATS)])
def test_every_format_gives_the_same_rows(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind, ROWS)
    data = read(path)
    assert cells(data) == ROWS
    assert data.findings == []
    assert [row.line for row in data.rows] == [*range(first_line(kind), first_line(kind) + len(ROWS))]
    assert {(row.file, row.unit) for row in data.rows} == {(str(path), "row" if "parquet" in kind else "line")}
    assert data.digest == read(write(tmp_path, ".tsv", ROWS, name="other")).digest
    assert data.name == str(path)
    assert data.notes == [f"{path}: label: column 'label' (known name), text: column 'text' (known name)"]


def test_the_digest_depends_on_texts_and_labels(tmp_path: Path) -> None:
    digests = {
        read(write(tmp_path, ".tsv", rows)).digest
        for rows in (ROWS, ROWS[:-1], [*ROWS[:-1], ["x", "neg"]], [*ROWS[:-1], [ROWS[-1][0], "pos"]], ROWS[::-1])
    }
    assert len(digests) == 5


@pytest.mark.parametrize("kind", FORMATS)
def test_pairs(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind, [[7, "a", "b", "x"], [8, "c", "", "y"]], ["id", "sentence1", "sentence2", "label"])
    assert cells(read(path)) == [["a", "b", "x"], ["c", "", "y"]]
    assert cells(read(path, text_column="sentence2")) == [["b", "x"], ["", "y"]]


@pytest.mark.parametrize("kind", FORMATS)
def test_texts_without_labels(tmp_path: Path, kind: str) -> None:
    """Columns of labels are ignored, whatever is in them. No row is lost, also if its text looks like a header."""
    path = write(tmp_path, kind, [["x", None], ["text", None], ["x", "b"]])
    data = read(path, is_labeled=False)
    assert cells(data) == [["x", None], ["text", None], ["x", None]]
    assert data.findings == []


def test_byte_order_marks_at_the_start_of_a_text_are_removed(tmp_path: Path) -> None:
    """In JSON they are in the text, not at the start of the line."""
    data = read(
        write(tmp_path, ".jsonl", [["\ufeffx", "y\ufeff", "a"], ["u", "\ufeff\ufeffv", "b"]], ["text1", "text2", "label"])
    )
    assert cells(data) == [["x", "y\ufeff", "a"], ["u", "v", "b"]]
    assert [(finding.line, finding.message, finding.is_repaired) for finding in data.findings] == [
        (1, "the 'text1' begins with a byte-order mark; it was removed", True),
        (2, "the 'text2' begins with a byte-order mark; it was removed", True),
    ]


def test_the_name_of_a_single_column_is_a_header_if_it_is_the_first_line(tmp_path: Path) -> None:
    """Also if the column was named with an option. In a later line it is a text."""
    (tmp_path / "data.tsv").write_text("text\none\ntext\n")
    for columns in (None, "text"):
        assert [row.text for row in read(tmp_path / "data.tsv", is_labeled=False, columns=columns).rows] == ["one", "text"]
    (tmp_path / "data.tsv").write_text("text\ntext\none\n")
    assert [row.text for row in read(tmp_path / "data.tsv", is_labeled=False).rows] == ["text", "one"]


def test_a_single_column_of_texts(tmp_path: Path) -> None:
    """pandas writes an empty text in a single column as two quotation marks, so that it is a row."""
    (tmp_path / "data.csv").write_text('text\none\n""\ntext\n')
    assert [row.text for row in read(tmp_path / "data.csv", is_labeled=False).rows] == ["one", "", "text"]


@pytest.mark.parametrize("kind", FORMATS)
def test_labels_that_are_numbers(tmp_path: Path, kind: str) -> None:
    """1, "1" and 1.0 are one label, and so are those of files in which all are written in the same way."""
    assert cells(read(write(tmp_path, kind, [["x", 1], ["y", 0]]))) == [["x", "1"], ["y", "0"]]
    assert cells(read(write(tmp_path, kind, [["x", 1.0], ["y", 0.0]]))) == [["x", "1"], ["y", "0"]]
    data = read(write(tmp_path, kind, [["x", "1.0"], ["y", "0"], ["z", "1"]]))
    assert cells(data) == [["x", "1"], ["y", "0"], ["z", "1"]]
    [finding] = data.findings
    assert (finding.line, finding.is_repaired) == (first_line(kind), True)
    assert finding.message == "the label '1.0' is read as '1'"


def test_scores_are_as_they_are_written(tmp_path: Path) -> None:
    data = read(write(tmp_path, ".tsv", [["x", "5.000"], ["y", "3.80"]]))
    assert cells(data) == [["x", "5.000"], ["y", "3.80"]]
    assert data.findings == []


def test_labels_in_lists_and_in_one_cell(tmp_path: Path) -> None:
    rows = [["x", ["a", "b"]], ["y", []], ["z", ["b"]]]
    expected = [["x", ("a", "b")], ["y", ()], ["z", ("b",)]]
    for kind in (".jsonl", ".parquet"):
        assert cells(read(write(tmp_path, kind, rows))) == expected
        assert cells(read(write(tmp_path, kind, rows), multi_label=True)) == expected
    for kind in (".tsv", ".csv"):
        for mark in ",;| ":
            path = write(tmp_path, kind, [[text, mark.join(labels)] for text, labels in rows])
            data = read(path, multi_label=True, label_separator=mark)
            assert cells(data) == expected
            assert [finding.message for finding in data.findings] == [
                "has no labels; it is read as a text of none of the classes"
            ]


def test_labels_with_another_separator_are_an_error(tmp_path: Path) -> None:
    data = read(write(tmp_path, ".tsv", [["x", "a|b"], ["y", "a"]]), multi_label=True)
    [error] = data.errors
    assert error.line == 2
    assert "--label-separator '|'" in error.message
    [error] = read(write(tmp_path, ".tsv", [["x", "a b"], ["y", "a"], ["z", "b"]]), multi_label=True).errors
    assert "--label-separator ' '" in error.message
    assert not read(write(tmp_path, ".tsv", [["x", "a b"], ["y", "a"], ["z", "c"]]), multi_label=True).errors


def test_a_column_for_each_class(tmp_path: Path) -> None:
    """The toxic comments of Jigsaw have six."""
    names = ["id", "comment_text", "toxic", "insult", "threat"]
    for kind in FORMATS:
        path = write(tmp_path, kind, [["1", "x", 1, 0, 1.0], ["2", "y", 0, 0, 0.0]], names)
        assert cells(read(path, label_column="toxic,insult,threat")) == [["x", ("toxic", "threat")], ["y", ()]]
    data = read(write(tmp_path, ".tsv", [["1", "x", 2, 0, ""]], names), label_column="toxic,insult,threat")
    assert "has '2' in the column 'toxic', which must contain 0 or 1" in data.errors[0].message


def test_names_of_labels(tmp_path: Path) -> None:
    data = read(write(tmp_path, ".tsv", [["x", "1.0"], ["y", "0"], ["z", "2"]]), label_names="0=negative, 1=positive")
    assert cells(data)[:2] == [["x", "positive"], ["y", "negative"]]
    assert [error.message for error in data.errors] == ["has the label '2', which has no name in --label-names"]
    for wrong in ("0", "0=", "=x", "0=a,1"):
        with pytest.raises(InvalidOption, match="label_names"):
            TableColumns(label_names=wrong)


def test_several_files(tmp_path: Path) -> None:
    """Findings name the file. Texts in two files are duplicates, too."""
    first, second = write(tmp_path, ".tsv", ROWS[:2]), write(tmp_path, ".csv", [["a bad film", "pos"], ["x", None]])
    data = read_table(LabeledSource((first, second)))
    assert cells(data) == [*ROWS[:2], ["a bad film", "pos"]]
    assert [(finding.file, finding.line) for finding in data.findings] == [(str(second), 3), (str(second), 2)]
    assert data.name == f"{first}, {second}"
    assert len(data.notes) == 2


def test_labels_that_are_written_alike_in_several_files(tmp_path: Path) -> None:
    first = write(tmp_path, ".tsv", [["x", "not_good"], ["y", "1"]])
    second = write(tmp_path, ".jsonl", [["u", "Not Good"], ["v", True], ["w", "01"]])
    data = read_table(LabeledSource((first, second)))
    alike = [finding for finding in data.findings if "differ only in the way" in finding.message]
    assert [(finding.file, finding.line) for finding in alike] == [(str(second), 1), (str(second), 2), (str(second), 3)]
    assert all(str(first) in finding.message for finding in alike[:2])


def test_scores_that_are_equal_are_not_classes(tmp_path: Path) -> None:
    assert not read(write(tmp_path, ".tsv", [["x", "4.40"], ["y", "4.4"], ["z", "5"], ["u", "5.000"]])).findings


def test_minus_one_among_numbers_from_0_may_be_a_missing_label(tmp_path: Path) -> None:
    data = read(write(tmp_path, ".tsv", [["x", "0"], ["y", "1"], ["z", "-1"], ["u", "-1"]]))
    assert [(finding.line, finding.message) for finding in data.findings] == [
        (4, "the label '-1' is read as it is; if it stands for a missing label, delete the row (also in line 5)")
    ]
    assert not read(write(tmp_path, ".tsv", [["x", "1"], ["y", "-1"]])).findings


@pytest.fixture
def dataset(tmp_path: Path) -> datasets.Dataset:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"]), "id": datasets.Value("int64")}
    )
    return datasets.Dataset.from_dict({"text": ["x", "y", "z"], "label": [1, 0, -1], "id": [7, 8, 9]}, features=features)


def test_a_dataset_gives_names_of_classes(tmp_path: Path, dataset: datasets.Dataset) -> None:
    """-1 is a missing label there, as in the test sets of GLUE. The same holds for its Parquet files."""
    datasets.DatasetDict({"train": dataset}).save_to_disk(tmp_path / "saved")
    dataset.to_parquet(tmp_path / "data.parquet")
    folder = LabeledSource(dataset=str(tmp_path / "saved"))
    for source in (folder, LabeledSource((tmp_path / "data.parquet",))):
        data = read_table(source)
        assert cells(data) == [["x", "pos"], ["y", "neg"]]
        assert [(finding.line, finding.unit, finding.is_error) for finding in data.findings] == [(3, "row", True)]
    assert read_table(folder).name == f"{tmp_path / 'saved'} (train)"
    with pytest.raises(ValueError, match=r"split 'test': there is no such split; its splits: train"):
        read_table(LabeledSource(dataset=str(tmp_path / "saved"), split="test"))


def test_lists_of_classes_of_a_dataset(tmp_path: Path) -> None:
    names = datasets.ClassLabel(names=["joy", "anger"])
    features = datasets.Features({"text": datasets.Value("string"), "labels": datasets.List(names)})
    rows = datasets.Dataset.from_dict({"text": ["x", "y"], "labels": [[1, 0], []]}, features=features)
    rows.save_to_disk(tmp_path / "saved")
    rows.to_parquet(tmp_path / "data.parquet")
    for source in (LabeledSource(dataset=str(tmp_path / "saved")), LabeledSource((tmp_path / "data.parquet",))):
        assert cells(read_table(source)) == [["x", ("anger", "joy")], ["y", ()]]


def test_a_folder_of_files_is_a_dataset(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"text": "x", "label": "a"}\n{"text": "y", "label": "b"}\n')
    assert cells(read_table(LabeledSource(dataset=str(tmp_path)))) == [["x", "a"], ["y", "b"]]


def test_columns_of_text_in_parquet(tmp_path: Path) -> None:
    """Categories and large strings are text; decimals are numbers."""
    from decimal import Decimal

    table = pyarrow.table(
        {
            "text": pyarrow.array(["x", "y"], pyarrow.dictionary(pyarrow.int32(), pyarrow.string())),
            "label": pyarrow.array([Decimal("1.50"), Decimal("2.00")]),
        }
    )
    parquet.write_table(table, tmp_path / "data.parquet")
    assert cells(read(tmp_path / "data.parquet")) == [["x", "1.50"], ["y", "2"]]


def test_rows_of_jsonl_may_have_other_columns(tmp_path: Path) -> None:
    lines = [{"text": "x", "label": "a"}, {"text": "y", "label": "b", "score": 1}, {"label": "a", "text": "z", "title": "t"}]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert cells(read(tmp_path / "data.jsonl")) == [["x", "a"], ["y", "b"], ["z", "a"]]


@real_data
@pytest.mark.parametrize(
    ("file", "count", "columns"),
    [
        ("sst2/dev.tsv", 872, None),
        ("rte/dev.tsv", 277, None),
        ("mrpc/dev.tsv", 408, None),
        ("stsb/dev.tsv", 1500, None),
        ("imdb/val.tsv.gz", 5000, "label,_,text"),
    ],
)
def test_real_data_are_read_completely(file: str, count: int, columns: str | None) -> None:
    data = read(DATA / file, columns=columns)
    assert (len(data.rows), data.errors) == (count, [])
