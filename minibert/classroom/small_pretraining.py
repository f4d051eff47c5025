"""The pretraining of a small BERT on the built-in text, with minibert's functions or with a learner's."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from threading import Event
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from minibert.classroom.binding import call
from minibert.classroom.exercise import Exercise
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.running import settings_kept
from minibert.classroom.swapping import swapped
from minibert.equations import IGNORE_INDEX
from minibert.model import BertForPreTraining
from minibert.model.modes import evaluation_mode
from minibert.study.quickstart import BIAS_LEARNING_RATE_FACTOR, mimetic_initialization, quickstart_config
from minibert.text.batching import batches_by_count, epoch_batches
from minibert.text.builtin import builtin_corpus
from minibert.text.examples import PretrainingBatch, PretrainingExamples
from minibert.text.options import ExampleConfig
from minibert.text.splits import split_documents
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import vocabulary_size
from minibert.text.wordpiece_training import train_tokenizer
from minibert.training.optimizer import adamw, warmup_linear
from minibert.training.pretraining_objectives import PretrainingObjective
from minibert.training.run import TrainingRun

DOCUMENTS, VOCABULARY_SIZE, BATCH_SIZE = 3000, 2000, 32
EXAMPLES = ExampleConfig(max_length=32, mlm_probability=0.3)
LEARNING_RATE, WARMUP_FRACTION, PLANNED_STEPS = 2e-3, 0.02, 4000
"""The learning rate falls to zero over the planned steps, of which only the first are done."""
INTERVAL = 25
"""Steps between two evaluations."""
VALIDATION_BATCHES = 8
SAMPLER = partial(batches_by_count, batch_size=BATCH_SIZE)


@dataclass(frozen=True)
class Data:
    """The data of a run."""

    train: PretrainingExamples
    validation: list[PretrainingBatch]
    vocabulary_size: int


@dataclass(frozen=True)
class Curve:
    """Validation losses of masked language modeling during a run, in nats."""

    steps: list[int]
    losses: list[float]


@cache
def built_in_data() -> Data:
    """Return the built-in text as examples."""
    train, validation = split_documents(list(builtin_corpus().documents)[:DOCUMENTS], 0.1)
    tokenizer = train_tokenizer(train, VOCABULARY_SIZE)
    examples, held_out = (
        PretrainingExamples(TokenizedCorpus.from_documents(documents, tokenizer), tokenizer, EXAMPLES)
        for documents in (train, validation)
    )
    batches = [batch for batch, _ in zip(epoch_batches(held_out.epoch(0), SAMPLER), range(VALIDATION_BATCHES), strict=False)]
    return Data(examples, batches, vocabulary_size(tokenizer))


def pretrain(data: Data, seed: int, seconds: float, steps: int = 0, is_over: Event | None = None) -> Curve:
    """Pretrain a small BERT, and return its validation losses after every `INTERVAL` steps.

    Args:
        seed: seed of the initial weights and of the dropout. The batches are always the same.
        seconds: maximum time of the training.
        steps: number of steps; 0 for as many as the time allows, but at least `INTERVAL`.
        is_over: ends the training as soon as it is set.
    """
    end, curve = time.monotonic() + seconds, Curve([], [])
    with settings_kept():
        run = training_run(data, seed)
        for step in run.run():
            if is_over is not None and is_over.is_set():
                break
            if step.number % INTERVAL == 0:
                curve.steps.append(step.number)
                curve.losses.append(_validation_loss(run.model, data.validation))
                if step.number == steps or (not steps and time.monotonic() > end):
                    break
    return curve


def training_run(data: Data, seed: int) -> TrainingRun[BertForPreTraining, PretrainingBatch]:
    """Return a run that has not begun."""
    torch.manual_seed(seed)
    model = BertForPreTraining(quickstart_config(data.vocabulary_size), attention="explicit")
    mimetic_initialization(model)
    return TrainingRun(
        model=model,
        examples=data.train,
        objective=PretrainingObjective(stores_scores=True),
        batch_sampler=SAMPLER,
        optimizer=partial(
            adamw, learning_rate=LEARNING_RATE, betas=(0.9, 0.98), learning_rate_factors={"mlm.bias": BIAS_LEARNING_RATE_FACTOR}
        ),
        schedule=partial(warmup_linear, steps=PLANNED_STEPS, warmup_fraction=WARMUP_FRACTION),
        steps=PLANNED_STEPS,
    )


@torch.no_grad()
def _validation_loss(model: BertForPreTraining, batches: Sequence[PretrainingBatch]) -> float:
    """Return the masked-LM loss, computed by PyTorch, so that a learner's own loss function does not measure itself."""
    total, targets = 0.0, 0
    with evaluation_mode(model):
        for batch in batches:
            logits = model(batch.input_ids, batch.attention_mask, batch.token_type_ids).prediction_logits
            logits, labels = logits.flatten(0, 1), batch.labels.flatten()
            total += F.cross_entropy(logits, labels, ignore_index=IGNORE_INDEX, reduction="sum").item()
            targets += int((labels != IGNORE_INDEX).sum())
    return total / targets


def is_part_of_pretraining(exercise: Exercise, data: Data) -> bool:
    """Return True if a step of the pretraining calls the function of an exercise."""
    with settings_kept(), swapped(exercise, lambda given: exercise.reference(**given)) as swap:
        next(iter(training_run(data, 0).run()))
    return swap.calls > 0


def compute(function: Callable[..., Any], name: str, data: Data, seconds: float, steps: int) -> tuple[Any, dict[str, Tensor]]:
    """Pretrain with a learner's function, in the sandbox. Returns steps and losses."""
    exercise = EXERCISES[name]
    with swapped(exercise, lambda given: call(function, given, exercise.defaults)):
        curve = pretrain(data, 0, seconds, steps)
    return [curve.steps, curve.losses], {}
