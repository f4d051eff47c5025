"""One update after the other: clipping, sums over micro-batches, skipped steps, and evaluation. In float64, by hand."""

import copy
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from minibert.equations import clip_by_global_norm
from minibert.model import PRESETS, TransformerConfig
from minibert.text.corpus import Document
from minibert.text.letters import ALPHABET, LettersExamples
from minibert.text.options import ExampleConfig
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from minibert.training import loop, pretraining, translation
from minibert.training.loop import DivergenceError, Score, Step, evaluate, train
from minibert.training.objective import LossSum
from minibert.training.optimizer import adamw, warmup_linear
from minibert.training.options import DeviceOptions, PretrainingConfig, TranslationConfig

pytestmark = pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
"""PyTorch warns where the first step is skipped."""

INFINITE_GRADIENT = "a finite loss with an infinite gradient"
INFINITE_LOSS = "an infinite loss with a finite gradient"
SKIPPED_AT_MOST = 5
"""Skipped steps in a row, the last of which ends training."""


class Weights(nn.Module):
    """Two parameters and a dropout, which shows the mode that a model is in."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
        self.other = nn.Parameter(torch.tensor([0.5], dtype=torch.float64))
        self.dropout = nn.Dropout(0.5)


@dataclass(frozen=True)
class Targets:
    """A batch: for each of two loss terms, one row of two factors per target."""

    first: list[list[float]]
    second: list[list[float]]


class Terms:
    """Two linear loss terms: "first" sums factor · `one` over its targets, "second" sums factor · `other`.

    Only "first" has predictions that can be correct: those whose first factor is positive.
    """

    def __init__(self) -> None:
        self.modes: list[tuple[bool, bool]] = []
        """For each batch, whether the model was training and whether gradients were enabled."""

    def target_counts(self, batch: Targets) -> dict[str, int]:
        return {"first": len(batch.first), "second": len(batch.second)}

    def loss_sums(self, model: nn.Module, batch: Targets) -> dict[str, LossSum]:
        self.modes.append((model.training and model.dropout.training, torch.is_grad_enabled()))
        first, second = rows_of(batch.first), rows_of(batch.second)
        correct = (first[:, 0] > 0).sum()
        return {"first": LossSum((first * model.one).sum(), correct), "second": LossSum((second[:, :1] * model.other).sum())}


class Scripted:
    """One loss term whose value and gradient are those of the script."""

    def target_counts(self, batch: float | str) -> dict[str, int]:
        return {"loss": 1}

    def loss_sums(self, model: nn.Module, batch: float | str) -> dict[str, LossSum]:
        if batch == INFINITE_GRADIENT:
            return {"loss": LossSum((model.other - model.other).abs().sum().sqrt() + model.one.sum())}
        if batch == INFINITE_LOSS:
            return {"loss": LossSum(model.one.sum() + math.inf)}
        return {"loss": LossSum(batch * (model.one.sum() + model.other.sum()))}


def rows_of(factors: list[list[float]]) -> Tensor:
    return torch.tensor(factors, dtype=torch.float64).reshape(len(factors), 2)


def batch_of(first: list[list[float]], second: Sequence[float] = ()) -> Targets:
    return Targets(first, [[factor, 0.0] for factor in second])


def descent(model: nn.Module, learning_rate: float = 1.0) -> Optimizer:
    """Plain gradient descent: an update is the learning rate times the gradient."""
    return SGD(model.parameters(), lr=learning_rate)


def run(
    model: nn.Module,
    steps: Iterable[Sequence[object]],
    objective: object,
    optimizer: Optimizer | None = None,
    schedule: object = None,
    **options: object,
) -> Iterator[Step]:
    """The steps of training, without clipping and with a constant learning rate unless others are given."""
    optimizer = optimizer or descent(model)
    schedule = schedule or torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    return train(model, steps, objective, optimizer, schedule, **{"max_grad_norm": 1e9, **options})


def score(model: nn.Module, batches: Iterable[object], objective: object) -> dict[str, Score]:
    """The scores of evaluation."""
    return evaluate(model, batches, objective)


def state_of(model: nn.Module, optimizer: Optimizer) -> list[Tensor]:
    """Copies of all weights and of everything that the optimizer keeps about them."""
    kept = [value for state in optimizer.state.values() for _, value in sorted(state.items())]
    return [copy.deepcopy(tensor.detach()) for tensor in [*model.parameters(), *kept]]


class TestClipping:
    def test_value_over_all_parameters_together(self) -> None:
        """The gradient (6, 0 | 8) has the norm 10. Clipped to 2.5 each parameter moves by a quarter of its gradient."""
        model = Weights()
        before = [parameter.detach().clone() for parameter in model.parameters()]
        step = next(run(model, [[batch_of([[6.0, 0.0]], [8.0])]], Terms(), max_grad_norm=2.5))
        assert step.gradient_norm == pytest.approx(10, rel=1e-14)
        gradients = [torch.tensor([6.0, 0.0], dtype=torch.float64), torch.tensor([8.0], dtype=torch.float64)]
        expected, _ = clip_by_global_norm(gradients, 2.5)
        for parameter, start, moved in zip(model.parameters(), before, expected, strict=True):
            torch.testing.assert_close(start - parameter.detach(), moved, rtol=1e-6, atol=0)

    def test_a_gradient_below_the_maximum_norm_is_not_changed(self) -> None:
        model = Weights()
        step = next(run(model, [[batch_of([[0.3, 0.0]], [0.4])]], Terms(), max_grad_norm=0.6))
        assert step.gradient_norm == pytest.approx(0.5, rel=1e-14)
        torch.testing.assert_close(model.one.detach(), torch.tensor([0.7, -2.0], dtype=torch.float64), rtol=1e-14, atol=0)
        torch.testing.assert_close(model.other.detach(), torch.tensor([0.1], dtype=torch.float64), rtol=1e-14, atol=1e-15)

    def test_the_default_maximum_norm_is_one(self) -> None:
        """As in Google's BERT code."""
        model = Weights()
        optimizer = descent(model)
        schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
        next(train(model, [[batch_of([[0.0, 50.0]])]], Terms(), optimizer, schedule))
        assert model.one[1].item() == pytest.approx(-3, rel=1e-6)

    @pytest.mark.parametrize("kind", ["pretraining", "transformer"])
    @pytest.mark.parametrize("max_grad_norm", [0.01, 1e-4])
    def test_the_maximum_norm_of_the_recipe_reaches_the_updates(
        self, monkeypatch: pytest.MonkeyPatch, kind: str, max_grad_norm: float
    ) -> None:
        """The gradients of every update have that norm, and the reported ones are longer."""
        shape = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
        monkeypatch.setitem(PRESETS, "tiny", replace(PRESETS["tiny"], **shape, num_hidden_layers=1))
        monkeypatch.setitem(translation.TRANSFORMERS, "tiny", TransformerConfig(**shape, encoder_layers=1, decoder_layers=1))
        training = pretraining_run(max_grad_norm) if kind == "pretraining" else transformer_run(max_grad_norm)
        norms: list[float] = []
        training.optimizer.register_step_pre_hook(
            lambda *_: norms.append(
                math.hypot(*(p.grad.norm().item() for p in training.model.parameters() if p.grad is not None))
            )
        )
        steps = list(training.run())
        assert norms == pytest.approx([max_grad_norm] * 3, rel=1e-2)
        assert all(step.gradient_norm > 0.02 for step in steps)


def pretraining_run(max_grad_norm: float) -> object:
    """A pretraining run of three steps."""
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, *"abcdef"])
    drawn = np.random.default_rng(0).choice([*"abcdef"], (10, 2, 4))
    documents = [Document(f"d{number}", tuple(" ".join(words) for words in text)) for number, text in enumerate(drawn)]
    corpus = TokenizedCorpus.from_documents(documents, tokenizer)
    config = PretrainingConfig(
        steps=3, batch_size=4, max_grad_norm=max_grad_norm, examples=ExampleConfig(max_length=12, mlm_probability=0.5)
    )
    return pretraining.pretraining_run(config, DeviceOptions(device="cpu"), corpus, tokenizer)


def transformer_run(max_grad_norm: float) -> object:
    """A run of three steps of the 2017 Transformer."""
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, *ALPHABET])
    examples = LettersExamples("copy", tokenizer, seed=0, size=8, max_length=3)
    config = TranslationConfig(steps=3, batch_tokens=40, warmup_steps=2, max_grad_norm=max_grad_norm)
    return translation.translation_run(config, DeviceOptions(device="cpu"), examples, tokenizer, max_length=6)


class TestUpdates:
    def test_gradients_do_not_add_up_from_step_to_step(self) -> None:
        """With a constant gradient every step of descent is as long as the first one, and the reported norm is constant."""
        model = Weights()
        found = []
        for step in run(model, [[batch_of([[1.0, 0.0]])]] * 4, Terms()):
            found.append(model.one[0].item())
            assert step.gradient_norm == 1.0
        assert found == [0.0, -1.0, -2.0, -3.0]

    def test_gradients_from_before_training_have_no_influence_on_the_second_step(self) -> None:
        model = Weights()
        steps = run(model, [[batch_of([[1.0, 0.0]])]] * 2, Terms())
        next(steps)
        assert all(parameter.grad is None or not parameter.grad.any() for parameter in model.parameters())

    def test_the_reported_learning_rate_is_the_one_of_the_update(self) -> None:
        """At every step of a schedule that rises and falls the weight moves by this rate times the gradient of 1."""
        model = Weights()
        optimizer = descent(model, learning_rate=0.5)
        before = model.one[0].item()
        rates = []
        for step in run(
            model, [[batch_of([[1.0, 0.0]])]] * 5, Terms(), optimizer, warmup_linear(optimizer, 5, warmup_fraction=0.4)
        ):
            assert before - model.one[0].item() == pytest.approx(step.learning_rate, rel=1e-14)
            before = model.one[0].item()
            rates.append(step.learning_rate)
        assert rates == pytest.approx([0.25, 0.5, 0.5, 1 / 3, 1 / 6], rel=1e-14)

    def test_steps_are_numbered_from_the_given_first_one(self) -> None:
        batches = [[batch_of([[1.0, 0.0]])]] * 3
        assert [step.number for step in run(Weights(), batches, Terms())] == [1, 2, 3]
        assert [step.number for step in run(Weights(), batches, Terms(), first_step=8)] == [8, 9, 10]

    def test_a_model_in_evaluation_mode_is_trained_in_training_mode_with_gradients(self) -> None:
        model, objective = Weights().eval(), Terms()
        list(run(model, [[batch_of([[1.0, 0.0]])]] * 2, objective))
        assert objective.modes == [(True, True)] * 2


class TestMicroBatches:
    MICRO = (
        batch_of([[1.0, 2.0]], [3.0, -1.0, 7.0]),
        batch_of([[-4.0, 0.5], [2.0, 1.0], [8.0, -3.0], [-0.25, 2.0]], []),
        batch_of([[5.0, 5.0]], [2.0]),
    )
    WHOLE = batch_of(
        [[1.0, 2.0], [-4.0, 0.5], [2.0, 1.0], [8.0, -3.0], [-0.25, 2.0], [5.0, 5.0]], [3.0, -1.0, 7.0, 2.0]
    )  # fmt: skip

    def test_value_of_losses_and_gradients(self) -> None:
        """Each term is a mean over its own targets in all micro-batches: six of the first, four of the second."""
        model = Weights()
        before_one, before_other = model.one.detach().clone(), model.other.detach().clone()
        step = next(run(model, [self.MICRO], Terms()))
        gradient_one, gradient_other = rows_of(self.WHOLE.first).mean(dim=0), rows_of(self.WHOLE.second)[:, 0].mean()
        torch.testing.assert_close(before_one - model.one.detach(), gradient_one, rtol=1e-14, atol=0)
        torch.testing.assert_close(before_other - model.other.detach(), gradient_other[None], rtol=1e-14, atol=0)
        expected = {"first": (gradient_one * before_one).sum().item(), "second": (gradient_other * before_other).item()}
        assert step.losses == pytest.approx(expected, rel=1e-14)
        assert step.gradient_norm == pytest.approx(math.hypot(*gradient_one.tolist(), gradient_other.item()), rel=1e-14)

    def test_gradients_are_exchanged_with_other_processes_after_the_last_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        exchanged: list[bool] = []
        monkeypatch.setattr(loop, "set_gradient_sync", lambda model, enabled: exchanged.append(enabled))
        list(run(Weights(), [[1.0, 2.0, 3.0], [4.0]], Scripted()))
        assert exchanged == [False, False, True, True]

    def test_they_equal_one_batch_of_all_targets(self) -> None:
        """Losses, accuracies, gradient norm and weights are the same, in any order of the micro-batches."""
        models = [Weights() for _ in range(3)]
        whole, parts, reversed_parts = (
            next(run(model, [batches], Terms()))
            for model, batches in zip(models, [[self.WHOLE], self.MICRO, self.MICRO[::-1]], strict=True)
        )
        for step in (parts, reversed_parts):
            assert step.losses == pytest.approx(whole.losses, rel=1e-14)
            assert step.accuracies == whole.accuracies
            assert step.gradient_norm == pytest.approx(whole.gradient_norm, rel=1e-14)
        for model in models[1:]:
            for one, other in zip(models[0].parameters(), model.parameters(), strict=True):
                torch.testing.assert_close(one, other, rtol=1e-14, atol=0)

    def test_accuracy_is_the_share_of_all_targets_and_only_of_terms_that_have_one(self) -> None:
        """Four of the six targets of the first term are correct; the second term cannot be right or wrong."""
        assert next(run(Weights(), [self.MICRO], Terms())).accuracies == {"first": 4 / 6}

    def test_a_term_without_targets_adds_nothing(self) -> None:
        """It has no loss and no accuracy, and its weights stay; the other term is trained as it would be alone."""
        model = Weights()
        step = next(run(model, [[batch_of([], [3.0]), batch_of([], [5.0])]], Terms()))
        assert step.losses == {"first": None, "second": 2.0}
        assert step.accuracies == {"first": None}
        assert not step.skipped
        assert model.one.tolist() == [1.0, -2.0]
        assert model.other.tolist() == [-3.5]

    def test_a_step_without_any_target_changes_nothing(self) -> None:
        model = Weights()
        step = next(run(model, [[batch_of([])]], Terms()))
        assert (step.losses, step.gradient_norm, step.skipped) == ({"first": None, "second": None}, 0.0, False)
        assert model.one.tolist() == [1.0, -2.0]


class TestSkippedSteps:
    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, INFINITE_GRADIENT, INFINITE_LOSS])
    def test_weights_and_optimizer_stay_while_the_schedule_advances(self, bad: float | str) -> None:
        """The steps after a skipped one have the learning rates that they would have had without it."""
        model = Weights()
        optimizer = adamw(model, 0.1)
        schedule = warmup_linear(optimizer, 8, warmup_fraction=0.25)
        script = [1.0, bad, bad, 2.0, bad, 1.0]
        states, steps = [state_of(model, optimizer)], []
        for step in run(model, [[entry] for entry in script], Scripted(), optimizer, schedule):
            states.append(state_of(model, optimizer))
            steps.append(step)
        assert [step.skipped for step in steps] == [entry is bad for entry in script]
        expected_rates = [0.5, 1, 1, 5 / 6, 4 / 6, 3 / 6]
        assert [step.learning_rate for step in steps] == pytest.approx([0.1 * factor for factor in expected_rates], rel=1e-14)
        for step, before, after in zip(steps, states[1:], states[2:], strict=False):
            unchanged = all(map(torch.equal, before, after))
            assert unchanged == steps[step.number].skipped
        assert all(parameter.isfinite().all() for parameter in model.parameters())

    @pytest.mark.parametrize("bad", [math.nan, INFINITE_GRADIENT])
    def test_the_gradient_of_a_skipped_step_is_not_added_to_the_next_one(self, bad: float | str) -> None:
        model = Weights()
        steps = list(run(model, [[bad], [1.0]], Scripted()))
        assert not math.isfinite(steps[0].gradient_norm)
        assert steps[1].gradient_norm == pytest.approx(math.sqrt(3), rel=1e-14)
        assert model.one.tolist() == [0.0, -3.0]

    def test_one_bad_micro_batch_or_one_bad_term_skips_the_whole_step(self) -> None:
        """Whether it comes first or last."""
        good, bad = batch_of([[1.0, 1.0]], [1.0]), batch_of([[1.0, 1.0]], [math.nan])
        model = Weights()
        steps = list(run(model, [[good, bad], [bad, good], [good, good]], Terms()))
        assert [step.skipped for step in steps] == [True, True, False]
        assert [math.isfinite(step.losses["first"]) for step in steps] == [True] * 3
        assert model.one.tolist() == [0.0, -3.0]

    def test_five_in_a_row_end_training(self) -> None:
        """The fifth is still reported; the error that follows names its number."""
        steps = run(Weights(), [[math.nan]] * 9, Scripted(), first_step=11)
        assert [next(steps).skipped for _ in range(SKIPPED_AT_MOST)] == [True] * SKIPPED_AT_MOST
        with pytest.raises(DivergenceError, match="not finite in steps 11 to 15") as caught:
            next(steps)
        assert caught.value.step == 15

    def test_a_good_step_resets_the_count(self) -> None:
        """Four skipped steps between good ones never end training, however often they come."""
        script = ([math.nan] * (SKIPPED_AT_MOST - 1) + [1.0]) * 3
        steps = list(run(Weights(), [[entry] for entry in script], Scripted()))
        assert sum(step.skipped for step in steps) == 3 * (SKIPPED_AT_MOST - 1)
        assert len(steps) == len(script)


class TestEvaluate:
    BATCHES = TestMicroBatches.MICRO

    def test_value_is_the_mean_over_targets_of_all_batches(self) -> None:
        """Not the mean of the means of the batches."""
        model = Weights()
        found = score(model, self.BATCHES, Terms())
        first, second = rows_of(TestMicroBatches.WHOLE.first), rows_of(TestMicroBatches.WHOLE.second)[:, 0]
        assert found["first"].loss == pytest.approx((first @ model.one.detach()).mean().item(), rel=1e-14)
        assert found["second"].loss == pytest.approx((0.5 * second).mean().item(), rel=1e-14)
        assert (found["first"].accuracy, found["first"].count) == (4 / 6, 6)
        assert (found["second"].accuracy, found["second"].count) == (None, 4)

    @pytest.mark.parametrize("training", [True, False])
    def test_it_is_without_dropout_and_gradients_and_restores_the_mode(self, training: bool) -> None:
        model, objective = Weights().train(training), Terms()
        score(model, self.BATCHES, objective)
        assert objective.modes == [(False, False)] * 3
        assert model.training == model.dropout.training == training
        assert torch.is_grad_enabled()

    def test_a_model_without_parameters_is_on_the_cpu(self) -> None:
        class Fixed:
            def target_counts(self, batch: float) -> dict[str, int]:
                return {"loss": 1}

            def loss_sums(self, model: nn.Module, batch: float) -> dict[str, LossSum]:
                return {"loss": LossSum(torch.tensor(batch))}

        assert evaluate(nn.Identity(), [1.0, 2.0], Fixed(), torch.bfloat16) == {"loss": Score(1.5, None, 2)}

    def test_it_changes_no_weight_and_leaves_no_gradient(self) -> None:
        model = Weights()
        score(model, self.BATCHES, Terms())
        assert model.one.tolist() == [1.0, -2.0]
        assert model.other.tolist() == [0.5]
        assert all(parameter.grad is None for parameter in model.parameters())

    def test_a_term_without_targets_has_no_loss_and_no_accuracy(self) -> None:
        found = score(Weights(), [batch_of([], [2.0]), batch_of([], [4.0])], Terms())
        assert (found["first"].loss, found["first"].accuracy, found["first"].count) == (None, None, 0)
        assert (found["second"].loss, found["second"].count) == (1.5, 2)
