"""Fine-tuning for named entities: one tag for each word of a sentence (Devlin et al. 2019, section 5.3)."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import regex
from scipy.special import softmax
from tokenizers import Tokenizer
from torch import Tensor

from minibert.equations import IGNORE_INDEX
from minibert.model import BertConfig, BertForTokenClassification
from minibert.text.labeled.conll import has_conll_columns
from minibert.text.labeled.duplicates import finding_at
from minibert.text.labeled.examples import Example, LabeledBatch
from minibert.text.labeled.findings import Finding, LabeledData, LabeledDataError
from minibert.text.labeled.label_names import labels_to_score, labels_to_train
from minibert.text.labeled.options import LabeledSource
from minibert.text.labeled.tag_schemes import OUTSIDE, entities_of, parse_tag, write_tags
from minibert.text.labeled.tag_sets import TagSet
from minibert.text.labeled.tagged import TaggedSentence, describe_entities, join_words, sentence_key
from minibert.text.labeled.tagged_files import read_tagged, write_repaired
from minibert.text.labeled.word_windows import WordWindow, check_overlap, encode_words
from minibert.training.finetuning_options import TagOptions
from minibert.training.metrics.counts import total
from minibert.training.metrics.entities import (
    ALWAYS_O_ACCURACY,
    ALWAYS_O_F1,
    ENTITY_F1,
    STRICT_F1,
    TAG_ACCURACY,
    entity_counts,
    measure_entities,
)
from minibert.training.metrics.results import Outcome, Results
from minibert.training.objective import LossSum, balanced_class_weights, class_losses, target_weights
from minibert.training.records import Column, TaskMetrics
from minibert.training.task_type import HeadObjective, Inferred, Logits, Prediction, TaskData, TaskType

TAGGING = TaskMetrics(
    task="tagging",
    term="tagging",
    columns=(
        *(ENTITY_F1, ALWAYS_O_F1, STRICT_F1, TAG_ACCURACY, ALWAYS_O_ACCURACY),
        Column("loss", "validation_tagging_loss", ".3f", higher_is_better=False),
    ),
)
WORD = regex.compile(r"\p{Han}|[^\s\p{Han}]+")
"""A word of a text."""


@dataclass(frozen=True)
class TaggingObjective(HeadObjective):
    """The cross-entropy of the tag of each word, summed over all words."""

    term: ClassVar[str] = TAGGING.term
    class_weights: tuple[float, ...] | None = None
    """Factor on the loss of the words with each tag; None for 1."""

    def target_counts(self, batch: LabeledBatch) -> Mapping[str, Tensor]:
        """Count the words with a tag, or sum the weights of their tags."""
        return {self.term: target_weights(batch.targets["labels"], self.class_weights).sum()}

    def losses(self, output: Any, batch: LabeledBatch) -> dict[str, LossSum]:
        return {self.term: class_losses(output.logits, batch.targets["labels"], self.class_weights)}


@dataclass(frozen=True)
class Tagging(TaskType[TaggedSentence]):
    """The tag of each word of a sentence, predicted from its first token."""

    command: ClassVar[str] = "tag"
    network: ClassVar[type[BertForTokenClassification]] = BertForTokenClassification
    options_class: ClassVar[type[TagOptions]] = TagOptions
    rows_name: ClassVar[str] = "sentences"
    input_fields: ClassVar[tuple[str, ...]] = ("words",)
    task_metrics: ClassVar[TaskMetrics] = TAGGING

    labels: tuple[str, ...]
    """Names of the tags, in the order of the logits."""
    max_length: int = 128
    """Maximum number of tokens of a window, including special tokens."""
    overlap: int = 32
    """Number of tokens that a window shares with the one before."""
    class_weights: tuple[float, ...] | None = None
    """Factor on the loss of the words with each tag; None for 1."""

    def __post_init__(self) -> None:
        check_overlap(self.max_length, self.overlap)

    @classmethod
    def read(cls, source: LabeledSource, options: TagOptions) -> LabeledData[TaggedSentence]:
        return read_tagged(source, options.words)

    @classmethod
    def read_inputs(cls, source: LabeledSource, options: TagOptions) -> LabeledData[TaggedSentence]:
        return read_tagged(source, options.words, labeled=False)

    @classmethod
    def write_repaired(cls, source: LabeledSource, options: TagOptions, target: Path) -> None:
        write_repaired(source, target, options.words)

    @classmethod
    def is_labeled_file(cls, path: Path) -> bool:
        return has_conll_columns(path)

    @classmethod
    def input_row(cls, values: Mapping[str, Any]) -> TaggedSentence:
        """Return a sentence: a list of words, or a text with spaces between them. Each Chinese character is a word."""
        words = values.get("words", values.get("tokens"))
        if isinstance(words, str):
            return TaggedSentence(tuple(WORD.findall(words)))
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError(f"needs 'words': a list of words, or a text with spaces between them, not {str(words)[:40]!r}")
        return TaggedSentence(tuple(words))

    @classmethod
    def group(cls, row: TaggedSentence) -> str:
        return sentence_key(row)

    def stratum(self, row: TaggedSentence) -> Hashable:
        return bool({*(row.tags or ())} - {"O"})  # a sentence with or without entities

    @classmethod
    def from_data(cls, data: TaskData[TaggedSentence], options: TagOptions, start: BertConfig) -> Inferred[TaggedSentence]:
        max_length = min(options.max_length, start.max_tokens)
        overlap = max_length // 4 if options.overlap is None else options.overlap
        stored = TagSet(tuple(start.id2label.values()))
        data = data.map_rows(partial(rename_types, names=_same_types(data.train.rows, stored)))
        found = sorted({OUTSIDE}.union(*map(_tags, data.train.rows)))
        keeps_labels = bool(stored.types) and stored.covers(found)
        labels = stored.labels if keeps_labels else tuple(found)
        origin = "those of the checkpoint, mapped by name" if keeps_labels else "sorted"
        if not keeps_labels and stored.covers([OUTSIDE]):
            origin += f"; not those of the checkpoint, {', '.join(stored.labels)}, so its output layer is replaced"
        notes = [f"labels ({origin}): {', '.join(labels)}", f"windows of {max_length} tokens, of which {overlap} overlap"]
        return Inferred(cls(labels, max_length, overlap), data, notes, _check_labels(data, TagSet(labels)))

    @classmethod
    def of_model(cls, config: BertConfig) -> "Tagging":
        labels = tuple(config.id2label.values())
        if not TagSet(labels).covers([OUTSIDE]):
            raise ValueError(
                f"the labels of the model are {', '.join(labels[:5])}; none is O. Give them the names of the tags with which "
                "it was trained: id2label in config.json"
            )
        max_length = min(cls.max_length, config.max_tokens)
        return cls(labels, max_length, max_length // 4)

    def to_score(self, data: LabeledData[TaggedSentence]) -> LabeledData[TaggedSentence]:
        types = types_of(data.rows)
        try:
            names = labels_to_score(types, self.tag_set.types).names
        except LabeledDataError:
            raise LabeledDataError(
                f"{data.name}: the types of entities are {', '.join(sorted(types))}, and those of the model "
                f"{', '.join(self.tag_set.types)}; give them the same names"
            ) from None
        return replace(data, rows=[rename_types(row, names) for row in data.rows])

    @property
    def reading_options(self) -> TagOptions:
        return TagOptions()

    @cached_property
    def tag_set(self) -> TagSet:
        """The labels and their meanings."""
        return TagSet(self.labels)

    def model_config(self, config: BertConfig) -> BertConfig:
        return replace(config.with_labels(self.labels), problem_type=None)

    def encode(self, rows: Sequence[TaggedSentence], tokenizer: Tokenizer) -> list[Example]:
        targets = [[IGNORE_INDEX] * len(row.words) if row.tags is None else self.tag_set.targets(row.tags) for row in rows]
        return [*encode_words([row.words for row in rows], targets, tokenizer, self.max_length, self.overlap)]

    def describe_examples(self, rows: Sequence[TaggedSentence], examples: Sequence[Example]) -> str:
        predicted = sum(len(window.words) for window in cast("Sequence[WordWindow]", examples))
        missing = sum(len(row.words) for row in rows) - predicted
        return f"; {missing:,} words give no token and are predicted as O" if missing else ""

    @property
    def objective(self) -> TaggingObjective:
        return TaggingObjective(self.class_weights)

    def with_balanced_classes(self, examples: Sequence[Example]) -> "Tagging":
        targets = (label for example in examples for label in cast("Sequence[int]", example.targets["labels"]))
        labels = [label for label in targets if label != IGNORE_INDEX]
        return replace(self, class_weights=balanced_class_weights(labels, len(self.labels)))

    def logits(self, output: Any) -> Tensor:
        return cast("Tensor", output.logits)

    def predict(
        self, rows: Sequence[TaggedSentence], examples: Sequence[Example], logits: Sequence[Logits]
    ) -> list[Prediction]:
        """Return the tags, their probabilities and the entities of each sentence. A word without tokens is O."""
        outside = self.tag_set.numbers[OUTSIDE]
        numbers = [[outside] * len(row.words) for row in rows]
        scores: list[list[float | None]] = [[None] * len(row.words) for row in rows]
        for window, each in zip(cast("Sequence[WordWindow]", examples), logits, strict=True):
            probabilities = softmax(each[[*window.positions]], axis=-1)
            for word, row in zip(window.words, probabilities, strict=True):
                numbers[window.row][word] = int(row.argmax())
                scores[window.row][word] = float(row.max())
        return [self._predict(*each) for each in zip(rows, numbers, scores, strict=True)]

    def _predict(self, row: TaggedSentence, numbers: Sequence[int], scores: Sequence[float | None]) -> Prediction:
        tags = self.tag_set.read(numbers)
        entities = [
            {
                "type": name,
                "text": join_words(row.words[start:end]),
                "start": start,
                "end": end,
                "score": float(np.mean([score for score in scores[start:end] if score is not None])),
            }
            for name, start, end in entities_of(map(parse_tag, tags))
        ]
        return {"words": [*row.words], "tags": tags, "scores": [*scores], "entities": entities}

    def results(self, rows: Sequence[TaggedSentence], predictions: Sequence[Prediction]) -> Results:
        scheme = self.tag_set.scheme
        gold = [write_tags(entities_of(map(parse_tag, _tags(row))), len(row.words), scheme) for row in rows]
        predicted = [each["tags"] for each in predictions]
        types, counts = entity_counts(gold, predicted)
        outcomes = [
            Outcome(
                join_words(row.words),
                describe_entities(row.words, expected),
                describe_entities(row.words, found),
                expected == found,
                min((score for score in each["scores"] if score is not None), default=1.0),
                row.line,
            )
            for row, expected, found, each in zip(rows, gold, predicted, predictions, strict=True)
        ]
        pairs = [
            (_type(one), _type(other))
            for expected, found in zip(gold, predicted, strict=True)
            for one, other in zip(expected, found, strict=True)
        ]
        unknown = Counter(name for row in rows for name in types_of([row]) - {*self.tag_set.types})
        return Results(measure_entities(gold, predicted, scheme), outcomes, types, total(counts), unknown, pairs)

    @property
    def main_metric(self) -> Column:
        return ENTITY_F1


def types_of(rows: Sequence[TaggedSentence]) -> set[str]:
    """Return the types of the entities in sentences."""
    return {parse_tag(tag).type for row in rows for tag in _tags(row) if tag != OUTSIDE}


def rename_types(row: TaggedSentence, names: Mapping[str, str]) -> TaggedSentence:
    """Return a sentence with other names of types."""
    if row.tags is None or not names:
        return row
    entities = [entity._replace(type=names.get(entity.type, entity.type)) for entity in entities_of(map(parse_tag, row.tags))]
    return replace(row, tags=tuple(write_tags(entities, len(row.words))))


def _same_types(rows: Sequence[TaggedSentence], stored: TagSet) -> Mapping[str, str]:
    """Return the types of a checkpoint, by those of data that differ only in case or blanks, if all types are the same."""
    try:
        return labels_to_train(types_of(rows), stored.types).names
    except LabeledDataError:  # numbers instead of names
        return {}


def _tags(row: TaggedSentence) -> tuple[str, ...]:
    return row.tags or ()


def _type(tag: str) -> str:
    return OUTSIDE if tag == OUTSIDE else parse_tag(tag).type


def _check_labels(data: TaskData[TaggedSentence], tag_set: TagSet) -> list[Finding]:
    """Find types and tags in the validation data that the model cannot predict, and training data without entities."""
    if data.train.rows and not types_of(data.train.rows):
        return [Finding(data.train.name, None, "has no entities, so there is nothing to learn", is_error=True)]
    missing: dict[str, list[TaggedSentence]] = defaultdict(list)
    for row in data.validation.rows:
        tags = _tags(row)
        for entity in entities_of(map(parse_tag, tags)):
            if entity.type not in tag_set.types:
                missing[f"entities have the type {entity.type}"].append(row)
        for tag, number in zip(tags, tag_set.targets(tags), strict=True):
            if number == IGNORE_INDEX and parse_tag(tag).type in tag_set.types:
                missing[f"words have the tag {tag}"].append(row)
    advice = "which no training data have; they are counted as missed; this is the first sentence"
    return [finding_at(rows[0], f"{len(rows):,} {what}, {advice}") for what, rows in sorted(missing.items())]
