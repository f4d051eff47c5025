"""A learner's file: its encoding, its line ends, and the function in it."""

import json

import pytest

from minibert.classroom.learner_file import MAX_BYTES, BadFile, LearnerFile

CODE = "def softmax(scores):\n    return scores  # é\n"


def read(tmp_path, content: bytes | str) -> LearnerFile:
    path = tmp_path / "learner.py"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return LearnerFile.read(path)


@pytest.mark.parametrize(
    "content",
    [
        CODE.encode(),
        CODE.replace("\n", "\r\n").encode(),
        CODE.replace("\n", "\r").encode(),
        b"\xef\xbb\xbf" + CODE.encode(),
        b"# -*- coding: latin-1 -*-\n" + CODE.encode("latin-1"),
        CODE.replace("    ", "\t").encode(),
        b"",
    ],
    ids=["plain", "CRLF", "CR", "BOM", "declared latin-1", "tabs", "empty"],
)
def test_files_that_python_reads_are_read(tmp_path, content) -> None:
    file = read(tmp_path, content)
    if content:
        file.require_function("softmax")
        assert "é" in "".join(file.lines)


@pytest.mark.parametrize(
    ("content", "reason", "line"),
    [
        (CODE.encode("latin-1"), "not in UTF-8: save it as UTF-8", 2),
        ("def softmax(scores)\n    return 1\n", "SyntaxError: expected ':'", 1),
        (
            "def softmax(x):\n    if x:\n\treturn 1\n        return 2\n",
            "inconsistent use of tabs|unindent|unexpected indent",
            None,
        ),
        ("x = 1\0\n", "null", None),
        ("# coding: nothing\n", "encoding that the file declares", None),
        ("# coding: rot13\n", "encoding that the file declares", None),
        ("# coding: undefined\n", "encoding that the file declares", None),
        ("(" * 5000 + ")" * 5000, "nested|recursion|memory|MemoryError", None),
        (b"\x89PNG\r\n\x1a\n\x00", "save it as UTF-8", 1),
    ],
)
def test_other_files_are_described(tmp_path, content, reason, line) -> None:
    with pytest.raises(BadFile, match=f"(?i){reason}") as caught:
        read(tmp_path, content)
    if line:
        assert caught.value.line == line


def test_a_notebook_is_one_text_with_the_cells_that_are_python(tmp_path) -> None:
    """Also one with capital letters in its suffix. A cell that is no Python is empty, and the lines are counted in it."""
    sources = ["import a\n\nx = 1", "def f(:\n    pass", "def softmax(x):\n    return a"]
    cells = [{"cell_type": "code", "source": source} for source in sources]
    path = tmp_path / "learner.IPYNB"
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    file = LearnerFile.read(path)
    assert file.lines == ("import a", "", "x = 1", "", "", "def softmax(x):", "    return a")
    assert (file.cells, [cell.text for cell in file.broken]) == ((1, 4, 6, 8), sources[1:2])
    assert [file.place(number) for number in (1, 3, 4, 7, 8)] == [(1, 1), (1, 3), (2, 1), (3, 2), (None, 8)]
    assert file.needed("softmax").split("\n") == ["import a", "", "", "", "", "def softmax(x):", "    return a"]


def test_lines_and_places_of_a_file(tmp_path) -> None:
    file = read(tmp_path, "x = 1\ny = 2")
    assert [file.line(number) for number in (None, 0, 1, 2, 3)] == ["", "", "x = 1", "y = 2", ""]
    assert file.place(2) == (None, 2)


def test_a_huge_file_is_not_read(tmp_path) -> None:
    with pytest.raises(BadFile, match="is it the right file"):
        read(tmp_path, b"#" * (MAX_BYTES + 1))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("def soft_max(x): pass", "no function softmax at its top level; it has soft_max. Do not rename it"),
        ("x = 1", "it has no function"),
        ("class softmax: pass", "softmax is a class"),
        ("async def softmax(x): pass", "without async"),
        ("from torch import softmax", "softmax is imported: write the function in this file"),
        ("from minibert.equations import gelu as softmax", "softmax is imported"),
        ("def softmax(x): pass\nfrom torch import softmax", "softmax is imported"),
        ("try:\n    from torch import softmax\nexcept ImportError:\n    pass", "softmax is imported"),
        ("def outer():\n    def softmax(x): pass", "it has outer"),
        ("class A:\n    def softmax(x): pass", "no function softmax"),
    ],
)
def test_a_missing_function_is_described(tmp_path, code, reason) -> None:
    with pytest.raises(BadFile, match=reason):
        read(tmp_path, code).require_function("softmax")


@pytest.mark.parametrize(
    "code",
    [
        "def softmax(x): pass",
        "def softmax(x): pass\ndef softmax(y): pass",
        "from torch import softmax\ndef softmax(x): pass",
        "softmax = lambda x: x",
        "softmax: object = lambda x: x",
        "if True:\n    def softmax(x): pass",
        "def other(x): pass\nsoftmax = other",
    ],
)
def test_any_definition_in_the_file_counts(tmp_path, code) -> None:
    read(tmp_path, code).require_function("softmax")
