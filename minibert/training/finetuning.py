"""Fine-tuning: any task, from any checkpoint, through the same loop as pretraining (Devlin et al. 2019, section 3.2)."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Generic, TypeVar, cast

import torch
from tokenizers import Tokenizer

from minibert.model.checkpoints.loading import Checkpoint
from minibert.model.config import BertConfig
from minibert.model.heads import BertWithHead
from minibert.model.pretrained import PretrainedModel
from minibert.printable import printable
from minibert.text.batching import BatchSampler, batches_of_similar_length
from minibert.text.labeled.examples import Example, LabeledBatch, LabeledExamples, sorted_batches
from minibert.text.tokenizer import PAD, token_id
from minibert.training.adapting import make_adapter
from minibert.training.checkpoints import set_seed
from minibert.training.costs import finetuning_cost
from minibert.training.distributed import Processes
from minibert.training.features import cache_features
from minibert.training.logits import EVALUATION_TOKENS, CollectLogits
from minibert.training.loop import Score
from minibert.training.objective import Objective
from minibert.training.optimizer import adamw, warmup_constant, warmup_linear
from minibert.training.options import DeviceOptions, FineTuningConfig
from minibert.training.preparation import prepare_model
from minibert.training.records import Column, Evaluation, TaskMetrics, format_metric, validation_entry
from minibert.training.run import TrainingRun
from minibert.training.task_type import TASK_FILE, TaskType, bert_config
from minibert.training.transfer import Transfer
from minibert.training.transfer_report import TransferReport

RowT = TypeVar("RowT")
ModelT = TypeVar("ModelT", bound=PretrainedModel)
SCHEDULES = {"linear": warmup_linear, "constant": warmup_constant}
SHORT = 16
"""Number of tokens of an example that is long enough to be of interest and fits on a screen."""
RunEvaluation = Callable[[Sequence[LabeledBatch], Objective[LabeledBatch]], dict[str, Score]]


@dataclass(frozen=True)
class FineTuning(Generic[RowT]):
    """A fine-tuning task with its prepared data: a `Task` for `Job`."""

    type: TaskType[RowT]
    config: FineTuningConfig
    new_model: Callable[[], BertWithHead]
    """Creates the model at its first step. The random number generator is seeded before."""
    tokenizer: Tokenizer
    train_rows: Sequence[RowT]
    validation_rows: Sequence[RowT]
    settings: dict[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    """Lines about the data, which are printed before the run."""

    @property
    def metrics(self) -> TaskMetrics:
        return self.type.task_metrics

    @property
    def main_metric(self) -> Column | None:
        return self.type.main_metric if self.validation_rows else None

    @property
    def baselines(self) -> Mapping[str, float]:
        return {}

    @cached_property
    def train(self) -> LabeledExamples:
        """The training examples."""
        return LabeledExamples(
            self.type.encode(self.train_rows, self.tokenizer), token_id(self.tokenizer, PAD), self.config.seed
        )

    @cached_property
    def validation(self) -> list[Example]:
        """The validation examples."""
        return self.type.encode(self.validation_rows, self.tokenizer)

    @property
    def short_texts(self) -> tuple[str, str | None]:
        """The text or the two texts of a short example, as the network reads it, for display."""
        example = min(self.validation or self.train.examples, key=lambda each: abs(len(each.input_ids) - SHORT))
        tokens = [*zip(example.input_ids, example.token_type_ids, strict=True)]
        first, second = ([number for number, segment in tokens if segment == part] for part in (0, 1))
        return self.tokenizer.decode(first), self.tokenizer.decode(second) or None

    @property
    def summary(self) -> str:
        return f"{self.data_summary}\n  {self.run_summary}"

    @property
    def run_summary(self) -> str:
        """A line about the steps of the run."""
        return describe_steps(self.config, self.steps_per_epoch)

    @property
    def data_summary(self) -> str:
        """Lines about the data."""
        parts = [("training", self.train_rows, self.train.examples)]
        if self.validation_rows:
            parts.append(("validation", self.validation_rows, self.validation))
        sizes = [_describe(*part, self.type.max_length) + self.type.describe_examples(*part[1:]) for part in parts]
        return "\n  ".join([*map(printable, self.notes), *sizes])

    @property
    def steps_per_epoch(self) -> int:
        """Number of optimizer updates in one pass over the training examples."""
        return math.ceil(len(self.train.examples) / self.config.batch_size)

    @property
    def steps(self) -> int:
        """Number of optimizer updates of the run."""
        return number_of_steps(self.config, self.steps_per_epoch)

    @property
    def batch_sampler(self) -> BatchSampler:
        """The choice of the examples of each step."""
        return partial(batches_of_similar_length, batch_size=self.config.batch_size)

    def make_run(self, device_options: DeviceOptions, processes: Processes) -> TrainingRun[BertWithHead, LabeledBatch]:
        torch.manual_seed(self.config.seed)
        model = prepare_model(self.new_model(), self.config.precision, device_options)
        if (adapter := make_adapter(self.config.adapter)) is not None:
            adapter.apply(model)
        run = TrainingRun(
            model,
            self.train,
            self.type.objective,
            batch_sampler=self.batch_sampler,
            **run_settings(model, self.config, self.steps_per_epoch),
            micro_batch_size=device_options.micro_batch_size,
            sharding=device_options.sharding,
            processes=processes,
        )
        if self.config.transfer.feature_extraction:
            examples = [*self.train.examples, *self.validation]
            run.notes.append(cache_features(model, examples, self.train.pad_id, processes))
        run.extra_files[TASK_FILE] = self.type.to_json()
        set_seed(self.config.seed + processes.rank)  # different dropout in each process
        return run

    def cost(self, run: TrainingRun[Any, LabeledBatch]) -> tuple[int, int]:
        tokens, operations = finetuning_cost(run.model, run.last_batches)
        return tokens, 0 if self.config.transfer.feature_extraction else operations

    def evaluate(self, run: TrainingRun[Any, LabeledBatch]) -> Evaluation | None:
        """Predict all validation rows and score the predictions. Settings chosen on them are stored with the model."""
        if not self.validation_rows:
            return None
        evaluation, calibrated = self.evaluate_with(run.evaluate)
        run.extra_files[TASK_FILE] = calibrated.to_json()
        return evaluation

    def evaluate_with(self, run_evaluation: RunEvaluation) -> tuple[Evaluation, TaskType[RowT]]:
        """Predict all validation rows and score the predictions.

        Args:
            run_evaluation: a function that evaluates an objective on batches, such as `TrainingRun.evaluate`.

        Returns: the scores, and the task with the settings that were chosen on these rows, such as a threshold.
        """
        batches = sorted_batches(self.validation, self.train.pad_id, EVALUATION_TOKENS)
        collect = CollectLogits(self.type)
        losses = validation_entry(run_evaluation([batch for _, batch in batches], collect))
        if not losses:
            return Evaluation({}, "the loss is not finite"), self.type
        logits = collect.in_order([indices for indices, _ in batches])
        predictions = self.type.predict(self.validation_rows, self.validation, logits)
        calibrated = self.type.calibrate(self.validation_rows, predictions)
        if calibrated != self.type:
            predictions = calibrated.predict(self.validation_rows, self.validation, logits)
        scores = self.type.score(self.validation_rows, predictions)
        entry = {f"validation_{name}": value for name, value in scores.items()}
        forms = {column.name: (column.heading, column.form) for column in self.metrics.columns}
        shown = [f"{forms[name][0]} {format_metric(value, forms[name][1])}" for name, value in scores.items() if name in forms]
        loss = losses[self.metrics.validation_loss]
        return Evaluation(entry | losses, ", ".join([*shown, f"loss {format_metric(loss, '.3f')}"])), calibrated

    def describe(self, batches: Sequence[LabeledBatch]) -> list[str]:
        return [
            f"tokens: {' '.join(str(self.tokenizer.id_to_token(number)) for number in ids[keep].tolist())}\n"
            + "\n".join(f"{name}: {target[position].tolist()}" for name, target in batch.targets.items())
            for batch in batches
            for position, (ids, keep) in enumerate(zip(batch.input_ids, batch.attention_mask, strict=True))
        ]


def number_of_steps(config: FineTuningConfig, steps_per_epoch: int) -> int:
    """Return the number of optimizer updates of a run."""
    return config.steps or max(1, round(config.epochs * steps_per_epoch))


def describe_steps(config: FineTuningConfig, steps_per_epoch: int) -> str:
    """Return a line about the steps of a run and their learning rate."""
    steps = number_of_steps(config, steps_per_epoch)
    epochs = f"{steps / steps_per_epoch:.3g} epochs of {steps_per_epoch:,} steps"
    rate = "" if config.learning_rate is None else f" {config.learning_rate:g}"
    decay = "linear decay to 0" if config.schedule == "linear" else "constant"
    return (
        f"run: {steps:,} steps ({epochs}), batch size {config.batch_size:,}, peak learning rate{rate} "
        f"(warm-up {config.warmup_fraction:.3g} of the steps, then {decay})"
    )


def run_settings(model: PretrainedModel, config: FineTuningConfig, steps_per_epoch: int) -> dict[str, Any]:
    """Choose the parameters that are trained, and return the arguments of `TrainingRun` that the config determines.

    Raises: ValueError for parts to freeze that the model does not have, and for options that do not go together.
    """
    transfer, steps = Transfer(model, config.transfer), number_of_steps(config, steps_per_epoch)
    return {
        "optimizer": partial(
            adamw,
            learning_rate=config.peak_learning_rate(model.config.hidden_size),
            weight_decay=config.weight_decay,
            learning_rate_factors=transfer.learning_rate_factors,
        ),
        "schedule": partial(SCHEDULES[config.schedule], steps=steps, warmup_fraction=config.warmup_fraction),
        "steps": steps,
        "max_grad_norm": config.max_grad_norm,
        "autocast_dtype": torch.bfloat16 if config.precision == "bfloat16" else None,
        "start_epoch": transfer.start_epoch,
        "report": TransferReport(transfer, epochs=steps / steps_per_epoch),
    }


def with_dropout(config: BertConfig, dropout: float | None, classifier_dropout: float | None = None) -> BertConfig:
    """Return the config with this dropout everywhere, or before the classifier; None leaves it as it is."""
    if dropout is not None:
        config = replace(config, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout, classifier_dropout=None)
    return config if classifier_dropout is None else replace(config, classifier_dropout=classifier_dropout)


def start_model(checkpoint: Checkpoint, task_type: TaskType[Any], config: FineTuningConfig) -> BertWithHead:
    """Create the network of a task from a checkpoint.

    The head of the checkpoint is used if its outputs have the same meaning. Otherwise a new one is initialized.
    """
    network = checkpoint.network(task_type.network.head)
    stored = bert_config(checkpoint)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*newly initialized.*")  # the summary of the run says what is new
        model = checkpoint.load(
            network,
            adjust=lambda stored: with_dropout(task_type.model_config(stored), config.dropout, config.classifier_dropout),
            drop=() if same_outputs(stored, task_type.model_config(stored)) else network.head_modules,
        )
    return cast("BertWithHead", model)


def same_outputs(stored: BertConfig, wanted: BertConfig) -> bool:
    """Return True if the outputs of two heads have the same meaning, in the same order.

    The class without a name that a checkpoint calls LABEL_1 is the class "1". A regression has one output, of any name.
    """
    if wanted.problem_type == "regression":
        return stored.num_labels == 1 and stored.problem_type in (None, "regression")
    unnamed = {number: f"LABEL_{name}" for number, name in wanted.id2label.items()}
    return stored.id2label in (wanted.id2label, unnamed)


def _describe(name: str, rows: Sequence[Any], examples: Sequence[Example], max_length: int) -> str:
    tokens, cut = sum(len(example.input_ids) for example in examples), sum(example.is_cut for example in examples)
    text = f"{name}: {len(rows):,} rows, {tokens:,} tokens"
    if len(examples) != len(rows):
        text += f", {len(examples):,} windows"
    return text + (f"; too long for {max_length} tokens, and cut: {cut:,}" if cut else "")
