"""The built-in corpus: prose without code or duplicates, split by module."""

from collections import Counter
from pathlib import Path

import pytest

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


def test_corpus_has_about_600_000_words(documents: list[Document]) -> None:
    """The documents come from the standard library and from torch. Many have several sentences."""
    words = sum(len(sentence.split()) for document in documents for sentence in document.sentences)
    assert 400_000 < words < 1_000_000
    modules = {document.source for document in documents}
    assert {"asyncio.events", "torch.nn.modules.linear", "torch._torch_docs"} <= modules
    assert sum(len(document.sentences) > 1 for document in documents) > 5_000


def test_every_sentence_is_unique(documents: list[Document]) -> None:
    counts = Counter(sentence for document in documents for sentence in document.sentences)
    assert counts.most_common(1)[0][1] == 1


def test_test_modules_and_code_are_excluded(documents: list[Document]) -> None:
    assert not any({"test", "tests", "testing"} & set(document.source.split(".")) for document in documents)
    assert not any(">>>" in sentence for document in documents for sentence in document.sentences)


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


def test_split_keeps_modules_together(documents: list[Document]) -> None:
    """No module is in both parts, the fraction is approximately right, and the split depends only on the names."""
    train, validation = split_documents(documents, 0.15)
    assert {d.source for d in train}.isdisjoint({d.source for d in validation})
    assert len(train) + len(validation) == len(documents)
    modules = {d.source for d in documents}
    assert 0.10 < len({d.source for d in validation}) / len(modules) < 0.20
    assert split_documents(validation[:10], 0.15) == ([], validation[:10])
