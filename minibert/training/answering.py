"""Fine-tuning for extractive question answering: a part of a context is the answer (Devlin et al. 2019, section 4.2)."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from minibert.equations import cross_entropy
from minibert.model import BertConfig, BertForQuestionAnswering
from minibert.text.corpus import load_split
from minibert.text.labeled.examples import Example, LabeledBatch
from minibert.text.labeled.findings import Finding, LabeledData
from minibert.text.labeled.options import LabeledSource, check_windows
from minibert.text.labeled.question_windows import QuestionWindow, encode_questions
from minibert.text.labeled.squad import read_squad, read_squad_rows, write_repaired
from minibert.text.labeled.squad_checks import Question
from minibert.text.table import text_fault
from minibert.training.best_answers import Candidate, best_answers, with_probabilities
from minibert.training.finetuning_options import AnswerOptions
from minibert.training.metrics.answer_results import answer_results, gold_texts
from minibert.training.metrics.answers import (
    ANSWERABLE_F1,
    EXACT_MATCH,
    F1,
    NO_ANSWER_F1,
    UNANSWERABLE_F1,
    best_threshold,
    score_answers,
)
from minibert.training.metrics.results import Results
from minibert.training.objective import LossSum
from minibert.training.records import Column, TaskMetrics
from minibert.training.task_type import HeadObjective, Inferred, Logits, Prediction, TaskData, TaskType

ANSWERING = TaskMetrics(
    task="answering",
    term="answering",
    columns=(
        *(F1, NO_ANSWER_F1, EXACT_MATCH, ANSWERABLE_F1, UNANSWERABLE_F1),
        Column("loss", "validation_answering_loss", ".3f", higher_is_better=False),
    ),
)


@dataclass(frozen=True)
class AnsweringObjective(HeadObjective):
    """The mean of the cross-entropies of the first and the last token of the answer. A prediction is correct if both are.

    The softmax is over all tokens of the batch, including padding, as in Google's code and in transformers.
    """

    term: ClassVar[str] = ANSWERING.term

    def losses(self, output: Any, batch: LabeledBatch) -> dict[str, LossSum]:
        start, end = batch.targets["start_positions"], batch.targets["end_positions"]
        losses = (cross_entropy(output.start_logits, start) + cross_entropy(output.end_logits, end)) / 2
        correct = (output.start_logits.argmax(dim=-1) == start) & (output.end_logits.argmax(dim=-1) == end)
        return {self.term: LossSum(losses.sum(), correct.sum())}


@dataclass(frozen=True)
class Answering(TaskType[Question]):
    """The answer to a question: a part of its context, or none."""

    command: ClassVar[str] = "answer"
    network: ClassVar[type[BertForQuestionAnswering]] = BertForQuestionAnswering
    options_class: ClassVar[type[AnswerOptions]] = AnswerOptions
    rows_name: ClassVar[str] = "questions"
    input_fields: ClassVar[tuple[str, ...]] = ("question", "context")
    task_metrics: ClassVar[TaskMetrics] = ANSWERING
    has_head_dropout: ClassVar[bool] = False
    group_phrase: ClassVar[str] = "are about contexts that are"

    max_length: int = 384
    """Maximum number of tokens of a window: question, a part of the context and special tokens."""
    overlap: int = 128
    """Number of tokens of the context that a window shares with the one before."""
    n_best: int = 20
    """Number of answers that are predicted, each with a probability."""
    max_answer_tokens: int = 30
    """Maximum number of tokens of a predicted answer."""
    threshold: float | None = None
    """A question has no answer if the score of [CLS] is higher than that of the best answer by more than this. None: every
    question has an answer."""

    def __post_init__(self) -> None:
        check_windows(self.max_length, self.overlap)

    @classmethod
    def read(cls, source: LabeledSource, options: AnswerOptions) -> LabeledData[Question]:
        if source.dataset is None:
            return read_squad(source.files)
        rows = load_split(source.dataset, source.dataset_config, source.split)
        return read_squad_rows(rows, f"{source.dataset}, {source.split}", rows._fingerprint)

    @classmethod
    def read_inputs(cls, source: LabeledSource, options: AnswerOptions) -> LabeledData[Question]:
        return read_squad(source.files, labeled=False)

    @classmethod
    def write_repaired(cls, source: LabeledSource, options: AnswerOptions, target: Path) -> None:
        write_repaired(source.files, target)

    @classmethod
    def input_row(cls, values: Mapping[str, Any]) -> Question:
        for name in cls.input_fields:
            if fault := text_fault(values, name) or ("" if (values[name] or "").strip() else f"the {name!r} is empty"):
                raise ValueError(fault)
        identifier = values.get("id")
        return Question("" if identifier is None else str(identifier), values["question"], values["context"])

    @classmethod
    def group(cls, row: Question) -> str:
        return row.context

    def stratum(self, row: Question) -> Hashable:
        return bool(row.answers)

    @classmethod
    def from_data(cls, data: TaskData[Question], options: AnswerOptions, start: BertConfig) -> Inferred[Question]:
        max_length = min(options.max_length, start.max_tokens)
        overlap = max_length // 3 if options.overlap is None else options.overlap
        parts = {"training": data.train.rows, "validation": data.validation.rows}
        unanswerable = {name: sum(row.answers == () for row in rows) for name, rows in parts.items()}
        threshold = 0.0 if any(unanswerable.values()) else None
        notes = [f"windows of {max_length} tokens, of which {overlap} tokens of the context overlap"]
        if threshold is not None:
            shares = ", ".join(f"{unanswerable[name]:,} of {len(rows):,} {name} questions" for name, rows in parts.items())
            notes.append(f"without an answer: {shares}; the threshold is chosen on the validation questions")
        task_type = cls(max_length, overlap, options.n_best, options.max_answer_tokens, threshold)
        return Inferred(task_type, data, notes, _check_unanswerable(data, unanswerable))

    @classmethod
    def of_model(cls, config: BertConfig) -> "Answering":
        max_length = min(cls.max_length, config.max_tokens)
        return cls(max_length, max_length // 3)

    def to_score(self, data: LabeledData[Question]) -> LabeledData[Question]:
        unanswerable = sum(row.answers == () for row in data.rows)
        if self.threshold is not None or not unanswerable:
            return data
        note = (
            f"{unanswerable:,} of {len(data.rows):,} questions have no answer, but the model has no threshold for them: it "
            "answers every question; --null-threshold 0 sets one"
        )
        return replace(data, notes=[*data.notes, note])

    @property
    def reading_options(self) -> AnswerOptions:
        return AnswerOptions(self.max_length, self.overlap, self.n_best, self.max_answer_tokens)

    def model_config(self, config: BertConfig) -> BertConfig:
        return replace(config.with_labels(["LABEL_0", "LABEL_1"]), problem_type=None)  # transformers needs two: start and end

    def encode(self, rows: Sequence[Question], tokenizer: Tokenizer) -> list[Example]:
        return [*encode_questions(rows, tokenizer, self.max_length, self.overlap)]

    @property
    def objective(self) -> AnsweringObjective:
        return AnsweringObjective()

    def logits(self, output: Any) -> Tensor:
        return torch.stack([output.start_logits, output.end_logits], dim=-1)

    def predict(self, rows: Sequence[Question], examples: Sequence[Example], logits: Sequence[Logits]) -> list[Prediction]:
        windows = groupby(zip(cast("Sequence[QuestionWindow]", examples), logits, strict=True), lambda pair: pair[0].row)
        return [self._predict(rows[number], *zip(*pairs, strict=True)) for number, pairs in windows]

    def _predict(self, row: Question, windows: Sequence[QuestionWindow], logits: Sequence[Logits]) -> Prediction:
        best = best_answers(row.context, windows, logits, self.n_best, self.max_answer_tokens)
        candidates = best.candidates
        if self.threshold is not None:
            no_answer = Candidate(best.null_score, "", None, None)
            candidates = sorted([*candidates, no_answer], key=lambda each: -each.score)
        n_best = with_probabilities(candidates)
        has_answer = bool(best.candidates) and (self.threshold is None or best.null_difference <= self.threshold)
        chosen = next((each for each in n_best if bool(each["answer"]) == has_answer), {"answer": "", "probability": 0.0})
        return {
            **({"id": row.id} if row.id else {}),
            **{name: chosen.get(name) for name in ("answer", "start", "end", "probability")},
            "null_difference": best.null_difference if best.candidates else None,
            "n_best": n_best,
        }

    def calibrate(self, rows: Sequence[Question], predictions: Sequence[Prediction]) -> "Answering":
        """Choose the threshold with the best F1, as SQuAD's script does. Without unanswerable questions, keep it."""
        gold = [gold_texts(row) for row in rows]
        if self.threshold is None or all(gold):
            return self
        answers = [next((entry["answer"] for entry in each["n_best"] if entry["answer"]), "") for each in predictions]
        differences = [np.inf if each["null_difference"] is None else each["null_difference"] for each in predictions]
        lowest = min((each for each in differences if np.isfinite(each)), default=0.0) - 1  # no question is answered
        _, threshold = best_threshold(
            score_answers(answers, gold).f1, [*map(bool, gold)], [*map(bool, answers)], differences, no_answers=lowest
        )
        return replace(self, threshold=threshold)

    def results(self, rows: Sequence[Question], predictions: Sequence[Prediction]) -> Results:
        return answer_results(rows, predictions)

    @property
    def main_metric(self) -> Column:
        return F1


def _check_unanswerable(data: TaskData[Question], counts: dict[str, int]) -> list[Finding]:
    """Find data that do not allow to choose a threshold for unanswerable questions."""
    if counts["training"] and not counts["validation"]:
        message = "no validation question is unanswerable, so the threshold for unanswerable questions stays 0; add some"
        return [Finding(data.validation.name, None, message)]
    if counts["validation"] and not counts["training"]:
        message = "the training data have no unanswerable questions, as the validation data have: the model does not learn them"
        return [Finding(data.train.name, None, message)]
    return []
