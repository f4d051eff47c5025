"""Oddities of texts in labeled data that are kept as they are."""

import re

QUOTED = re.compile(r'"(?:[^"]|"")*""(?:[^"]|"")*"')
"""A cell as CSV writes text with quotation marks: quotation marks around it, and twice in it."""
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
CONTROL_C1 = re.compile(r"[\x80-\x9f]")
"""Control characters that text in cp1252 contains after it was read as Latin-1: its quotation marks and dashes."""
SHAPE = re.compile(r"[^\s\0\xad\u200b-\u200f\u2060\ufeff]")
LOST = "\ufffd"


def oddities(text: str, is_tsv: bool) -> list[str]:
    """Describe what is unusual in a text, each in the form of a message of a finding.

    >>> oddities("a\\0b", is_tsv=False)
    ['the text contains control characters; the tokenizer leaves them out']
    """
    found = []
    if not SHAPE.search(text):
        found.append("the text is empty")
    if CONTROL.search(text):
        found.append("the text contains control characters; the tokenizer leaves them out")
    if CONTROL_C1.search(text):
        found.append("the text contains control characters from U+0080, possibly the quotation marks of cp1252 read as Latin-1")
    if LOST in text:
        found.append("the text contains U+FFFD, which replaces characters that were lost when the file was converted")
    if is_tsv and QUOTED.fullmatch(text):
        found.append(
            "the text has quotation marks around it and doubled ones in it, as in CSV; in a TSV they are part of the text. "
            "If the file was written with quoting, save it as CSV"
        )
    return found
