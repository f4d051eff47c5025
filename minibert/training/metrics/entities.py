"""Entity-level precision, recall and F1 of tagged sentences (Tjong Kim Sang and De Meulder 2003, section 2.3).

A predicted entity is correct if the gold tags have an entity of the same type with the same first and last word. There are two
definitions of the entities of a sequence that is invalid in its scheme. They differ for predictions only, because the gold tags
are valid:

- conlleval: that of the script of the CoNLL shared tasks, and of seqeval by default. A word whose tag begins with I- and that
  continues no entity of its type begins one.
- strict: seqeval's `mode="strict"`. Only a sequence that is valid in the scheme is an entity, such as B-PER I-PER in BIO.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from minibert.text.labeled.tag_schemes import SCHEMES, Entity, entities_of, parse_tag

NO_TYPE = "_"
"""Type of the entities of tags without a type, such as B and I, as in seqeval."""


class EntityCounts(NamedTuple):
    """Numbers of entities, and the scores computed from them. A score without entities is 0, as in seqeval."""

    correct: int = 0
    predicted: int = 0
    gold: int = 0

    @property
    def precision(self) -> float:
        """Share of the predicted entities that are correct."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Share of the gold entities that are predicted."""
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.correct / (self.predicted + self.gold) if self.predicted + self.gold else 0.0


@dataclass(frozen=True)
class EntityScores:
    """Entity-level scores of a set of sentences."""

    types: dict[str, EntityCounts]
    """The counts of each type that is in the gold or the predicted tags, in alphabetical order."""

    @property
    def micro(self) -> EntityCounts:
        """The counts of all types together. Their F1 is "the" entity F1 of a tagger."""
        return EntityCounts(*map(sum, zip(*self.types.values(), strict=True)))

    @property
    def macro_f1(self) -> float:
        """Mean of the F1 of the types."""
        return sum(counts.f1 for counts in self.types.values()) / len(self.types) if self.types else 0.0


def entity_scores(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], strict: bool = False, scheme: str = "BIO"
) -> EntityScores:
    """Compare the entities of predicted and gold tags, over all sentences. Equal to seqeval.

    Args:
        gold: the tags of each sentence.
        predicted: the predicted tags of each sentence.
        strict: the definition of an entity; see above.
        scheme: scheme of the tags, BIO or IOBES. It makes a difference only if `strict` is true.

    Differs: in its strict mode, seqeval removes hyphens at the ends of a type. It also accepts tags that have no scheme.

    Raises: ValueError for a tag without a scheme, and if the gold and the predicted tags differ in number.

    >>> scores = entity_scores([["B-PER", "I-PER", "O", "B-LOC"]], [["B-PER", "I-PER", "O", "I-ORG"]])
    >>> scores.micro, round(scores.micro.f1, 3)
    (EntityCounts(correct=1, predicted=2, gold=2), 0.5)
    """
    correct, found, expected = Counter[str](), Counter[str](), Counter[str]()
    for gold_entities, predicted_entities in entity_pairs(gold, predicted, strict, scheme):
        expected.update(entity.type for entity in gold_entities)
        found.update(entity.type for entity in predicted_entities)
        correct.update(entity.type for entity in gold_entities & predicted_entities)
    return EntityScores({name: EntityCounts(correct[name], found[name], expected[name]) for name in sorted(found | expected)})


def entity_pairs(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], strict: bool = False, scheme: str = "BIO"
) -> list[tuple[set[Entity], set[Entity]]]:
    """Return the gold and the predicted entities of each sentence. The arguments and errors are those of `entity_scores`."""
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} sentences have gold tags, but {len(predicted)} have predicted tags")
    for number, (gold_tags, predicted_tags) in enumerate(zip(gold, predicted, strict=True)):
        if len(gold_tags) != len(predicted_tags):
            raise ValueError(f"sentence {number} has {len(gold_tags)} gold tags, but {len(predicted_tags)} predicted tags")
    return [
        (_entities(gold_tags, strict, scheme), _entities(predicted_tags, strict, scheme))
        for gold_tags, predicted_tags in zip(gold, predicted, strict=True)
    ]


def _entities(tags: Sequence[str], strict: bool, scheme: str) -> set[Entity]:
    parsed = [tag._replace(type=tag.type or NO_TYPE) for tag in map(parse_tag, tags)]
    entities = entities_of(parsed)
    if strict:
        positions = "".join(tag.position for tag in parsed)
        entities = [
            entity
            for entity in entities
            if positions[entity.start : entity.end] == SCHEMES[scheme](entity.end - entity.start, False, False)
        ]
    return set(entities)
