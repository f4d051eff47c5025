"""Unsafe characters are escaped; all others stay as they are."""

import json
import sys
import unicodedata

from minibert.printable import printable

OVERRIDES = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
"""Unicode's names of the direction overrides, embeddings and isolates."""


def test_the_unsafe_characters_are_those_of_unicode() -> None:
    """Controls, surrogates, line and paragraph separators, and direction overrides become ASCII. No other character changes."""
    for start in range(0, sys.maxunicode + 1, 64):
        block = [*map(chr, range(start, start + 64))]
        assert printable("".join(block)) == "".join(f"\\u{ord(char):04x}" if is_unsafe(char) else char for char in block)


def is_unsafe(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} or unicodedata.bidirectional(char) in OVERRIDES


def test_line_ends_can_be_kept() -> None:
    assert printable("a\r\nb\tc", lines=True) == "a\\u000d\nb\\u0009c"
    assert printable("a\nb") == "a\\u000ab"


def test_escapes_are_those_of_json() -> None:
    text = "\x7f\x9b\u202e\udcff"
    assert json.loads(f'"{printable(text)}"') == text
