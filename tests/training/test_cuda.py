"""Training steps on a CUDA device: the losses are those of the CPU, also compiled; only the reading of the numbers waits."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch

from minibert import BertConfig, BertForPreTraining, BertForSequenceClassification, adamw
from minibert.equations import IGNORE_INDEX
from minibert.kernels import Sequences
from minibert.text.examples import PretrainingBatch
from minibert.text.labeled.examples import LabeledBatch
from minibert.training.classification import ClassificationObjective
from minibert.training.loop import Step, train
from minibert.training.optimizer import warmup_linear
from minibert.training.options import DeviceOptions
from minibert.training.preparation import prepare_model
from minibert.training.pretraining_objectives import PretrainingObjective

pytestmark = pytest.mark.cuda

CONFIG = BertConfig(
    vocab_size=23,
    hidden_size=12,
    num_attention_heads=3,
    intermediate_size=20,
    num_hidden_layers=2,
    max_position_embeddings=8,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    initializer_range=0.3,
)
IDS = torch.tensor([[5, 6, 7, 8, 9], [5, 9, 4, 0, 0]])
MASK = IDS != 0
INPUTS = (IDS, MASK, torch.zeros_like(IDS))
TOKENS = torch.full_like(IDS, IGNORE_INDEX).index_put(
    (torch.tensor([0, 0, 1]), torch.tensor([1, 3, 2])), torch.tensor([11, 12, 13])
)
PER_TEXT = torch.tensor([0, 1])
PLACES = (torch.tensor([1, 3, 7]), torch.tensor([[0, 1, 3], [5, 5, 7]]))
PRETRAINING = (
    BertForPreTraining,
    PretrainingObjective(),
    PretrainingBatch(*INPUTS, TOKENS, PER_TEXT, *PLACES, sequences=Sequences.of(MASK)),
)
CLASSIFICATION = (
    BertForSequenceClassification,
    ClassificationObjective(class_weights=(0.5, 2.0)),
    LabeledBatch(*INPUTS, {"labels": PER_TEXT}, Sequences.of(MASK)),
)


def steps(architecture: Any, objective: Any, batch: Any, device: str, compiled: bool = False) -> Iterator[Step]:
    """Three training steps of a tiny model. Each copies the batch."""
    torch.manual_seed(0)
    model = prepare_model(architecture(CONFIG), "float32", DeviceOptions(compile=compiled)).to(device)
    optimizer = adamw(model, 1e-2)
    batches = ([batch.to(torch.device(device))] for _ in range(3))
    return train(model, batches, objective, optimizer, warmup_linear(optimizer, steps=3))


def losses(found: Iterator[Step]) -> list[dict[str, float | None]]:
    return [step.losses for step in found]


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("task", [PRETRAINING, CLASSIFICATION], ids=["pretraining", "classification"])
def test_losses_equal_those_of_the_cpu(task: tuple[Any, Any, Any], compiled: bool) -> None:
    """In float32, up to rounding, over three updates."""
    found, expected = losses(steps(*task, "cuda", compiled)), losses(steps(*task, "cpu"))
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-3)


@pytest.fixture
def errors_for_waiting() -> Iterator[Any]:
    """A function after which every operation that waits for the GPU raises an error."""
    yield partial(torch.cuda.set_sync_debug_mode, "error")
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("task", [PRETRAINING, CLASSIFICATION], ids=["pretraining", "classification"])
def test_a_training_step_waits_for_its_numbers_only(task: tuple[Any, Any, Any], errors_for_waiting: Any) -> None:
    """The event of their copy is no operation. The first step also copies what is copied once, such as weights of classes."""
    run = steps(*task, "cuda")
    next(run)
    errors_for_waiting()
    assert len([*run]) == 2
