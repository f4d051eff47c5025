"""The pretraining that shows the effect of a function: its data, its model, its curve, and the exercises it calls."""

import random
from collections.abc import Iterator
from threading import Event
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from minibert import BertConfig
from minibert.classroom import small_pretraining
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.small_pretraining import Curve, Data, compute, is_part_of_pretraining, pretrain, training_run
from minibert.equations import gelu
from minibert.model import BertForPreTraining
from minibert.study.quickstart import BIAS_LEARNING_RATE_FACTOR, mimetic_initialization
from minibert.text.corpus import Corpus, Document

WORDS = ("a", "small", "model", "learns", "each", "word", "of", "this", "short", "text")
INTERVAL, VALIDATION_BATCHES = 2, 2


def toy_corpus() -> Corpus:
    """Return more documents than are used, each of another group."""
    draw = random.Random(0)
    sentences = [" ".join(draw.choices(WORDS, k=6)) for _ in range(4000)]
    return Corpus("toy", "", [Document(f"{i}", tuple(sentences[i : i + 4]), f"{i}") for i in range(0, len(sentences), 4)])


def toy_config(vocabulary_size: int) -> BertConfig:
    return BertConfig(
        vocab_size=vocabulary_size,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=32,
        hidden_dropout_prob=0.5,
        attention_probs_dropout_prob=0.0,
    )


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_pretraining, "quickstart_config", toy_config)
    monkeypatch.setattr(small_pretraining, "INTERVAL", INTERVAL)


@pytest.fixture(scope="module")
def data() -> Iterator[Data]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_pretraining, "builtin_corpus", toy_corpus)
        patch.setattr(small_pretraining, "DOCUMENTS", 900)
        patch.setattr(small_pretraining, "VOCABULARY_SIZE", 60)
        patch.setattr(small_pretraining, "VALIDATION_BATCHES", VALIDATION_BATCHES)
        yield small_pretraining.built_in_data.__wrapped__()


def test_data(data: Data) -> None:
    """A tenth of the documents is held out, of which only the first batches measure the loss."""
    documents = len(data.train.corpus.document_contents)
    assert 0.85 * 900 < documents < 0.95 * 900
    assert [len(batch.input_ids) for batch in data.validation] == [32] * VALIDATION_BATCHES
    assert data.vocabulary_size == len(data.train.continues_word)


def state_of_generators() -> list[list[int]]:
    return [np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()]  # noqa: NPY002


def test_curve(data: Data) -> None:
    """The losses are those of a seed, after every interval. The random numbers of the caller are left as they were."""
    before = state_of_generators()
    one, same, other = (pretrain(data, seed, 60.0, steps) for seed, steps in ((0, 4), (0, 6), (1, 4)))
    assert (one.steps, same.steps) == ([2, 4], [2, 4, 6])
    assert one.losses == same.losses[:2]
    assert one.losses != other.losses
    assert state_of_generators() == before


def test_seed_decides_without_the_state_of_the_caller(data: Data) -> None:
    torch.manual_seed(1)
    one = pretrain(data, 0, 60.0, 2)
    torch.manual_seed(2)
    assert pretrain(data, 0, 60.0, 2) == one


@pytest.mark.parametrize(("seconds", "intervals"), [(0.0, 1), (1.0, 2), (1.5, 2), (2.0, 3)])
def test_time_ends_a_pretraining_without_a_number_of_steps(
    data: Data, monkeypatch: pytest.MonkeyPatch, seconds: float, intervals: int
) -> None:
    """Each interval takes one second. The last one may end after the time, and there is at least one."""
    clock = iter(range(100))
    monkeypatch.setattr(small_pretraining, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    assert pretrain(data, 0, seconds).steps == [INTERVAL * (number + 1) for number in range(intervals)]


def test_number_of_steps_counts_more_than_the_time(data: Data) -> None:
    assert pretrain(data, 0, 0.0, 4).steps == [2, 4]


def test_pretraining_can_be_ended(data: Data) -> None:
    """It ends before the next evaluation."""
    is_over = Event()
    assert pretrain(data, 0, 60.0, 2, is_over).steps == [2]
    is_over.set()
    assert pretrain(data, 0, 60.0, 2, is_over) == Curve([], [])


def test_run_has_the_model_and_the_optimizer_of_the_quickstart(data: Data) -> None:
    run = training_run(data, 3)
    torch.manual_seed(3)
    model = BertForPreTraining(toy_config(data.vocabulary_size), attention="explicit")
    mimetic_initialization(model)
    for name, weight in model.state_dict().items():
        assert torch.equal(run.model.state_dict()[name], weight), name
    peaks = {group["initial_lr"] for group in run.optimizer.param_groups}
    assert peaks == {small_pretraining.LEARNING_RATE, small_pretraining.LEARNING_RATE * BIAS_LEARNING_RATE_FACTOR}
    assert {group["betas"] for group in run.optimizer.param_groups} == {(0.9, 0.98)}
    assert (run.steps, run.steps_done) == (small_pretraining.PLANNED_STEPS, 0)


def test_validation_loss_is_the_mean_of_all_targets_without_dropout(data: Data) -> None:
    """Every target counts the same, in a large batch or in a small one. The model stays in training mode."""
    model = training_run(data, 0).model.eval()
    losses: list[float] = []
    for batch in data.validation:
        logits = model(batch.input_ids, batch.attention_mask, batch.token_type_ids).prediction_logits
        for row, label in zip(logits.flatten(0, 1).log_softmax(dim=-1), batch.labels.flatten().tolist(), strict=True):
            losses += [-row[label].item()] if label >= 0 else []
    found = small_pretraining._validation_loss(model.train(), data.validation)
    assert found == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert model.training


def test_validation_loss_of_certain_and_right_predictions_is_zero(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    model, (batch, _) = training_run(data, 0).model, data.validation

    def predict(*_: Tensor) -> SimpleNamespace:
        return SimpleNamespace(prediction_logits=1e4 * torch.eye(data.vocabulary_size)[batch.labels.clamp(0)])

    monkeypatch.setattr(model, "forward", predict)
    assert small_pretraining._validation_loss(model, [batch]) == 0.0


@pytest.mark.parametrize(
    ("name", "is_part"),
    [
        ("gelu", True),
        ("masked_lm_head", True),
        ("scaled_dot_product_attention", True),
        ("gelu_tanh", False),
        ("decoder", False),
    ],
)
def test_exercises_that_a_step_calls(data: Data, name: str, is_part: bool) -> None:
    """Once is enough, as for the head. The random numbers of the caller are left as they were."""
    before = state_of_generators()
    assert is_part_of_pretraining(EXERCISES[name], data) == is_part
    assert state_of_generators() == before


def test_pretraining_with_the_function_of_a_learner(data: Data) -> None:
    """With a correct function the curve is that of seed 0, and with a wrong one it is another."""
    (steps, losses), gradients = compute(lambda x: gelu(x), "gelu", data, 60.0, 4)
    assert gradients == {}
    expected = pretrain(data, 0, 60.0, 4)
    assert (steps, losses) == (expected.steps, pytest.approx(expected.losses, rel=1e-6))
    (_, wrong), _ = compute(lambda x: x * 9, "gelu", data, 60.0, 4)
    assert wrong != losses
