"""The effect of a learner's function on pretraining: the loss with it and with minibert's own function, on the same batches."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from minibert.classroom.binding import call
from minibert.classroom.checking import check_function
from minibert.classroom.exercise import Exercise
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.sandbox import SandboxRunner
from minibert.classroom.swapping import swapped
from minibert.equations import IGNORE_INDEX
from minibert.model import BertForPreTraining
from minibert.model.modes import evaluation_mode
from minibert.study.checked_attention import UserCodeError
from minibert.study.drawing import figure
from minibert.study.figures import line_chart
from minibert.study.quickstart import BIAS_LEARNING_RATE_FACTOR, mimetic_initialization, quickstart_config
from minibert.study.verify.sandbox import limit_resources, load_function, run_child, run_limited
from minibert.text.batching import batches_by_count, epoch_batches
from minibert.text.builtin import builtin_corpus
from minibert.text.examples import PretrainingBatch, PretrainingExamples
from minibert.text.options import ExampleConfig
from minibert.text.splits import split_documents
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import vocabulary_size
from minibert.text.wordpiece_training import train_tokenizer
from minibert.training.optimizer import adamw, warmup_linear
from minibert.training.pretraining import PretrainingObjective
from minibert.training.run import TrainingRun

DOCUMENTS, VOCABULARY_SIZE, BATCH_SIZE = 3000, 2000, 32
EXAMPLES = ExampleConfig(max_length=32, mlm_probability=0.3)
LEARNING_RATE, WARMUP_FRACTION, PLANNED_STEPS = 2e-3, 0.02, 4000
"""The learning rate falls to zero over the planned steps, of which only the first are done."""
INTERVAL = 25
"""Steps between two evaluations."""
VALIDATION_BATCHES = 8
VISIBLE = 0.02
"""Smallest difference of two losses, in nats, that is called a difference. Other random numbers change the loss as much."""
SLOWER = 6
"""The learner's function may be so many times slower than minibert's."""
STEPS, LOSSES = "steps", "losses"
"""Names of the tensors that the subprocess returns."""


@dataclass(frozen=True)
class Curve:
    """Validation losses of masked language modeling during a run, in nats."""

    steps: list[int]
    losses: list[float]


@dataclass(frozen=True)
class TrainingEffect:
    """Two runs that differ in one function."""

    right: Curve
    mine: Curve
    is_correct: bool = False
    """True if the learner's function passes the check."""
    mistakes: tuple[str, ...] = ()
    """The mistakes that the check names."""

    @property
    def cost(self) -> float:
        """The last loss with the learner's function, minus that with minibert's, in nats."""
        return self.mine.losses[-1] - self.right.losses[-1]

    @property
    def sentence(self) -> str:
        """The result in words."""
        steps = f"after {self.right.steps[-1]:,} steps"
        if not math.isfinite(self.cost):
            return f"With your function the loss is not finite {steps}."
        if abs(self.cost) > VISIBLE:
            difference = f"The loss is {abs(self.cost):.2f} nats {'higher' if self.cost > 0 else 'lower'} {steps}."
            return f"{difference} This bug costs {self.cost:.2f} nats." if self.cost > 0 and not self.is_correct else difference
        difference = f"The losses differ by {abs(self.cost):.3f} nats {steps}."
        if self.is_correct:
            return f"{difference} Your function is correct."
        return f"{difference} This bug does not show in the loss, which is why it survives."


def training_effect(exercise: Exercise, location: str, show: Callable[[str], None], seconds: float = 30.0) -> TrainingEffect:
    """Pretrain a small BERT for some seconds with minibert's function, and for as many steps with the learner's.

    Both runs have the same initial weights, batches and random numbers.

    Args:
        location: file and function, such as `my.py:softmax`.
        show: receives what the learner's code prints.
        seconds: time of the training with minibert's function.

    Raises: UserCodeError for errors of the learner's code.
    """
    file, _, name = location.rpartition(":")
    with SandboxRunner(exercise, Path(file), name) as runner:
        report = check_function(exercise, runner, find=None)
    right = _run(exercise, "", show, seconds, 0)
    mine = _run(exercise, location, show, SLOWER * seconds, right.steps[-1])
    return TrainingEffect(right, mine, report.passed, tuple(f"{each.name}. {each.message}" for each in report.mistakes))


def _run(exercise: Exercise, location: str, show: Callable[[str], None], seconds: float, steps: int) -> Curve:
    settings = [exercise.name, str(seconds), str(steps)]
    tensors = run_limited(__name__, location, settings, {}, show, seconds + 60)
    return Curve(tensors[STEPS].tolist(), tensors[LOSSES].tolist())


def effect_figure(effect: TrainingEffect, exercise: Exercise) -> Figure:
    """Draw both curves."""
    series = {
        name: [*zip(curve.steps, curve.losses, strict=True)]
        for name, curve in (("minibert", effect.right), ("your function", effect.mine))
    }
    return figure(line_chart(series, "step", f"Pretraining with your {exercise.name}", "validation loss (nats)"))


def pretrain(seconds: float, steps: int) -> Iterator[tuple[int, float]]:
    """Pretrain a small BERT on the built-in text, and yield step and validation loss after every `INTERVAL` steps.

    Args:
        seconds: maximum time of the training.
        steps: number of steps; 0 for as many as the time allows, but at least `INTERVAL`.
    """
    train, validation = split_documents(list(builtin_corpus().documents)[:DOCUMENTS], 0.1)
    tokenizer = train_tokenizer(train, VOCABULARY_SIZE)
    examples, held_out = (
        PretrainingExamples(TokenizedCorpus.from_documents(documents, tokenizer), tokenizer, EXAMPLES)
        for documents in (train, validation)
    )
    sampler = partial(batches_by_count, batch_size=BATCH_SIZE)
    batches = [batch for batch, _ in zip(epoch_batches(held_out.epoch(0), sampler), range(VALIDATION_BATCHES), strict=False)]
    torch.manual_seed(0)
    model = BertForPreTraining(quickstart_config(vocabulary_size(tokenizer)), attention="explicit")
    mimetic_initialization(model)
    run = TrainingRun(
        model=model,
        examples=examples,
        objective=PretrainingObjective(),
        batch_sampler=sampler,
        optimizer=partial(
            adamw, learning_rate=LEARNING_RATE, betas=(0.9, 0.98), learning_rate_factors={"mlm.bias": BIAS_LEARNING_RATE_FACTOR}
        ),
        schedule=partial(warmup_linear, steps=PLANNED_STEPS, warmup_fraction=WARMUP_FRACTION),
        steps=PLANNED_STEPS,
    )
    end = time.monotonic() + seconds
    for step in run.run():
        if step.number % INTERVAL == 0:
            yield step.number, _validation_loss(run.model, batches)
            if step.number == steps or (not steps and time.monotonic() > end):
                return


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


def _compute(location: str, name: str, seconds: float, steps: int) -> dict[str, Tensor]:
    """Pretrain in the subprocess."""
    function = load_function(location) if location else None
    exercise = EXERCISES[name]
    with swapped(exercise, lambda given: call(function, given, exercise.defaults)) if function else nullcontext() as swap:
        points = list(pretrain(seconds, steps))
    if swap is not None and not swap.calls:
        raise UserCodeError(f"pretraining does not compute {name}, so {location} was never called")
    return {STEPS: torch.tensor([step for step, _ in points]), LOSSES: torch.tensor([loss for _, loss in points])}


def main(folder: str, time_limit: str, location: str, name: str, seconds: str, steps: str) -> None:
    """Compute in the subprocess."""
    limit_resources()
    run_child(Path(folder), float(time_limit), location, lambda: _compute(location, name, float(seconds), int(steps)))


if __name__ == "__main__":
    main(*sys.argv[1:])
