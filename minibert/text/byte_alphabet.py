"""The alphabet of byte-level BPE: a printable letter for each of the 256 bytes, so that tokens can be printed and saved.

Source: Radford et al. 2019, section 2.2; `bytes_to_unicode` in encoder.py of openai/gpt-2.
"""

from collections.abc import Iterable

Merge = tuple[str, str]
"""Two adjacent tokens that become one."""

PRINTABLE = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
"""The bytes that are written as the character of the same number: neither white space nor control characters."""
OTHERS = [byte for byte in range(256) if byte not in PRINTABLE]
BYTE_LETTERS = "".join(chr(byte if byte in PRINTABLE else 256 + OTHERS.index(byte)) for byte in range(256))
"""The letter of each byte. The other bytes get the characters from 256 on: a space is Ġ, a line break Ċ."""


def to_byte_letters(text: str) -> str:
    """Encode a text in UTF-8 and write each byte as its letter.

    Raises: UnicodeEncodeError for half of a surrogate pair, which has no bytes.

    >>> to_byte_letters(" café")
    'ĠcafÃ©'
    """
    return "".join(BYTE_LETTERS[byte] for byte in text.encode())


def from_byte_letters(letters: str) -> str:
    """Return the text of byte letters. Bytes that are no UTF-8, such as half of a character, become U+FFFD.

    >>> from_byte_letters("ĠcafÃ©")
    ' café'
    """
    return bytes(map(BYTE_LETTERS.index, letters)).decode(errors="replace")


def byte_pair_vocabulary(merges: Iterable[Merge], special_tokens: Iterable[str]) -> list[str]:
    """Return the tokens in the order of their ids: special tokens, the letters of the bytes, and the merged tokens."""
    return list(dict.fromkeys([*special_tokens, *sorted(BYTE_LETTERS), *(first + second for first, second in merges)]))
