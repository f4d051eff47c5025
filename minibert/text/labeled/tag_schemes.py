"""Tag schemes of named entities: IOB1, BIO, IOBES and their relatives, detected and converted to BIO.

A scheme says how the words of an entity are tagged. In BIO (also called IOB2) the first word of an entity has the tag B-TYPE,
its other words I-TYPE, and all other words O. One rule reads every scheme, that of the script conlleval (see `entities_of`);
one function per scheme writes it. So a tag is invalid in a scheme where the scheme would write another one for the same
entities, and the scheme of a file is the one with the fewest invalid tags.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

OUTSIDE = "O"
LETTERS = {"B": "B", "I": "I", "E": "E", "S": "S", "M": "I", "L": "E", "U": "S", "W": "S"}
"""Prefixes of tags: beginning, inside, end and single word of an entity. BILOU and BMES have other letters for some of them."""


class Tag(NamedTuple):
    """A tag: the position in an entity (B, I, E, S, or O for no entity) and the type of the entity."""

    position: str
    type: str = ""


class Entity(NamedTuple):
    """An entity: its type, and the index of its first word and of the word after its last one."""

    type: str
    start: int
    end: int


@cache
def parse_tag(tag: str) -> Tag:
    """Parse a tag with a prefix. The type may contain hyphens, or be empty.

    Raises: ValueError.

    >>> parse_tag("B-geo-loc"), parse_tag("U-PER"), parse_tag("O")
    (Tag(position='B', type='geo-loc'), Tag(position='S', type='PER'), Tag(position='O', type=''))
    """
    letter, hyphen, name = tag.partition("-")
    if tag == OUTSIDE:
        return Tag(OUTSIDE)
    if letter not in LETTERS or (name and not hyphen):
        raise ValueError(f"the tag {tag!r} is not O, and does not begin with B-, I- or another prefix of a tag scheme")
    return Tag(LETTERS[letter], name)


def entities_of(tags: Iterable[Tag]) -> list[Entity]:
    """Return the entities of a sentence, as the script conlleval of CoNLL-2000 does.

    A word continues an entity if its position is I or E, that of the word before it is B or I, and both have the same type.
    Any other word with a type begins a new entity. This reads every scheme correctly, and gives each word of an invalid
    sequence to some entity.

    >>> entities_of(map(parse_tag, ["I-PER", "I-PER", "B-PER", "O", "I-LOC", "I-ORG"]))
    [Entity(type='PER', start=0, end=2), Entity(type='PER', start=2, end=3), Entity(type='LOC', start=4, end=5), \
Entity(type='ORG', start=5, end=6)]
    """
    entities: list[Entity] = []
    before = Tag(OUTSIDE)
    for index, tag in enumerate(tags):
        if tag.position in "IE" and before.position in "BI" and tag.type == before.type:
            entities[-1] = entities[-1]._replace(end=index + 1)
        elif tag.position != OUTSIDE:
            entities.append(Entity(tag.type, index, index + 1))
        before = tag
    return entities


def _bio(size: int, follows: bool, precedes: bool) -> str:
    return "B" + "I" * (size - 1)


def _iob1(size: int, follows: bool, precedes: bool) -> str:
    return ("B" if follows else "I") + "I" * (size - 1)


def _iobes(size: int, follows: bool, precedes: bool) -> str:
    return "S" if size == 1 else "B" + "I" * (size - 2) + "E"


def _ioe1(size: int, follows: bool, precedes: bool) -> str:
    return "I" * (size - 1) + ("E" if precedes else "I")


def _ioe2(size: int, follows: bool, precedes: bool) -> str:
    return "I" * (size - 1) + "E"


SCHEMES: dict[str, Callable[[int, bool, bool], str]] = {
    "BIO": _bio,
    "IOB1": _iob1,
    "IOBES": _iobes,
    "IOE2": _ioe2,
    "IOE1": _ioe1,
}
"""The schemes, from the most common one. Each is a function that returns the positions of the words of an entity. Its arguments
are the number of words, and whether the entity directly follows and directly precedes another one of its type."""


def write_tags(entities: Sequence[Entity], words: int, scheme: str = "BIO") -> list[str]:
    """Return the tags of a sentence: the inverse of `entities_of`.

    Args:
        entities: the entities, in order and without overlap.
        words: number of words of the sentence.

    >>> write_tags([Entity("PER", 0, 2), Entity("PER", 2, 3)], 4, "IOBES")
    ['B-PER', 'E-PER', 'S-PER', 'O']
    """
    tags = [OUTSIDE] * words
    for number, (name, start, end) in enumerate(entities):
        follows = number > 0 and entities[number - 1][::2] == (name, start)
        precedes = number + 1 < len(entities) and entities[number + 1][:2] == (name, end)
        positions = SCHEMES[scheme](end - start, follows, precedes)
        tags[start:end] = [f"{position}-{name}" if name else position for position in positions]
    return tags


def to_bio(tags: Iterable[Tag]) -> list[str]:
    """Convert the tags of a sentence to BIO."""
    parsed = list(tags)
    return write_tags(entities_of(parsed), len(parsed))


def invalid_tags(tags: Sequence[Tag], scheme: str) -> list[tuple[int, str]]:
    """Return the words whose tags are invalid in a scheme: their indices, and the tags that the scheme requires.

    >>> invalid_tags([parse_tag("O"), parse_tag("I-PER")], "BIO")
    [(1, 'B-PER')]
    """
    required = write_tags(entities_of(tags), len(tags), scheme)
    return [(index, tag) for index, tag in enumerate(required) if parse_tag(tag) != tags[index]]


@dataclass(frozen=True)
class Scheme:
    """The scheme of the tags of a file."""

    name: str
    """Key in `SCHEMES`; IO for types without prefixes."""
    description: str
    """The scheme and how it was found, as text."""
    letters: str = ""
    """The prefixes of the tags in the file."""

    def invalid_tags(self, tags: Sequence[Tag]) -> list[tuple[int, str]]:
        """As the function `invalid_tags`; every sequence is valid in IO."""
        return [] if self.name == "IO" else invalid_tags(tags, self.name)

    def in_letters_of_file(self, tag: str) -> str:
        """Write a tag as the file does: L- and U- for E- and S- if it has those."""
        own = {LETTERS[letter]: letter for letter in self.letters if LETTERS[letter] not in self.letters}
        return own.get(tag[0], tag[0]) + tag[1:]


def detect_scheme(sentences: Sequence[Sequence[str]], has_prefixes: bool = True) -> Scheme:
    """Find the scheme with the fewest invalid tags, and describe how clear the choice is.

    Args:
        sentences: the tags of each sentence, with prefixes.
        has_prefixes: False if the tags of the file had none.

    >>> detect_scheme([["I-PER", "I-PER", "B-PER", "O", "O"]]).description
    'IOB1: 0 of 3 tags of entities are invalid in it (BIO: 1, IOBES: 3)'
    """
    parsed = [[parse_tag(tag) for tag in tags] for tags in sentences]
    inside = Counter(tag[0] for tags in sentences for tag in tags if tag != OUTSIDE)
    total, letters = inside.total(), "".join(sorted(inside))
    if not total:
        return Scheme("BIO", "unknown: every tag is O")
    if not has_prefixes:
        return Scheme("IO", "IO: there are types without prefixes, so neighboring words of one type are one entity", letters)
    candidates = _candidates({LETTERS[letter] for letter in letters})
    invalid = {name: sum(len(invalid_tags(tags, name)) for tags in parsed) for name in candidates}
    fewest = min(invalid.values())
    best = [name for name, count in invalid.items() if count == fewest]
    others = ", ".join(f"{name}: {count:,}" for name, count in invalid.items() if count > fewest)
    names = " or ".join(_variant(name, letters) for name in best) + (", with the same entities" if best[1:] else "")
    compared = f" ({others})" if others else ""
    return Scheme(best[0], f"{names}: {fewest:,} of {total:,} tags of entities are invalid in it{compared}", letters)


def _candidates(used: set[str]) -> list[str]:
    """Return the schemes that have all of the letters; all schemes if none has."""
    letters = {"BIO": "BI", "IOB1": "BI", "IOBES": "BIES", "IOE2": "IE", "IOE1": "IE"}
    return [name for name in SCHEMES if used <= {*letters[name]}] or [*SCHEMES]


def _variant(name: str, letters: str) -> str:
    """Return the name of a variant of IOBES with other letters."""
    variants = {"LU": "BILOU", "M": "BMES", "W": "BMEWO"} if name == "IOBES" else {}
    return next((f"{variant} (IOBES)" for marks, variant in variants.items() if {*letters} & {*marks}), name)
