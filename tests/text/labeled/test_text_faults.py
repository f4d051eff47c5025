"""Oddities of texts."""

from minibert.text.labeled.text_faults import oddities


def test_quotation_marks_as_in_csv_are_unusual_only_in_tsv() -> None:
    quoted = '"He said ""no"""'
    [oddity] = oddities(quoted, is_tsv=True)
    assert oddity.startswith("the text has quotation marks around it and doubled ones in it, as in CSV")
    assert oddities(quoted, is_tsv=False) == oddities('He said "no"', is_tsv=True) == oddities('"no"', is_tsv=True) == []
