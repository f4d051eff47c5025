"""Damaged tables: each gives an error with file and line, or the right rows with a finding that names the line."""

import gzip
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from minibert.text.labeled.findings import LabeledData
from minibert.text.labeled.options import LabeledSource
from minibert.text.labeled.repair import write_repaired
from minibert.text.labeled.text_rows import TextRow
from tests.text.labeled.table_files import FORMATS, ROWS, TEXT_FORMATS, cells, content_of, first_line, read

GIANT = "x" * 300_000


@dataclass(frozen=True)
class Damaged:
    """A damaged file and what its reading must give."""

    name: str
    kind: str
    content: bytes
    message: str
    """Expression that the message matches."""
    line: int | None = None
    """Line of the finding; None for one that concerns the whole file."""
    rows: list[list[Any]] | None = None
    """The rows that are read; None if the file cannot be read at all."""
    is_error: bool = False


def with_row(kind: str, row: list[Any]) -> tuple[bytes, int]:
    """Return the contents of a file with another row after the second one, and the line of that row."""
    return content_of(kind, [*ROWS[:2], row, *ROWS[2:]]), first_line(kind) + 2


def damaged_rows() -> Iterator[Damaged]:
    """One row with a fault, in every format that can express it."""
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    faults: list[tuple[str, list[Any], str, list[Any] | None]] = [
        # what, row, message, the row that is read (None: an error)
        ("missing label", ["fine", None], "has no label in the column 'label'", None),
        ("empty label", ["fine", ""], "has no label in the column 'label'", None),
        ("blank label", ["fine", " \u00a0 "], "has no label in the column 'label'", None),
        ("invisible label", ["fine", "\u200b"], "has no label in the column 'label'", None),
        ("label NA", ["fine", "NA"], "the label 'NA' is read as it is", ["fine", "NA"]),
        ("label None", ["fine", "None"], "the label 'None' is read as it is", ["fine", "None"]),
        ("label null", ["fine", "null"], "the label 'null' is read as it is", ["fine", "null"]),
        ("label nan", ["fine", "nan"], "the label 'nan' is read as it is", ["fine", "nan"]),
        ("label -", ["fine", "-"], "the label '-' is read as it is", ["fine", "-"]),
        ("label in quotation marks", ["fine", '"pos"'], "contains quotation marks", ["fine", '"pos"']),
        ("label with blanks", ["fine", " pos  "], "the label ' pos  ' is read as 'pos'", ["fine", "pos"]),
        ("label with no-break space", ["fine", "pos\u00a0"], r"the label 'pos\\xa0' is read as 'pos'", ["fine", "pos"]),
        ("label with byte-order mark", ["fine", "\ufeffpos"], r"the label '\\ufeffpos' is read as 'pos'", ["fine", "pos"]),
        ("label with zero-width space", ["fine", "pos\u200b"], r"is read as 'pos'", ["fine", "pos"]),
        ("label with NUL", ["fine", "pos\0"], r"is read as 'pos'", ["fine", "pos"]),
        ("label with an inner no-break space", ["fine", "very\u00a0 good"], "is read as 'very good'", ["fine", "very good"]),
        ("label with a soft hyphen", ["fine", "po\u00ads"], "is read as 'pos'", ["fine", "pos"]),
        ("label with an inner zero-width space", ["fine", "p\u200bos"], "is read as 'pos'", ["fine", "pos"]),
        ("label with a control character", ["fine", "po\x08s"], "is read as 'pos'", ["fine", "pos"]),
        ("label with a mark of direction", ["fine", "\u202epos"], "is read as 'pos'", ["fine", "pos"]),
        ("label with joiners", ["fine", "\u0645\u06cc\u200c\u062e"], "", ["fine", "\u0645\u06cc\u200c\u062e"]),
        ("label in Arabic digits", ["fine", "\u0664\u066b\u0662"], "is read as '4.2'", ["fine", "4.2"]),
        ("label in wide digits", ["fine", "\uff11\uff10"], "is read as '10'", ["fine", "10"]),
        ("label with a minus sign", ["fine", "\u22121"], "is read as '-1'", ["fine", "-1"]),
        ("label inf", ["fine", "inf"], "the label 'inf' is read as it is", ["fine", "inf"]),
        ("label 1e999", ["fine", "1e999"], "the label '1e999' is read as it is", ["fine", "1e999"]),
        ("label <NA>", ["fine", "<NA>"], "the label '<NA>' is read as it is", ["fine", "<NA>"]),
        ("list of Python as label", ["fine", "['pos', 'neg']"], "a list that is written as text", None),
        ("list of JSON as label", ["fine", '["pos"]'], "a list that is written as text", None),
        ("empty list as label", ["fine", "[]"], "a list that is written as text", None),
        ("decomposed label", ["fine", decomposed], "is read as 'café'", ["fine", composed]),
        ("label in other case", ["fine", "Pos"], "the label 'Pos' and 'pos' in .* differ only in the way", ["fine", "Pos"]),
        ("wide label", ["fine", "ｐｏｓ"], "differ only in the way", ["fine", "ｐｏｓ"]),
        ("label with inner blank", ["fine", "p os"], "differ only in the way", ["fine", "p os"]),
        ("empty text", ["", "pos"], "the text is empty", ["", "pos"]),
        ("blank text", ["  \u3000", "pos"], "the text is empty", ["  \u3000", "pos"]),
        ("text of byte-order marks", ["x\ufeff", "pos"], "", ["x\ufeff", "pos"]),
        ("text with NUL", ["fi\0ne", "pos"], "the text contains control characters", ["fi\0ne", "pos"]),
        ("text with escape", ["\x1b[31mfine", "pos"], "the text contains control characters", ["\x1b[31mfine", "pos"]),
        ("text with C1", ["it\x92s", "pos"], r"control characters from U\+0080", ["it\x92s", "pos"]),
        ("text with lost characters", ["caf\ufffd", "pos"], r"contains U\+FFFD", ["caf\ufffd", "pos"]),
        ("line separator", ["one\u2028two", "pos"], "", ["one\u2028two", "pos"]),
        ("next line and form feed", ["one\x85two\fthree\vfour", "pos"], "U\\+0080", ["one\x85two\fthree\vfour", "pos"]),
        ("giant text", [GIANT, "pos"], "", [GIANT, "pos"]),
        ("quotation mark at the start", ['"fine', "pos"], "", ['"fine', "pos"]),
        ("text NA", ["NA", "pos"], "", ["NA", "pos"]),
        ("text null", ["null", "pos"], "", ["null", "pos"]),
        ("emoji", ["\U0001f600\ufe0f", "pos"], "", ["\U0001f600\ufe0f", "pos"]),
        ("a header", ["text", "label"], "is a header and not a row", []),
        ("a header in capitals", [" TEXT", "Label "], "is a header and not a row", []),
        ("a header in quotation marks", ['"text"', '"label"'], "is a header and not a row", []),
        ("another header", ["sentence", "class"], "is a header and not a row", []),
        ("the same row twice", ROWS[0], "has the text and the label of", ROWS[0]),
        ("the same row, other blanks", ["a  good film ", "pos"], "has the text and the label of", ["a  good film ", "pos"]),
        ("two labels", ["a good film", "neg"], "has the label 'neg', but the same text has 'pos'", ["a good film", "neg"]),
    ]
    for what, row, message, expected in faults:
        for kind in FORMATS:
            if kind == ".tsv" and what == "giant text":
                continue  # the next test has one
            content, line = with_row(kind, row)
            rows = [*ROWS[:2], *([expected] if expected else []), *ROWS[2:]]
            yield Damaged(what, kind, content, message, line if message else None, rows, is_error=expected is None)


def damaged_json() -> Iterator[Damaged]:
    """One line of JSONL, or a value of a type that only JSON has."""
    faults: list[tuple[str, str, str, list[Any] | None]] = [
        ("bad JSON", '{"text": "fine", "label": "pos"', "is not JSON", None),
        ("two objects", '{"text": "x", "label": "a"} {"text": "y", "label": "b"}', "is not JSON", None),
        ("comma at the end", '{"text": "fine", "label": "pos"},', "is not JSON", None),
        ("single quotation marks", "{'text': 'fine', 'label': 'pos'}", "is not JSON", None),
        ("comment", "// a comment", "is not JSON", None),
        ("array", '["fine", "pos"]', "is not a JSON object", None),
        ("number", "5", "is not a JSON object", None),
        ("null", "null", "is not a JSON object", None),
        ("empty object", "{}", "has no columns", None),
        ("deep nesting", "[" * 100_000, "is not JSON", None),
        ("key twice", '{"text": "fine", "text": "other", "label": "pos"}', "has the key 'text' twice", None),
        ("no text", '{"label": "pos"}', "has no column 'text'", None),
        ("no label", '{"text": "fine"}', "has no column 'label'", None),
        ("text in other case", '{"Text": "fine", "label": "pos"}', "has no column 'text'", None),
        ("text is null", '{"text": null, "label": "pos"}', "the text is empty", ["", "pos"]),
        ("text is a number", '{"text": 5, "label": "pos"}', "does not contain text but '5'", None),
        ("text is a list", '{"text": ["a", "b"], "label": "pos"}', "does not contain text", None),
        ("text is an object", '{"text": {"a": 1}, "label": "pos"}', "does not contain text", None),
        ("text is Boolean", '{"text": true, "label": "pos"}', "does not contain text", None),
        ("half a surrogate pair", '{"text": "\\ud83d", "label": "pos"}', "half a surrogate pair", None),
        ("surrogate in the label", '{"text": "fine", "label": "\\ud83d"}', "half a surrogate pair", None),
        ("label is NaN", '{"text": "fine", "label": NaN}', "not a finite number", None),
        ("label is infinite", '{"text": "fine", "label": -Infinity}', "not a finite number", None),
        ("label is too large", '{"text": "fine", "label": 1e999}', "not a finite number", None),
        ("label is null", '{"text": "fine", "label": null}', "has no label", None),
        ("label is an object", '{"text": "fine", "label": {"pos": 1}}', "neither text nor a number", None),
        ("label is a list", '{"text": "fine", "label": ["pos"]}', "has a label that is a list, where others are a text", []),
        ("label is a list of 0 and 1", '{"text": "fine", "label": [0, 1, 0]}', "with 0 or 1 for each class", None),
        (
            "label is a list of Boolean values",
            '{"text": "fine", "label": [true, false, true]}',
            "with 0 or 1 for each class",
            None,
        ),
        ("label is a list of lists", '{"text": "fine", "label": [["pos"]]}', "another list in it", None),
        ("label is a list with null", '{"text": "fine", "label": ["pos", null]}', "a missing one", None),
        ("label is a number", '{"text": "fine", "label": 1}', "has a label that is a number, where others", ["fine", "1"]),
        ("label is a float", '{"text": "fine", "label": 1.0}', "has a label that is a number, where others", ["fine", "1"]),
        ("label is Boolean", '{"text": "fine", "label": true}', "has a label that is a Boolean value", ["fine", "true"]),
        ("byte-order mark", '\ufeff{"text": "fine", "label": "pos"}', "begins with a byte-order mark", ["fine", "pos"]),
        ("nested other column", '{"text": "fine", "label": "pos", "x": {"y": [1]}}', "", ["fine", "pos"]),
        ("blank line", "", "is blank", []),
    ]
    lines = content_of(".jsonl", ROWS).decode().splitlines(keepends=True)
    for what, text, message, expected in faults:
        content = "".join([*lines[:2], f"{text}\n", *lines[2:]]).encode()
        is_list = what == "label is a list"
        rows = [*ROWS[:2], *([["fine", ("pos",)]] if is_list else [expected] if expected else []), *ROWS[2:]]
        yield Damaged(what, ".jsonl", content, message, 3 if message else None, rows, is_error=expected is None or is_list)


def damaged_lines() -> Iterator[Damaged]:
    """Lines of TSV and CSV files: numbers of columns, quotation marks, and line ends of all text formats."""
    for kind in (".tsv", ".csv"):
        mark = "\t" if kind == ".tsv" else ","
        header, first, *others = content_of(kind, ROWS).decode().splitlines(keepends=True)
        for what, line, message in (
            ("a column more", f"fine{mark}pos{mark}\n", "has 3 columns instead of 2"),
            ("a column less", "fine\n", "has 1 column instead of 2"),
            ("many columns", mark.join("abcdefg") + "\n", "has 7 columns instead of 2"),
        ):
            yield Damaged(what, kind, "".join([header, first, line, *others]).encode(), message, 3, ROWS, is_error=True)
        swapped = f"label{mark}text\n"
        yield Damaged("a header in another order", kind, "".join([header, first, swapped, *others]).encode(),
                      "is a header with the columns in another order", 3, ROWS[:1], is_error=True)  # fmt: skip
        yield Damaged("blank lines", kind, "".join([header, first, "\n", *others, "\n\n"]).encode(), "is blank", 3, ROWS)
        yield Damaged("empty cells", kind, "".join([header, first, f"{mark}\n", *others]).encode(), "is blank", 3, ROWS)
        yield Damaged(
            "cut in a row", kind, "".join([header, first, *others]).encode()[:-6], "has 1 column|is not CSV", 5, ROWS[:3], True
        )
        yield Damaged("two names", kind, f"text{mark}text{mark}label\na{mark}b{mark}c\n".encode(), "line 1: .*'text', 'text'")
        yield Damaged(
            "two labels", kind, f"text{mark}label{mark}score\na{mark}b{mark}c\n".encode(), "line 1: .*'label', 'score'"
        )
        yield Damaged("two texts", kind, f"text{mark}title{mark}label\na{mark}b{mark}c\n".encode(), "line 1: .*--text-column")
        yield Damaged("no known names", kind, f"x{mark}y\na{mark}b\n".encode(), "line 1: .*--columns")
        yield Damaged("no header", kind, f"good{mark}1\nbad{mark}0\n".encode(), "line 1: .*--columns")
        yield Damaged("other separator", kind, b"text;label\na;b\n", r"line 1: .*seem to be separated by ';'")
        yield Damaged("only a header", kind, header.encode(), "has no rows", None, [], is_error=True)
    quoted = content_of(".csv", ROWS).decode().splitlines(keepends=True)
    for what, line, message, rows, is_error in (
        ("unclosed quotation mark", '"fine,pos\n', "the row that begins here is not CSV", [ROWS[0], ROWS[3]], True),
        ("text after a quotation mark", '"fine" one,pos\n', "the row that begins here is not CSV", ROWS, True),
        ("line break in a label", 'fine,"p\nos"\n', "is read as 'p os'", [*ROWS[:1], ["fine", "p os"], *ROWS[1:]], False),
        (
            "rows in a cell",
            '"fine,pos\nbad,neg\nnot 12",neg\n',
            "several lines that look like rows",
            [ROWS[0], ["fine,pos\nbad,neg\nnot 12", "neg"], *ROWS[1:]],
            False,
        ),
        ("line break in a cell", '"fine\none",pos\n', "", [ROWS[0], ["fine\none", "pos"], *ROWS[1:]], False),
    ):
        content = "".join([*quoted[:2], line, *quoted[2:]]).encode()
        yield Damaged(what, ".csv", content, message, 3 if message else None, rows, is_error)
    csv_in_tsv = b'text\tlabel\n"He said ""no"""\tneg\nfine\tpos\n'
    yield Damaged("quoting of CSV", ".tsv", csv_in_tsv, "has quotation marks around it and doubled ones in it", 2,
                  [['"He said ""no"""', "neg"], ["fine", "pos"]])  # fmt: skip
    for kind in TEXT_FORMATS:
        content = content_of(kind, ROWS)
        lines = content.splitlines(keepends=True)
        yield Damaged("byte-order mark", kind, b"\xef\xbb\xbf" + content, "begins with a byte-order mark", 1, ROWS)
        yield Damaged("two byte-order marks", kind, b"\xef\xbb\xbf" * 2 + content, "begins with a byte-order mark", 1, ROWS)
        misread = "\ufeff".encode().decode("cp1252").encode()
        yield Damaged("byte-order mark read as cp1252", kind, misread + content, "begins with a byte-order mark", 1, ROWS)
        joined = content + b"\xef\xbb\xbf" + content
        yield Damaged("joined files", kind, joined, "begins with a byte-order mark", len(lines) + 1, [*ROWS, *ROWS])
        yield Damaged("Windows", kind, content.replace(b"\n", b"\r\n"), r"ends with \\r\\n", 1, ROWS)
        yield Damaged("old Mac", kind, content.replace(b"\n", b"\r"), r"ends with \\r alone", 1, ROWS)
        mixed = b"".join([*lines[:2], lines[2].replace(b"\n", b"\r\n"), *lines[3:]])
        yield Damaged("mixed line ends", kind, mixed, r"ends with \\r\\n", 3, ROWS)
        yield Damaged("no line end", kind, content[:-1], "the last line has no line end", len(lines), ROWS)
        yield Damaged("Latin-1", kind, content.replace(b"long", b"caf\xe9"), rf"line {first_line(kind) + 2}: is not UTF-8")
        yield Damaged("UTF-16", kind, content.decode().encode("utf-16"), "is not UTF-8 but UTF-16")
        yield Damaged("UTF-16 without mark", kind, content.decode().encode("utf-16-le"), "is not UTF-8 but UTF-16")
        yield Damaged("surrogates in UTF-8", kind, content.replace(b"long", b"\xed\xa0\xbd"), "is not UTF-8")
        yield Damaged("cut in a character", kind, content.replace(b"long", "é".encode()[:1]), "is not UTF-8")
        yield Damaged("binary", kind, bytes(range(256)) * 10, "a binary file")
        yield Damaged("zeros", kind, bytes(1000), "a binary file")
        yield Damaged("blank", kind, b"\n \n\n", "has no rows")
        yield Damaged(
            "HTML", kind, b"<!DOCTYPE html>\n<html><body>404</body></html>\n", "has no column|is not JSON", 1, [], True
        )
        yield Damaged("pointer of LFS", kind, b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS")
        yield Damaged("ZIP", kind, b"PK\x03\x04\x14\x00" + bytes(30), "a zip archive")


def damaged_files() -> Iterator[Damaged]:
    """Files that are empty, cut off, or compressed."""
    for kind in FORMATS:
        content = content_of(kind, ROWS * 100)
        packed = gzip.compress(content, mtime=0)
        yield Damaged("empty", kind, b"", "has no rows|is not Parquet")
        yield Damaged("cut gzip", f"{kind}.gz", packed[: len(packed) // 2], "cannot be decompressed after line|is not Parquet")
        yield Damaged("gzip without its end", f"{kind}.gz", packed[:-8], "cannot be decompressed after line|is not Parquet")
        damaged = packed[: len(packed) // 2] + b"\x00\xff" * 5 + packed[len(packed) // 2 + 10 :]
        yield Damaged("damaged gzip", f"{kind}.gz", damaged, "cannot be decompressed after line|is not Parquet")
        yield Damaged("not compressed", f"{kind}.gz", content, "cannot be decompressed after line 0|is not Parquet")
        yield Damaged("compressed", kind, packed, "compressed with gzip|is not Parquet")
        other = {".tsv": ".parquet", ".csv": ".parquet", ".jsonl": ".csv", ".parquet": ".tsv"}[kind]
        yield Damaged(
            "another format", kind, content_of(other, ROWS), "a binary file|Parquet|is not JSON|has no column", 1, [], True
        )
    whole = content_of(".parquet", ROWS)
    for share in (4, len(whole) // 2, len(whole) - 4):
        yield Damaged(f"cut after {share} bytes", ".parquet", whole[:share], "is not Parquet, or damaged")
    yield Damaged("no such columns", ".parquet", content_of(".parquet", ROWS, ("x", "y")), "has no column with a known name")
    yield Damaged("same names", ".parquet", content_of(".parquet", ROWS, ("text", "text")), "has several columns")
    yield Damaged(
        "numbers as text", ".parquet", content_of(".parquet", [[1, "a"], [2, "b"]]), "does not contain text", 1, [], True
    )
    nan = content_of(".parquet", [["x", 1.0], ["y", float("nan")], ["z", 0.0]])
    yield Damaged("label is NaN", ".parquet", nan, "not a finite number", 2, [["x", "1"], ["z", "0"]], is_error=True)
    null = content_of(".parquet", [["x", 1], ["y", None], ["z", 0]])
    yield Damaged("label is null", ".parquet", null, "has no label", 2, [["x", "1"], ["z", "0"]], is_error=True)
    lists = content_of(".parquet", [["x", ["a", "a"]], ["y", []]])
    yield Damaged("a label twice", ".parquet", lists, "or one label twice", 1, [["x", ("a",)], ["y", ()]])


DAMAGED = [*damaged_rows(), *damaged_json(), *damaged_lines(), *damaged_files()]


def test_there_are_enough_damaged_files() -> None:
    assert len(DAMAGED) >= 300
    assert {each.kind for each in DAMAGED} >= {*FORMATS, *(f"{kind}.gz" for kind in FORMATS)}


@pytest.mark.parametrize("damaged", DAMAGED, ids=lambda each: f"{each.kind[1:]}-{each.name}")
def test_damage_gives_an_error_or_the_right_rows_with_a_finding(tmp_path: Path, damaged: Damaged) -> None:
    path = tmp_path / f"data{damaged.kind}"
    path.write_bytes(damaged.content)
    data, error = outcome(path)
    if data is None:
        assert error.startswith(str(path))
        assert re.search(damaged.message, error)
        assert damaged.rows is None or damaged.is_error
        return
    assert cells(data) == damaged.rows
    found = [finding for finding in data.findings if damaged.message and re.search(damaged.message, finding.message)]
    if damaged.message:
        assert any(finding.line == damaged.line for finding in found), data.findings
        assert all(finding.is_error == damaged.is_error for finding in found)
    assert bool(data.errors) == damaged.is_error, data.findings
    assert all("\n" not in str(finding) for finding in data.findings)


def outcome(path: Path) -> tuple[LabeledData[TextRow] | None, str]:
    """Return the data of a file, or the message of the error. Only ValueError is an error for people."""
    try:
        return read(path), ""
    except ValueError as error:
        return None, str(error)


PIECES = [
    "\n",
    "\r",
    "\t",
    ",",
    '"',
    "\ufeff",
    "\0",
    "{",
    "}",
    "[",
    ":",
    "null",
    "NaN",
    "1.0",
    "1",
    "label",
    "text\tlabel\n",
    "\\ud800",
]


@pytest.mark.parametrize("kind", FORMATS)
def test_random_damage_never_gives_another_exception(tmp_path: Path, kind: str) -> None:
    """A copy that was repaired has the same rows, the same errors, and nothing to repair."""
    generator, path, copy = random.Random(0), tmp_path / f"data{kind}", tmp_path / f"copy{kind}"
    for _ in range(60):
        content = bytearray(content_of(kind, ROWS))
        for _ in range(generator.randint(1, 3)):
            place = generator.randrange(len(content))
            if generator.random() < 0.5:
                content[place:place] = generator.choice(PIECES).encode()
            else:
                del content[place : place + generator.randint(1, 9)]
        path.write_bytes(content)
        data, _ = outcome(path)
        if data is not None:
            write_repaired(LabeledSource((path,)), copy)
            again = read(copy)
            assert cells(again) == cells(data), bytes(content)
            assert not any(finding.is_repaired for finding in again.findings), bytes(content)
            assert len(again.errors) == len(data.errors), bytes(content)
