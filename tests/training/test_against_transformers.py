"""Fine-tuning gives the same losses and weights as transformers' models with PyTorch's optimizer, in float64.

Each test trains the same network twice, on the same batches, without dropout: in our loop, as a `FineTuning` task does, and
with transformers' class, the loss that it computes itself, its schedule, and the parameter groups of its Trainer.

Mistakes that these tests detect: those of `MISTAKES`, and a schedule that is one step ahead or behind.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from minibert.model import BertConfig
from minibert.text.labeled.examples import LabeledBatch
from minibert.text.labeled.squad_checks import Answer, Question
from minibert.text.labeled.tagged import TaggedSentence
from minibert.text.labeled.text_rows import TextRow
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from minibert.training.answering import Answering
from minibert.training.classification import Classification
from minibert.training.distributed import SINGLE_PROCESS
from minibert.training.finetuning import FineTuning
from minibert.training.optimizer import warmup_linear
from minibert.training.options import DeviceOptions, FineTuningConfig
from minibert.training.run import TrainingRun
from minibert.training.tagging import Tagging
from minibert.training.task_type import TaskType

transformers = pytest.importorskip("transformers")

STEPS, WARMUP_STEPS, MAX_GRAD_NORM, LEARNING_RATE, WEIGHT_DECAY = 30, 6, 0.5, 3e-3, 0.1
WORDS = [f"w{number}" for number in range(40)]
TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, *WORDS, "##s"])
MODEL = BertConfig(
    vocab_size=TOKENIZER.get_vocab_size(),
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=48,
    max_position_embeddings=32,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    initializer_range=0.1,
)
TRAINING = FineTuningConfig(
    batch_size=10,
    learning_rate=LEARNING_RATE,
    warmup_fraction=WARMUP_STEPS / STEPS,
    weight_decay=WEIGHT_DECAY,
    max_grad_norm=MAX_GRAD_NORM,
    precision="float64",
)
ROWS = 57
"""Six steps in an epoch. The last one has seven rows."""


def random_texts(count: int = ROWS) -> Iterator[tuple[str, str | None]]:
    """Yield texts of 1 to 24 words. Two of three are pairs."""
    generator = np.random.default_rng(0)
    for number in range(count):
        words = generator.choice(WORDS, generator.integers(1, 25))
        middle = int(generator.integers(0, len(words)))
        yield (" ".join(words), None) if number % 3 == 0 else (" ".join(words[:middle]), " ".join(words[middle:]))


def classification(labels: Sequence[Any], rows: Sequence[Any], problem_type: Any) -> tuple[TaskType[Any], list[TextRow]]:
    texts = [TextRow(text, pair, label) for (text, pair), label in zip(random_texts(), rows, strict=True)]
    return Classification(tuple(labels), problem_type, max_length=24), texts


def one_class() -> tuple[TaskType[Any], list[TextRow]]:
    labels = "abc"
    return classification(labels, [labels[number % 3] for number in range(ROWS)], "single_label_classification")


def several_classes() -> tuple[TaskType[Any], list[TextRow]]:
    """No class, one or several: the digits of the number in base 2."""
    rows = [tuple(name for bit, name in enumerate("abcd") if number >> bit & 1) for number in range(ROWS)]
    return classification("abcd", rows, "multi_label_classification")


def regression() -> tuple[TaskType[Any], list[TextRow]]:
    return classification(["score"], [str(number % 7 - 2.5) for number in range(ROWS)], "regression")


def answering() -> tuple[TaskType[Any], list[Question]]:
    """Every fourth question has no answer. Long contexts have several windows."""
    generator, questions = np.random.default_rng(0), []
    for number in range(40):
        words = generator.choice(WORDS, generator.integers(3, 25))
        start = int(generator.integers(0, len(words) - 2))
        answer = Answer(" ".join(words[start : start + 2]), len(" ".join([*words[:start], ""])))
        questions.append(Question(f"{number}", str(words[0]), " ".join(words), (answer,) if number % 4 else ()))
    return Answering(max_length=20, overlap=4), questions


def tagging() -> tuple[TaskType[Any], list[TaggedSentence]]:
    """Every third word has two pieces. Long sentences have several windows."""
    generator, tags = np.random.default_rng(0), ("B-A", "I-A", "O")
    chosen = [generator.choice(len(WORDS), generator.integers(1, 25)) for _ in range(40)]
    words = [tuple(f"{WORDS[number]}s" if number % 3 == 0 else WORDS[number] for number in numbers) for numbers in chosen]
    return Tagging(tags, max_length=20, overlap=4), [
        TaggedSentence(sentence, tuple(tags[number % 3] for number in numbers))
        for sentence, numbers in zip(words, chosen, strict=True)
    ]


TASKS: dict[str, Callable[[], tuple[TaskType[Any], list[Any]]]] = {
    "classification": one_class,
    "multi-label": several_classes,
    "regression": regression,
    "question answering": answering,
    "tagging": tagging,
}
every_task = pytest.mark.parametrize("task", TASKS)


def make_run(task: str, micro_batch_size: int | None = None) -> TrainingRun[Any, LabeledBatch]:
    """Create the run of a task, as `minibert finetune` does, at its first step."""
    task_type, rows = TASKS[task]()
    finetuning = FineTuning(
        task_type, TRAINING, lambda: task_type.network(task_type.model_config(MODEL)), TOKENIZER, rows, validation_rows=()
    )
    finetuning = replace(finetuning, config=replace(TRAINING, epochs=STEPS / finetuning.steps_per_epoch))
    run = finetuning.make_run(DeviceOptions(device="cpu", micro_batch_size=micro_batch_size), SINGLE_PROCESS)
    assert run.steps == STEPS
    return run


@dataclass(frozen=True)
class Training:
    """The training of a model of transformers. The defaults are correct."""

    micro_batch_size: int | None = None
    """With a number: the step is the mean of the losses of its micro-batches, a common mistake if they are unequal."""
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]] = lambda arguments: arguments
    """Change of the arguments of the model."""
    max_grad_norm: float = MAX_GRAD_NORM
    without_decay: tuple[str, ...] = ("bias", "LayerNorm.weight")
    """Ends of the names of parameters without weight decay, as in transformers' Trainer."""

    def losses(self, theirs: nn.Module, batches: Sequence[LabeledBatch]) -> list[float]:
        """Train the model and return the loss of each step."""
        decays = {True: 0.0, False: WEIGHT_DECAY}
        groups = [
            {"params": [each for name, each in theirs.named_parameters() if name.endswith(self.without_decay) == ends]}
            | {"weight_decay": decay}
            for ends, decay in decays.items()
        ]
        optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE)
        schedule = aligned_schedule(optimizer)
        losses = []
        for batch in batches:
            parts = [batch] if self.micro_batch_size is None else split(batch, self.micro_batch_size)
            total = 0.0
            for part in parts:
                loss = theirs(**self.change(arguments(part))).loss / len(parts)
                loss.backward()
                total += loss.item()
            nn.utils.clip_grad_norm_(theirs.parameters(), self.max_grad_norm)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(total)
        return losses


def their_factors(optimizer: torch.optim.Optimizer) -> Callable[[int], float]:
    """Return the learning-rate factors of transformers' schedule, of steps that are counted from 0."""
    return transformers.get_linear_schedule_with_warmup(optimizer, WARMUP_STEPS, STEPS).lr_lambdas[0]


def aligned_schedule(optimizer: torch.optim.Optimizer) -> LambdaLR:
    """Create transformers' schedule, but one step ahead during the warm-up, as `warmup_linear_schedule` documents."""
    factor = their_factors(optimizer)
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"]  # transformers' schedule has set it to zero
    return LambdaLR(optimizer, lambda done: factor(done + 1 if done < WARMUP_STEPS else done))


def arguments(batch: LabeledBatch) -> dict[str, Tensor]:
    """Return the arguments of transformers' class."""
    return {
        "input_ids": batch.input_ids,
        "attention_mask": batch.attention_mask.long(),
        "token_type_ids": batch.token_type_ids,
        **batch.targets,
    }


def split(batch: LabeledBatch, size: int) -> list[LabeledBatch]:
    columns = [column.split(size) for column in (batch.input_ids, batch.attention_mask, batch.token_type_ids)]
    targets = {name: target.split(size) for name, target in batch.targets.items()}
    return [
        LabeledBatch(*inputs, {name: target[number] for name, target in targets.items()})
        for number, inputs in enumerate(zip(*columns, strict=True))
    ]


def their_model(run: TrainingRun[Any, Any], folder: Path) -> nn.Module:
    """Load the model of a run in transformers, in its class with the same head."""
    run.export(folder)
    theirs = getattr(transformers, run.model.architecture)
    return theirs.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").train()


def batches_of(run: TrainingRun[Any, LabeledBatch]) -> list[LabeledBatch]:
    """Return the batch of each step."""
    return [batch for (_, (batch,)), _ in zip(run.batches(), range(STEPS), strict=False)]


def largest_difference(run: TrainingRun[Any, Any], theirs: nn.Module) -> float:
    """Return the largest difference between the weights of two models."""
    ours = run.model.export_weights(run.model.state_dict(), run.model.config)
    others = dict(theirs.named_parameters())
    assert ours.keys() == others.keys()
    return max(float((ours[name] - other).detach().abs().max()) for name, other in others.items())


@every_task
def test_thirty_steps_equal_those_of_transformers(task: str, tmp_path: Path) -> None:
    """Losses and final weights differ by at most 1e-8. The loss falls, gradients are clipped, and most weights move."""
    run = make_run(task)
    theirs = their_model(run, tmp_path)
    started = {name: weight.clone() for name, weight in theirs.state_dict().items()}
    expected = Training().losses(theirs, batches_of(run))
    steps = list(run.run())
    term = run.objective.term
    assert [step.losses[term] for step in steps] == pytest.approx(expected, rel=0, abs=1e-8)
    assert largest_difference(run, theirs) < 1e-8
    assert np.mean(expected[-6:]) < np.mean(expected[:6])
    assert any(step.gradient_norm > MAX_GRAD_NORM for step in steps)
    assert all(not torch.equal(weight, started[name]) for name, weight in theirs.state_dict().items())


@every_task
def test_micro_batches_equal_one_batch(task: str) -> None:
    """Micro-batches with very different numbers of targets give the losses and the weights of one batch."""
    whole, parts = make_run(task), make_run(task, micro_batch_size=3)
    term, counts = whole.objective.term, []
    for one, other in zip(whole.run(), parts.run(), strict=True):
        counts.append([whole.objective.target_counts(batch)[term] for batch in parts.last_batches])
        assert one.losses[term] == pytest.approx(other.losses[term], rel=0, abs=1e-10)
        assert one.gradient_norm == pytest.approx(other.gradient_norm, rel=0, abs=1e-9)
    assert any(max(each) >= 3 * min(each) for each in counts)
    for one, other in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


MISTAKES: dict[str, Training] = {
    "mean of the losses of micro-batches": Training(micro_batch_size=3),
    "targets of the next example": Training(
        change=lambda given: {
            name: each.roll(1, dims=0) if name not in ("input_ids", "attention_mask", "token_type_ids") else each
            for name, each in given.items()
        }
    ),
    "no segments": Training(change=lambda given: {name: each for name, each in given.items() if name != "token_type_ids"}),
    "padding is attended to": Training(
        change=lambda given: {name: each for name, each in given.items() if name != "attention_mask"}
    ),
    "no clipping": Training(max_grad_norm=1e9),
    "weight decay of biases and norms": Training(without_decay=("nothing",)),
}


DETECTED = [(task, mistake) for task in TASKS for mistake in MISTAKES if (task, mistake) != ("tagging", "no segments")]
"""A sentence with tags has only one segment."""


@pytest.mark.parametrize(("task", "mistake"), DETECTED)
def test_mistakes_are_detected(task: str, mistake: str, tmp_path: Path) -> None:
    """The comparison fails if one of the trainings has a mistake: within five steps, the losses differ by more than 1e-6."""
    run = make_run(task)
    losses = MISTAKES[mistake].losses(their_model(run, tmp_path), batches_of(run)[:5])
    assert max(abs(step.losses[run.objective.term] - loss) for step, loss in zip(run.run(), losses, strict=False)) > 1e-6


def test_schedule_is_that_of_transformers_except_for_one_step_of_warmup() -> None:
    """Warm-up is one step ahead, so that the first step moves the weights. Then the factors are the same."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = [their_factors(optimizer)(done) for done in range(STEPS)]
    (ours,) = warmup_linear(optimizer, STEPS, WARMUP_STEPS / STEPS).lr_lambdas
    assert [ours(done) for done in range(WARMUP_STEPS)] == pytest.approx(theirs[1 : WARMUP_STEPS + 1], rel=1e-14)
    assert [ours(done) for done in range(WARMUP_STEPS, STEPS)] == pytest.approx(theirs[WARMUP_STEPS:], rel=1e-14)
    assert theirs[0] == 0
