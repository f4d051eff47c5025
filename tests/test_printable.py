"""Unsafe characters are escaped; all others stay as they are."""

import json
import sys
import unicodedata

from minibert.printable import printable

OVERRIDES = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
"""Unicode's names of the direction overrides, embeddings and isolates."""


def test_the_unsafe_characters_are_those_of_unicode() -> None:
    """Controls, surrogates, line and paragraph separators, and direction overrides become ASCII. No other character changes."""
    for char in map(chr, range(sys.maxunicode + 1)):
        is_unsafe = unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} or unicodedata.bidirectional(char) in OVERRIDES
        assert printable(char) == (f"\\u{ord(char):04x}" if is_unsafe else char)


def test_line_ends_can_be_kept() -> None:
    assert printable("a\r\nb\tc", lines=True) == "a\\u000d\nb\\u0009c"
    assert printable("a\nb") == "a\\u000ab"


def test_escapes_are_those_of_json() -> None:
    text = "\x7f\x9b\u202e\udcff"
    assert json.loads(f'"{printable(text)}"') == text
