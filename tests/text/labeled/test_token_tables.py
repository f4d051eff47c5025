"""Sentences in JSONL and Parquet files and datasets: a list of words and a list of tags in each row."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pytest
from pyarrow import parquet

from minibert.text.file_formats import CorpusError
from minibert.text.labeled.findings import LabeledData, LabeledDataError
from minibert.text.labeled.options import LabeledSource, WordColumns
from minibert.text.labeled.tagged import TaggedSentence
from minibert.text.labeled.tagged_files import read_tagged, write_repaired

ROWS = [
    {"id": 1, "tokens": ["EU", "rejects"], "ner_tags": ["B-ORG", "O"]},
    {"id": 2, "tokens": ["Peter", "Blackburn"], "ner_tags": ["B-PER", "I-PER"]},
]
SENTENCES = [(("EU", "rejects"), ("B-ORG", "O")), (("Peter", "Blackburn"), ("B-PER", "I-PER"))]
NAMES = ["O", "B-ORG", "I-ORG", "B-PER", "I-PER"]


def jsonl(folder: Path, rows: list[Any], name: str = "data.jsonl") -> Path:
    """Write rows as JSON; a row that is a string as it is."""
    path = folder / name
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def read(path: Path, labeled: bool = True, **columns: str) -> LabeledData[TaggedSentence]:
    return read_tagged(LabeledSource((path,)), WordColumns(**columns), labeled)


def sentences(data: LabeledData[TaggedSentence]) -> list[tuple[tuple[str, ...], tuple[str, ...] | None]]:
    return [(row.words, row.tags) for row in data.rows]


def numbered() -> datasets.Dataset:
    """The rows as a dataset whose schema has the names of the tags."""
    tags = datasets.List(datasets.ClassLabel(names=NAMES))
    features = datasets.Features({"tokens": datasets.List(datasets.Value("string")), "ner_tags": tags})
    return datasets.Dataset.from_list([{name: row[name] for name in ("tokens", "ner_tags")} for row in ROWS], features)


def test_jsonl(tmp_path: Path) -> None:
    path = jsonl(tmp_path, ROWS)
    data = read(path)
    assert sentences(data) == SENTENCES
    assert [(row.line, row.file, row.unit) for row in data.rows] == [(1, str(path), "line"), (2, str(path), "line")]
    assert not [finding for finding in data.findings if finding.is_error or finding.is_repaired]
    assert data.notes[0].startswith(
        f"{path}: 2 sentences, 4 words; words in the column 'tokens', tags in 'ner_tags'. Tag scheme BIO"
    )


def test_numbers_have_the_names_in_the_schema_of_parquet_and_datasets(tmp_path: Path) -> None:
    numbered().to_parquet(tmp_path / "data.parquet")
    data = read(tmp_path / "data.parquet")
    assert sentences(data) == SENTENCES
    assert [(row.line, row.unit) for row in data.rows] == [(1, "row"), (2, "row")]
    datasets.DatasetDict({"train": numbered()}).save_to_disk(tmp_path / "saved")
    assert sentences(read_tagged(LabeledSource((), str(tmp_path / "saved"), None, "train"))) == SENTENCES


def test_parquet_with_names(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "data.parquet")
    assert sentences(read(tmp_path / "data.parquet")) == SENTENCES


def test_numbers_without_names_are_one_error_and_can_be_named(tmp_path: Path) -> None:
    rows = [{**row, "ner_tags": [NAMES.index(tag) for tag in row["ner_tags"]]} for row in ROWS]
    path = jsonl(tmp_path, rows)
    [error] = read(path).errors
    assert "the tags are numbers (0, 1, 3, 4), and their names are not known" in error.message
    assert sentences(read(path, tag_names=",".join(NAMES))) == SENTENCES


def test_the_most_specific_columns_are_used(tmp_path: Path) -> None:
    rows = [{"pos_tags": ["X"], "tags": ["O"], "ner_tags": ["B-A"], "tokens": ["a"], "text": "a"}]
    assert sentences(read(jsonl(tmp_path, rows))) == [(("a",), ("B-A",))]
    assert sentences(read(jsonl(tmp_path, rows), tag_column="tags")) == [(("a",), ("O",))]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{oops", "is not JSON"),
        ("[1, 2]", "is not a JSON object"),
        ({"tokens": ["a", "b"], "ner_tags": ["O"]}, "has 2 words, but 1 tags"),
        ({"tokens": ["a"], "ner_tags": ["O", "O"]}, "has 1 words, but 2 tags"),
        ({"tokens": "a b", "ner_tags": ["O", "O"]}, "the column 'tokens' is not a list of words but 'a b'"),
        ({"tokens": ["a"], "ner_tags": "O"}, "the column 'ner_tags' is not a list of tags but 'O'"),
        ({"tokens": ["a", 1], "ner_tags": ["O", "O"]}, "is not a list of words"),
        ({"tokens": ["a", None], "ner_tags": ["O", "O"]}, "is not a list of words"),
        ({"tokens": [["a"]], "ner_tags": ["O"]}, "is not a list of words"),
        ({"tokens": None, "ner_tags": ["O"]}, "is not a list of words but 'None'"),
        ({"tokens": ["a"], "ner_tags": None}, "is not a list of tags but 'None'"),
        ({"tokens": ["a"], "ner_tags": [None]}, "is not a list of tags"),
        ({"tokens": ["a"], "ner_tags": [1.5]}, "is not a list of tags"),
        ({"tokens": ["a"], "ner_tags": [True]}, "is not a list of tags"),
        ({"tokens": ["a"]}, "is not a list of tags but 'None'"),
        ({"ner_tags": ["O"]}, "is not a list of words but 'None'"),
        ({"tokens": ["a"], "ner_tags": [""]}, "has no tag"),
        ({"tokens": ["a"], "ner_tags": ["PER"]}, "the tag 'PER' has no prefix"),
        ({"tokens": ["a\ud83d"], "ner_tags": ["O"]}, "half a surrogate pair"),
        ('{"tokens": ["a"], "tokens": ["b"], "ner_tags": ["O"]}', "has the key 'tokens' twice"),
    ],
)
def test_errors_have_a_line_and_do_not_hide_other_rows(tmp_path: Path, row, message) -> None:
    data = read(jsonl(tmp_path, [ROWS[0], row, ROWS[1]]))
    assert [(error.line, message in error.message) for error in data.errors] == [(2, True)]
    assert sentences(data) == SENTENCES


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", "", "has no rows"),
        ("a.jsonl", "oops\n", "line 1: is not JSON"),
        ("a.jsonl", '{"text": "a"}\n', r"has the columns 'text'; choose one with --word-column"),
        ("a.jsonl", '{"tokens": ["a"], "x": ["O"]}\n', r"has the columns 'tokens', 'x'; choose one with --tag-column"),
        ("a.parquet", "oops", "is not Parquet"),
        ("a.csv", "word,tag\n", "tagged sentences are read from CoNLL"),
        ("a.json", "[]", "tagged sentences are read from CoNLL"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, name, content, message) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises((LabeledDataError, CorpusError), match=message) as caught:
        read(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_folders_missing_files_and_columns(tmp_path: Path) -> None:
    with pytest.raises(LabeledDataError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(CorpusError, match="No such file"):
        read(tmp_path / "missing.conll")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LabeledDataError, match="is no regular file"):
        read(tmp_path / "pipe")
    with pytest.raises(LabeledDataError, match="has no column 'x'; its columns: 'id', 'tokens', 'ner_tags'"):
        read(jsonl(tmp_path, ROWS), tag_column="x")
    (tmp_path / "a.conll").write_text("a O\n")
    with pytest.raises(CorpusError, match="column 'tokens': the columns of a CoNLL file have numbers"):
        read(tmp_path / "a.conll", word_column="tokens")


def test_line_ends_and_byte_order_marks_are_repaired(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_bytes(b"\xef\xbb\xbf" + b"".join(f"{json.dumps(row)}\r\n".encode() for row in ROWS))
    data = read(tmp_path / "data.jsonl")
    assert sentences(data) == SENTENCES
    repaired = [(finding.line, finding.message.partition(",")[0]) for finding in data.findings if finding.is_repaired]
    assert repaired == [(1, "begins with a byte-order mark; it was removed"), (1, "this line")]
    write_repaired(LabeledSource((tmp_path / "data.jsonl",)), tmp_path / "copy.jsonl")
    assert (tmp_path / "copy.jsonl").read_text() == jsonl(tmp_path, ROWS).read_text()


def test_parquet_without_rows_is_an_error(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.Table.from_pylist(ROWS).slice(0, 0), tmp_path / "data.parquet")
    assert [str(error) for error in read(tmp_path / "data.parquet").errors] == [f"{tmp_path / 'data.parquet'}: has no rows"]


def test_words_without_tags_are_read_for_predictions(tmp_path: Path) -> None:
    path = jsonl(tmp_path, [{"tokens": ["a", "b"]}, {"tokens": []}])
    assert sentences(read(path, labeled=False)) == [(("a", "b"), None), ((), None)]


def test_sentences_without_words_are_named(tmp_path: Path) -> None:
    data = read(jsonl(tmp_path, [ROWS[0], {"tokens": [], "ner_tags": []}]))
    assert sentences(data) == [SENTENCES[0], ((), ())]
    assert [finding.line for finding in data.findings if finding.message == "has no words"] == [2]
    assert [row.line for row in data.rows] == [1, 2]


def test_the_same_sentence_twice_is_named(tmp_path: Path) -> None:
    data = read(jsonl(tmp_path, [*ROWS, ROWS[0], {"tokens": ["EU", "rejects"], "ner_tags": ["O", "O"]}]))
    messages = [finding.message for finding in data.findings if finding.line in (3, 4)]
    assert any("has the text and the label of line 1" in message for message in messages)
    assert any("has the label '(no entities)', but the same text has 'EU (ORG)' in line 1" in message for message in messages)


FAULTY = [
    {"id": 1, "tokens": ["EU", "rejects"], "ner_tags": ["b-ORG", "o"], "lang": "en"},
    {"id": 2, "tokens": ["Peter", "Blackburn"], "ner_tags": ["I-PER", "I-PER"], "lang": "en"},
    {"id": 3, "tokens": ["it", "is"], "ner_tags": ["O", "O"], "lang": "en"},
]


@pytest.mark.parametrize("name", ["data.jsonl", "data.jsonl.gz", "data.parquet"])
def test_a_repaired_copy_has_the_same_rows_and_other_columns(tmp_path: Path, name) -> None:
    path, copy = tmp_path / name, tmp_path / f"copy-{name}"
    if name == "data.parquet":
        parquet.write_table(pyarrow.Table.from_pylist(FAULTY), path)
    else:
        text = jsonl(tmp_path, FAULTY).read_text()
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    data = read(path)
    assert {finding.line for finding in data.findings if finding.is_repaired} == {1, 2}
    write_repaired(LabeledSource((path,)), copy)
    again = read(copy)
    assert sentences(again) == sentences(data)
    assert not [finding for finding in again.findings if finding.is_repaired]
    if name == "data.jsonl":
        rows = [json.loads(line) for line in copy.read_text().splitlines()]
        assert rows[0] == {**FAULTY[0], "ner_tags": ["B-ORG", "O"]}
        assert rows[2] == FAULTY[2]


def test_names_in_the_schema_stay_numbers_without_repairs(tmp_path: Path) -> None:
    numbered().to_parquet(tmp_path / "data.parquet")
    write_repaired(LabeledSource((tmp_path / "data.parquet",)), tmp_path / "copy.parquet")
    assert parquet.read_table(tmp_path / "copy.parquet").equals(parquet.read_table(tmp_path / "data.parquet"))


def test_repaired_tags_are_names_in_the_column_and_not_in_the_schema(tmp_path: Path) -> None:
    """datasets could not read them with the names of numbers in the schema."""
    rows = numbered().to_list()
    features = numbered().features
    rows[1]["ner_tags"] = [NAMES.index("I-PER"), NAMES.index("I-PER")]
    datasets.Dataset.from_list(rows, features).to_parquet(tmp_path / "data.parquet")
    write_repaired(LabeledSource((tmp_path / "data.parquet",)), tmp_path / "copy.parquet")
    assert parquet.read_table(tmp_path / "copy.parquet")["ner_tags"].to_pylist() == [["B-ORG", "O"], ["B-PER", "I-PER"]]
    assert parquet.read_schema(tmp_path / "copy.parquet").metadata is None


def test_rows_with_errors_are_written_as_they_are(tmp_path: Path) -> None:
    path = jsonl(tmp_path, [FAULTY[0], "{oops", {"tokens": ["a"], "ner_tags": []}, FAULTY[1]])
    write_repaired(LabeledSource((path,)), tmp_path / "copy.jsonl")
    lines = (tmp_path / "copy.jsonl").read_text().splitlines()
    assert lines[1:3] == ["{oops", '{"tokens": ["a"], "ner_tags": []}']
    assert json.loads(lines[0])["ner_tags"] == ["B-ORG", "O"]


def test_targets_of_a_repaired_copy(tmp_path: Path) -> None:
    path = jsonl(tmp_path, ROWS)
    with pytest.raises(LabeledDataError, match="is the file itself"):
        write_repaired(LabeledSource((path,)), path)
    with pytest.raises(LabeledDataError, match=r"has the format of data\.jsonl"):
        write_repaired(LabeledSource((path,)), tmp_path / "copy.conll")
    with pytest.raises(LabeledDataError, match="only one file can be repaired"):
        write_repaired(LabeledSource((path, path)), tmp_path / "copy.jsonl")
