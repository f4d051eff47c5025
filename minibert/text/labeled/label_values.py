"""Labels as they are in files: strings, numbers and lists, as text."""

import math
import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import regex

from minibert.text.table import SURROGATE

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
WHOLE_NUMBER = re.compile(r"\+?(0|-?[1-9][0-9]*)(\.0*)?")
"""A whole number, possibly written with a decimal point. Numbers that begin with 0, such as 007, are names."""
SHAPELESS = regex.compile(r"(?V1)[[\p{Cc}\p{Cf}]--[\s\u200c\u200d\U000E0020-\U000E007F]]|\A[\u200c\u200d]+|[\u200c\u200d]+\Z")
"""Control characters, and characters without a shape. Between letters, joiners (U+200C and U+200D) have a meaning; so have
tags (from U+E0020) in flags."""
SIGNS = str.maketrans("\u2212\uff0d\ufe63\uff0b\uff0e\u066b", "---+..")
"""Signs and decimal points of numbers that are not those of ASCII."""
LIST_AS_TEXT = re.compile(r"""\[\s*(|(['"]).*\2|[0-9., ]+)\s*\]|\{\s*(['"]).*\3\s*\}""", re.DOTALL)
"""A list as Python and JSON write it, such as ['a', 'b']."""
MISSING = frozenset(
    ("na", "n/a", "n.a.", "#n/a", "#na", "<na>", "nan", "-nan", "none", "null", "nil", "undefined", "missing", "-", "--", "?")
)
"""Labels, in lower case, that stand for a missing label in some files."""

Label = str | tuple[str, ...] | None
"""The label of a text; the labels of one that can have several; None for a missing label."""


class LabelError(ValueError):
    """A value that is no label. The message says what is wrong with the row, without its place."""


def label_of(value: Any, class_names: Sequence[str] | None = None) -> Label:
    """Convert a value to a label. Strings are unchanged; numbers and Boolean values are written as in JSON,
    whole numbers without a decimal point.

    Args:
        class_names: names of the values 0, 1, … of a column whose schema contains them; -1 is a missing label.

    Raises: LabelError for numbers that are not finite, and for other types.

    >>> label_of("NA"), label_of(1.0), label_of(True), label_of(["a", 2]), label_of(1, ["negative", "positive"])
    ('NA', '1', 'true', ('a', '2'), 'positive')
    """
    if isinstance(value, list | tuple):
        labels = tuple(label_of(each, class_names) for each in value)
        if not all(isinstance(label, str) and label for label in labels):
            raise LabelError(f"has a list of labels with a missing one or another list in it: {str(value)[:60]!r}; repair it")
        return labels  # type: ignore[return-value]
    if value is None or isinstance(value, str):
        if half := SURROGATE.search(value or ""):
            raise LabelError(f"has a label with \\u{ord(half[0]):x}, half a surrogate pair, which is no character; remove it")
        return value or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        if not (isinstance(value, int) or math.isfinite(value)):
            raise LabelError(f"has the label {value}, which is not a finite number; write a number, or delete the row")
        if value != int(value):
            return str(value)
        if class_names is None:
            return str(int(value))
        if not -1 <= value < len(class_names):
            raise LabelError(f"has the label {value}, but its schema names only the {len(class_names)} labels from 0")
        return class_names[int(value)] if value >= 0 else None
    raise LabelError(f"has a label that is neither text nor a number: {str(value)[:60]!r}; choose another column")


def tidy(label: str) -> str:
    """Write a label without invisible differences.

    Blanks at its ends are removed, and other white space becomes one space. Characters with accents get Unicode's composed
    form (NFC), and numbers the digits of ASCII.

    >>> tidy("\\ufeff tre\\u0300s \\xa0bien "), tidy("\\u2212\\uff14.\\uff12")
    ('très bien', '-4.2')
    """
    text = unicodedata.normalize("NFC", " ".join(SHAPELESS.sub("", label).split()))
    in_ascii = "".join(str(unicodedata.decimal(each, each)) for each in text.translate(SIGNS))
    return in_ascii if NUMBER.fullmatch(in_ascii) else text


def may_be_missing(label: str) -> bool:
    """Return True for a label that stands for a missing one in some files, and for a number that is not finite.

    >>> may_be_missing("NaN"), may_be_missing("-inf"), may_be_missing("0")
    (True, True, False)
    """
    is_infinite = NUMBER.fullmatch(label) is not None and number(label) is None
    return label.lower() in MISSING or is_infinite or NOT_FINITE.fullmatch(label) is not None


def whole_number(label: str) -> str:
    """Write a whole number without a decimal point: 1 for 1.0. Other labels are returned as they are."""
    found = WHOLE_NUMBER.fullmatch(label)
    return found[1] if found else label


def number(label: Label) -> float | None:
    """Return the number that a label is; None if it is not a finite number."""
    value = float(label) if isinstance(label, str) and NUMBER.fullmatch(label) else math.nan
    return value if math.isfinite(value) else None


def skeleton(label: str) -> str:
    """Return a key, equal for labels that look alike: without case, width (NFKC), blanks and hyphens between letters.
    Equal numbers look alike, too; true is 1, and false is 0.

    >>> skeleton("Not Entailed") == skeleton("not_entailed"), skeleton("01") == skeleton("1.0"), skeleton("-1") == skeleton("1")
    (True, True, False)
    """
    if number(label) is not None:
        return str(Fraction(label))
    plain = unicodedata.normalize("NFKC", label).casefold().replace("i\u0307", "i")  # of İ
    letters = re.sub(r"\s|[\ufe00-\ufe0f]|(?<=[^\W\d_])[-_](?=[^\W\d_])", "", plain)
    return {"false": "0", "true": "1"}.get(letters, letters)


def comparable(label: Label) -> Label:
    """Return a label so that equal numbers are equal: 4.4 for 4.40, and 5 for 5.00."""
    value = number(label)
    if value is None or not isinstance(label, str):
        return label
    whole = whole_number(label)
    return repr(value) if "." in whole else whole
