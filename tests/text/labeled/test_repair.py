"""Repaired copies: the same rows in the same format, without the faults that can be repaired."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from minibert.text.labeled.findings import LabeledDataError
from minibert.text.labeled.options import LabeledSource, TableColumns
from minibert.text.labeled.repair import write_repaired
from tests.text.labeled.table_files import FORMATS, ROWS, cells, read, write
from tests.text.labeled.test_damaged_tables import DAMAGED, Damaged, outcome

READABLE = [each for each in DAMAGED if each.rows is not None]


def repair(path: Path, multi_label: bool = False, **options: Any) -> Path:
    """Write a repaired copy in a folder of its own."""
    target = path.parent / "repaired" / path.name
    write_repaired(LabeledSource((path,)), target, TableColumns(**options), multi_label)
    return target


@pytest.mark.parametrize("damaged", READABLE, ids=lambda each: f"{each.kind[1:]}-{each.name}")
def test_a_repaired_copy_has_the_same_rows_and_no_repairable_faults(tmp_path: Path, damaged: Damaged) -> None:
    path = tmp_path / f"data{damaged.kind}"
    path.write_bytes(damaged.content)
    data, _ = outcome(path)
    if data is None:
        return
    again = read(repair(path))
    assert cells(again) == cells(data)
    assert [finding for finding in again.findings if finding.is_repaired] == []
    assert [finding.message for finding in again.errors] == [finding.message for finding in data.errors]


@pytest.mark.parametrize("kind", [*FORMATS, *(f"{kind}.gz" for kind in FORMATS)])
def test_a_file_without_faults_is_copied(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind, ROWS)
    copy = repair(path)
    assert cells(read(copy)) == ROWS
    if "parquet" not in kind:
        unpack = gzip.decompress if kind.endswith(".gz") else bytes
        assert unpack(copy.read_bytes()) == unpack(path.read_bytes())


def test_only_the_repaired_cells_change(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b'\xef\xbb\xbfid, text ,label\r\n1,"a ""good"" one",pos \r\n"2","x",neg\r\n3,only two\r\n4,y,')
    assert repair(path).read_text() == 'id,text,label\n1,"a ""good"" one",pos\n"2","x",neg\n3,only two\n4,y,\n'


def test_a_file_without_header_is_written_without_header(tmp_path: Path) -> None:
    """The header that was read as a row is left out."""
    path = tmp_path / "data.tsv"
    path.write_text("label\tid\ttext\n1.0\t7\tgood\n0\t8\tbad\n")
    copy = repair(path, columns="label,_,text")
    assert copy.read_text() == "1\t7\tgood\n0\t8\tbad\n"
    assert cells(read(copy, columns="label,_,text")) == [["good", "1"], ["bad", "0"]]


def test_labels_of_different_types_become_text(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"text": "x", "label": 1}\n{"text": "y", "label": "1"}\n{"text": "z", "label": 0.0, "other": 1.50}\n')
    rows = [json.loads(line) for line in repair(path).read_text().splitlines()]
    assert rows == [{"text": "x", "label": "1"}, {"text": "y", "label": "1"}, {"text": "z", "label": "0", "other": 1.5}]


def test_several_labels_in_a_cell_and_in_a_list(tmp_path: Path) -> None:
    path = tmp_path / "data.tsv"
    path.write_text("text\tlabel\nx\tb; a ;\ny\t\nz\ta\n")
    copy = repair(path, multi_label=True, label_separator=";")
    assert copy.read_text() == "text\tlabel\nx\tb;a\ny\t\nz\ta\n"
    path = write(tmp_path, ".parquet", [["x", ["a ", "b"]], ["y", []]])
    assert cells(read(repair(path))) == [["x", ("a", "b")], ["y", ()]]


def test_names_of_labels_are_written(tmp_path: Path) -> None:
    for kind in FORMATS:
        path = write(tmp_path, kind, [["x", 1], ["y", 0]])
        copy = repair(path, label_names="0=negative,1=positive")
        assert cells(read(copy)) == [["x", "positive"], ["y", "negative"]]


def test_class_names_in_the_schema_of_parquet_stay_if_the_labels_do(tmp_path: Path) -> None:
    """Labels with other names are text, and datasets cannot read them with the old names in the schema."""
    feature = {"names": ["neg", "pos"], "_type": "ClassLabel"}
    metadata = {"huggingface": json.dumps({"info": {"features": {"label": feature}}})}
    rows = pyarrow.table({"text": ["x", "\ufeffy"], "label": [1, 0]}).replace_schema_metadata(metadata)
    parquet.write_table(rows, tmp_path / "data.parquet")
    copy = repair(tmp_path / "data.parquet")
    assert cells(read(copy)) == [["x", "pos"], ["y", "neg"]]
    assert parquet.read_table(copy)["label"].to_pylist() == [1, 0]
    copy = repair(tmp_path / "data.parquet", label_names="neg=bad,pos=good")
    assert parquet.read_table(copy)["label"].to_pylist() == ["good", "bad"]
    assert parquet.read_schema(copy).metadata is None


def test_without_options_columns_have_known_names_and_a_text_has_one_label(tmp_path: Path) -> None:
    (tmp_path / "data.tsv").write_text("text\tlabel\nx\ta,  b\n")
    write_repaired(LabeledSource((tmp_path / "data.tsv",)), tmp_path / "copy.tsv")
    assert (tmp_path / "copy.tsv").read_text() == "text\tlabel\nx\ta, b\n"


def test_parquet_without_rows(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.table({"text": [], "label": []}), tmp_path / "data.parquet")
    assert parquet.read_table(repair(tmp_path / "data.parquet")).column_names == ["text", "label"]


def test_other_columns_of_parquet_stay(tmp_path: Path) -> None:
    rows = pyarrow.table({"text": ["x", "y"], "label": ["a ", None], "when": pyarrow.array([1, 2], pyarrow.timestamp("ms"))})
    parquet.write_table(rows, tmp_path / "data.parquet")
    copy = parquet.read_table(repair(tmp_path / "data.parquet"))
    assert copy["label"].to_pylist() == ["a", None]
    assert copy["when"] == rows["when"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("copy.csv", r"copy\.csv: a repaired copy has the format of data\.tsv"), ("data.tsv", r"data\.tsv: is the file itself")],
)
def test_targets_that_are_refused(tmp_path: Path, name: str, message: str) -> None:
    path = write(tmp_path, ".tsv", ROWS)
    content = path.read_bytes()
    with pytest.raises(LabeledDataError, match=message):
        write_repaired(LabeledSource((path,)), tmp_path / name)
    assert path.read_bytes() == content


def test_a_repaired_copy_is_made_of_one_file(tmp_path: Path) -> None:
    for source in (LabeledSource(dataset="x"), LabeledSource((tmp_path / "a.tsv", tmp_path / "b.tsv"))):
        with pytest.raises(LabeledDataError, match="one file"):
            write_repaired(source, tmp_path / "copy.tsv")
