"""The built-in corpus: prose without code or duplicates, split by module."""

import ast
import gc
import json
import os
from collections import Counter
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

import minibert
from minibert.text import builtin
from minibert.text.builtin import builtin_corpus, docstring_sentences
from minibert.text.corpus import Document
from minibert.text.splits import split_documents


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    return list(builtin_corpus().documents)


@pytest.mark.parametrize(
    ("docstring", "prose"),
    [
        ("Adds two numbers and returns the sum.", ["Adds two numbers and returns the sum."]),
        ("First sentence stands here. Second one follows it.", ["First sentence stands here.", "Second one follows it."]),
        ("A :class:`~torch.Tensor` of ``size`` `n` elements.", ["A torch.Tensor of size n elements."]),
        ("See `the paper <https://a.b/c>`_ for more of it.", ["See the paper for more of it."]),
        ("Args:\n    dim (int): the axis to be summed over\n    out: where it is written to", ["the axis to be summed over"] * 0
         + ["the axis to be summed over", "where it is written to"]),
        ("* the first of two bullets\n* the second of two bullets", ["the first of two bullets", "the second of two bullets"]),
        ("A line that\nis wrapped over two.", ["A line that is wrapped over two."]),
        (">>> print('this is a doctest')\nthis is a doctest of course", []),
        (".. note::\n    hidden in a directive as it is", []),
        ("Example of its use::\n\n    this looks like words but is code\n\nAnd here it goes on.", ["And here it goes on."]),
        ("| name | what it is |\n| --- | --- |", []),
        ("x = f(a_b, c.d) + g[1:2] if y else {}", []),
        ("Too short.", []),
        ("", []),
    ],
)  # fmt: skip
def test_prose_is_kept_and_code_is_removed(docstring: str, prose: list[str]) -> None:
    found = docstring_sentences(docstring)
    assert [sentence for sentence in found if not sentence.startswith("Example")] == prose


@pytest.mark.slow
def test_corpus_has_about_600_000_words(documents: list[Document]) -> None:
    """The documents come from the standard library and from torch. Many have several sentences."""
    words = sum(len(sentence.split()) for document in documents for sentence in document.sentences)
    assert 400_000 < words < 1_000_000
    modules = {document.source for document in documents}
    assert {"asyncio.events", "torch.nn.modules.linear", "torch._torch_docs"} <= modules
    assert sum(len(document.sentences) > 1 for document in documents) > 5_000


@pytest.mark.slow
def test_every_sentence_is_unique(documents: list[Document]) -> None:
    counts = Counter(sentence for document in documents for sentence in document.sentences)
    assert counts.most_common(1)[0][1] == 1


@pytest.mark.slow
def test_test_modules_and_code_are_excluded(documents: list[Document]) -> None:
    assert not any({"test", "tests", "testing"} & set(document.source.split(".")) for document in documents)
    assert not any(">>>" in sentence for document in documents for sentence in document.sentences)


@pytest.mark.slow
def test_second_call_uses_the_cache(documents: list[Document], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin, "_extract", lambda: pytest.fail("extracted again"))
    assert builtin_corpus().documents == documents


@pytest.mark.parametrize("damaged", [b"", b"[", b"null", b"[]", b"\0\0", b"\xff"])
def test_a_damaged_cache_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: bytes) -> None:
    """Also one that cannot be written."""
    monkeypatch.setenv("MINIBERT_CACHE", str(tmp_path))
    monkeypatch.setattr(builtin, "_extract", lambda: ['["module", ["One.", "Two."]]'])
    expected = builtin.builtin_corpus()
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    file.write_bytes(damaged)
    assert builtin.builtin_corpus() == expected
    assert file.read_bytes() == content
    monkeypatch.setenv("MINIBERT_CACHE", str(file))
    assert builtin.builtin_corpus() == expected


@pytest.mark.slow
def test_split_keeps_modules_together(documents: list[Document]) -> None:
    """No module is in both parts, the fraction is approximately right, and the split depends only on the names."""
    train, validation = split_documents(documents, 0.15)
    assert {d.source for d in train}.isdisjoint({d.source for d in validation})
    assert len(train) + len(validation) == len(documents)
    modules = {d.source for d in documents}
    assert 0.10 < len({d.source for d in validation}) / len(modules) < 0.20
    assert split_documents(validation[:10], 0.15) == ([], validation[:10])


def test_the_indentation_of_the_source_does_not_matter() -> None:
    """The lines after the first one are indented as the code; only what is indented more below "::" is code."""
    docstring = "Adds two numbers as below::\n\n        here is code like words\n\n    The text goes on here.\n    "
    assert docstring_sentences(docstring)[1:] == ["The text goes on here."]


SOURCE = '''
"""module"""
if True:
    class Outer:
        """class"""
        value = "no docstring"
        def method(self):
            """method"""
            def inner():
                """inner"""
try:
    with open("x"):
        async def coroutine():
            """coroutine"""
except OSError:
    pass
def without(): "one" + "two"
add_docstr(torch.add, "added " + tail, ["listed", 5])
torch._C.add_docstr_all("name", "all")
other("call", "argument")
add_docstr
result = add_docstr(torch.add, "assigned")
'''


def test_docstrings_of_modules_classes_functions_and_calls() -> None:
    """In the order of the source. The first argument of `add_docstr` is an object or a name."""
    found = [*builtin._docstrings(ast.parse(SOURCE))]
    assert [text for text in found if text] == [
        "module", "class", "method", "inner", "coroutine", "added ", "listed", "all",
    ]  # fmt: skip
    assert [*builtin._docstrings(ast.parse('"""  first\\n    second\\n"""'))] == ["  first\n    second\n"]


def test_source_files_have_no_tests_and_no_vendored_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are sorted, first those of the standard library. torch may be missing, or a folder without code."""
    names = ("b.py", "A.py", "a/__init__.py", "a/c.py", "a/test/d.py", "site-packages/e.py", "_vendor/x/f.py", "g.txt")
    for root in ("stdlib", "torch"):
        for name in names:
            (tmp_path / root / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / root / name).touch()
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path / name))
    files = [("A", "A.py"), ("a", "a/__init__.py"), ("a.c", "a/c.py"), ("b", "b.py")]
    stdlib = [(module, tmp_path / "stdlib" / name) for module, name in files]
    torch = [(f"torch.{module}", tmp_path / "torch" / name) for module, name in files]
    for origin, found in ((tmp_path / "torch" / "__init__.py", stdlib + torch), (None, stdlib)):
        spec = ModuleSpec("torch", None, origin=origin and str(origin))
        monkeypatch.setattr("importlib.util.find_spec", {"torch": spec}.get)
        assert [*builtin._source_files()] == found
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert [*builtin._source_files()] == stdlib


def test_workers_scan_different_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Docstrings are numbered in each file; those without prose are left out. Files that cannot be parsed are skipped."""
    monkeypatch.setattr(gc, "disable", lambda: None)
    contents = {
        "a": '"""No prose."""\ndef f():\n    """Adds two numbers to it."""\ndef g():\n    """Adds three numbers to it."""',
        "b": '"""The second file has é."""',
        "c": "not Python",
        "d": "null \0 bytes",
        "f": '"""The last file stands here."""',
    }
    for name, text in contents.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(builtin, "_source_files", lambda: ((name, tmp_path / name) for name in "abcdef"))
    expected = [
        [["a", 1, ["Adds two numbers to it."]], ["a", 2, ["Adds three numbers to it."]]],
        [["b", 0, ["The second file has é."]], ["f", 0, ["The last file stands here."]]],
    ]
    for worker, lines in enumerate(expected):
        builtin._scan(worker, 2)
        assert [*map(json.loads, capsys.readouterr().out.splitlines())] == lines


@pytest.mark.parametrize(("cores", "workers"), [(None, 1), (1, 1), (2, 2), (100, 8)])
def test_documents_are_sorted_and_only_the_first_occurrence_of_a_sentence_is_kept(
    monkeypatch: pytest.MonkeyPatch, cores: int | None, workers: int
) -> None:
    """The number of workers does not matter. A document without a new sentence is left out."""
    found = [["c", 0, ["Three.", "Öne."]], ["a", 10, ["Two.", "Öne."]], ["a", 9, ["Öne.", "Öne."]], ["b", 0, ["Öne.", "Two."]]]

    def scan(worker: int, count: int) -> bytes:
        assert count == workers
        return "".join(json.dumps(line) + "\n" for line in found[worker::count]).encode()

    monkeypatch.setattr("os.cpu_count", lambda: cores)
    monkeypatch.setattr(builtin, "_scan_in_subprocess", scan)
    assert builtin._extract() == ['["a", ["Öne."]]', '["a", ["Two."]]', '["c", ["Three."]]']


def test_a_subprocess_imports_this_package_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder comes before those of PYTHONPATH. The script in place of Python prints what it is given."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nprintf "%s|" "$PYTHONPATH" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    path, *arguments = builtin._scan_in_subprocess(1, 2).decode().split("|")[:-1]
    assert path.split(os.pathsep) == [str(Path(minibert.__file__).parents[1]), "elsewhere"]
    assert arguments == ["-c", "from minibert.text.builtin import _scan; _scan(1, 2)"]
