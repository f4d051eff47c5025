"""Files with columns: records of every format, their faults, and rows that are written again."""

import gzip
import json
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from minibert.text.columns import TABLES, JsonlTable, ParquetTable
from minibert.text.corpus import load_split
from minibert.text.delimited_tables import CsvTable, TsvTable
from minibert.text.file_formats import CorpusError
from minibert.text.table import TextTable, text_fault


def test_a_fault_in_a_row_does_not_hide_the_rows_after_it(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("text\tlabel\none\t1\ntwo\t2\t3\nthree\t3\n")
    (tmp_path / "a.csv").write_text('text,label\none,1\n"two"x,2\nthree,3\n')
    (tmp_path / "a.jsonl").write_text('{"text": "one", "label": "1"}\n{oops\n{"text": "three", "label": "3"}\n')
    for name, line in (("a.tsv", 3), ("a.csv", 3), ("a.jsonl", 2)):
        table = TABLES[Path(name).suffix](tmp_path / name)
        records = [*table.records()]
        assert [record.values for record in records] == [{"text": "one", "label": "1"}, {}, {"text": "three", "label": "3"}]
        assert [record.line for record in records if record.fault] == [line]


def test_rows_of_parquet_are_numbered_over_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minibert.text.columns.ROWS_PER_BATCH", 2)
    parquet.write_table(pyarrow.table({"a": [*range(5)], "b": ["x"] * 5}), tmp_path / "a.parquet")
    records = [*ParquetTable(tmp_path / "a.parquet").records(["a"])]
    assert [(record.line, record.values) for record in records] == [(row + 1, {"a": row}) for row in range(5)]


def test_a_record_of_csv_with_line_breaks_has_its_first_line_and_its_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,label\n"one\ntwo",1\n\nthree,3\n')
    records = [*CsvTable(tmp_path / "a.csv").records()]
    assert [(record.line, record.source) for record in records] == [(2, '"one\ntwo",1\n'), (4, "\n"), (5, "three,3\n")]


def test_byte_order_marks_at_the_start_of_lines_are_removed(tmp_path: Path) -> None:
    """Joined files have one in the middle. In a CSV it stands before a quotation mark, in JSONL before the object."""
    (tmp_path / "a.csv").write_text('\ufefftext,label\n\ufeff"one, two",1\n')
    (tmp_path / "a.jsonl").write_text('\ufeff{"text": "one"}\n\ufeff{"text": "two"}\n')
    assert [record.values for record in CsvTable(tmp_path / "a.csv").records()] == [{"text": "one, two", "label": "1"}]
    assert [record.values["text"] for record in JsonlTable(tmp_path / "a.jsonl").records()] == ["one", "two"]


def test_a_key_that_occurs_twice_in_an_object_is_a_fault(tmp_path: Path) -> None:
    """`json` keeps the last value without a word."""
    (tmp_path / "a.jsonl").write_text('{"text": "one", "text": "two"}\n')
    [record] = JsonlTable(tmp_path / "a.jsonl").records()
    assert "has the key 'text' twice" in record.fault


def test_names_can_be_given_for_a_file_without_header(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("1\tx\tone\n")
    [record] = TsvTable(tmp_path / "a.tsv", ["label", "_", "text"]).records()
    assert (record.line, record.values["label"], record.values["text"]) == (1, "1", "one")


def test_a_header_that_is_not_csv_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('"text"x,label\none,1\n')
    with pytest.raises(CorpusError, match=r"a\.csv, line 1: the row that begins here is not CSV"):
        CsvTable(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", 'text\tlabel\n"one\t1\n'),
        ("a.csv", 'text,label\n"one, ""two""\nthree",1\n'),
        ("a.jsonl", '{"text": "é \\"", "label": "1", "other": [1.0, null]}\n'),
    ],
)
def test_a_rewritten_row_has_the_changes_and_nothing_else(tmp_path: Path, name: str, content: str) -> None:
    file = tmp_path / name
    file.write_text(content)
    table = TABLES[file.suffix](file)
    assert isinstance(table, TextTable)
    [record] = table.records()
    file.write_text(content.removesuffix(record.source) + table.rewrite(record, {"label": "2"}))
    assert [each.values for each in TABLES[file.suffix](file).records()] == [{**record.values, "label": "2"}]


@pytest.mark.parametrize("cut", [10, 60, 200, 400])
def test_a_truncated_parquet_file_is_an_error(tmp_path: Path, cut: int) -> None:
    parquet.write_table(pyarrow.table({"text": [f"text {n}" for n in range(100)]}), tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(content[:-cut])
    (tmp_path / "b.parquet.gz").write_bytes(gzip.compress(content)[:-cut])
    (tmp_path / "c.parquet").write_bytes(content[:20] + b"\xff" * cut + content[20 + cut :])
    for name in ("a.parquet", "b.parquet.gz", "c.parquet"):
        with pytest.raises(CorpusError, match=f"{name}: is not Parquet, or damaged"):
            list(ParquetTable(tmp_path / name).records())


def test_a_split_of_a_saved_dataset(tmp_path: Path) -> None:
    """`datasets` refuses folders of its own `save_to_disk` in `load_dataset`."""
    import datasets

    rows = datasets.Dataset.from_dict({"text": ["one"]})
    datasets.DatasetDict({"train": rows}).save_to_disk(tmp_path / "splits")
    rows.save_to_disk(tmp_path / "one")
    assert load_split(str(tmp_path / "splits"), None, "train")["text"] == ["one"]
    assert load_split(str(tmp_path / "one"), None, "train")["text"] == ["one"]
    with pytest.raises(CorpusError, match="split 'test': there is no such split; its splits: train"):
        load_split(str(tmp_path / "splits"), None, "test")


def test_json_numbers_keep_their_type(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"a": 1, "b": 1.0, "c": True, "d": None}) + "\n")
    [record] = JsonlTable(tmp_path / "a.jsonl").records()
    assert [type(value) for value in record.values.values()] == [int, float, bool, type(None)]


def test_the_columns_of_a_jsonl_file_are_those_of_its_first_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Later rows do not change them, so that a large file is opened quickly."""
    monkeypatch.setattr("minibert.text.columns.ROWS_FOR_NAMES", 2)
    (tmp_path / "a.jsonl").write_text('{"a": 1, "c": 1}\n{"a": 2}\n' + '{"b": 1}\n' * 9)
    assert JsonlTable(tmp_path / "a.jsonl").names == ["a", "c"]


def test_a_value_that_is_not_text_is_shortened_in_the_message(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": [*range(99)]}) + "\n")
    [record] = JsonlTable(tmp_path / "a.jsonl").records()
    assert text_fault(record.values, "text") == f"column 'text' does not contain text but {str([*range(99)])[:40]!r}"


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_file_without_a_header_has_no_columns_and_no_fault(tmp_path: Path, name: str) -> None:
    """It is empty, and the reader says so."""
    (tmp_path / name).touch()
    table = TABLES[Path(name).suffix](tmp_path / name)
    assert not table.names
    table.check_column("text")
