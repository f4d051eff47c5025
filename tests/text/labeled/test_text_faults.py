"""Oddities of texts."""

import pytest

from minibert.text.labeled.text_faults import oddities


def test_quotation_marks_as_in_csv_are_unusual_only_in_tsv() -> None:
    quoted = '"He said ""no"""'
    [oddity] = oddities(quoted, is_tsv=True)
    assert oddity.startswith("the text has quotation marks around it and doubled ones in it, as in CSV")
    assert oddities(quoted, is_tsv=False) == oddities('He said "no"', is_tsv=True) == oddities('"no"', is_tsv=True) == []


@pytest.mark.parametrize(
    ("text", "oddity"),
    [
        ("\u200b", "the text is empty"),
        ("a\x1b[31m", "the text contains control characters;"),
        ("it\x92s", "the text contains control characters from U+0080"),
        ("caf\ufffd", "the text contains U+FFFD"),
    ],
)
def test_each_oddity_is_named_by_itself(text: str, oddity: str) -> None:
    [found] = oddities(text, is_tsv=True)
    assert found.startswith(oddity)
