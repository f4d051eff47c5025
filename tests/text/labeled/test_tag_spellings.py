"""Spellings of tags: what each tag of a file means, what was repaired, and what cannot be used."""

import pytest

from minibert.text.labeled.tag_spellings import read_spellings


def meanings(*tags: str) -> list[str | None]:
    return [spelling.tag for spelling in read_spellings(tags).meanings.values()]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["O", "B-PER", "I-geo-loc"], ["O", "B-PER", "I-geo-loc"]),
        (["O", "PER", "LOC"], ["O", "I-PER", "I-LOC"]),
        (["O", "B_PER", "I_PER"], ["O", "B-PER", "I-PER"]),
        (["O", "PER-B", "geo-loc-I"], ["O", "B-PER", "I-geo-loc"]),
        (["O", "B-vitamin-B", "I-vitamin-B"], ["O", "B-vitamin-B", "I-vitamin-B"]),
        (["O", "B-vitamin-B", "B-PER"], ["O", "B-vitamin-B", "B-PER"]),
        (["o", "b-per", "i-per"], ["O", "B-per", "I-per"]),
        (["B", "I", "O"], ["B", "I", "O"]),
        (["U-PER", "L-PER"], ["U-PER", "L-PER"]),
        (["U-Bahn", "Bus", "O"], ["I-U-Bahn", "I-Bus", "O"]),
        (["O", "0", "_", "\u041e", "B-PER"], ["O", "O", "O", "O", "B-PER"]),
        (["B\u2013PER", " I-PER ", "O"], ["B-PER", "I-PER", "O"]),
        (["B-a\u2028b", "O\u200b", "\u00a0I-a\u2028b"], ["B-a\u2028b", "O", "I-a\u2028b"]),
        ([], []),
    ],
)
def test_meanings(tags, expected) -> None:
    assert meanings(*tags) == expected


def test_every_repair_is_described_and_nothing_else() -> None:
    spellings = read_spellings(["O", "B-PER", "o", "b_PER", "B-PER "]).meanings
    assert [tag for tag, spelling in spellings.items() if spelling.problem] == ["o", "b_PER", "B-PER "]
    assert spellings["o"].problem == "the tag 'o' is read as 'O'"
    assert not any(spelling.problem for spelling in read_spellings(["O", "PER"]).meanings.values())


@pytest.mark.parametrize(
    ("tag", "problem"),
    [
        ("PER", "the tag 'PER' has no prefix, as the other tags have; write B-PER or I-PER"),
        ("B-", "the tag 'B-' has no type; write one, as in B-PER"),
        ("", "has no tag; write O"),
        (" ", "has no tag; write O"),
        ("X-PER", "the tag 'X-PER' has no prefix"),
        ("7", "the tag '7' is a number without a name"),
        ("-1", "the tag '-1' is a number without a name"),
        ('"O"', "is in quotation marks"),
        ('"', "has no prefix"),
    ],
)
def test_a_tag_without_a_meaning_among_tags_with_prefixes(tag, problem) -> None:
    spelling = read_spellings(["O", "B-LOC", tag]).meanings[tag]
    assert spelling.tag is None
    assert problem in spelling.problem


def test_a_number_is_not_a_type() -> None:
    assert meanings("O", "PER", "7") == ["O", "I-PER", None]
    assert meanings("O", "7") == ["O", None]


def test_numbers_without_names_are_refused() -> None:
    spellings = read_spellings(["0", "1", "7"])
    assert spellings.problem.startswith("the tags are numbers (0, 1, 7), and their names are not known")
    assert not any(spelling.tag for spelling in spellings.meanings.values())


def test_tags_in_brackets_are_refused() -> None:
    assert "in brackets, as in CoNLL-2012" in read_spellings(["(PERSON*", "*", "*)"]).meanings["*)"].problem
