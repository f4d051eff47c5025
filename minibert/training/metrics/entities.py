"""Entity-level precision, recall and F1 of tagged sentences (Tjong Kim Sang and De Meulder 2003, section 2.3).

A predicted entity is correct if the gold tags have an entity of the same type with the same first and last word. There are two
definitions of the entities of a sequence that is invalid in its scheme. They differ for predictions only, because the gold tags
are valid:

- conlleval: that of the script of the CoNLL shared tasks, and of seqeval by default. A word whose tag begins with I- and that
  continues no entity of its type begins one.
- strict: seqeval's `mode="strict"`. Only a sequence that is valid in the scheme is an entity, such as B-PER I-PER in BIO.
"""

from collections.abc import Sequence

import numpy as np

from minibert.text.labeled.tag_schemes import OUTSIDE, SCHEMES, Entity, entities_of, parse_tag
from minibert.training.metrics.counts import Counts, macro_f1, measure_counts, micro_f1, ratio
from minibert.training.metrics.measurement import FloatArray, Measurement
from minibert.training.records import Column

ENTITY_F1 = Column("entity F1 (conlleval)", "validation_entity_f1", ".1%")
ALWAYS_O_F1 = Column("entity F1 of always O", "validation_always_o_entity_f1", ".1%")
PRECISION = Column("precision", "validation_entity_precision", ".1%")
RECALL = Column("recall", "validation_entity_recall", ".1%")
STRICT_F1 = Column("entity F1 (strict)", "validation_strict_entity_f1", ".1%")
MACRO_F1 = Column("macro entity F1", "validation_macro_entity_f1", ".1%")
TAG_ACCURACY = Column("tag accuracy", "validation_tag_accuracy", ".1%")
ALWAYS_O_ACCURACY = Column("tag accuracy of always O", "validation_always_o_tag_accuracy", ".1%")
NO_TYPE = "_"
"""Type of the entities of tags without a type, such as B and I, as in seqeval."""
Sentences = Sequence[Sequence[str]]
"""The tags of each sentence."""


def entity_counts(gold: Sentences, predicted: Sentences, strict: bool = False, scheme: str = "BIO") -> tuple[list[str], Counts]:
    """Count the entities of predicted and gold tags in each sentence. Equal to seqeval.

    Args:
        strict: the definition of an entity; see above.
        scheme: scheme of the tags, BIO or IOBES. It makes a difference only if `strict` is true.

    Differs: in its strict mode, seqeval removes hyphens at the ends of a type. It also accepts tags that have no scheme.

    Returns: the types that are in the gold or the predicted tags, in alphabetical order, and the counts (sentences, types).

    Raises: ValueError for a tag without a scheme, and if the gold and the predicted tags differ in number.

    >>> types, counts = entity_counts([["B-PER", "I-PER", "O", "B-LOC"]], [["B-PER", "I-PER", "O", "I-ORG"]])
    >>> types, counts.correct.tolist(), counts.predicted.tolist(), counts.gold.tolist()
    (['LOC', 'ORG', 'PER'], [[0.0, 0.0, 1.0]], [[0.0, 1.0, 1.0]], [[1.0, 0.0, 1.0]])
    """
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} sentences have gold tags, but {len(predicted)} have predicted tags")
    pairs = [*zip(gold, predicted, strict=True)]
    for number, (one, other) in enumerate(pairs):
        if len(one) != len(other):
            raise ValueError(f"sentence {number} has {len(one)} gold tags, but {len(other)} predicted tags")
    entities = [(_entities(one, strict, scheme), _entities(other, strict, scheme)) for one, other in pairs]
    types = sorted({entity.type for one, other in entities for entity in one | other})
    column = {name: number for number, name in enumerate(types)}
    counts = Counts(*(np.zeros((len(pairs), len(types))) for _ in range(3)))
    for row, (expected, found) in enumerate(entities):
        for table, group in zip(counts, (expected & found, found, expected), strict=True):
            for entity in group:
                table[row, column[entity.type]] += 1
    return types, counts


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


def precision(counts: Counts) -> FloatArray:
    """Share of the predicted entities of all types that are correct; NaN without any."""
    return ratio(counts.micro.correct, counts.micro.predicted)


def recall(counts: Counts) -> FloatArray:
    """Share of the gold entities of all types that are predicted; NaN without any."""
    return ratio(counts.micro.correct, counts.micro.gold)


def measure_entities(gold: Sentences, predicted: Sentences, scheme: str = "BIO") -> list[Measurement]:
    """Measure predicted tags: entity F1 by both definitions, and the share of correct tags, with the scores of always O.

    Args:
        gold: the tags of each sentence, valid in the scheme.
        scheme: scheme of the tags, BIO or IOBES.
    """
    always_o = [[OUTSIDE] * len(tags) for tags in gold]
    rows, strict_rows, trivial = (
        entity_counts(gold, tags, strict, scheme)[1]
        for tags, strict in ((predicted, False), (predicted, True), (always_o, False))
    )
    none = "there are no entities"
    return [
        measure_counts(ENTITY_F1, rows, micro_f1, undefined=none),
        measure_counts(ALWAYS_O_F1, trivial, micro_f1, undefined=none),
        measure_counts(PRECISION, rows, precision, undefined="no entity is predicted"),
        measure_counts(RECALL, rows, recall, undefined=none),
        measure_counts(STRICT_F1, strict_rows, micro_f1, undefined=none),
        measure_counts(MACRO_F1, rows, macro_f1, undefined=none),
        measure_counts(TAG_ACCURACY, _tag_counts(gold, predicted), recall, undefined="there are no words"),
        measure_counts(ALWAYS_O_ACCURACY, _tag_counts(gold, always_o), recall, undefined="there are no words"),
    ]


def _tag_counts(gold: Sentences, predicted: Sentences) -> Counts:
    """Count the correct tags and all tags of each sentence (sentences, 1)."""
    correct = [sum(map(str.__eq__, one, other)) for one, other in zip(gold, predicted, strict=True)]
    words = np.array([[len(tags)] for tags in gold], dtype=np.float64).reshape(-1, 1)
    return Counts(np.array(correct, dtype=np.float64).reshape(-1, 1), words, words)
