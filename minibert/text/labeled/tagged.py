"""Sentences of words with the tags of named entities. Their tags are in BIO, whatever the scheme of the file is."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import regex

from minibert.text.labeled.duplicates import text_key
from minibert.text.labeled.finding_log import FindingLog
from minibert.text.labeled.tag_schemes import OUTSIDE, Scheme, detect_scheme, entities_of, parse_tag, to_bio
from minibert.text.labeled.tag_spellings import read_spellings

MAX_WORDS = 1000
"""Number of words of a sentence above which the blank lines of its file may be missing."""
MAX_TYPES = 200
"""Number of types of entities above which the tags may be something else."""
MIN_SENTENCES = 5
"""Number of sentences from which it is unusual that each has only one word."""


WITHOUT_SPACES = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")
"""Characters of scripts that have no spaces between words."""


@dataclass(frozen=True)
class TaggedSentence:
    """A sentence, split into words, with the tag of each word."""

    words: tuple[str, ...]
    tags: tuple[str, ...] | None = None
    """Tags in the scheme BIO; None for a sentence without gold tags."""
    line: int | None = None
    """Line of its first word, starting at 1; or row, in data without lines."""
    file: str = ""
    """Path of the file, or name of the dataset."""
    unit: Literal["line", "row"] = "line"
    """Unit of `line`."""


def sentence_key(row: TaggedSentence) -> str:
    """Return a key of a sentence, equal for sentences with the same words."""
    return text_key(" ".join(row.words))


def join_words(words: Sequence[str]) -> str:
    """Join words to a text. Between two characters of a script without spaces there is none.

    >>> join_words(["New", "York"]), join_words(["北", "京"])
    ('New York', '北京')
    """
    text = "".join(words[:1])
    for word in words[1:]:
        is_glued = text and word and WITHOUT_SPACES.match(text[-1]) and WITHOUT_SPACES.match(word[0])
        text += word if is_glued else f" {word}"
    return text


def describe_entities(words: Sequence[str], tags: Sequence[str]) -> str:
    """Return the entities of a sentence as text.

    >>> describe_entities(["Anna", "lives", "in", "New", "York"], ["B-PER", "O", "O", "B-LOC", "I-LOC"])
    'Anna (PER), New York (LOC)'
    """
    entities = [
        join_words(words[start:end]) + (f" ({name})" if name else "") for name, start, end in entities_of(map(parse_tag, tags))
    ]
    return ", ".join(entities) or "(no entities)"


@dataclass
class RawSentence:
    """A sentence as it is in a file."""

    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    """Line of each word."""
    is_usable: bool = True
    """False if a part of the sentence cannot be read."""
    line: int | None = None
    """Line of the sentence. None: that of its first word."""

    def row(self, tags: Sequence[str] | None, log: FindingLog) -> TaggedSentence:
        """Return the sentence with these tags."""
        line = self.lines[0] if self.line is None and self.lines else self.line
        return TaggedSentence(tuple(self.words), None if tags is None else tuple(tags), line, log.file, log.unit)


class ReadTags(NamedTuple):
    """Sentences whose tags have been interpreted."""

    rows: list[TaggedSentence]
    """The sentences without errors."""
    repaired: list[list[str]]
    """The tags of every raw sentence, repaired, in the scheme of the file."""
    note: str = ""
    """The scheme of the file, and how it was found."""


def name_of(tag: str, names: Sequence[str]) -> str:
    """Return the name of a tag that is a number."""
    return names[int(tag)] if tag.isdecimal() and int(tag) < len(names) else tag


def read_tags(sentences: Sequence[RawSentence], log: FindingLog, labeled: bool) -> ReadTags:
    """Interpret the tags of a file, and convert them to BIO. With `labeled` false, the rows have no tags."""
    if not labeled:
        rows = [sentence.row(None, log) for sentence in sentences if sentence.is_usable]
        return ReadTags(rows, [sentence.tags for sentence in sentences])
    spellings = read_spellings(tag for sentence in sentences for tag in sentence.tags)
    if spellings.problem:
        log.error(next(sentence.lines[0] for sentence in sentences if sentence.tags), spellings.problem)
        return ReadTags([], [sentence.tags for sentence in sentences])
    for sentence in sentences:
        for tag, line in zip(sentence.tags, sentence.lines, strict=True):
            meaning, problem = spellings.meanings[tag]
            if meaning is None:
                log.error(line, problem)
                sentence.is_usable = False
            elif problem:
                log.repair(line, problem)
    spelled = [[spellings.meanings[tag].tag or tag for tag in sentence.tags] for sentence in sentences]
    usable = [tags for tags, sentence in zip(spelled, sentences, strict=True) if sentence.is_usable]
    scheme = detect_scheme(usable, spellings.has_prefixes)
    rows, repaired = [], []
    for sentence, tags in zip(sentences, spelled, strict=True):
        valid = _repair(tags, sentence, scheme, log) if sentence.is_usable else tags
        repaired.append(valid if spellings.has_prefixes else [tag.removeprefix("I-") for tag in valid])
        if sentence.is_usable:
            rows.append(sentence.row(to_bio(map(parse_tag, tags)), log))
    _find_oddities(rows, log)
    converted = "" if scheme.name == "BIO" else ". Converted to BIO"
    return ReadTags(rows, repaired, f"Tag scheme {scheme.description}{converted}")


def _repair(tags: list[str], sentence: RawSentence, scheme: Scheme, log: FindingLog) -> list[str]:
    """Return the tags of a sentence without those that are invalid in the scheme of the file."""
    repaired = [*tags]
    for index, required in scheme.invalid_tags([*map(parse_tag, tags)]):
        repaired[index] = scheme.in_letters_of_file(required)
        log.repair(sentence.lines[index], f"{tags[index]} cannot stand here in {scheme.name}; read as {repaired[index]}")
    return repaired


def _find_oddities(rows: Sequence[TaggedSentence], log: FindingLog) -> None:
    """Find what is unusual in the sentences of a file."""
    tags = Counter(tag for row in rows for tag in row.tags or ())
    types = Counter(entity.type for row in rows for entity in entities_of(map(parse_tag, row.tags or ())))
    if tags and not types:
        log.oddity(None, "every tag is O, so there are no entities to learn")
    elif tags and not tags[OUTSIDE]:
        [(name, count)] = Counter(parse_tag(tag).type for tag in tags.elements()).most_common(1)
        log.oddity(
            None,
            f"no word has the tag O, so every word is in an entity. {count / tags.total():.0%} of the words have the type "
            f"{name!r}; if it means that a word is in no entity, replace it by O",
        )
    spellings = defaultdict(set)
    for name in types:
        spellings[name.casefold()].add(name)
    for names in spellings.values():
        if len(names) > 1:
            log.oddity(None, f"the types {' and '.join(sorted(names))} differ only in upper and lower case")
    if len(types) > MAX_TYPES:
        log.oddity(None, f"has {len(types):,} types of entities: are the tags in another column?")
    if single := sorted(name for name, count in types.items() if count == 1):
        log.oddity(None, f"only one entity has the type {', '.join(single[:10])}{', …' if single[10:] else ''}")
    if len(rows) >= MIN_SENTENCES and all(len(row.words) == 1 for row in rows):
        log.oddity(None, "every sentence has one word: are there blank lines between the words of a sentence?")
    for row in rows:
        if len(row.words) > MAX_WORDS:
            log.oddity(
                row.line, f"a sentence of {len(row.words):,} words begins here: are blank lines between sentences missing?"
            )
