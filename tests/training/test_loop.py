"""The training loop: gradient accumulation, initial losses, overfitting one batch, skipped steps; and the optimizer."""

import copy
import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from itertools import repeat

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from minibert import BertConfig, BertForMaskedLM, BertForPreTraining, BertForSequenceClassification
from minibert.equations import IGNORE_INDEX
from minibert.text.examples import PretrainingBatch
from minibert.text.labeled.examples import LabeledBatch
from minibert.training import loop
from minibert.training.classification import ClassificationObjective
from minibert.training.loop import MAX_SKIPPED_STEPS, DivergenceError, _autocast, _device, evaluate, train
from minibert.training.objective import LossSum
from minibert.training.optimizer import adamw, warmup_linear
from minibert.training.pretraining_objectives import MaskedLMObjective, PretrainingObjective

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
    """Random ids with padding, a share of the other tokens masked; every third row has no next-sentence label."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 50, (rows, 12), generator=generator)
    mask = torch.arange(12) < torch.randint(4, 13, (rows, 1), generator=generator)
    masked = (torch.rand(ids.shape, generator=generator) < share) & mask
    pairs = torch.randint(0, 2, (rows,), generator=generator)
    pairs[::3] = IGNORE_INDEX
    labels = ids.masked_fill(~masked, IGNORE_INDEX)
    return PretrainingBatch(ids.masked_fill(masked, 4), mask, torch.zeros_like(ids), labels, pairs, positions_of(labels))


def positions_of(labels: Tensor) -> Tensor:
    return (labels != IGNORE_INDEX).flatten().nonzero()[:, 0]


def join(batches: list[PretrainingBatch]) -> PretrainingBatch:
    """Concatenate several batches."""
    columns = {
        name: torch.cat([vars(batch)[name] for batch in batches])
        for name in vars(batches[0])
        if name not in ("output_at", "sequences", "uniform_at")
    }
    return PretrainingBatch(**columns | {"predict_at": positions_of(columns["labels"])})


def run(
    model: nn.Module, steps: object, objective: object, learning_rate: float = 1e-2, count: int = 1
) -> list[dict[str, float]]:
    """Train for `count` steps and return their losses."""
    optimizer = adamw(model, learning_rate)
    schedule = warmup_linear(optimizer, count)
    return [step.losses for step, _ in zip(train(model, steps, objective, optimizer, schedule), range(count), strict=False)]


def test_gradient_accumulation_equals_one_large_batch() -> None:
    """Micro-batches with very different numbers of targets give the losses and weights of one batch, to 1e-10 in float64.

    The last assertion checks that the micro-batches differ enough for the test to notice a mean of means.
    """
    micro = [make_batch(2, 0.1, 0), make_batch(7, 0.9, 1), make_batch(1, 0.4, 2)]
    torch.manual_seed(0)
    models = [BertForPreTraining(CONFIG).double()]
    models += [copy.deepcopy(models[0]) for _ in range(2)]
    steps: list[list[PretrainingBatch]] = [micro, [join(micro)], micro[:1]]
    losses = [run(model, [step] * 3, PretrainingObjective(), count=3) for model, step in zip(models, steps, strict=True)]
    for accumulated, whole in zip(losses[0], losses[1], strict=True):
        assert all(abs(accumulated[term] - whole[term]) < 1e-10 for term in ("mlm", "nsp"))
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)
    assert abs(losses[2][0]["mlm"] - losses[1][0]["mlm"]) > 1e-4


def test_first_loss_is_that_of_a_uniform_prediction() -> None:
    """With BERT's initialization, the loss is about ln V for MLM and about ln 2 for NSP."""
    torch.manual_seed(0)
    model = BertForPreTraining(BertConfig(**{**vars(CONFIG), "vocab_size": 1000}))
    first = run(model, [[make_batch(64, 0.5, 0)]], PretrainingObjective())[0]
    assert abs(first["mlm"] - math.log(1000)) < 0.05
    assert abs(first["nsp"] - math.log(2)) < 0.05


def test_model_overfits_one_batch() -> None:
    """Both losses go to almost zero, also for label 0."""
    torch.manual_seed(0)
    batch = make_batch(8, 0.3, 0)
    losses = run(BertForPreTraining(CONFIG), repeat([batch]), PretrainingObjective(), count=150)
    assert losses[-1]["mlm"] < 0.05
    assert losses[-1]["nsp"] < 0.05


def test_classification_uses_the_same_loop() -> None:
    """The class is the first token. The model overfits, and `evaluate` reports an accuracy of 1."""
    torch.manual_seed(0)
    ids = torch.randint(5, 50, (16, 8), generator=torch.Generator().manual_seed(0))
    labels = (ids[:, 0] - 5) % 3
    batch = LabeledBatch(ids, torch.ones_like(ids, dtype=torch.bool), torch.zeros_like(ids), {"labels": labels})
    model = BertForSequenceClassification(CONFIG.with_labels(["a", "b", "c"]))
    assert run(model, repeat([batch]), ClassificationObjective(), count=100)[-1]["classification"] < 0.1
    assert evaluate(model, [batch], ClassificationObjective())["classification"].accuracy == 1.0
    wrong = replace(batch, targets={"labels": (labels + 1) % 3})
    assert evaluate(model, [batch, wrong], ClassificationObjective())["classification"].accuracy == 0.5


def test_stored_scores_have_the_same_losses() -> None:
    """In chunks or from stored scores: the same sums, numbers of correct predictions, and gradients."""
    model, batch = BertForPreTraining(CONFIG).double().eval(), make_batch(9, 0.4, 3)
    found = []
    for objective in (PretrainingObjective(), PretrainingObjective(stores_scores=True)):
        model.zero_grad()
        sums = objective.loss_sums(model, batch)
        sum(each.loss for each in sums.values()).backward()
        numbers = [number for term in ("mlm", "nsp") for number in sums[term]]
        found.append([*numbers, *(parameter.grad.clone() for parameter in model.parameters())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_evaluation_averages_over_targets_not_batches() -> None:
    """The scores of uneven batches equal those of one joint batch. The model stays in training mode."""
    torch.manual_seed(0)
    model = BertForPreTraining(CONFIG).double().train()
    batches = [make_batch(2, 0.1, 0), make_batch(9, 0.9, 1)]
    apart, together = evaluate(model, batches, PretrainingObjective()), evaluate(model, [join(batches)], PretrainingObjective())
    for term in ("mlm", "nsp"):
        for one, other in zip(vars(apart[term]).values(), vars(together[term]).values(), strict=True):
            assert math.isclose(one, other)
    assert model.training
    loss = model.eval()(*list(vars(join(batches)).values())[:3], labels=join(batches).labels).loss
    assert math.isclose(apart["mlm"].loss, loss.item())


def test_gradient_clipping_and_reported_norm() -> None:
    """The gradient is scaled down to the maximum norm. The reported norm is the one before."""
    model = nn.Linear(3, 1, bias=False)

    class Steep:
        def target_counts(self, batch: Tensor) -> dict[str, int]:
            return {"loss": 1}

        def loss_sums(self, model: nn.Module, batch: Tensor) -> dict[str, LossSum]:
            return {"loss": LossSum(1000 * model(batch).sum())}

    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    before = model.weight.detach().clone()
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    step = next(train(model, [[torch.tensor([[3.0, 0.0, 4.0]])]], Steep(), optimizer, schedule, max_grad_norm=0.5))
    assert math.isclose(step.gradient_norm, 5000, rel_tol=1e-5)
    torch.testing.assert_close(before - model.weight, torch.tensor([[0.3, 0.0, 0.4]]))
    assert (step.number, step.learning_rate) == (1, 1.0)


def test_no_weight_decay_for_biases_and_norm_gains() -> None:
    """With zero gradients, matrices and embeddings shrink by lr · decay; biases and LayerNorm gains do not change."""
    model = BertForPreTraining(CONFIG)
    optimizer = adamw(model, learning_rate=0.1, weight_decay=0.5)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        kept = name.endswith("bias") or "norm" in name
        torch.testing.assert_close(parameter.detach(), before[name] * (1.0 if kept else 0.95), msg=name)


def test_learning_rate_factor_of_one_parameter() -> None:
    """The first step of Adam has the size of the learning rate. The factor applies to the named parameter only."""
    model = nn.Linear(2, 2)
    optimizer = adamw(model, learning_rate=0.01, weight_decay=0.0, learning_rate_factors={"bias": 20.0})
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    moved = {name: before[name] - parameter.detach() for name, parameter in model.named_parameters()}
    torch.testing.assert_close(moved["weight"], torch.full((2, 2), 0.01), rtol=1e-3, atol=0)
    torch.testing.assert_close(moved["bias"], torch.full((2,), 0.2), rtol=1e-3, atol=0)


def test_linear_warmup_and_linear_decay() -> None:
    """Warm-up to the peak in the first tenth, decay to zero at the end."""
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=2.0)
    schedule = warmup_linear(optimizer, steps=20, warmup_fraction=0.1)
    rates = []
    for _ in range(21):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    np.testing.assert_allclose(rates, [1.0, 2.0, *(2 * (20 - n) / 18 for n in range(2, 21))])


@pytest.mark.parametrize("term", ["mlm", "nsp"])
def test_step_without_targets_of_a_term_is_not_nan(term: str) -> None:
    """That term has no loss, and the other term still trains."""
    batch = make_batch(3, 0.5, 0)
    column = "labels" if term == "mlm" else "next_sentence_label"
    empty = replace(batch, **{column: torch.full_like(getattr(batch, column), IGNORE_INDEX)})
    empty = replace(empty, predict_at=positions_of(empty.labels))
    model = BertForPreTraining(CONFIG)
    losses = run(model, [[empty]], PretrainingObjective())[0]
    assert losses[term] is None
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_reported_accuracy_covers_all_micro_batches() -> None:
    """Accuracies and losses of a step equal those of `evaluate` with the same weights."""
    torch.manual_seed(0)
    micro = [make_batch(2, 0.2, 0), make_batch(9, 0.8, 1)]
    model = BertForPreTraining(CONFIG).double()
    run(model, repeat([join(micro)]), PretrainingObjective(), count=30)
    scores = evaluate(model, micro, PretrainingObjective())
    optimizer = adamw(model, 1e-3)
    step = next(train(model, [micro], PretrainingObjective(), optimizer, warmup_linear(optimizer, 1)))
    assert 0.1 < scores["mlm"].accuracy < 1
    for term in ("mlm", "nsp"):
        assert math.isclose(step.accuracies[term], scores[term].accuracy)
        assert math.isclose(step.losses[term], scores[term].loss)


def test_masked_lm_alone_has_the_same_mlm_loss() -> None:
    """A model without an NSP head has the same MLM loss as one with both heads."""
    torch.manual_seed(0)
    batch = make_batch(6, 0.4, 0)
    both = BertForPreTraining(CONFIG)
    alone = BertForMaskedLM(CONFIG)
    alone.load_state_dict(both.state_dict(), strict=False)
    expected = evaluate(both, [batch], PretrainingObjective())["mlm"]
    assert evaluate(alone, [batch], MaskedLMObjective()) == {"mlm": expected}
    assert run(alone, repeat([batch]), MaskedLMObjective(), count=100)[-1]["mlm"] < 0.2


class Scripted:
    """An objective whose loss is given by the batch."""

    def target_counts(self, batch: float) -> dict[str, int]:
        return {"loss": 1}

    def loss_sums(self, model: nn.Module, batch: float) -> dict[str, LossSum]:
        return {"loss": LossSum(batch * model.weight.sum())}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_step_with_non_finite_loss_is_skipped(bad: float) -> None:
    """Weights and optimizer state do not change, the step is reported as skipped, and training continues."""
    model = nn.Linear(1, 1, bias=False)
    optimizer = adamw(model, 0.1, weight_decay=0.0)
    before, found = [], []
    for step in train(model, [[1.0], [bad], [bad], [1.0]], Scripted(), optimizer, warmup_linear(optimizer, 9)):
        found.append(step.skipped)
        before.append(model.weight.item())
    assert found == [False, True, True, False]
    assert before[0] == before[1] == before[2] != before[3]
    assert math.isfinite(before[3])
    assert optimizer.state[model.weight]["step"] == 2


def test_step_with_non_finite_gradient_is_skipped() -> None:
    """A finite loss can have an infinite gradient: the square root at zero."""

    class Root(Scripted):
        def loss_sums(self, model: nn.Module, batch: float) -> dict[str, LossSum]:
            return {"loss": LossSum((model.weight * 0).sum().sqrt())}

    model = nn.Linear(1, 1, bias=False)
    optimizer = adamw(model, 0.1)
    step = next(train(model, [[1.0]], Root(), optimizer, warmup_linear(optimizer, 9)))
    assert step.losses == {"loss": 0.0}
    assert step.skipped


def test_several_skipped_steps_in_a_row_raise() -> None:
    """The message names the step. A finite step in between resets the count."""
    model = nn.Linear(1, 1, bias=False)
    optimizer = adamw(model, 0.1)
    losses = [math.nan] * (MAX_SKIPPED_STEPS - 1) + [1.0] + [math.nan] * MAX_SKIPPED_STEPS + [1.0]
    steps = train(model, [[loss] for loss in losses], Scripted(), optimizer, warmup_linear(optimizer, 99))
    assert [next(steps).skipped for _ in range(2 * MAX_SKIPPED_STEPS)] == [not math.isfinite(loss) for loss in losses[:-1]]
    with pytest.raises(DivergenceError, match=f"in steps {MAX_SKIPPED_STEPS + 1} to {2 * MAX_SKIPPED_STEPS}"):
        next(steps)


def test_a_run_that_begins_has_skipped_no_step() -> None:
    """It ends when the maximum number of them has been skipped. A resumed run has the count that it is given."""
    for skipped, more in (({}, MAX_SKIPPED_STEPS), ({"skipped_in_a_row": MAX_SKIPPED_STEPS - 1}, 1)):
        model = nn.Linear(1, 1, bias=False)
        optimizer = adamw(model, 0.1)
        steps = train(model, repeat([math.nan]), Scripted(), optimizer, warmup_linear(optimizer, 99), **skipped)
        assert all(next(steps).skipped for _ in range(more))
        with pytest.raises(DivergenceError):
            next(steps)


def test_gradients_are_exchanged_with_the_last_micro_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    exchanged = []
    monkeypatch.setattr(loop, "set_gradient_sync", lambda _, enabled: exchanged.append(enabled))
    model = nn.Linear(1, 1, bias=False)
    optimizer = adamw(model, 0.1)
    list(train(model, [[1.0, 2.0, 3.0], [1.0]], Scripted(), optimizer, warmup_linear(optimizer, 2)))
    assert exchanged == [False, False, True, True]


class Counted(Scripted):
    """It has four targets in each batch, of which the batch says how many are predicted correctly."""

    def target_counts(self, batch: float) -> dict[str, int]:
        return {"loss": 4}

    def loss_sums(self, model: nn.Module, batch: float) -> dict[str, LossSum]:
        return {"loss": LossSum(batch + 0 * model.weight.sum(), torch.tensor(batch))}


def test_scores_are_shares_of_the_targets() -> None:
    """Of all batches. Without batches there is no score."""
    assert evaluate(nn.Linear(1, 1), [3.0, 2.0], Counted()) == {"loss": loop.Score(5 / 8, 5 / 8, 8)}
    assert evaluate(nn.Linear(1, 1), [], Counted()) == {}


def test_loss_and_accuracy_of_a_step_are_shares_of_its_targets() -> None:
    """Of those of all micro-batches."""
    model = nn.Linear(1, 1)
    optimizer = adamw(model, 0.1)
    (step,) = train(model, [[3.0, 2.0]], Counted(), optimizer, warmup_linear(optimizer, 1))
    assert (step.losses, step.accuracies) == ({"loss": 5 / 8}, {"loss": 5 / 8})


def test_bfloat16_autocast_keeps_float32_weights_and_losses() -> None:
    """The loss is close to that of float32, the weights stay float32, and the model trains."""
    losses, models = {}, {}
    for autocast in (None, torch.bfloat16):
        torch.manual_seed(0)
        models[autocast] = BertForPreTraining(CONFIG)
        optimizer = adamw(models[autocast], 1e-2)
        steps = train(
            models[autocast], repeat([make_batch(8, 0.3, 0)]), PretrainingObjective(), optimizer, warmup_linear(optimizer, 25),
            autocast_dtype=autocast,
        )  # fmt: skip
        losses[autocast] = [step.losses["mlm"] for step, _ in zip(steps, range(25), strict=False)]
    assert losses[None][0] != losses[torch.bfloat16][0]
    assert abs(losses[None][0] - losses[torch.bfloat16][0]) < 0.02
    assert losses[torch.bfloat16][-1] < 0.7 * losses[torch.bfloat16][0]
    assert all(parameter.dtype == torch.float32 for parameter in models[torch.bfloat16].parameters())


class Observed(Scripted):
    """It notes the type that a matrix product would have, and the mode of the model."""

    def __init__(self, error: bool = False) -> None:
        self.seen: list[tuple[torch.dtype, bool]] = []
        self.error = error

    def loss_sums(self, model: nn.Module, batch: float) -> dict[str, LossSum]:
        self.seen.append((model(torch.ones(1, 1)).dtype, model.training))
        if self.error:
            raise ZeroDivisionError
        return super().loss_sums(model, batch)


@pytest.mark.parametrize("autocast", [None, torch.bfloat16])
def test_training_and_evaluation_use_the_same_autocast(autocast: torch.dtype | None) -> None:
    model, objective = nn.Linear(1, 1), Observed()
    optimizer = adamw(model, 0.1)
    next(train(model, [[1.0]], objective, optimizer, warmup_linear(optimizer, 9), autocast_dtype=autocast))
    evaluate(model, [1.0], objective, autocast)
    assert objective.seen == [(autocast or torch.float32, True), (autocast or torch.float32, False)]


@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_autocast_is_on_the_device_of_the_parameters() -> None:
    """The model decides, wherever it was moved to. A fake tensor has a device without having memory there."""
    with FakeTensorMode():
        on_gpu = nn.ParameterList([nn.Parameter(torch.empty(1, device="cuda"))])
    assert _autocast(on_gpu, torch.bfloat16).device == "cuda"
    assert _autocast(nn.Linear(1, 1), torch.bfloat16).device == "cpu"
    assert _device(nn.Identity()) == torch.device("cpu")  # a model without parameters


@pytest.mark.cuda
def test_autocast_of_a_model_on_a_gpu() -> None:
    model, seen = nn.Linear(1, 1).cuda(), []
    model.register_forward_hook(lambda *arguments: seen.append(arguments[-1].dtype))

    class OnGPU(Scripted):
        def loss_sums(self, model: nn.Module, batch: float) -> dict[str, LossSum]:
            return {"loss": LossSum(batch * model(torch.ones(1, 1, device="cuda")).float().sum())}

    optimizer = adamw(model, 0.1)
    next(train(model, [[1.0]], OnGPU(), optimizer, warmup_linear(optimizer, 9), autocast_dtype=torch.bfloat16))
    evaluate(model, [1.0], OnGPU(), torch.bfloat16)
    assert seen == [torch.bfloat16, torch.bfloat16]


@pytest.mark.parametrize("error", [False, True])
def test_evaluation_restores_the_mode_of_every_module(error: bool) -> None:
    """A module that was in evaluation mode stays so, also after an error."""
    frozen = nn.Dropout().eval()
    model = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.Dropout(), frozen))
    model.weight = model[0].weight
    objective = Observed(error)
    with pytest.raises(ZeroDivisionError) if error else nullcontext():
        evaluate(model, [1.0], objective)
    assert objective.seen == [(torch.float32, False)]
    assert [module.training for module in model.modules()] == [module is not frozen for module in model.modules()]


def test_every_parameter_group_has_its_learning_rate() -> None:
    """One number if all are equal; otherwise the list, in the order of the groups."""
    for factors, expected in (({}, 0.01), ({"bias": 20.0}, [0.01, 0.2])):
        model = nn.Linear(1, 1)
        optimizer = adamw(model, 0.01, learning_rate_factors=factors)
        steps = train(model, [[1.0]], Scripted(), optimizer, warmup_linear(optimizer, 1))
        assert next(steps).learning_rate == pytest.approx(expected)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("optimizer_class", [adamw, torch.optim.SGD, torch.optim.Adagrad])
def test_skipped_first_step_gives_no_warning(optimizer_class: Callable[..., torch.optim.Optimizer]) -> None:
    """The schedule advances in every step. PyTorch warns if it does so before the first step of the optimizer."""
    model = nn.Linear(1, 1, bias=False)
    optimizer = optimizer_class(model if optimizer_class is adamw else model.parameters(), 0.1)
    before = model.weight.item()
    steps = train(model, [[math.nan], [1.0]], Scripted(), optimizer, warmup_linear(optimizer, 9))
    assert next(steps).skipped
    assert model.weight.item() == before
    assert not next(steps).skipped
    assert model.weight.item() != before


def test_recomputing_activations_changes_no_result() -> None:
    """Losses and weights are equal, also with dropout, and the layers run twice."""
    config = BertConfig(**{**vars(CONFIG), "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1})
    found, calls = [], []
    for recompute in (False, True):
        torch.manual_seed(0)
        model = BertForPreTraining(config)
        model.set_recompute(recompute)
        count: list[int] = []
        model.bert.layers[0].register_forward_pre_hook(lambda *_, count=count: count.append(1))
        found.append((run(model, repeat([make_batch(4, 0.3, 0)]), PretrainingObjective(), count=3), model.state_dict()))
        calls.append(len(count))
    assert calls[1] == 2 * calls[0]
    assert found[0][0] == found[1][0]
    for one, other in zip(found[0][1].values(), found[1][1].values(), strict=True):
        assert torch.equal(one, other)
