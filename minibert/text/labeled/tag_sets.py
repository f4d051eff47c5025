"""The labels of a tagger: names such as B-PER, in any order and any scheme, and their meanings."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from minibert.equations import IGNORE_INDEX
from minibert.text.labeled.tag_schemes import LETTERS, OUTSIDE, entities_of, parse_tag, to_bio, write_tags
from minibert.text.labeled.tag_spellings import read_spellings


@dataclass(frozen=True)
class TagSet:
    """The labels of a tagger, in the order of its logits.

    >>> TagSet(("O", "S-PER", "B-PER", "E-PER")).targets(["B-PER", "I-PER", "O", "B-PER"])
    [2, 3, 0, 1]
    """

    labels: tuple[str, ...]

    @cached_property
    def meanings(self) -> list[str | None]:
        """The tag of each label; None for one without a meaning, such as [PAD]."""
        spellings = read_spellings(self.labels).meanings
        return [spellings[label].tag for label in self.labels]

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each tag. Different letters for one position, such as S and U, are one tag."""
        return {_plain(tag): number for number, tag in enumerate(self.meanings) if tag is not None}

    @cached_property
    def positions(self) -> set[str]:
        """The positions in an entity that the labels name: some of B, I, E and S."""
        return {tag[0] for tag in self.numbers if tag != OUTSIDE}

    @property
    def types(self) -> list[str]:
        """The types of entities, in the order of the labels."""
        return [*dict.fromkeys(parse_tag(tag).type for tag in self.numbers if tag != OUTSIDE)]

    @property
    def scheme(self) -> str:
        """The scheme of the labels: IOBES if they have S- or E-, else BIO."""
        return "IOBES" if self.positions & {"E", "S"} else "BIO"

    def targets(self, tags: Sequence[str]) -> list[int]:
        """Convert tags in BIO to the numbers of labels; -100 for a tag without a label.

        If no label begins with B- for a type, its words are I-, as in the schemes IO and IOB1.
        """
        written = write_tags(entities_of(map(parse_tag, tags)), len(tags), self.scheme)
        return [self.numbers.get(tag, self.numbers.get(_inside(tag), IGNORE_INDEX)) for tag in written]

    def covers(self, tags: Sequence[str]) -> bool:
        """Return True if all tags in BIO have a label."""
        return IGNORE_INDEX not in self.targets(tags)

    def read(self, numbers: Sequence[int]) -> list[str]:
        """Convert the predicted labels of a sentence to tags. They are as predicted, even if their sequence is invalid.

        In a scheme that does not mark where an entity begins, the tags are converted to BIO.
        """
        tags = [_plain(self.meanings[number] or OUTSIDE) for number in numbers]
        return tags if self.positions & {"B", "S"} else to_bio(map(parse_tag, tags))


def _plain(tag: str) -> str:
    """Write a tag with the letters B, I, E and S."""
    return tag if tag == OUTSIDE else LETTERS[tag[0]] + tag[1:]


def _inside(tag: str) -> str:
    return f"I{tag[1:]}" if tag[0] == "B" else tag
