"""Spellings of the tags in a file: with prefixes (B-PER, b_PER), with suffixes (PER-B), or types alone (PER)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from minibert.text.labeled.label_values import SHAPELESS
from minibert.text.labeled.tag_schemes import OUTSIDE

PREFIXED = re.compile(r"([BIESMLUW])(?:([-_/|:])(.+))?", re.IGNORECASE)
SUFFIXED = re.compile(r"(.+)[-_/|:]([BIESMLUW])")
HYPHENS = re.compile(r"[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")
"""Characters that look like a hyphen."""
OUTSIDE_VARIANTS = frozenset(("o", "0", "_", "\u041e", "\u043e", "\u039f", "\u03bf", "\uff2f"))
"""Tags that are read as O: o, zero, an underscore, and the letters of other alphabets that look like O."""


class Spelling(NamedTuple):
    """The meaning of a tag of a file."""

    tag: str | None
    """The tag as this package writes it, such as B-PER. None: the tag has no meaning."""
    problem: str = ""
    """Description of what was repaired, or of what is wrong."""


@dataclass(frozen=True)
class Spellings:
    """The tags of a file and their meanings."""

    meanings: dict[str, Spelling]
    has_prefixes: bool
    """False for the scheme IO: a tag is only a type, such as PER, and neighboring words of a type are one entity."""
    problem: str = ""
    """Reason why no tag has a meaning."""


def read_spellings(tags: Iterable[str]) -> Spellings:
    """Interpret the different tags of a file.

    >>> read_spellings(["o", "B-PER", "b_LOC"]).meanings["b_LOC"]
    Spelling(tag='B-LOC', problem="the tag 'b_LOC' is read as 'B-LOC'")
    >>> read_spellings(["O", "PER"]).meanings["PER"]
    Spelling(tag='I-PER', problem='')
    """
    cleaned = {tag: HYPHENS.sub("-", SHAPELESS.sub("", tag).strip()) for tag in dict.fromkeys(tags)}
    if len({*cleaned.values()}) > 1 and all(tag.isdecimal() for tag in cleaned.values()):
        numbers = ", ".join(sorted(cleaned.values(), key=int)[:5])
        problem = f"the tags are numbers ({numbers}), and their names are not known; give them: --tag-names O,B-PER,I-PER"
        return Spellings(dict.fromkeys(cleaned, Spelling(None, problem)), has_prefixes=True, problem=problem)
    typed = {tag for tag in cleaned.values() if tag and tag != OUTSIDE and tag not in OUTSIDE_VARIANTS}
    is_suffixed = bool(typed) and all(map(SUFFIXED.fullmatch, typed)) and not all(map(PREFIXED.fullmatch, typed))
    has_prefixes = is_suffixed or any(map(re.compile("[BIES]-").match, typed)) or all(map(PREFIXED.fullmatch, typed))
    meanings = {tag: _spelling(tag, text, has_prefixes, is_suffixed) for tag, text in cleaned.items()}
    return Spellings(meanings, has_prefixes)


def _spelling(tag: str, cleaned: str, has_prefixes: bool, is_suffixed: bool) -> Spelling:
    """Return the meaning of a tag, without and with spaces at its ends and characters that look like hyphens."""
    if not cleaned:
        return Spelling(None, "has no tag; write O for a word that is in no entity")
    if len(cleaned) > 1 and cleaned[0] == cleaned[-1] == '"':
        return Spelling(None, f"the tag {tag!r} is in quotation marks; save the file without them")
    if cleaned == OUTSIDE or cleaned in OUTSIDE_VARIANTS:
        meaning = OUTSIDE
    elif re.fullmatch("-?[0-9]+", cleaned):
        return Spelling(None, f"the tag {tag!r} is a number without a name; give the names of all: --tag-names O,B-PER,I-PER")
    elif not has_prefixes:
        if "*" in cleaned:
            return Spelling(None, f"the tag {tag!r} is in brackets, as in CoNLL-2012; convert the file to BIO")
        return Spelling(f"I-{cleaned}", "" if tag == cleaned else f"the tag {tag!r} is read as {cleaned!r}")
    elif is_suffixed and (found := SUFFIXED.fullmatch(cleaned)):
        meaning = f"{found[2]}-{found[1]}"
    elif found := PREFIXED.fullmatch(cleaned):
        meaning = f"{found[1].upper()}-{found[3]}" if found[3] else found[1].upper()
    else:
        if cleaned[-1] in "-_/|:":
            return Spelling(None, f"the tag {tag!r} has no type; write one, as in B-PER")
        return Spelling(None, f"the tag {tag!r} has no prefix, as the other tags have; write B-{cleaned} or I-{cleaned}")
    return Spelling(meaning, "" if meaning == tag else f"the tag {tag!r} is read as {meaning!r}")
