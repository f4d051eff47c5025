"""Rows that occur more than once: in one file, or in the training and the validation data."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from minibert.text.labeled.findings import Finding, LabeledData

SHARED_LISTED = 5
"""Number of rows in a finding about rows that are in two files."""


@runtime_checkable
class Located(Protocol):
    """A row with its file, and its line or row there."""

    @property
    def file(self) -> str: ...
    @property
    def line(self) -> int | None: ...
    @property
    def unit(self) -> Literal["line", "row"]: ...


LocatedT = TypeVar("LocatedT", bound=Located)
Key = Callable[[LocatedT], Hashable]
"""Function that returns the same key for equal rows, such as the text without the label."""


def text_key(text: str) -> str:
    """Return a key of a text, equal for texts that differ only in blanks and in the Unicode form of accents."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def find_duplicates(rows: Sequence[LocatedT], key: Key[LocatedT], label: Callable[[LocatedT], Any]) -> list[Finding]:
    """Return findings about rows that occur twice in the same data, with the same label or with another one."""
    first: dict[Hashable, LocatedT] = {}
    findings, repeated = [], []
    for row in rows:
        earlier = first.setdefault(key(row), row)
        if earlier is row:
            continue
        if label(earlier) == label(row):
            repeated.append(row)
        else:
            message = f"has the label {label(row)!r}, but the same text has {label(earlier)!r} in {place(earlier, row)}"
            findings.append(finding_at(row, f"{message}; correct one of them, or delete both"))
    if repeated:
        more = f" ({len(repeated):,} such rows)" if repeated[1:] else ""
        original = place(first[key(repeated[0])], repeated[0])
        findings.append(finding_at(repeated[0], f"has the text and the label of {original}{more}"))
    return findings


def find_shared(
    train: LabeledData[LocatedT], validation: LabeledData[LocatedT], key: Key[LocatedT], phrase: str = "are"
) -> list[Finding]:
    """Return findings about rows that are in the training and in the validation data. The same data twice is an error,
    in any order.

    Args:
        phrase: the verb of the message: rows … also in the training data.
    """
    if train.rows and _contents(train.rows) == _contents(validation.rows):
        message = f"contains the same rows as the training data {train.name}; validate on other data"
        return [Finding(validation.name, None, message, is_error=True)]
    in_training: dict[Hashable, LocatedT] = {}
    for row in train.rows:
        in_training.setdefault(key(row), row)
    shared = [row for row in validation.rows if key(row) in in_training]
    if not shared:
        return []
    pairs = ", ".join(f"{row.line} ({place(in_training[key(row)])})" for row in shared[:SHARED_LISTED])
    more = f" and {len(shared) - SHARED_LISTED:,} more" if shared[SHARED_LISTED:] else ""
    share = f"{len(shared):,} of {len(validation.rows):,} rows {phrase} also in the training data"
    listed = f"{share}: {shared[0].unit}s {pairs}{more}" if shared[0].line is not None else share
    return [Finding(validation.name, None, f"{listed}; --drop-shared leaves them out of the training data")]


def _contents(rows: Sequence[Any]) -> Counter[Hashable]:
    """Count equal rows, wherever they stand."""
    return Counter(replace(row, file="", line=None, unit="line") for row in rows)


def drop_shared(train: LabeledData[LocatedT], validation: LabeledData[LocatedT], key: Key[LocatedT]) -> list[LocatedT]:
    """Return the training rows that are not in the validation data."""
    in_validation = {key(row) for row in validation.rows}
    return [row for row in train.rows if key(row) not in in_validation]


def place(row: Located, seen_from: Located | None = None) -> str:
    """Return the file and line of a row; only the line if another row is in the same file."""
    line = f"{row.unit} {row.line}"
    return line if seen_from is not None and seen_from.file == row.file else f"{row.file}, {line}"


def finding_at(row: Located, message: str, is_error: bool = False) -> Finding:
    """Return a finding about a row."""
    return Finding(row.file, row.line, message, is_error, unit=row.unit)
