"""The place of an answer in its context, found again where the data gives a wrong one."""

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import regex

NEAR = 10
"""Maximum distance, in characters, between a wrong offset and an answer that is taken for the intended one."""
CLEARLY_NEARER = 3
"""Any other place of the same answer must be this many times as far away."""
PLACES_LISTED = 5
"""Number of possible places in an error message."""
MAX_PLACES = 100
"""Maximum number of places of an answer for which other ways of counting are tried."""
BLANKS = regex.compile(r"(?V1)[[\s\p{Cc}\p{Cf}]--\p{GCB=Extend}--\p{GCB=ZWJ}]+")
"""White space, control characters, and characters without width that belong to no letter or emoji. No answer begins or ends
with them."""
CLUSTER = regex.compile(r"\X")
"""A character as readers see it: a letter with its combining accents, or an emoji with its modifiers."""
TYPOGRAPHY = str.maketrans("‘’‚‛“”„‟«»‐‑‒–—―−", "''''" + '""""""' + "-------")
"""Quotation marks and dashes, and the characters of a keyboard that are written for them."""

OFFSETS: dict[str, Callable[[str], int]] = {
    "counts bytes of UTF-8": lambda before: len(before.encode()),
    "counts units of UTF-16": lambda before: len(before.encode("utf-16-le")) // 2,
    "does not count blanks at the beginning of the context": lambda before: len(before.lstrip()),
    "counts a line break of two characters as one": lambda before: len(before.replace("\r\n", "\n")),
    "counts several blanks as one": lambda before: len(re.sub(r"\s+", " ", before.lstrip())),
    "does not count control characters": lambda before: len(regex.sub(r"[\p{Cc}\p{Cf}]", "", before)),
    "counts composed characters (NFC)": lambda before: len(unicodedata.normalize("NFC", before)),
    "counts decomposed characters (NFD)": lambda before: len(unicodedata.normalize("NFD", before)),
    "counts characters of the lowercased text": lambda before: len(before.lower()),
}
"""Offsets of an answer that other programs compute from the text before it."""


class Place(NamedTuple):
    """A part of a context."""

    start: int
    text: str
    note: str = ""
    """The differences from the data; "" if there are none."""


def find_answer(context: str, answer: str, answer_start: object) -> Place:
    """Return the place of an answer: at `answer_start` if it is there, else where it is without ambiguity.

    Blanks at the ends of the answer are left out. An answer that differs from the context only in blanks, Unicode form, case
    or typography is found too; the place has the text of the context.

    Raises: ValueError that explains why there is no such place, or no unique one.

    >>> find_answer("Café, café", "café", 7)
    Place(start=6, text='café', note="answer_start is 7, but 'café' stands at 6: corrected (the offset counts bytes of UTF-8)")
    """
    kept = _strip(answer)
    if not kept:
        raise ValueError("an answer is empty: delete it, or write its text")
    lead = answer.index(kept)
    start = _whole_number(answer_start)
    notes = ["blanks at the ends of an answer were removed"] if kept != answer else []
    given = () if start is None else (start + lead, start)
    chosen, reason = next((Place(at, kept) for at in given if at >= 0 and context.startswith(kept, at)), None), ""
    if chosen is None:
        similar = _similar(context, kept)
        chosen = next((place for at in given for place in similar if place.start == at), None)
    if chosen is None:
        candidates = [Place(at, kept) for at in _occurrences(context, kept)] or similar
        if not candidates:
            is_inside = start is not None and 0 <= start < len(context)
            found = f"; at answer_start {start} stands {shorten(context[start:][: len(answer)])}" if is_inside else ""
            raise ValueError(f"the answer {shorten(kept)} is not in the context{found}")
        chosen, reason = _choose(context, candidates, given, _describe(answer_start))
    if chosen.text != kept:
        notes.append(f"{shorten(kept)} is written {shorten(chosen.text)} in the context: its text was taken")
    if reason:
        notes.append(f"{_describe(answer_start)}, but {shorten(chosen.text)} stands at {chosen.start}: corrected ({reason})")
    elif start is not None and type(answer_start) is not int:
        notes.append(f"{_describe(answer_start)}, which is not written as a whole number: it is now {chosen.start}")
    return chosen._replace(note="; ".join(notes))


def _choose(context: str, candidates: list[Place], given: tuple[int, ...], described: str) -> tuple[Place, str]:
    """Choose the intended one of the places where an answer stands. Return it with the reason, as text.

    Args:
        given: the offset of the data, for the answer with and without blanks at its beginning; empty if there is none.
    """
    explained = {
        place: names[0]
        for place in candidates[:MAX_PLACES]
        if (names := [name for name, offset in OFFSETS.items() if offset(context[: place.start]) in given])
    }
    if len(explained) == 1:
        ((place, name),) = explained.items()
        return place, f"the offset {name}"
    if len(candidates) == 1:
        return candidates[0], "it stands only there"
    start = min(given, default=0)
    if start > 0:  # 0 and -1 stand for "unknown" too often to be near to something
        by_distance = sorted(candidates, key=lambda place: abs(place.start - start))
        nearest, second = (abs(place.start - start) for place in by_distance[:2])
        if nearest <= NEAR and second >= CLEARLY_NEARER * nearest:
            return by_distance[0], "the nearest place"
    listed = ", ".join(str(place.start) for place in candidates[:PLACES_LISTED])
    more = f" and {len(candidates) - PLACES_LISTED} more places" if candidates[PLACES_LISTED:] else ""
    raise ValueError(f"{described}, and the answer {shorten(candidates[0].text)} stands at {listed}{more}: write the right one")


def _whole_number(value: object) -> int | None:
    """Return an offset as a whole number; None if it is none, such as 1.5, null or true.

    >>> [_whole_number(value) for value in (5, 5.0, "5", 5.5, "five", None, True)]
    [5, 5, 5, None, None, None, None]
    """
    if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,18}\s*", value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _describe(answer_start: object) -> str:
    if answer_start is None:
        return "there is no answer_start"
    return f"answer_start is {answer_start if type(answer_start) is int else shorten(str(answer_start))}"


def _occurrences(context: str, text: str) -> list[int]:
    return [match.start() for match in regex.finditer(regex.escape(text), context, overlapped=True)]


def _similar(context: str, answer: str) -> list[Place]:
    """Return the parts of a context that equal an answer up to blanks, Unicode form, case and typography."""
    folded, spans = _fold(context)
    wanted, _ = _fold(answer)
    places = []
    for first in _occurrences(folded, wanted) if wanted else []:
        last = first + len(wanted) - 1
        is_whole = (first == 0 or spans[first - 1] != spans[first]) and spans[last] not in spans[last + 1 : last + 2]
        if is_whole:
            start, end = spans[first][0], spans[last][1]
            places.append(Place(start, context[start:end]))
    return places


@lru_cache(maxsize=64)
def _fold(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Return a text without differences of blanks, Unicode form, case and typography, and the origin of its characters."""
    folded, spans = "", []
    for cluster in CLUSTER.finditer(text):
        plain = _fold_cluster(cluster[0])
        if plain == " " and (not folded or folded.endswith(" ")):
            continue
        folded += plain
        spans += [cluster.span()] * len(plain)
    return folded, spans


def _fold_cluster(cluster: str) -> str:
    if cluster.isspace():
        return " "
    visible = regex.sub(r"[\p{Cc}\p{Cf}]", "", cluster.translate(TYPOGRAPHY))
    return unicodedata.normalize("NFKD", visible).casefold()


def _strip(text: str) -> str:
    """Remove the blanks at the ends of a text."""
    parts = [match.span() for match in BLANKS.finditer(text)]
    start = parts[0][1] if parts and parts[0][0] == 0 else 0
    end = parts[-1][0] if parts and parts[-1][1] == len(text) else len(text)
    return text[start:end]


def shorten(text: str, quote: bool = True) -> str:
    """Return the beginning of a text, in quotation marks.

    >>> shorten("abc" * 20)
    "'abcabcabcabcabcabcabcabcabcabcabcabcabcabcabc…'"
    """
    short = text if len(text) <= 45 else f"{text[:45]}…"
    return repr(short) if quote else short
