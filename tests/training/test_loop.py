"""The loop: exact accumulation, where it starts, that it learns, and the optimizer around it."""

import copy
import math
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from minibert import BertConfig, BertForPreTraining, BertForSequenceClassification
from minibert.equations import IGNORED
from minibert.text.labelled import LabelledBatch
from minibert.text.pretraining import PretrainingBatch
from minibert.training.loop import train
from minibert.training.optimizer import adamw, warmup_linear
from minibert.training.state import load_state, save_state
from minibert.training.tasks import Classification, Pretraining

CONFIG = BertConfig(
    vocab_size=50,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=12,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)


def make_batch(rows: int, share: float, seed: int) -> PretrainingBatch:
    """Random ids with padding, `share` of the rest to be guessed; every third row is no pair."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 50, (rows, 12), generator=generator)
    mask = torch.arange(12) < torch.randint(4, 13, (rows, 1), generator=generator)
    guessed = (torch.rand(ids.shape, generator=generator) < share) & mask
    pairs = torch.randint(0, 2, (rows,), generator=generator)
    pairs[::3] = IGNORED
    return PretrainingBatch(ids.masked_fill(guessed, 4), mask, torch.zeros_like(ids), ids.masked_fill(~guessed, IGNORED), pairs)


def join(batches: list[PretrainingBatch]) -> PretrainingBatch:
    """Several batches as one."""
    return PretrainingBatch(*(torch.cat(columns) for columns in zip(*(vars(b).values() for b in batches), strict=True)))


def run(
    model: nn.Module, steps: object, objective: object, learning_rate: float = 1e-2, count: int = 1
) -> list[dict[str, float]]:
    """The losses of some steps."""
    optimizer = adamw(model, learning_rate)
    schedule = warmup_linear(optimizer, count)
    return [step.losses for step, _ in zip(train(model, steps, objective, optimizer, schedule), range(count), strict=False)]


def test_accumulation_is_one_big_batch() -> None:
    """Micro-batches with very different numbers of masks and pairs: the same losses and weights, to 1e-10 in float64.

    With a mean of means the weights would be far off, as the last lines make sure.
    """
    micro = [make_batch(2, 0.1, 0), make_batch(7, 0.9, 1), make_batch(1, 0.4, 2)]
    torch.manual_seed(0)
    models = [BertForPreTraining(CONFIG).double()]
    models += [copy.deepcopy(models[0]) for _ in range(2)]
    steps: list[list[PretrainingBatch]] = [micro, [join(micro)], micro[:1]]
    losses = [run(model, [step] * 3, Pretraining(), count=3) for model, step in zip(models, steps, strict=True)]
    for accumulated, whole in zip(losses[0], losses[1], strict=True):
        assert all(abs(accumulated[term] - whole[term]) < 1e-10 for term in ("mlm", "nsp"))
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)
    assert abs(losses[2][0]["mlm"] - losses[1][0]["mlm"]) > 1e-4


def test_the_first_loss_is_that_of_knowing_nothing() -> None:
    """At BERT's initialisation: about ln V for the words, about ln 2 for the pairs."""
    torch.manual_seed(0)
    model = BertForPreTraining(BertConfig(**{**vars(CONFIG), "vocab_size": 1000}))
    first = run(model, [[make_batch(64, 0.5, 0)]], Pretraining())[0]
    assert abs(first["mlm"] - math.log(1000)) < 0.05
    assert abs(first["nsp"] - math.log(2)) < 0.05


def test_one_batch_can_be_learnt_by_heart() -> None:
    """Both losses go to nearly nothing: nothing on the way cuts off what has to be learnt, label 0 included."""
    torch.manual_seed(0)
    batch = make_batch(8, 0.3, 0)
    losses = run(BertForPreTraining(CONFIG), repeat([batch]), Pretraining(), count=150)
    assert losses[-1]["mlm"] < 0.05
    assert losses[-1]["nsp"] < 0.05


def test_classification_goes_through_the_same_loop() -> None:
    """The class is the first word: learnt by heart, and then found by `evaluate`."""
    torch.manual_seed(0)
    ids = torch.randint(5, 50, (16, 8), generator=torch.Generator().manual_seed(0))
    labels = (ids[:, 0] - 5) % 3
    batch = LabelledBatch(ids, torch.ones_like(ids, dtype=torch.bool), labels)
    model = BertForSequenceClassification(CONFIG.with_labels(["a", "b", "c"]))
    assert run(model, repeat([batch]), Classification(), count=100)[-1]["classification"] < 0.1
    assert Classification().evaluate(model, [batch]) == 1.0
    wrong = LabelledBatch(ids, batch.attention_mask, (labels + 1) % 3)
    assert Classification().evaluate(model, [batch, wrong]) == 0.5


def test_evaluation_counts_predictions_not_batches() -> None:
    """The scores of uneven batches are those of all of them at once; the model is left in its mode."""
    torch.manual_seed(0)
    model = BertForPreTraining(CONFIG).double().train()
    batches = [make_batch(2, 0.1, 0), make_batch(9, 0.9, 1)]
    apart, together = Pretraining().evaluate(model, batches), Pretraining().evaluate(model, [join(batches)])
    for one, other in zip(vars(apart).values(), vars(together).values(), strict=True):
        assert math.isclose(one, other)
    assert model.training
    loss = model.eval()(*list(vars(join(batches)).values())[:3], labels=join(batches).labels).loss
    assert math.isclose(apart.mlm_loss, loss.item())


def test_clipping_and_the_reported_norm() -> None:
    """The gradient is shortened to the given length; the norm that is reported is that before."""
    model = nn.Linear(3, 1, bias=False)

    class Steep:
        def counts(self, batch: Tensor) -> dict[str, int]:
            return {"loss": 1}

        def sums(self, model: nn.Module, batch: Tensor) -> dict[str, Tensor]:
            return {"loss": 1000 * model(batch).sum()}

    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    before = model.weight.detach().clone()
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    step = next(train(model, [[torch.tensor([[3.0, 0.0, 4.0]])]], Steep(), optimizer, schedule, clip=0.5))
    assert math.isclose(step.gradient_norm, 5000, rel_tol=1e-5)
    torch.testing.assert_close(before - model.weight, torch.tensor([[0.3, 0.0, 0.4]]))
    assert (step.number, step.learning_rate) == (1, 1.0)


def test_weight_decay_spares_biases_and_gains() -> None:
    """Without a gradient matrices and embeddings shrink by lr · decay, biases and LayerNorm gains stay."""
    model = BertForPreTraining(CONFIG)
    optimizer = adamw(model, learning_rate=0.1, weight_decay=0.5)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        kept = name.endswith("bias") or "norm" in name
        torch.testing.assert_close(parameter.detach(), before[name] * (1.0 if kept else 0.95), msg=name)


def test_a_parameter_can_learn_faster() -> None:
    """Its first step, which in Adam is the learning rate, is as many times longer; the others' is not."""
    model = nn.Linear(2, 2)
    optimizer = adamw(model, learning_rate=0.01, weight_decay=0.0, faster={"bias": 20.0})
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    moved = {name: before[name] - parameter.detach() for name, parameter in model.named_parameters()}
    torch.testing.assert_close(moved["weight"], torch.full((2, 2), 0.01), rtol=1e-3, atol=0)
    torch.testing.assert_close(moved["bias"], torch.full((2,), 0.2), rtol=1e-3, atol=0)


def test_the_schedule_rises_and_falls_in_straight_lines() -> None:
    """Up to the peak over the first tenth, down to zero at the end."""
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=2.0)
    schedule = warmup_linear(optimizer, steps=20, warmup=0.1)
    rates = []
    for _ in range(21):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    np.testing.assert_allclose(rates, [1.0, 2.0, *(2 * (20 - n) / 18 for n in range(2, 21))])


def test_stopped_and_taken_up_again_is_never_stopped(tmp_path: Path) -> None:
    """Five steps are two steps, saved, loaded into fresh objects, and three more: bit for bit, with dropout too."""
    config = BertConfig(**{**vars(CONFIG), "hidden_dropout_prob": 0.1})
    batches = [[make_batch(4, 0.3, seed)] for seed in range(5)]

    def fresh() -> tuple[BertForPreTraining, torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        torch.manual_seed(7)
        model = BertForPreTraining(config)
        optimizer = adamw(model, 1e-2)
        return model, optimizer, warmup_linear(optimizer, 5)

    whole, optimizer, schedule = fresh()
    expected = list(train(whole, batches, Pretraining(), optimizer, schedule))
    model, optimizer, schedule = fresh()
    list(train(model, batches[:2], Pretraining(), optimizer, schedule))
    model.save_pretrained(tmp_path)
    save_state(tmp_path / "state.pt", 2, optimizer, schedule)

    model, optimizer, schedule = fresh()
    torch.manual_seed(99)
    model.load_state_dict(BertForPreTraining.from_pretrained(tmp_path).state_dict())
    done = load_state(tmp_path / "state.pt", optimizer, schedule)
    assert list(train(model, batches[done:], Pretraining(), optimizer, schedule, first=done + 1)) == expected[done:]
    for one, other in zip(whole.parameters(), model.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("term", ["mlm", "nsp"])
def test_a_step_without_any_label_of_a_term_is_no_nan(term: str) -> None:
    """Its loss counts as zero, and the other term is still learnt."""
    batch = make_batch(3, 0.5, 0)
    column = "labels" if term == "mlm" else "next_sentence_label"
    empty = PretrainingBatch(**{**vars(batch), column: torch.full_like(getattr(batch, column), IGNORED)})
    model = BertForPreTraining(CONFIG)
    losses = run(model, [[empty]], Pretraining())[0]
    assert losses[term] == 0.0
    assert all(parameter.isfinite().all() for parameter in model.parameters())
