"""Fine-tuning for sequence classification: one label per text (Devlin et al. 2019, section 4.1)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import torch
from tokenizers import Tokenizer
from torch import nn

from minibert.equations import cross_entropy
from minibert.model import BertConfig, BertForPreTraining, BertForSequenceClassification
from minibert.text.batching import BatchSampler, batches_by_length
from minibert.text.classification import ClassificationBatch, ClassificationExamples
from minibert.training.costs import classification_cost
from minibert.training.distributed import Processes
from minibert.training.objective import LossSum, count_correct, count_targets
from minibert.training.optimizer import adamw, warmup_linear
from minibert.training.options import ClassificationConfig, DeviceOptions
from minibert.training.records import Column, Evaluation, TaskMetrics, format_metric, validation_entry
from minibert.training.run import TrainingRun

CLASSIFICATION = TaskMetrics(
    task="classification",
    term="classification",
    columns=(
        Column("class. loss", "validation_classification_loss", ".3f"),
        Column("class. acc.", "validation_classification_accuracy", ".1%"),
    ),
)


@dataclass(frozen=True)
class ClassificationObjective:
    """Cross-entropy of one class per text. For `BertForSequenceClassification`."""

    def target_counts(self, batch: ClassificationBatch) -> dict[str, int]:
        return {"classification": count_targets(batch.labels)}

    def loss_sums(self, model: nn.Module, batch: ClassificationBatch) -> dict[str, LossSum]:
        logits = model(batch.input_ids, batch.attention_mask).logits
        return {"classification": LossSum(cross_entropy(logits, batch.labels).sum(), count_correct(logits, batch.labels))}


@dataclass(frozen=True)
class ClassificationTask:
    """Fine-tuning for sequence classification, with its prepared data."""

    metrics: ClassVar[TaskMetrics] = CLASSIFICATION
    config: ClassificationConfig
    encoder: BertForPreTraining
    """Pretrained model; its encoder is fine-tuned."""
    labels: Sequence[str]
    """Names of the classes."""
    tokenizer: Tokenizer
    train: ClassificationExamples
    validation: list[ClassificationBatch]
    settings: dict[str, Any]
    summary: str

    @property
    def baselines(self) -> dict[str, float]:
        return {}

    @property
    def steps(self) -> int:
        """Number of optimizer updates in all epochs."""
        return sum(len(self.train.epoch(epoch).batch_indices(self._batch_sampler)) for epoch in range(self.config.epochs))

    @property
    def model_config(self) -> BertConfig:
        """The config of the pretrained model, with the classes and the dropout of fine-tuning."""
        dropout = self.config.dropout
        config = replace(
            self.encoder.config,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            classifier_dropout=None,
            problem_type="single_label_classification",
        )
        return config.with_labels(list(self.labels))

    def make_model(self) -> BertForSequenceClassification:
        """Create the model: the pretrained encoder with a new classification head."""
        model = BertForSequenceClassification(self.model_config)
        model.bert.load_state_dict(self.encoder.bert.state_dict())
        return model

    def make_run(
        self, device_options: DeviceOptions, processes: Processes
    ) -> TrainingRun[BertForSequenceClassification, ClassificationBatch]:
        torch.manual_seed(self.config.seed)
        steps, model = self.steps, self.make_model()
        if processes.world_size > 1:
            torch.manual_seed(self.config.seed + processes.rank)  # different dropout in each process
        return TrainingRun(
            model,
            self.train,
            ClassificationObjective(),
            batch_sampler=self._batch_sampler,
            optimizer=partial(adamw, learning_rate=self.config.learning_rate, weight_decay=self.config.weight_decay),
            schedule=partial(warmup_linear, steps=steps),
            steps=steps,
            max_grad_norm=self.config.max_grad_norm,
            micro_batch_size=device_options.micro_batch_size,
            sharding=device_options.sharding,
            processes=processes,
        )

    def cost(self, run: TrainingRun[Any, ClassificationBatch]) -> tuple[int, int]:
        return classification_cost(run.model.config, run.last_batches)

    def evaluate(self, run: TrainingRun[Any, ClassificationBatch]) -> Evaluation | None:
        if not self.validation:
            return None
        scores = run.evaluate(self.validation)
        if not (entry := validation_entry(scores)):
            return Evaluation({}, "the loss is not finite")
        score = scores["classification"]
        return Evaluation(
            entry, f"loss {format_metric(score.loss, '.3f')} nats, accuracy {format_metric(score.accuracy, '.1%')}"
        )

    def describe(self, batches: Sequence[ClassificationBatch]) -> list[str]:
        return [
            f"tokens: {' '.join(str(self.tokenizer.id_to_token(number)) for number in ids[keep].tolist())}\n"
            f"label: {self.labels[label]}"
            for batch in batches
            for ids, keep, label in zip(batch.input_ids, batch.attention_mask, batch.labels.tolist(), strict=True)
        ]

    @property
    def _batch_sampler(self) -> BatchSampler:
        return partial(batches_by_length, max_tokens=self.config.batch_tokens)
