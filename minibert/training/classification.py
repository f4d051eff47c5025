"""Fine-tuning for sequence classification and regression: labels of a text or a pair (Devlin et al. 2019, section 4.1)."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
from scipy.special import expit, softmax
from tokenizers import Tokenizer
from torch import Tensor

from minibert.equations import IGNORE_INDEX, binary_cross_entropy
from minibert.model import BertConfig, BertForSequenceClassification
from minibert.text.builtin import builtin_corpus
from minibert.text.labeled.column_roles import find_roles
from minibert.text.labeled.examples import Example, LabeledBatch, Target
from minibert.text.labeled.findings import Finding, LabeledData, LabeledDataError
from minibert.text.labeled.label_names import (
    LabelMatch,
    check_labels,
    check_pairs,
    has_names,
    label_order,
    labels_to_score,
    labels_to_train,
)
from minibert.text.labeled.label_reader import labels_of
from minibert.text.labeled.label_values import number
from minibert.text.labeled.options import LabeledSource, TableColumns
from minibert.text.labeled.problem_types import ProblemType, infer_problem
from minibert.text.labeled.repair import write_repaired
from minibert.text.labeled.tables import read_table, row_key
from minibert.text.labeled.text_rows import TextRow, encode_texts
from minibert.text.module_families import label_by_module
from minibert.text.options import MIN_LENGTH, Cut
from minibert.text.splits import split_documents
from minibert.text.table import text_fault
from minibert.training.finetuning_options import ClassifyOptions
from minibert.training.metrics.classification import ACCURACY, F1, MACRO_F1, MAJORITY_ACCURACY, MATTHEWS, MICRO_F1
from minibert.training.metrics.regression import PEARSON, SPEARMAN
from minibert.training.metrics.results import Results
from minibert.training.metrics.text_results import class_results, class_set_results, number_results
from minibert.training.objective import LossSum, balanced_class_weights, class_losses, target_weights
from minibert.training.records import Column, TaskMetrics
from minibert.training.task_type import HeadObjective, Inferred, Logits, Prediction, TaskData, TaskType

CLASSIFICATION = TaskMetrics(
    task="classification",
    term="classification",
    columns=(
        *(ACCURACY, MAJORITY_ACCURACY, F1, MACRO_F1, MICRO_F1, MATTHEWS, PEARSON, SPEARMAN),
        Column("loss", "validation_classification_loss", ".3f", higher_is_better=False),
    ),
)
BUILT_IN_VALIDATION_FRACTION = 0.15
BUILT_IN_TRAIN_LIMIT, BUILT_IN_VALIDATION_LIMIT = 200, 50
"""Number of docstrings of each class in the built-in training and validation data."""
MAIN_METRICS = {
    "single_label_classification": ACCURACY,
    "multi_label_classification": MICRO_F1,
    "regression": PEARSON,
}


REGRESSION_LABEL = "score"
"""Name of the number that a regression predicts."""


@dataclass(frozen=True)
class ClassificationObjective(HeadObjective):
    """The loss of `BertForSequenceClassification`: the sum over all texts, or over all classes of all texts."""

    term: ClassVar[str] = CLASSIFICATION.term
    problem_type: ProblemType = "single_label_classification"
    class_weights: tuple[float, ...] | None = None
    """Factor on the loss of the texts of each class; None for 1."""

    def target_counts(self, batch: LabeledBatch) -> Mapping[str, Tensor]:
        """Count the texts with a label, or sum the weights of their classes."""
        if self.problem_type != "single_label_classification":
            return super().target_counts(batch)
        return {self.term: target_weights(batch.targets["labels"], self.class_weights).sum()}

    def losses(self, output: Any, batch: LabeledBatch) -> dict[str, LossSum]:
        logits, labels = output.logits, batch.targets["labels"]
        if self.problem_type == "single_label_classification":
            return {self.term: class_losses(logits, labels, self.class_weights)}
        known, numbers = ~labels.isnan(), labels.to(logits.dtype).nan_to_num()
        if self.problem_type == "regression":
            return {self.term: LossSum((logits - numbers).square().where(known, 0).sum())}
        losses, is_correct = binary_cross_entropy(logits, numbers), (logits > 0) == (numbers > 0.5)
        return {self.term: LossSum(losses.where(known, 0).sum(), (known & is_correct).sum())}


@dataclass(frozen=True)
class Classification(TaskType[TextRow]):
    """One class, any number of independent classes, or a number for each text."""

    command: ClassVar[str] = "classify"
    network: ClassVar[type[BertForSequenceClassification]] = BertForSequenceClassification
    task_metrics: ClassVar[TaskMetrics] = CLASSIFICATION

    options_class: ClassVar[type[ClassifyOptions]] = ClassifyOptions
    rows_name: ClassVar[str] = "texts"
    input_fields: ClassVar[tuple[str, ...]] = ("text", "pair")

    labels: tuple[str, ...]
    """Names of the classes, in the order of the logits. For regression, the name of the number."""
    problem_type: ProblemType = "single_label_classification"
    max_length: int = 128
    """Maximum number of tokens, including special tokens."""
    cut: Cut = "end"
    """The part of a longer text that is left out."""
    class_weights: tuple[float, ...] | None = None
    """Factor on the loss of the texts of each class; None for 1."""
    positive_class: str | None = None
    """The class whose F1 is measured. None: the second one of two."""
    pairs: bool | None = None
    """True: trained on pairs of texts. False: on single texts. None: not known, as for a model from the hub."""

    def __post_init__(self) -> None:
        if self.max_length < MIN_LENGTH:
            raise ValueError(f"max_length {self.max_length}: must be at least {MIN_LENGTH}, for tokens of two texts")
        if self.problem_type == "regression" and len(self.labels) != 1:
            raise ValueError(f"a regression predicts one number, not {len(self.labels)}: {', '.join(self.labels)}")
        if self.positive_class is not None and self.positive_class not in self.labels:
            raise ValueError(f"the positive class {self.positive_class!r} is not one of {', '.join(self.labels)}")

    @classmethod
    def read(cls, source: LabeledSource, options: ClassifyOptions) -> LabeledData[TextRow]:
        return read_table(source, options.table, options.multi_label)

    @classmethod
    def write_repaired(cls, source: LabeledSource, options: ClassifyOptions, target: Path) -> None:
        write_repaired(source, target, options.table, options.multi_label)

    @classmethod
    def built_in(cls) -> tuple[LabeledData[TextRow], LabeledData[TextRow]]:
        documents = split_documents(builtin_corpus().documents, BUILT_IN_VALIDATION_FRACTION)
        train, validation = (
            label_by_module(part, limit, np.random.default_rng(0))
            for part, limit in zip(documents, (BUILT_IN_TRAIN_LIMIT, BUILT_IN_VALIDATION_LIMIT), strict=True)
        )
        name = "docstrings of Python and torch, labeled with the family of their module"
        return LabeledData(train, name=name), LabeledData(validation, name=f"{name} (other modules)")

    def input_columns(self, names: Sequence[str], columns: TableColumns, location: str) -> dict[str, str]:
        texts = find_roles(names, columns, is_labeled=False, location=location).texts
        if fault := self._pair_fault(is_pair=len(texts) == 2):
            found, option = ("column", "--pair-column") if self.pairs else ("columns", "--text-column")
            raise ValueError(f"{location}: {fault} ({found} {' and '.join(map(repr, texts))}); choose with {option}")
        return dict(zip(self.input_fields, texts, strict=False))

    def input_fault(self, row: TextRow) -> str:
        return self._pair_fault(is_pair=row.pair is not None)

    def _pair_fault(self, is_pair: bool) -> str:
        """Return the reason why one text or a pair is no input for the model; "" if it is one."""
        if self.pairs in (None, is_pair):
            return ""
        has, trained_on = ("one text", "pairs") if self.pairs else ("a second text", "single texts")
        return f"has {has}, but the model was trained on {trained_on}"

    @classmethod
    def input_row(cls, values: Mapping[str, Any]) -> TextRow:
        first, second = cls.input_fields
        for name in (first, *([second] if values.get(second) is not None else [])):
            if fault := text_fault(values, name) or (f"the {name!r} is null" if values[name] is None else ""):
                raise ValueError(fault)
        return TextRow(values[first], values.get(second))

    @classmethod
    def group(cls, row: TextRow) -> str:
        return row_key(row)

    def stratum(self, row: TextRow) -> Hashable:
        return None if self.problem_type == "regression" else row.label

    @classmethod
    def from_data(cls, data: TaskData[TextRow], options: ClassifyOptions, start: BertConfig) -> Inferred[TextRow]:
        given, given_by = _given_problem(data.train.rows, options, start)
        if given == "multi_label_classification":
            data = data.map_rows(lambda row: replace(row, label=labels_of(row)))
        problem = infer_problem(data.train.rows, given, given_by)
        in_validation = infer_problem(data.validation.rows, problem.problem_type).findings
        findings = [*check_pairs(data.train, data.validation), *problem.findings, *in_validation]
        labels: tuple[str, ...] = (REGRESSION_LABEL,)
        notes = [problem.reason]
        if problem.problem_type != "regression":
            stored = () if start.num_labels == 1 else tuple(start.id2label.values())
            found = {label for row in data.train.rows for label in labels_of(row)}
            try:
                match = labels_to_train(found, stored)
            except LabeledDataError as error:
                match = LabelMatch(label_order(found))
                findings.append(Finding(data.train.name, None, str(error), is_error=True))
            data = data.map_rows(match.rename)
            findings += check_labels(data.train, data.validation)
            labels, notes = match.labels, [problem.reason, *([match.note] if match.note else [])]
        length = min(options.max_length, start.max_tokens)
        pairs = any(row.pair is not None for row in data.train.rows)
        task_type = cls(labels, problem.problem_type, length, options.cut, pairs=pairs)
        return Inferred(task_type, data, notes, findings)

    @classmethod
    def of_model(cls, config: BertConfig) -> "Classification":
        labels = tuple(config.id2label.values())
        inferred = "regression" if len(labels) == 1 else "single_label_classification"
        return cls(labels, cast("ProblemType", config.problem_type or inferred), config.max_tokens)

    def to_score(self, data: LabeledData[TextRow]) -> LabeledData[TextRow]:
        findings = [*data.findings, *infer_problem(data.rows, self.problem_type).findings]
        if fault := next(filter(None, map(self.input_fault, data.rows)), ""):
            advice = "name the second column with --pair-column" if self.pairs else "name the column with --text-column"
            raise LabeledDataError(f"{data.name}: {fault}; {advice}")
        if self.problem_type == "regression":
            return replace(data, findings=findings)
        if self.problem_type == "multi_label_classification":
            data = replace(data, rows=[replace(row, label=labels_of(row)) for row in data.rows])
        match = labels_to_score({label for row in data.rows for label in labels_of(row)}, self.labels)
        notes = [*data.notes, match.note] if match.note else data.notes
        return replace(data, rows=[*map(match.rename, data.rows)], findings=findings, notes=notes)

    @property
    def reading_options(self) -> ClassifyOptions:
        is_multi_label, is_regression = (self.problem_type == each for each in ("multi_label_classification", "regression"))
        return ClassifyOptions(multi_label=is_multi_label, regression=is_regression)

    @property
    def positive(self) -> str | None:
        """The class whose F1 is measured; None if there is none."""
        return self.labels[1] if self.positive_class is None and len(self.labels) == 2 else self.positive_class

    def model_config(self, config: BertConfig) -> BertConfig:
        return replace(config.with_labels(self.labels), problem_type=self.problem_type)

    def encode(self, rows: Sequence[TextRow], tokenizer: Tokenizer) -> list[Example]:
        encoded = encode_texts(rows, tokenizer, self.max_length, self.cut)
        return [
            Example(text.input_ids, text.token_type_ids, {"labels": self.target(row)}, number, text.is_cut)
            for number, (row, text) in enumerate(zip(rows, encoded, strict=True))
        ]

    def target(self, row: TextRow) -> Target:
        """Convert the label of a row to a number or numbers. A label that is not one of this task gives no target."""
        if self.problem_type == "regression":
            return [math.nan if row.label is None else float(cast("str", row.label))]
        if self.problem_type == "multi_label_classification":
            return [math.nan if row.label is None else float(name in row.label) for name in self.labels]
        return self.labels.index(row.label) if row.label in self.labels else IGNORE_INDEX

    @property
    def objective(self) -> ClassificationObjective:
        return ClassificationObjective(self.problem_type, self.class_weights)

    def with_balanced_classes(self, examples: Sequence[Example]) -> "Classification":
        if self.problem_type != "single_label_classification":
            return cast("Classification", super().with_balanced_classes(examples))
        labels = [cast("int", example.targets["labels"]) for example in examples]
        return replace(self, class_weights=balanced_class_weights([each for each in labels if each >= 0], len(self.labels)))

    def logits(self, output: Any) -> Tensor:
        return cast("Tensor", output.logits)

    def predict(self, rows: Sequence[TextRow], examples: Sequence[Example], logits: Sequence[Logits]) -> list[Prediction]:
        return [self._predict(each) for each in logits]

    def _predict(self, logits: Logits) -> Prediction:
        if self.problem_type == "regression":
            return {"score": float(logits[0])}
        is_multi_label = self.problem_type == "multi_label_classification"
        scores = dict(zip(self.labels, map(float, expit(logits) if is_multi_label else softmax(logits)), strict=True))
        if is_multi_label:
            return {"labels": [name for name, score in scores.items() if score > 0.5], "scores": scores}
        label = self.labels[int(logits.argmax())]
        return {"label": label, "score": scores[label], "scores": scores}

    def results(self, rows: Sequence[TextRow], predictions: Sequence[Prediction]) -> Results:
        if self.problem_type == "regression":
            return number_results(rows, predictions)
        if self.problem_type == "multi_label_classification":
            return class_set_results(rows, predictions, self.labels)
        return class_results(rows, predictions, self.labels, self.positive)

    @property
    def main_metric(self) -> Column:
        return MAIN_METRICS[self.problem_type]


def _given_problem(rows: Sequence[TextRow], options: ClassifyOptions, start: BertConfig) -> tuple[ProblemType | None, str]:
    """Return the type of the problem that the options or the starting checkpoint give, and which of them; None if neither does.

    A checkpoint gives it if the labels can be those of its output layer.
    """
    if options.multi_label or options.regression:
        return ("multi_label_classification", "--multi-label") if options.multi_label else ("regression", "--regression")
    by_checkpoint = "problem_type of the checkpoint"
    if start.problem_type == "regression" and all(number(row.label) is not None for row in rows):
        return "regression", by_checkpoint
    found = {label for row in rows for label in labels_of(row)}
    if start.problem_type == "multi_label_classification" and has_names(stored := [*start.id2label.values()]):
        return ("multi_label_classification", by_checkpoint) if found <= {*stored} else (None, "")
    return None, ""
