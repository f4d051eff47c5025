"""Losses and the unigram baseline: values, gradients, and properties that follow from the formulas."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from minibert.equations import (
    IGNORE_INDEX,
    bigram_entropy,
    binary_cross_entropy,
    cross_entropy,
    label_smoothing_loss,
    masked_lm_loss,
    next_sentence_loss,
    perplexity,
    unigram_entropy,
)
from tests import reference
from tests.strategies import normal, seeds, tensors

Predictions = tuple[Tensor, Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]


@st.composite
def predictions(draw: st.DrawFn, classes: int | None = None) -> Predictions:
    """Draw logits and labels. Some labels are ignored, and there may be no predictions."""
    count, width = draw(st.integers(0, 6)), classes or draw(st.integers(1, 7))
    generator = torch.Generator().manual_seed(draw(seeds))
    logits = 3 * torch.randn(count, width, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, width, (count,), generator=generator)
    ignored = torch.rand(count, generator=generator) < draw(st.sampled_from([0.5, 0.0, 1.0]))
    return logits, labels.masked_fill(ignored, IGNORE_INDEX)


LABELS = torch.tensor([2, IGNORE_INDEX, 0, 1])


def check_ignored_positions_have_no_influence(loss: Loss, drawn: Predictions, seed: int) -> None:
    """Check that the logits at ignored labels change neither the loss nor any gradient."""
    logits, labels = drawn
    noise = 100 * normal(seed, *logits.shape)
    other = torch.where((labels == IGNORE_INDEX)[:, None], noise, logits).requires_grad_()
    logits = logits.clone().requires_grad_()
    losses = [loss(z, labels) for z in (logits, other)]
    torch.testing.assert_close(*losses)
    for value in losses:
        value.sum().backward()
    torch.testing.assert_close(logits.grad, other.grad)
    assert logits.grad is not None
    assert not logits.grad[labels == IGNORE_INDEX].any()


def check_mean_over_labeled_predictions(loss: Callable[..., Tensor], drawn: Predictions) -> None:
    """Check that unlabeled predictions change nothing, and that the sum is the mean times the number of labels."""
    logits, labels = drawn
    more = torch.cat([logits, logits]), torch.cat([labels, torch.full_like(labels, IGNORE_INDEX)])
    torch.testing.assert_close(loss(*more), loss(logits, labels))
    torch.testing.assert_close(
        loss(logits, labels, reduction="sum"), loss(logits, labels) * int((labels != IGNORE_INDEX).sum())
    )


class TestCrossEntropy:
    @given(predictions())
    def test_value(self, drawn: Predictions) -> None:
        """The result equals the formula in loops: one loss for each prediction, zero where the label is ignored."""
        logits, labels = drawn
        expected = [reference.cross_entropy(z, int(y)) for z, y in zip(logits.numpy(), labels, strict=True)]
        np.testing.assert_allclose(cross_entropy(logits, labels).numpy(), np.array(expected), atol=1e-12)

    def test_value_of_texts(self) -> None:
        """The classes are on the last axis, whatever the other axes are."""
        logits, labels = normal(0, 2, 3, 4), torch.tensor([[1, 2, 0], [IGNORE_INDEX, 3, IGNORE_INDEX]])
        expected = [[reference.cross_entropy(logits[i, j].numpy(), int(labels[i, j])) for j in range(3)] for i in range(2)]
        np.testing.assert_allclose(cross_entropy(logits, labels).numpy(), expected, atol=1e-12)

    @given(predictions())
    def test_any_number_of_batch_axes(self, drawn: Predictions) -> None:
        """Stacked batches have the losses of each batch. A single prediction needs no batch axis."""
        logits, labels = drawn
        losses = cross_entropy(logits, labels)
        stacked = cross_entropy(torch.stack([logits, -logits]), torch.stack([labels, labels]))
        torch.testing.assert_close(stacked, torch.stack([losses, cross_entropy(-logits, labels)]))
        for z, y, loss in zip(logits, labels, losses, strict=True):
            torch.testing.assert_close(cross_entropy(z, y), loss)

    def test_gradient(self) -> None:
        """The first and second derivatives are right, with an ignored label among the labels."""
        logits = normal(0, 4, 3).requires_grad_()
        assert gradcheck(lambda z: cross_entropy(z, LABELS), logits)
        assert gradgradcheck(lambda z: cross_entropy(z, LABELS), logits)

    @given(predictions())
    def test_the_gradient_is_softmax_minus_one_hot(self, drawn: Predictions) -> None:
        """∂ℓ/∂z = softmax(z) - onehot(y), and zero where the label is ignored."""
        logits, labels = drawn
        logits.requires_grad_()
        cross_entropy(logits, labels).sum().backward()
        expected = torch.tensor(reference.softmax(logits.detach().numpy()))
        labeled = labels != IGNORE_INDEX
        expected[labeled, labels[labeled]] -= 1
        expected[~labeled] = 0
        torch.testing.assert_close(logits.grad, expected)

    @given(tensors(axes=1, largest=7), st.floats(-100, 100))
    def test_exponentials_over_all_labels_sum_to_one(self, logits: Tensor, shift: float) -> None:
        """Σ_y e^(-ℓ(z, y)) = 1, and adding a constant to all logits changes nothing."""
        every = torch.arange(len(logits))
        losses = cross_entropy(logits.expand(len(every), -1), every)
        torch.testing.assert_close(torch.exp(-losses).sum().item(), 1.0)
        torch.testing.assert_close(cross_entropy((logits + shift).expand(len(every), -1), every), losses)

    @given(predictions(), seeds)
    def test_ignored_positions_have_no_influence(self, drawn: Predictions, seed: int) -> None:
        """The logits at ignored labels change neither the loss nor any gradient."""
        check_ignored_positions_have_no_influence(cross_entropy, drawn, seed)

    def test_a_hopeless_prediction_has_a_finite_loss(self) -> None:
        """The probability e⁻²⁰⁰ is 0 in single precision, but its logarithm is finite."""
        assert cross_entropy(torch.tensor([200.0, 0.0]), torch.tensor(1)).item() == 200.0

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
    def test_confident_correct_prediction_has_loss_zero(self, dtype: torch.dtype) -> None:
        """The input is logits: large logits do not overflow, and a perfect prediction has a loss of exactly 0."""
        logits = torch.tensor([[6e4, -6e4]], dtype=dtype)
        assert cross_entropy(logits, torch.tensor([0])).item() == 0.0

    def test_confident_wrong_prediction_has_a_finite_loss(self) -> None:
        """The loss is the difference of the logits, also where the probability is too small for its data type."""
        assert cross_entropy(torch.tensor([[0.0, 2000.0]]), torch.tensor([0])).item() == 2000.0

    @given(st.integers(0, 4), st.integers(2, 5))
    def test_label_zero_is_a_label(self, label: int, classes: int) -> None:
        """Class 0 is a label like any other: equal logits give the loss ln K for every label."""
        loss = cross_entropy(torch.zeros(1, classes), torch.tensor([label % classes]))
        torch.testing.assert_close(loss.item(), math.log(classes))


HALF = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
HALF_LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "label_smoothing_loss": label_smoothing_loss,
    "mostly smoothed": lambda logits, labels: label_smoothing_loss(logits, labels, 0.9, "sum"),
}


@HALF
@pytest.mark.parametrize("name", HALF_LOSSES)
def test_losses_of_half_precision_logits_are_in_single_precision(name: str, dtype: torch.dtype) -> None:
    """They are those of the same logits in double precision, up to the rounding of single precision."""
    logits, labels = (5 * normal(1, 4, 30)).to(dtype), torch.tensor([3, IGNORE_INDEX, 0, 29])
    expected = HALF_LOSSES[name](logits.double(), labels).float()
    torch.testing.assert_close(HALF_LOSSES[name](logits, labels), expected, rtol=1e-5, atol=1e-6)


class TestMaskedLMLoss:
    @given(predictions())
    @example((normal(0, 4, 3), LABELS))
    def test_value(self, drawn: Predictions) -> None:
        """The result equals the mean in loops, and 0 if nothing is masked."""
        logits, labels = drawn
        expected = reference.mean_cross_entropy(logits.numpy(), labels.numpy())
        assert math.isclose(masked_lm_loss(logits, labels).item(), expected, abs_tol=1e-12)

    def test_value_of_two_texts(self) -> None:
        """The mean is over all masked positions of the batch, not over those of each text first."""
        logits, labels = normal(0, 2, 3, 4), torch.tensor([[1, 2, 0], [IGNORE_INDEX, 3, IGNORE_INDEX]])
        expected = reference.mean_cross_entropy(logits.flatten(0, 1).numpy(), labels.flatten().numpy())
        assert math.isclose(masked_lm_loss(logits, labels).item(), expected)

    @given(predictions())
    def test_any_number_of_batch_axes(self, drawn: Predictions) -> None:
        """A batch with two batch axes has the same mean as a flat batch."""
        logits, labels = drawn
        more = torch.cat([labels, labels.masked_fill(torch.arange(len(labels)) > 0, IGNORE_INDEX)])
        flat = masked_lm_loss(torch.cat([logits, -logits]), more)
        torch.testing.assert_close(masked_lm_loss(torch.stack([logits, -logits]), more.view(2, -1)), flat)

    def test_gradient(self) -> None:
        """The first and second derivatives are right, with a token that is not masked."""
        logits = normal(0, 4, 3).requires_grad_()
        assert gradcheck(lambda z: masked_lm_loss(z, LABELS), logits)
        assert gradgradcheck(lambda z: masked_lm_loss(z, LABELS), logits)

    @given(predictions(), seeds)
    def test_unmasked_positions_have_no_influence(self, drawn: Predictions, seed: int) -> None:
        """The logits at positions that are not masked change neither the loss nor any gradient."""
        check_ignored_positions_have_no_influence(masked_lm_loss, drawn, seed)

    @given(predictions())
    def test_mean_over_masked_positions(self, drawn: Predictions) -> None:
        """Positions that are not masked do not count in the mean."""
        check_mean_over_labeled_predictions(masked_lm_loss, drawn)

    @given(st.integers(1, 9), st.integers(0, 8))
    def test_uniform_prediction_has_loss_log_vocabulary(self, vocabulary: int, label: int) -> None:
        """Equal logits give ln V for every token, including token 0."""
        logits, labels = torch.zeros(2, vocabulary), torch.tensor([label % vocabulary, 0])
        torch.testing.assert_close(masked_lm_loss(logits, labels).item(), math.log(vocabulary))


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("loss", [cross_entropy, masked_lm_loss, next_sentence_loss, label_smoothing_loss])
def test_wrong_labels_are_rejected(loss: Loss) -> None:
    """Labels that broadcasting would accept, another type, and a number that is not a class."""
    logits, labels = torch.zeros(2, 3, 2), torch.tensor([[0, 1, IGNORE_INDEX], [1, 0, 1]])
    loss(logits, labels)
    for wrong in (labels[:1], labels[:, :1], labels[0], labels.flatten(), labels[..., None], labels.T):
        with pytest.raises(ValueError, match=r"labels has shape \(.*\), expected \(2, 3\)"):
            loss(logits, wrong)
    for wrong in (labels.float(), labels.int(), labels == 1):
        with pytest.raises(TypeError, match=r"labels has the type \w+, expected int64: convert it with labels.long\(\)"):
            loss(logits, wrong)
    with pytest.raises(TypeError, match="labels is a list"):
        loss(logits, labels.tolist())
    with pytest.raises(TypeError, match="logits is a list"):
        loss(logits.tolist(), labels)
    for number in (2, -1, -99):
        with pytest.raises(ValueError, match=f"labels has the class {number}, expected 0 to 1, or -100 for no target"):
            loss(logits, labels.masked_fill(labels == 0, number))


@pytest.mark.usefixtures("without_shape_checks")
def test_wrong_targets_of_yes_or_no_questions_are_rejected() -> None:
    logits = torch.zeros(2, 3)
    for shape in ((3,), (1, 3), (2, 1), (2, 3, 1)):
        with pytest.raises(ValueError, match=r"targets has shape \(.*\), expected \(2, 3\)"):
            binary_cross_entropy(logits, torch.zeros(shape))
    for wrong in (torch.zeros(2, 3, dtype=torch.long), torch.zeros(2, 3, dtype=torch.bool)):
        with pytest.raises(TypeError, match=r"targets has the type torch\.\w+, expected floating point"):
            binary_cross_entropy(logits, wrong)
    for number in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match=f"targets has the value {number}, expected finite numbers"):
            binary_cross_entropy(logits, torch.tensor([[0, 1, number], [0, 1, 0]]))
    with pytest.raises(TypeError, match="outputs is a list"):
        binary_cross_entropy(logits.tolist(), logits)


@pytest.mark.parametrize("wrong", [-1, 4])
def test_tokens_outside_the_vocabulary_have_no_frequency(wrong: int) -> None:
    ids, others = torch.tensor([0, 3]), torch.tensor([1, wrong])
    for train, validation, name in ((others, ids, "train_ids"), (ids, others, "validation_ids")):
        with pytest.raises(ValueError, match=f"{name} has the id {wrong}, but vocab_size is 4"):
            unigram_entropy(train, validation, vocab_size=4)


@pytest.mark.parametrize("wrong", [-0.1, 1.5, math.nan])
def test_label_smoothing_outside_its_range_is_rejected(wrong: float) -> None:
    with pytest.raises(ValueError, match=r"label_smoothing is .*, but must be from 0 to 1"):
        label_smoothing_loss(torch.zeros(1, 3), torch.tensor([0]), wrong)


@pytest.mark.usefixtures("without_shape_checks")
def test_a_text_without_tokens_or_whole_numbers_has_no_entropy() -> None:
    ids = torch.tensor([0, 1])
    with pytest.raises(ValueError, match="validation_ids has no tokens"):
        unigram_entropy(ids, ids[:0], 2)
    with pytest.raises(TypeError, match="train_ids has the type float32, expected int64"):
        unigram_entropy(ids.float(), ids, 2)


@pytest.mark.usefixtures("without_shape_checks")
def test_unknown_reduction_raises() -> None:
    """PyTorch's reduction "none" is `cross_entropy` here."""
    with pytest.raises(ValueError, match="reduction 'none' is unknown"):
        masked_lm_loss(torch.zeros(3, 8), torch.tensor([1, 2, 3]), reduction="none")


class TestNextSentenceLoss:
    @given(predictions(classes=2))
    def test_value(self, drawn: Predictions) -> None:
        """The result equals the mean in loops, and 0 if there is no pair."""
        logits, labels = drawn
        expected = reference.mean_cross_entropy(logits.numpy(), labels.numpy())
        assert math.isclose(next_sentence_loss(logits, labels).item(), expected, abs_tol=1e-12)

    def test_gradient(self) -> None:
        """The first and second derivatives are right, with an example of one segment."""
        logits, labels = normal(0, 3, 2).requires_grad_(), torch.tensor([1, IGNORE_INDEX, 0])
        assert gradcheck(lambda z: next_sentence_loss(z, labels), logits)
        assert gradgradcheck(lambda z: next_sentence_loss(z, labels), logits)

    @given(st.floats(1, 50))
    def test_known_pairs(self, confidence: float) -> None:
        """The first logit is for "is next" or "in order" (label 0), the second for "another document" or "swapped" (1)."""
        logits = torch.tensor([[confidence, -confidence], [-confidence, confidence]])
        assert next_sentence_loss(logits, torch.tensor([0, 1])) < math.log(2) / 2
        for label in (0, 1):  # each wrong prediction has the same loss: label 0 is not ignored
            wrong = next_sentence_loss(logits[label : label + 1], torch.tensor([1 - label]))
            assert math.isclose(wrong.item(), 2 * confidence + math.log1p(math.exp(-2 * confidence)), rel_tol=1e-5)

    @pytest.mark.usefixtures("without_shape_checks")
    def test_other_numbers_of_classes_are_rejected(self) -> None:
        with pytest.raises(ValueError, match=r"logits has shape \(1, 3\), expected \(1, 2\)"):
            next_sentence_loss(torch.zeros(1, 3), torch.tensor([0]))

    @given(predictions(classes=2))
    def test_mean_over_pairs(self, drawn: Predictions) -> None:
        """Examples with one segment do not count in the mean."""
        check_mean_over_labeled_predictions(next_sentence_loss, drawn)

    @given(predictions(classes=2), seeds)
    def test_single_segments_have_no_influence(self, drawn: Predictions, seed: int) -> None:
        """The logits of examples with one segment change neither the loss nor any gradient."""
        check_ignored_positions_have_no_influence(next_sentence_loss, drawn, seed)


SMOOTHING = st.floats(0, 0.9)


class TestLabelSmoothingLoss:
    @given(predictions(), SMOOTHING)
    def test_value(self, drawn: Predictions, label_smoothing: float) -> None:
        """The result equals the mean in loops over the smoothed targets."""
        logits, labels = drawn
        losses = [
            reference.smoothed_cross_entropy(z, int(y), label_smoothing) for z, y in zip(logits.numpy(), labels, strict=True)
        ]
        expected = sum(losses) / max(1, int((labels != IGNORE_INDEX).sum()))
        assert math.isclose(label_smoothing_loss(logits, labels, label_smoothing).item(), expected, abs_tol=1e-12)

    def test_value_of_the_default(self) -> None:
        """The default of `label_smoothing` is 0.1, as in the paper."""
        logits = normal(0, 4, 3)
        torch.testing.assert_close(label_smoothing_loss(logits, LABELS), label_smoothing_loss(logits, LABELS, 0.1))

    def test_gradient(self) -> None:
        """The first and second derivatives are right, with an ignored label among the labels."""
        logits = normal(0, 4, 3).requires_grad_()
        assert gradcheck(lambda z: label_smoothing_loss(z, LABELS, 0.2), logits)
        assert gradgradcheck(lambda z: label_smoothing_loss(z, LABELS, 0.2), logits)

    @given(predictions(), SMOOTHING)
    def test_result_equals_pytorch(self, drawn: Predictions, label_smoothing: float) -> None:
        """The result equals PyTorch's for any smoothing, and plain cross-entropy without smoothing."""
        logits, labels = drawn
        labels = labels.masked_fill(labels == IGNORE_INDEX, 0)
        if len(labels):
            theirs = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
            torch.testing.assert_close(label_smoothing_loss(logits, labels, label_smoothing), theirs)
        torch.testing.assert_close(label_smoothing_loss(logits, labels, 0.0), masked_lm_loss(logits, labels))

    @given(st.integers(2, 7), st.floats(0.05, 0.9), seeds)
    def test_minimum_is_at_the_smoothed_target(self, classes: int, label_smoothing: float, seed: int) -> None:
        """The gradient is zero where softmax(z) is 1 - ε + ε/K for the label and ε/K for every other class."""
        truth = torch.full((1, classes), label_smoothing / classes, dtype=torch.float64)
        truth[0, seed % classes] += 1 - label_smoothing
        logits = truth.log().requires_grad_()
        label_smoothing_loss(logits, torch.tensor([seed % classes]), label_smoothing).backward()
        torch.testing.assert_close(logits.grad, torch.zeros_like(logits))

    @given(predictions(), SMOOTHING)
    def test_any_number_of_batch_axes(self, drawn: Predictions, label_smoothing: float) -> None:
        """A batch with two batch axes has the same mean as a flat batch."""
        logits, labels = drawn
        rows = label_smoothing_loss(torch.stack([logits, -logits]), torch.stack([labels, labels]), label_smoothing)
        flat = label_smoothing_loss(torch.cat([logits, -logits]), torch.cat([labels, labels]), label_smoothing)
        torch.testing.assert_close(rows, flat)

    @given(predictions(), SMOOTHING, seeds)
    def test_ignored_positions_have_no_influence(self, drawn: Predictions, label_smoothing: float, seed: int) -> None:
        """Ignored labels change neither the loss nor any gradient, and do not count in the mean."""

        def loss(logits: Tensor, labels: Tensor, **options: str) -> Tensor:
            return label_smoothing_loss(logits, labels, label_smoothing, **options)

        check_ignored_positions_have_no_influence(loss, drawn, seed)
        check_mean_over_labeled_predictions(loss, drawn)


class TestBinaryCrossEntropy:
    @given(st.lists(st.tuples(st.floats(-20, 20), st.floats(0, 1)), max_size=5))
    def test_value(self, drawn: list[tuple[float, float]]) -> None:
        """The result equals the formula in loops, also for targets between 0 and 1."""
        logits, targets = torch.tensor(drawn, dtype=torch.float64).reshape(-1, 2).T
        expected = [reference.binary_cross_entropy(z, y) for z, y in drawn]
        np.testing.assert_allclose(binary_cross_entropy(logits, targets).numpy(), np.array(expected), atol=1e-6)

    @HALF
    def test_half_precision_inputs_are_computed_with_in_single_precision(self, dtype: torch.dtype) -> None:
        """Also targets between 0 and 1, of which 1 - y would be rounded."""
        logits, targets = torch.linspace(-9, 9, 19).to(dtype), torch.linspace(0, 1, 19).to(dtype)
        expected = binary_cross_entropy(logits.double(), targets.double()).float()
        torch.testing.assert_close(binary_cross_entropy(logits, targets), expected, rtol=1e-5, atol=1e-6)

    def test_gradient(self) -> None:
        """The first and second derivatives are right, also at zero."""
        logits, targets = torch.tensor([-3.0, 0.0, 2.0]).double(), torch.tensor([1.0, 0.0, 0.3]).double()
        leaves = [x.requires_grad_() for x in (logits, targets)]
        assert gradcheck(binary_cross_entropy, leaves)
        assert gradgradcheck(binary_cross_entropy, leaves)

    @given(tensors(axes=1, magnitude=50), st.floats(0, 1))
    def test_the_gradient_is_probability_minus_target(self, logits: Tensor, target: float) -> None:
        """∂ℓ/∂z = σ(z) - y."""
        logits.requires_grad_()
        binary_cross_entropy(logits, torch.full_like(logits, target)).sum().backward()
        torch.testing.assert_close(logits.grad, 1 / (1 + torch.exp(-logits.detach())) - target)

    @given(tensors(axes=1), st.floats(0, 1))
    def test_symmetry_of_the_two_classes(self, logits: Tensor, target: float) -> None:
        """ℓ(z, y) = ℓ(-z, 1 - y), and ℓ is the cross-entropy of two classes with the logits z and 0."""
        targets = torch.full_like(logits, target)
        torch.testing.assert_close(binary_cross_entropy(logits, targets), binary_cross_entropy(-logits, 1 - targets))
        two = torch.stack([logits, torch.zeros_like(logits)], dim=-1)
        yes = cross_entropy(two, torch.zeros(len(logits), dtype=torch.int64))
        torch.testing.assert_close(binary_cross_entropy(logits, torch.ones_like(logits)), yes)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
    def test_confident_wrong_prediction_is_finite(self, dtype: torch.dtype) -> None:
        """The loss is the absolute value of the logit, and its gradient is finite: no logarithm of zero."""
        logits = torch.tensor([1e4, -1e4], dtype=dtype, requires_grad=True)
        losses = binary_cross_entropy(logits, torch.tensor([0.0, 1.0], dtype=dtype))
        torch.testing.assert_close(losses, logits.detach().abs().float())
        losses.sum().backward()
        torch.testing.assert_close(logits.grad, torch.tensor([1.0, -1.0], dtype=dtype))


class TestPerplexity:
    @given(st.floats(0, 20))
    def test_value(self, loss: float) -> None:
        """The result is e to the power of the loss in nats."""
        assert math.isclose(perplexity(torch.tensor(loss, dtype=torch.float64)).item(), reference.perplexity(loss))

    @given(seeds)
    def test_value_of_several_losses(self, seed: int) -> None:
        """Each loss has its perplexity."""
        losses = normal(seed, 2, 3)
        expected = [[reference.perplexity(loss) for loss in row] for row in losses.tolist()]
        torch.testing.assert_close(perplexity(losses), torch.tensor(expected, dtype=torch.float64))

    @given(seeds)
    def test_losses_are_independent(self, seed: int) -> None:
        """The perplexity of a loss does not depend on the others."""
        losses = normal(seed, 3)
        torch.testing.assert_close(perplexity(losses), torch.stack([perplexity(loss) for loss in losses]))

    def test_gradient(self) -> None:
        """The derivative equals the function."""
        assert gradcheck(perplexity, normal(0, 3).requires_grad_())

    @given(st.integers(1, 10_000))
    def test_uniform_prediction_has_perplexity_of_the_vocabulary_size(self, vocabulary: int) -> None:
        """The perplexity of ln V is V."""
        assert math.isclose(perplexity(torch.tensor(math.log(vocabulary), dtype=torch.float64)).item(), vocabulary)


texts = st.lists(st.integers(0, 5), min_size=1, max_size=20)


pairs_of_texts = st.lists(st.integers(0, 5), min_size=2, max_size=20)
"""Texts with at least one pair of tokens."""


class TestUnigramEntropy:
    @given(st.lists(st.integers(0, 5), max_size=20), texts)
    def test_value(self, train: list[int], validation: list[int]) -> None:
        """The result equals the formula in loops, also for tokens missing in the training text and for no training text."""
        entropy = unigram_entropy(torch.tensor(train, dtype=torch.int64), torch.tensor(validation), 6)
        assert math.isclose(entropy.item(), reference.unigram_entropy(train, validation, 6), rel_tol=1e-5)

    @given(st.integers(1, 9), texts)
    def test_uniform_frequencies_give_log_vocabulary(self, times: int, validation: list[int]) -> None:
        """No training text, or a text in which all tokens are equally frequent, gives ln V."""
        for train in ([], list(range(6)) * times):
            entropy = unigram_entropy(torch.tensor(train, dtype=torch.int64), torch.tensor(validation), 6)
            assert math.isclose(entropy.item(), math.log(6), rel_tol=1e-5)

    @given(texts, texts, seeds)
    def test_token_order_and_token_ids_have_no_influence(self, train: list[int], validation: list[int], seed: int) -> None:
        """Only the number of occurrences of each token matters."""
        generator = np.random.default_rng(seed)
        names = generator.permutation(6)
        one = unigram_entropy(torch.tensor(train), torch.tensor(validation), 6)
        renamed = [torch.from_numpy(generator.permutation(names[np.array(text)])) for text in (train, validation)]
        torch.testing.assert_close(unigram_entropy(*renamed, 6), one)

    @given(texts)
    def test_baseline_is_at_least_the_entropy_of_the_text(self, text: list[int]) -> None:
        """Gibbs' inequality. With many copies of the text as training text, the baseline approaches the entropy."""
        counts = np.bincount(text) / len(text)
        entropy = -sum(p * math.log(p) for p in counts if p)
        assert unigram_entropy(torch.tensor(text), torch.tensor(text), 6) >= entropy - 1e-5
        assert abs(unigram_entropy(torch.tensor(text * 1000), torch.tensor(text), 6).item() - entropy) < 0.02


class TestBigramEntropy:
    @given(st.lists(st.integers(0, 5), max_size=30), pairs_of_texts)
    @example([], [0, 1])
    @example([2], [2, 2, 0])
    def test_value(self, train: list[int], validation: list[int]) -> None:
        """The result equals the formula in loops, also after tokens that nothing follows in the training text."""
        entropy = bigram_entropy(torch.tensor(train, dtype=torch.int64), torch.tensor(validation), 6)
        assert math.isclose(entropy.item(), reference.bigram_entropy(train, validation, 6), rel_tol=1e-5)

    @given(pairs_of_texts, st.integers(0, 5))
    def test_probabilities_after_a_token_sum_to_one(self, train: list[int], before: int) -> None:
        """Over the whole vocabulary."""
        losses = [bigram_entropy(torch.tensor(train), torch.tensor([before, after]), 6) for after in range(6)]
        assert math.isclose(sum(math.exp(-loss) for loss in losses), 1.0, rel_tol=1e-5)

    @given(pairs_of_texts, seeds)
    def test_token_ids_have_no_influence(self, text: list[int], seed: int) -> None:
        names = torch.from_numpy(np.random.default_rng(seed).permutation(6))
        train, validation = torch.tensor(text), torch.tensor(text[::-1])
        one, other = (bigram_entropy(*each, 6) for each in ((train, validation), (names[train], names[validation])))
        torch.testing.assert_close(one, other)

    @given(st.lists(st.integers(0, 5), max_size=9), pairs_of_texts)
    def test_it_is_the_unigram_entropy_if_nothing_is_known_of_pairs(self, train: list[int], validation: list[int]) -> None:
        """Of a training text of one token, and of tokens that no token follows in it."""
        for text in (train[:1], [6, *train]):
            kept = [token for token in validation if token not in text[:-1]]
            if len(kept) > 1:
                one = bigram_entropy(torch.tensor(text, dtype=torch.int64), torch.tensor(kept), 7)
                other = unigram_entropy(torch.tensor(text, dtype=torch.int64), torch.tensor(kept[1:]), 7)
                torch.testing.assert_close(one, other)

    def test_a_text_in_a_fixed_order_costs_almost_nothing(self) -> None:
        """Every token is followed by the same one, which frequencies alone do not show."""
        text = torch.arange(6).repeat(500)
        assert bigram_entropy(text, text[:60], 6) < 0.01
        assert unigram_entropy(text, text[:60], 6) > math.log(6) - 0.01

    def test_errors(self) -> None:
        ids = torch.tensor([0, 5])
        for train, validation, message in (
            (ids, ids[:1], "validation_ids has 1 tokens"),
            (ids, ids[:0], "validation_ids has no tokens"),
            (ids + 1, ids, "train_ids has the id 6, but vocab_size is 6"),
            (ids, ids - 1, "validation_ids has the id -1"),
        ):
            with pytest.raises(ValueError, match=message):
                bigram_entropy(train, validation, 6)
