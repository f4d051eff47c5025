"""Columns of labeled tables: found by their names, chosen with options, and refused if it is not clear."""

import os
from pathlib import Path

import pytest

from minibert.text.file_formats import CorpusError
from minibert.text.labeled.column_roles import ColumnRoles, find_roles, header_kind
from minibert.text.labeled.options import LabeledSource, TableColumns
from minibert.text.labeled.tables import read_table
from tests.text.labeled.table_files import ROWS, cells, read, write


def roles(names: str, is_labeled: bool = True, **options: str) -> ColumnRoles:
    return find_roles(names.strip("\n").split(" "), TableColumns(**options), is_labeled, "a.tsv, line 1")


@pytest.mark.parametrize(
    ("names", "used"),
    [
        ("sentence label", "sentence label"),  # SST-2
        ("index sentence1 sentence2 label", "sentence1 sentence2 label"),  # RTE
        ("index genre filename year old_index source1 source2 sentence1 sentence2 score", "sentence1 sentence2 score"),  # STS-B
        ("id qid1 qid2 question1 question2 is_duplicate", "question1 question2 is_duplicate"),  # QQP
        ("premise hypothesis label idx", "premise hypothesis label"),  # MNLI, on the hub
        ("index question sentence label", "question sentence label"),  # QNLI
        (
            "gold_label sentence1_parse sentence2_parse sentence1 sentence2 label1",
            "sentence1 sentence2 gold_label",
        ),
        ("text label", "text label"),
        ("Label Text", "Text Label"),
        ("Label Id TEXT", "TEXT Label"),
        ("phrase label", "phrase label"),  # the only other column
        ("text mood", "text mood"),
        ("question label", "question label"),
        ("label _ text", "text label"),
        ("text labels id", "text labels"),
        ("  phrase label", "phrase label"),  # pandas writes an index without a name
    ],
)
def test_columns_with_known_names(names: str, used: str) -> None:
    found = roles(names)
    assert " ".join(found.used) == used
    assert all(name in "; ".join(found.reasons) for name in found.used)


def test_columns_of_mrpc() -> None:
    names = ["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"]
    assert find_roles(names, TableColumns(), True, "").used == ("#1 String", "#2 String", "Quality")


@pytest.mark.parametrize(
    ("options", "used"),
    [
        ({"text_column": "b"}, "b label"),
        ({"text_column": "b", "pair_column": "a", "label_column": "c"}, "b a c"),
        ({"pair_column": "a"}, "text a label"),
        ({"label_column": "c"}, "text c"),
        ({"label_column": "a, b"}, "text a b"),
    ],
)
def test_chosen_columns(options: dict[str, str], used: str) -> None:
    found = roles("a b c text label", **options)
    assert " ".join(found.used) == used
    assert "as given" in "; ".join(found.reasons)


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        ("text score label", {}, r"line 1: has several columns that may be the label: 'score', 'label'; .*--label-column"),
        ("title text label", {}, r"several columns that may be the text: 'title', 'text'; .*--text-column"),
        ("sentence1 sentence2 premise hypothesis label", {}, "several columns that may be the text"),
        ("question sentence passage label", {}, "may be the text: 'question', 'sentence', 'passage'; its"),  # of two pairs
        ("a b c", {}, r"no column with a known name of a text; its columns: 'a', 'b', 'c'\. .*--text-column; .*--columns"),
        ("text a b", {}, "no column with a known name of a label; .*--label-column"),
        ("text label", {"text_column": "txt"}, "has no column 'txt' for the text; its columns: 'text', 'label'$"),
        ("text label", {"label_column": "text", "text_column": "text"}, "has no column 'text' for the text"),
        ("text a b", {"label_column": "a,b", "text_column": "b"}, "has no column 'b' for the text"),
        ("text a a", {"label_column": "a"}, "has 2 columns 'a'"),
        ("text a b b", {"label_column": "a,b"}, "has 2 columns 'b'"),
        ("text;label", {}, r"seem to be separated by ';'\); save it with commas as CSV"),
        ("text;mood", {}, "seem to be separated by ';'"),
        ("id;label", {}, "seem to be separated by ';'"),
        ('"text" "label"', {}, "A TSV has no quoted cells; save it as CSV"),
    ],
)
def test_a_choice_that_is_not_clear_is_an_error_that_names_an_option(names: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        roles(names, **options)


def test_texts_without_labels_need_no_column_of_labels() -> None:
    assert roles("id text", is_labeled=False).used == ("text",)
    assert roles("text label", is_labeled=False).used == ("text",)


def test_names_for_files_without_header(tmp_path: Path) -> None:
    """IMDB and CoLA have none. The first line is a row, unless it is a header after all."""
    path = tmp_path / "data.tsv"
    rows = "1\tx\tgood\n0\ty\tbad\n"
    path.write_text(rows)
    assert cells(read(path, columns="label, _, text")) == [["good", "1"], ["bad", "0"]]
    path.write_text(f"Label\tid\tText\n{rows}")
    data = read(path, columns="label,_,text")
    assert cells(data) == [["good", "1"], ["bad", "0"]]
    assert [(finding.line, finding.is_repaired) for finding in data.findings] == [(1, True)]
    path.write_text(f"\ufeff{rows}")
    assert cells(read(path, columns="label,_,text")) == [["good", "1"], ["bad", "0"]]
    errors = read(write(tmp_path, ".csv", ROWS), columns="a,text,label").errors
    assert {error.message.partition(";")[0] for error in errors} == {"has 2 columns instead of 3"}


def test_columns_that_have_names_get_no_others(tmp_path: Path) -> None:
    for kind in (".jsonl", ".parquet"):
        with pytest.raises(ValueError, match=r"its columns have names; .*leave out --columns"):
            read(write(tmp_path, kind, ROWS), columns="text,label")
    with pytest.raises(ValueError, match=r"its columns have names; .*leave out --columns"):
        read_table(LabeledSource(dataset=str(tmp_path)), TableColumns(columns="text,label"))


def test_files_of_other_kinds(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x\n")
    with pytest.raises(ValueError, match=r"a\.txt: its name must end in \.jsonl, \.csv, \.tsv, \.parquet"):
        read(tmp_path / "a.txt")
    with pytest.raises(ValueError, match=r"is a folder; .*--dataset"):
        read(tmp_path)
    with pytest.raises(ValueError, match=r"nowhere\.tsv: cannot be read"):
        read(tmp_path / "nowhere.tsv")
    os.mkfifo(tmp_path / "pipe.tsv")
    with pytest.raises(ValueError, match=r"pipe\.tsv: is no regular file; save the data in one"):
        read(tmp_path / "pipe.tsv")


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"text": "TEXT ", "label": "\ufefflabel"}, "header"),
        ({"text": "sentence", "label": "score"}, "header"),
        ({"text": "label", "label": "text"}, "other order"),
        ({"text": "score", "label": "sentence"}, "other order"),
        ({"text": "title", "label": "title"}, "row"),
        ({"text": "text", "label": "pos"}, "row"),
        ({"text": "a label", "label": "label"}, "row"),
        ({"text": None, "label": None}, "row"),
        ({"text": "text"}, "row"),
    ],
)
def test_headers_between_the_rows(row: dict[str, str | None], kind: str) -> None:
    assert header_kind(row, ColumnRoles("text", None, ("label",)), is_first=False) == kind


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"id": "x", "text1": "premise", "text2": "hypothesis", "label": "class"}, "header"),
        ({"id": "x", "text1": "Hypothesis", "text2": "Premise", "label": "class"}, "other order"),
        ({"id": "x", "text1": "text2", "text2": "text1", "label": "label"}, "other order"),
        ({"id": "text2", "text1": "id", "text2": "text1", "label": "label"}, "other order"),
        ({"id": "x", "text1": "label", "text2": "premise", "label": "hypothesis"}, "row"),
    ],
)
def test_headers_of_pairs_between_the_rows(row: dict[str, str | None], kind: str) -> None:
    """The texts of a pair have an order."""
    assert header_kind(row, ColumnRoles("text1", "text2", ("label",)), is_first=False) == kind


def test_the_names_of_all_columns_are_a_header_in_any_case() -> None:
    assert header_kind({"ID": "ID", "Text": "Text"}, ColumnRoles("Text"), is_first=False) == "header"
    assert header_kind({"ID": "id", "Text": "TEXT"}, ColumnRoles("Text"), is_first=False) == "header"


def test_the_names_of_the_texts_in_another_order_are_a_header_in_another_order() -> None:
    """Also if they are not those of a known pair, and other columns have other names."""
    roles = ColumnRoles("Title", "Body", ("label",))
    assert header_kind({"id": "x", "Title": "title", "Body": "body", "label": "label"}, roles, is_first=False) == "header"
    assert header_kind({"id": "x", "Title": "body", "Body": "title", "label": "label"}, roles, is_first=False) == "other order"


def test_a_single_word_is_a_header_only_in_the_first_line() -> None:
    assert header_kind({"text": "text"}, ColumnRoles("text"), is_first=False) == "row"
    assert header_kind({"text": "Sentence"}, ColumnRoles("text"), is_first=True) == "header"
