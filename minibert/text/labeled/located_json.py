"""JSON with the positions of its objects and lists in the text, so that a fault in a value is reported with its line."""

import json
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from json.decoder import JSONArray, JSONObject  # type: ignore[attr-defined]
from json.scanner import py_make_scanner  # type: ignore[attr-defined]
from typing import Any

BETWEEN_VALUES = re.compile(r"[ \t\n\r\ufeff]*")
"""White space, and the byte-order marks of files that were joined."""
ScanOnce = Callable[[str, int], tuple[Any, int]]
"""A function that parses the JSON value at a position of a text, and returns it with the position after it."""


class JSONSyntaxError(ValueError):
    """Text that is not JSON. `position` is that of the first character that does not fit, `start` that of its value."""

    def __init__(self, message: str, position: int, start: int) -> None:
        super().__init__(message)
        self.position, self.start = position, start


class LocatedObject(dict[str, Any]):
    """A JSON object. `position` is that of its opening brace, `positions` those of its values, in characters."""

    position: int
    positions: dict[str, int]
    repeated: list[str]
    """Names that stand in the object more than once. The last value counts."""


class LocatedList(list[Any]):
    """A JSON list, with the positions of its values, in characters."""

    positions: list[int]


class LocatingDecoder(json.JSONDecoder):
    """A JSON decoder that returns objects and lists with their positions.

    Args:
        base: position of the text in a larger one, in which the objects are located.
    """

    def __init__(self, base: int) -> None:
        super().__init__()
        self.base = base
        self.parse_object, self.parse_array = self._parse_object, self._parse_array
        self.scan_once = py_make_scanner(self)  # the scanner in C does not call these methods

    def _parse_object(self, state: tuple[str, int], strict: bool, scan: ScanOnce, *_: Any) -> tuple[LocatedObject, int]:
        scan_value, positions = self._noting_positions(scan)
        pairs, end = JSONObject(state, strict, scan_value, None, list)
        names = [name for name, _ in pairs]
        located = LocatedObject(pairs)
        located.position = self.base + state[1] - 1
        located.positions = dict(zip(names, positions, strict=True))
        located.repeated = [name for name in located if names.count(name) > 1] if len(located) < len(names) else []
        return located, end

    def _parse_array(self, state: tuple[str, int], scan: ScanOnce) -> tuple[LocatedList, int]:
        scan_value, positions = self._noting_positions(scan)
        values, end = JSONArray(state, scan_value)
        located = LocatedList(values)
        located.positions = positions
        return located, end

    def _noting_positions(self, scan: ScanOnce) -> tuple[ScanOnce, list[int]]:
        """Return a function that parses a value and appends its position to a list, and the list."""
        positions: list[int] = []

        def scan_value(text: str, start: int) -> tuple[Any, int]:
            positions.append(self.base + start)
            return scan(text, start)

        return scan_value, positions


def json_values(text: str, base: int = 0) -> Iterator[tuple[int, Any]]:
    """Yield every JSON value of a text and its position. Usually there is one.

    Args:
        base: position of the text in a larger one, in which the values are located.

    Raises: JSONSyntaxError.

    >>> [(position, value.positions) for position, value in json_values('{"a": 1} {"b": {}}')]
    [(0, {'a': 6}), (9, {'b': 15})]
    """
    decoder, position = LocatingDecoder(base), _skip_blanks(text, 0)
    while position < len(text):
        try:
            value, end = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise JSONSyntaxError(f"{error.msg} in column {error.colno}", base + error.pos, base + position) from None
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, or thousands of brackets
            raise JSONSyntaxError(str(error), base + position, base + position) from None
        yield base + position, value
        position = _skip_blanks(text, end)


def _skip_blanks(text: str, position: int) -> int:
    found = BETWEEN_VALUES.match(text, position)
    return found.end() if found else position


class Lines:
    r"""The lines of a text, for converting positions to line numbers.

    >>> Lines("a\nb").number(2)
    2
    """

    def __init__(self, text: str) -> None:
        self.ends = [match.start() for match in re.finditer("\n", text)]

    def number(self, position: int) -> int:
        """Return the number of the line, starting at 1, of the character at a position."""
        return bisect_left(self.ends, position) + 1
