"""Sentence splitting and layout detection."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from minibert.text.sentences import (
    MAX_SENTENCE_CHARACTERS,
    _begins_with_capital,
    _first_word,
    _has_blank_lines_between_paragraphs,
    _split_long,
    detect_layout,
    parse_documents,
    split_sentences,
)

GOLD = Path(__file__).parents[2] / "benchmarks" / "sentences.txt"
GOOGLE = "One sentence a line.\nAnother one.\n\nA second document.\nIts end.\n"
WIKI = "One paragraph a line. It has sentences. Three of them.\nThe next paragraph. Two.\n\nA second document. It ends.\n"
BOOK = """CHAPTER I

It was a long paragraph that was wrapped over two
lines. It had a second sentence.

A second paragraph stands after one blank line and is
of the same chapter.


CHAPTER II

Here begins another document, after two blank lines,
and here it ends.
"""


@pytest.mark.parametrize(
    ("paragraph", "sentences"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ('He said: "No." She left.', ['He said: "No."', "She left."]),
        ("Dr. Who met J. K. Rowling at No. 10. They left.", ["Dr. Who met J. K. Rowling at No. 10.", "They left."]),
        ("A version 2.13.0 of it, e.g. Python. 3 came.", ["A version 2.13.0 of it, e.g. Python.", "3 came."]),
        ("See the end. and go on small.", ["See the end. and go on small."]),
        ("第一句。第二句！“第三句？”第四句", ["第一句。", "第二句！", "“第三句？”", "第四句"]),
        ("  spaced   out.   Yes.  ", ["spaced   out.", "Yes."]),
        ("", []),
        ("   ", []),
    ],
)
def test_split_sentences(paragraph: str, sentences: list[str]) -> None:
    assert split_sentences(paragraph) == sentences


def gold_paragraphs() -> Iterator[tuple[str, list[str], str]]:
    """Yield the languages, sentences and texts of the gold file. Its sentences are joined with a space, after "+" without."""
    for block in GOLD.read_text(encoding="utf-8").split("\n= ")[1:]:
        language, *lines = block.strip().splitlines()
        yield language, [line.removeprefix("+") for line in lines], " ".join(lines).replace(" +", "")


@pytest.mark.parametrize(("language", "sentences", "text"), [*gold_paragraphs()])
def test_sentences_of_many_languages(language: str, sentences: list[str], text: str) -> None:
    assert split_sentences(text) == sentences, language


@pytest.mark.parametrize(
    "text",
    [
        "Il mange des pommes, etc. à Paris.",
        "etc. à Paris",
        "usw. über Berlin",
        "родился в 1990 г. в Москве",
        "Das sind ca. 5 km, d. h. Ülzen ist nah.",
        "See www.example.org/a?B=c or v2.0.",
        "1. First item",
        "Am 3. 5. 1990 war es kalt.",
        "well... i think so",
        "他说：“好！”，然后走了",
        "A sum of 3．5 and 4!2",
    ],
)
def test_stops_inside_a_sentence(text: str) -> None:
    assert split_sentences(text) == [text]


def test_every_stop_of_unicode_ends_a_sentence() -> None:
    """Each character with the property Sentence_Terminal, before white space and a letter. The comma of Burmese has it too."""
    stops = regex.findall(r"\p{Sentence_Terminal}", "".join(map(chr, range(sys.maxunicode + 1))))
    assert len(stops) > 150
    assert [stop for stop in stops if len(split_sentences(f"अब{stop} कब")) != 2] == ["\u104a"]


@given(st.text(alphabet="aB1 .!?。\"'()\t…", max_size=60))
def test_sentences_contain_all_characters(paragraph: str) -> None:
    """All characters except white space are kept in order. No sentence is empty or has surrounding white space."""
    sentences = split_sentences(paragraph)
    assert "".join("".join(sentences).split()) == "".join(paragraph.split())
    assert all(sentence and sentence == sentence.strip() for sentence in sentences)


@pytest.mark.parametrize(
    ("text", "layout"),
    [(GOOGLE, "lines"), (WIKI, "paragraphs"), (BOOK, "wrapped"), ("", "lines"), ("no stop\n\n" * 9, "lines")],
)
def test_layout_detection(text: str, layout: str) -> None:
    assert detect_layout(text.splitlines())[0] == layout


def test_lines_that_the_next_word_would_fit_into_are_not_wrapped() -> None:
    """Such as short lines between long ones. Lines are wrapped if more than 0.6 of them are full."""
    full, short = "of words. And the line ends where it is full", "of words. And no more than this"
    assert detect_layout([full, short, short] * 6)[0] == "paragraphs"
    assert detect_layout([full, full, short] * 6)[0] == "wrapped"


@pytest.mark.parametrize(
    ("line", "word"), [("One two", "One"), ("One", "One"), ("中文 two", "中"), ("two中", "two中"), ("(中) two", "(中)")]
)
def test_first_word_of_a_line(line: str, word: str) -> None:
    """A script without spaces between words can break a line after each character."""
    assert _first_word(line) == word


@pytest.mark.parametrize(
    ("line", "begins"),
    [("The", True), ("the", False), ("“The", True), ("- the", False), ("7 the", False), ("7.", False), ("中文", False)],
)
def test_the_first_letter_that_has_a_case_decides_whether_a_line_begins_with_a_capital(line: str, begins: bool) -> None:
    assert _begins_with_capital(line) == begins


@pytest.mark.parametrize(
    ("gaps", "is_wrapped"),
    [
        ([1, 1, 2], True),
        ([2, 1, 1], True),
        ([1, 1, 1], False),
        ([1, 2], False),
        ([1, 1, 2, 2], False),
        ([1, 1, 1, 2, 2], True),
        ([0, 1, 1, 2], False),
        ([], False),
    ],
)
def test_gaps_of_several_blank_lines_are_fewer_than_half_of_the_gaps(gaps: list[int], is_wrapped: bool) -> None:
    """Blank lines at the begin and the end are no gaps. All paragraphs are single lines."""
    lines = ["x", *(line for gap in gaps for line in [*[""] * gap, "x"])]
    for before, after in ((0, 0), (3, 0), (0, 3), (1, 1)):
        assert _has_blank_lines_between_paragraphs([*[""] * before, *lines, *[""] * after]) == is_wrapped


def test_no_part_of_a_long_sentence_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if there are several spaces where it is split."""
    monkeypatch.setattr("minibert.text.sentences.MAX_SENTENCE_CHARACTERS", 5)
    assert _split_long("abcd  efghijk") == ["abcd", " efgh", "ijk"]
    assert _split_long("abcde") == ["abcde"]
    assert _split_long("ab cde") == ["ab", "cde"]


def test_documents_of_each_layout() -> None:
    assert list(parse_documents(GOOGLE.splitlines(), "lines")) == [
        ["One sentence a line.", "Another one."],
        ["A second document.", "Its end."],
    ]
    assert [len(document) for document in parse_documents(WIKI.splitlines(), "paragraphs")] == [5, 2]
    first, second = parse_documents(BOOK.splitlines(), "wrapped")
    assert first[1:] == [
        "It was a long paragraph that was wrapped over two lines.",
        "It had a second sentence.",
        "A second paragraph stands after one blank line and is of the same chapter.",
    ]
    assert second[-1] == "Here begins another document, after two blank lines, and here it ends."
    assert list(parse_documents(["", " ", "\t"], "lines")) == []


@pytest.mark.parametrize(
    "line",
    [
        "word and another word " * 500_000,
        "x" * 10_000_000,
        ". A" * 100_000,
        "." + " " * 10**6 + "x",
        "." * 10**6,
        ". ) " * 10**5,
        "。" * 10**5,
        '."' * 10**5,
    ],
)
def test_very_long_lines(line: str) -> None:
    """A line of ten megabytes is split in linear time, at spaces if possible, and no character is lost."""
    (document,) = parse_documents([line], "paragraphs")
    assert max(map(len, document)) <= MAX_SENTENCE_CHARACTERS
    assert "".join("".join(document).split()) == "".join(line.split())
    if line.startswith("word"):
        assert all(sentence.startswith(("word", "and", "another")) for sentence in document)
