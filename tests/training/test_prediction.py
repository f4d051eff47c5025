"""Rows to predict, from files of every format, and their results."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from minibert.text.labeled.options import TableColumns
from minibert.text.labeled.text_rows import TextRow
from minibert.training import prediction
from minibert.training.answering import Answering
from minibert.training.classification import Classification
from minibert.training.prediction import Input, InputFormat, infer_format, input_blocks, predict_stream
from minibert.training.tagging import Tagging
from minibert.training.trained import load_trained
from tests.trained_models import trained_model

TEXTS = Classification(("bad", "good"), max_length=32, pairs=False)
TAGS = Tagging(("O", "B-PER"))


def read(task_type: Any, file: Path, content: str, file_format: InputFormat = "auto") -> list[tuple[int | None, Any]]:
    """Write a file and return the line of each input, with its row or its error."""
    file.write_text(content, encoding="utf-8")
    blocks = input_blocks(task_type, file, TableColumns(), file_format)
    return [(each.line, each.error or each.row) for block in blocks for each in block]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.txt", "text"),
        ("a.jsonl", "table"),
        ("a.csv", "table"),
        ("a.tsv.gz", "table"),
        ("a.parquet", "table"),
        ("a.json", "labeled"),
        ("a.conll", "labeled"),
        ("a", "text"),
    ],
)
def test_formats_by_extension(tmp_path: Path, name: str, expected: str) -> None:
    assert infer_format(TEXTS, tmp_path / name) == expected


@pytest.mark.parametrize("name", ["a.txt", "a.tsv", "a"])
def test_columns_of_words_are_recognized_by_their_task_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("anna\tB-PER\nis\tO\n\nben\tB-PER\n")
    assert infer_format(TAGS, tmp_path / name) == "labeled"
    assert infer_format(TEXTS, tmp_path / name) == ("table" if name == "a.tsv" else "text")


def test_a_given_format_goes_before_the_extension(tmp_path: Path) -> None:
    line = '{"text": "fine"}'
    assert read(TEXTS, tmp_path / "a.txt", line, "jsonl") == [(1, TextRow("fine"))]
    assert read(TEXTS, tmp_path / "a.txt", line) == [(1, TextRow(line))]
    assert read(TEXTS, tmp_path / "a.csv", "text\nfine", "text") == [(1, TextRow("text")), (2, TextRow("fine"))]


def test_blank_lines_of_json_lines_and_tables_are_left_out(tmp_path: Path) -> None:
    """A line of text may be blank."""
    assert read(TEXTS, tmp_path / "a", '{"text": "a"}\n \n\n{"text": "b"}\n', "jsonl") == [(1, TextRow("a")), (4, TextRow("b"))]
    assert read(TEXTS, tmp_path / "a.csv", "text,x\na,1\n\nb,2\n") == [(2, TextRow("a")), (4, TextRow("b"))]
    assert read(TEXTS, tmp_path / "a.txt", "a\n\nb\n") == [(1, TextRow("a")), (2, TextRow("")), (3, TextRow("b"))]


def test_faults_have_their_lines(tmp_path: Path) -> None:
    """The other rows can be predicted."""
    one, (line, error), three = read(TEXTS, tmp_path / "a", '{"text": "a"}\n{\n{"text": "b"}\n', "jsonl")
    assert (one, line, three) == ((1, TextRow("a")), 2, (3, TextRow("b")))
    assert "JSON" in error
    one, (line, error), three = read(TEXTS, tmp_path / "a.csv", "text,x\na,1\nb\nc,3\n")
    assert (one, line, three) == ((2, TextRow("a")), 3, (4, TextRow("c")))
    assert "1 value" in error or "column" in error


def test_a_row_that_the_task_cannot_use_has_its_message(tmp_path: Path) -> None:
    [(line, error)] = read(TAGS, tmp_path / "a", '{"words": 3}\n', "jsonl")
    assert (line, error) == (1, "needs 'words': a list of words, or a text with spaces between them, not '3'")


def test_files_of_many_rows_are_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row is in one of them."""
    monkeypatch.setattr(prediction, "ROWS_PER_BLOCK", 3)
    for name, content in (("a.csv", "text\n" + "a\n" * 7), ("a.conll", "a O\n\n" * 7)):
        (tmp_path / name).write_text(content)
        task_type = TEXTS if name == "a.csv" else TAGS
        assert [len(block) for block in input_blocks(task_type, tmp_path / name, TableColumns())] == [3, 3, 1]
    lines = [line for line, _ in read(TEXTS, tmp_path / "a", '{"text": "a"}\n' * 5000, "jsonl")]
    assert (lines[0], lines[-1]) == (1, 5000)
    assert all(one + 1 == other for one, other in pairwise(lines))


def test_labels_are_not_needed(tmp_path: Path) -> None:
    assert [row.words for _, row in read(TAGS, tmp_path / "a.conll", "anna\nis\n\nben\n")] == [("anna", "is"), ("ben",)]
    (tmp_path / "a.csv").write_text("id,context,question\n1,a,b\n")
    columns = Answering(16, 4).input_columns(["id", "context", "question"], TableColumns(), "")
    assert columns == {"question": "question", "context": "context"}
    assert Answering(16, 4).input_columns(["id", "context"], TableColumns(), "") == {"context": "context"}


def test_rows_that_are_no_input_for_the_model_have_an_error(tmp_path: Path) -> None:
    """The others have a prediction, in order, with their line."""
    trained = load_trained(trained_model(tmp_path, TEXTS))
    rows = [TextRow("good"), TextRow("good", "film"), None, TextRow("bad " * 40)]
    block = [Input(number, row, "" if row else "no JSON") for number, row in enumerate(rows, start=1)]
    [results] = predict_stream(trained, [block])
    assert [each["line"] for each in results] == [1, 2, 3, 4]
    assert [each.get("error", "")[:17] for each in results] == ["", "has a second text", "no JSON", ""]
    assert ["cut" in each for each in results] == [False, False, False, True]
    [alone] = trained.predict([rows[0]])
    assert results[0]["label"] == alone["label"]
