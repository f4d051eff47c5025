"""JSON whose objects know their place in the text, so that a fault in a value can be reported with its line."""

import json
from bisect import bisect_left
from collections.abc import Iterator
from json.decoder import WHITESPACE, JSONObject  # type: ignore[attr-defined]
from json.scanner import py_make_scanner  # type: ignore[attr-defined]
from typing import Any


class LocatedObject(dict[str, Any]):
    """A JSON object. `position` is that of its opening brace, `positions` those of its values, in characters."""

    position: int
    positions: dict[str, int]
    repeated: tuple[str, ...]
    """Names that stand in the object more than once. The last value counts."""


class LocatingDecoder(json.JSONDecoder):
    """A JSON decoder that returns every object as a `LocatedObject`."""

    def __init__(self) -> None:
        super().__init__()
        self.parse_object = _parse_object
        self.scan_once = py_make_scanner(self)  # the scanner in C does not call `parse_object`


def _parse_object(state: tuple[str, int], strict: bool, scan_once: Any, *_: Any) -> tuple[LocatedObject, int]:
    starts: list[int] = []

    def scan_value(text: str, start: int) -> tuple[Any, int]:
        starts.append(start)
        value: tuple[Any, int] = scan_once(text, start)
        return value

    pairs, end = JSONObject(state, strict, scan_value, None, list)
    names = [name for name, _ in pairs]
    located = LocatedObject(pairs)
    located.position = state[1] - 1
    located.positions = dict(zip(names, starts, strict=True))
    located.repeated = tuple(name for name in located if names.count(name) > 1) if len(located) < len(names) else ()
    return located, end


def json_values(text: str) -> Iterator[tuple[int, Any]]:
    """Yield every JSON value of a text and its position. Usually there is one.

    Raises: json.JSONDecodeError, or another ValueError for a number that is too long, or RecursionError.

    >>> [(position, value.positions) for position, value in json_values('{"a": 1} {"b": {}}')]
    [(0, {'a': 6}), (9, {'b': 15})]
    """
    decoder, position = LocatingDecoder(), WHITESPACE.match(text).end()
    while position < len(text):
        value, end = decoder.raw_decode(text, position)
        yield position, value
        position = WHITESPACE.match(text, end).end()


class Lines:
    r"""The lines of a text, for converting positions to line numbers.

    >>> Lines("a\nb").number(2)
    2
    """

    def __init__(self, text: str) -> None:
        self.ends = [position for position, character in enumerate(text) if character == "\n"]

    def number(self, position: int) -> int:
        """Return the number of the line, starting at 1, of the character at a position."""
        return bisect_left(self.ends, position) + 1
