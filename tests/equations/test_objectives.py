"""Losses and landmarks: values, gradients and the theorems that follow from the formulas."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from minibert.equations import (
    IGNORED,
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
    """Logits and labels, some of them ignored; perhaps no predictions at all."""
    count, width = draw(st.integers(0, 6)), classes or draw(st.integers(1, 7))
    generator = torch.Generator().manual_seed(draw(seeds))
    logits = 3 * torch.randn(count, width, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, width, (count,), generator=generator)
    ignored = torch.rand(count, generator=generator) < draw(st.sampled_from([0.5, 0.0, 1.0]))
    return logits, labels.masked_fill(ignored, IGNORED)


LABELS = torch.tensor([2, IGNORED, 0, 1])


def check_what_is_not_labeled_cannot_matter(loss: Loss, drawn: Predictions, seed: int) -> None:
    """Other logits where there is no label change neither the loss nor any gradient."""
    logits, labels = drawn
    noise = 100 * normal(seed, *logits.shape)
    other = torch.where((labels == IGNORED)[:, None], noise, logits).requires_grad_()
    logits = logits.clone().requires_grad_()
    losses = [loss(z, labels) for z in (logits, other)]
    torch.testing.assert_close(*losses)
    for value in losses:
        value.sum().backward()
    torch.testing.assert_close(logits.grad, other.grad)
    assert logits.grad is not None
    assert not logits.grad[labels == IGNORED].any()


def check_it_is_a_mean_over_what_is_labeled(loss: Callable[..., Tensor], drawn: Predictions) -> None:
    """Unlabelled predictions added to the batch change nothing; the sum is the mean times the number of labels."""
    logits, labels = drawn
    more = torch.cat([logits, logits]), torch.cat([labels, torch.full_like(labels, IGNORED)])
    torch.testing.assert_close(loss(*more), loss(logits, labels))
    torch.testing.assert_close(loss(logits, labels, reduction="sum"), loss(logits, labels) * int((labels != IGNORED).sum()))


class TestCrossEntropy:
    @given(predictions())
    def test_value(self, drawn: Predictions) -> None:
        """Equals the formula in loops, one loss for each prediction, zero where the label is ignored."""
        logits, labels = drawn
        expected = [reference.cross_entropy(z, int(y)) for z, y in zip(logits.numpy(), labels, strict=True)]
        np.testing.assert_allclose(cross_entropy(logits, labels).numpy(), np.array(expected), atol=1e-12)

    @given(predictions())
    def test_any_axes_may_stand_in_front(self, drawn: Predictions) -> None:
        """A batch of batches has the losses of each; a single prediction is no batch at all."""
        logits, labels = drawn
        losses = cross_entropy(logits, labels)
        stacked = cross_entropy(torch.stack([logits, -logits]), torch.stack([labels, labels]))
        torch.testing.assert_close(stacked, torch.stack([losses, cross_entropy(-logits, labels)]))
        for z, y, loss in zip(logits, labels, losses, strict=True):
            torch.testing.assert_close(cross_entropy(z, y), loss)

    def test_gradient(self) -> None:
        """First and second derivative, with an ignored label among them."""
        logits = normal(0, 4, 3).requires_grad_()
        assert gradcheck(lambda z: cross_entropy(z, LABELS), logits)
        assert gradgradcheck(lambda z: cross_entropy(z, LABELS), logits)

    @given(predictions())
    def test_the_gradient_is_the_softmax_less_the_truth(self, drawn: Predictions) -> None:
        """∂ℓ/∂z = softmax(z) - onehot(y), and zero where the label is ignored."""
        logits, labels = drawn
        logits.requires_grad_()
        cross_entropy(logits, labels).sum().backward()
        expected = torch.tensor(reference.softmax(logits.detach().numpy()))
        labeled = labels != IGNORED
        expected[labeled, labels[labeled]] -= 1
        expected[~labeled] = 0
        torch.testing.assert_close(logits.grad, expected)

    @given(tensors(axes=1, largest=7), st.floats(-100, 100))
    def test_over_all_labels_it_is_a_distribution(self, logits: Tensor, shift: float) -> None:
        """Σ_y e^(-ℓ(z, y)) = 1, and a shift of all logits changes nothing."""
        every = torch.arange(len(logits))
        losses = cross_entropy(logits.expand(len(every), -1), every)
        torch.testing.assert_close(torch.exp(-losses).sum().item(), 1.0)
        torch.testing.assert_close(cross_entropy((logits + shift).expand(len(every), -1), every), losses)

    @given(predictions(), seeds)
    def test_what_is_not_labeled_cannot_matter(self, drawn: Predictions, seed: int) -> None:
        """Neither the loss nor any gradient sees the logits where the label is ignored."""
        check_what_is_not_labeled_cannot_matter(cross_entropy, drawn, seed)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
    def test_sure_and_right_costs_nothing_and_nothing_overflows(self, dtype: torch.dtype) -> None:
        """Logits are taken, not probabilities: with softmax before it, a perfect prediction would still cost something."""
        logits = torch.tensor([[6e4, -6e4]], dtype=dtype)
        assert cross_entropy(logits, torch.tensor([0])).item() == 0.0

    @given(st.integers(0, 4), st.integers(2, 5))
    def test_label_zero_counts(self, label: int, classes: int) -> None:
        """Class 0 is a label like any other: even logits cost ln K whatever the label is."""
        loss = cross_entropy(torch.zeros(1, classes), torch.tensor([label % classes]))
        torch.testing.assert_close(loss.item(), math.log(classes))


class TestMaskedLMLoss:
    @given(predictions())
    def test_value(self, drawn: Predictions) -> None:
        """Equals the mean in loops; 0 if nothing is masked."""
        logits, labels = drawn
        expected = reference.mean_cross_entropy(logits.numpy(), labels.numpy())
        assert math.isclose(masked_lm_loss(logits, labels).item(), expected, abs_tol=1e-12)

    def test_gradient(self) -> None:
        """First and second derivative, with a token that is not masked among them."""
        logits = normal(0, 4, 3).requires_grad_()
        assert gradcheck(lambda z: masked_lm_loss(z, LABELS), logits)
        assert gradgradcheck(lambda z: masked_lm_loss(z, LABELS), logits)

    @given(predictions(), seeds)
    def test_what_is_not_masked_cannot_matter(self, drawn: Predictions, seed: int) -> None:
        """Other logits where nothing is to be guessed change neither the loss nor any gradient."""
        check_what_is_not_labeled_cannot_matter(masked_lm_loss, drawn, seed)

    @given(predictions())
    def test_it_is_a_mean_over_what_is_masked(self, drawn: Predictions) -> None:
        """Tokens that are not masked do not count in the mean."""
        check_it_is_a_mean_over_what_is_labeled(masked_lm_loss, drawn)

    @given(st.integers(1, 9), st.integers(0, 8))
    def test_who_knows_nothing_pays_the_log_of_the_vocabulary(self, vocabulary: int, label: int) -> None:
        """Piece 0 included: it is a label like any other."""
        logits, labels = torch.zeros(2, vocabulary), torch.tensor([label % vocabulary, 0])
        torch.testing.assert_close(masked_lm_loss(logits, labels).item(), math.log(vocabulary))


@pytest.mark.usefixtures("without_shape_checks")
def test_another_reduction_is_refused() -> None:
    """PyTorch's "none" is `cross_entropy` here."""
    with pytest.raises(ValueError, match="reduction 'none' is unknown"):
        masked_lm_loss(torch.zeros(3, 8), torch.tensor([1, 2, 3]), reduction="none")


class TestNextSentenceLoss:
    @given(predictions(classes=2))
    def test_value(self, drawn: Predictions) -> None:
        """Equals the mean in loops; 0 if nothing is a pair."""
        logits, labels = drawn
        expected = reference.mean_cross_entropy(logits.numpy(), labels.numpy())
        assert math.isclose(next_sentence_loss(logits, labels).item(), expected, abs_tol=1e-12)

    def test_gradient(self) -> None:
        """First and second derivative, with an example of one segment among them."""
        logits, labels = normal(0, 3, 2).requires_grad_(), torch.tensor([1, IGNORED, 0])
        assert gradcheck(lambda z: next_sentence_loss(z, labels), logits)
        assert gradgradcheck(lambda z: next_sentence_loss(z, labels), logits)

    @given(st.floats(1, 50))
    def test_known_pairs(self, sureness: float) -> None:
        """The first logit speaks for "is next" (label 0), the second for "another document" (label 1)."""
        sure = torch.tensor([[sureness, -sureness], [-sureness, sureness]])
        assert next_sentence_loss(sure, torch.tensor([0, 1])) < math.log(2) / 2
        for label in (0, 1):  # by itself each wrong answer costs as much: label 0 is not ignored
            wrong = next_sentence_loss(sure[label : label + 1], torch.tensor([1 - label]))
            assert math.isclose(wrong.item(), 2 * sureness + math.log1p(math.exp(-2 * sureness)), rel_tol=1e-5)

    @given(predictions(classes=2))
    def test_it_is_a_mean_over_the_pairs(self, drawn: Predictions) -> None:
        """Examples of one segment do not count in the mean."""
        check_it_is_a_mean_over_what_is_labeled(next_sentence_loss, drawn)

    @given(predictions(classes=2), seeds)
    def test_what_is_no_pair_cannot_matter(self, drawn: Predictions, seed: int) -> None:
        """Other logits where there is one segment change neither the loss nor any gradient."""
        check_what_is_not_labeled_cannot_matter(next_sentence_loss, drawn, seed)


SMOOTHING = st.floats(0, 0.9)


class TestLabelSmoothingLoss:
    @given(predictions(), SMOOTHING)
    def test_value(self, drawn: Predictions, label_smoothing: float) -> None:
        """Equals the mean in loops over the smoothed truth."""
        logits, labels = drawn
        losses = [
            reference.smoothed_cross_entropy(z, int(y), label_smoothing) for z, y in zip(logits.numpy(), labels, strict=True)
        ]
        expected = sum(losses) / max(1, int((labels != IGNORED).sum()))
        assert math.isclose(label_smoothing_loss(logits, labels, label_smoothing).item(), expected, abs_tol=1e-12)

    def test_value_of_the_paper(self) -> None:
        """Its share is 0.1 unless something else is said."""
        logits = normal(0, 4, 3)
        torch.testing.assert_close(label_smoothing_loss(logits, LABELS), label_smoothing_loss(logits, LABELS, 0.1))

    def test_gradient(self) -> None:
        """First and second derivative, with an ignored label among them."""
        logits = normal(0, 4, 3).requires_grad_()
        assert gradcheck(lambda z: label_smoothing_loss(z, LABELS, 0.2), logits)
        assert gradgradcheck(lambda z: label_smoothing_loss(z, LABELS, 0.2), logits)

    @given(predictions(), SMOOTHING)
    def test_it_is_pytorchs(self, drawn: Predictions, label_smoothing: float) -> None:
        """With any share, and with nothing smoothed it is plain cross-entropy."""
        logits, labels = drawn
        labels = labels.masked_fill(labels == IGNORED, 0)
        if len(labels):
            theirs = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
            torch.testing.assert_close(label_smoothing_loss(logits, labels, label_smoothing), theirs)
        torch.testing.assert_close(label_smoothing_loss(logits, labels, 0.0), masked_lm_loss(logits, labels))

    @given(st.integers(2, 7), st.floats(0.05, 0.9), seeds)
    def test_it_is_least_at_the_smoothed_truth(self, classes: int, label_smoothing: float, seed: int) -> None:
        """The gradient is zero where softmax(z) gives the label 1 - ε + ε/K and every other class ε/K."""
        truth = torch.full((1, classes), label_smoothing / classes, dtype=torch.float64)
        truth[0, seed % classes] += 1 - label_smoothing
        logits = truth.log().requires_grad_()
        label_smoothing_loss(logits, torch.tensor([seed % classes]), label_smoothing).backward()
        torch.testing.assert_close(logits.grad, torch.zeros_like(logits))

    @given(predictions(), SMOOTHING)
    def test_any_axes_may_stand_in_front(self, drawn: Predictions, label_smoothing: float) -> None:
        """A batch cut in rows has the same mean."""
        logits, labels = drawn
        rows = label_smoothing_loss(torch.stack([logits, -logits]), torch.stack([labels, labels]), label_smoothing)
        flat = label_smoothing_loss(torch.cat([logits, -logits]), torch.cat([labels, labels]), label_smoothing)
        torch.testing.assert_close(rows, flat)

    @given(predictions(), SMOOTHING, seeds)
    def test_what_is_not_labeled_cannot_matter(self, drawn: Predictions, label_smoothing: float, seed: int) -> None:
        """Nor does it count in the mean."""

        def loss(logits: Tensor, labels: Tensor, **options: str) -> Tensor:
            return label_smoothing_loss(logits, labels, label_smoothing, **options)

        check_what_is_not_labeled_cannot_matter(loss, drawn, seed)
        check_it_is_a_mean_over_what_is_labeled(loss, drawn)


class TestBinaryCrossEntropy:
    @given(st.lists(st.tuples(st.floats(-20, 20), st.floats(0, 1)), max_size=5))
    def test_value(self, drawn: list[tuple[float, float]]) -> None:
        """Equals the formula in loops, for targets between no and yes too."""
        logits, targets = torch.tensor(drawn, dtype=torch.float64).reshape(-1, 2).T
        expected = [reference.binary_cross_entropy(z, y) for z, y in drawn]
        np.testing.assert_allclose(binary_cross_entropy(logits, targets).numpy(), np.array(expected), atol=1e-6)

    def test_gradient(self) -> None:
        """First and second derivative, at zero too."""
        logits, targets = torch.tensor([-3.0, 0.0, 2.0]).double(), torch.tensor([1.0, 0.0, 0.3]).double()
        leaves = [x.requires_grad_() for x in (logits, targets)]
        assert gradcheck(binary_cross_entropy, leaves)
        assert gradgradcheck(binary_cross_entropy, leaves)

    @given(tensors(axes=1, magnitude=50), st.floats(0, 1))
    def test_the_gradient_is_the_probability_less_the_truth(self, logits: Tensor, target: float) -> None:
        """∂ℓ/∂z = σ(z) - y, as the textbook derives it."""
        logits.requires_grad_()
        binary_cross_entropy(logits, torch.full_like(logits, target)).sum().backward()
        torch.testing.assert_close(logits.grad, 1 / (1 + torch.exp(-logits.detach())) - target)

    @given(tensors(axes=1), st.floats(0, 1))
    def test_yes_and_no_are_alike(self, logits: Tensor, target: float) -> None:
        """ℓ(z, y) = ℓ(-z, 1 - y); and it is the cross-entropy of two classes with the logits z and 0."""
        targets = torch.full_like(logits, target)
        torch.testing.assert_close(binary_cross_entropy(logits, targets), binary_cross_entropy(-logits, 1 - targets))
        two = torch.stack([logits, torch.zeros_like(logits)], dim=-1)
        yes = cross_entropy(two, torch.zeros(len(logits), dtype=torch.int64))
        torch.testing.assert_close(binary_cross_entropy(logits, torch.ones_like(logits)), yes)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
    def test_sure_and_wrong_is_finite(self, dtype: torch.dtype) -> None:
        """It costs the logit itself, however large: no logarithm of zero. Its gradient is finite as well."""
        logits = torch.tensor([1e4, -1e4], dtype=dtype, requires_grad=True)
        losses = binary_cross_entropy(logits, torch.tensor([0.0, 1.0], dtype=dtype))
        torch.testing.assert_close(losses, logits.detach().abs())
        losses.sum().backward()
        torch.testing.assert_close(logits.grad, torch.tensor([1.0, -1.0], dtype=dtype))


class TestPerplexity:
    @given(st.floats(0, 20))
    def test_value(self, loss: float) -> None:
        """e to the power of the loss in nats."""
        assert math.isclose(perplexity(torch.tensor(loss, dtype=torch.float64)).item(), reference.perplexity(loss))

    def test_gradient(self) -> None:
        """It is its own derivative."""
        assert gradcheck(perplexity, normal(0, 3).requires_grad_())

    @given(st.integers(1, 10_000))
    def test_an_even_guess_is_as_perplexed_as_there_are_words(self, vocabulary: int) -> None:
        """The perplexity of ln V is V."""
        assert math.isclose(perplexity(torch.tensor(math.log(vocabulary), dtype=torch.float64)).item(), vocabulary)


texts = st.lists(st.integers(0, 5), min_size=1, max_size=20)


class TestUnigramEntropy:
    @given(st.lists(st.integers(0, 5), max_size=20), texts)
    def test_value(self, train: list[int], validation: list[int]) -> None:
        """Equals the formula in loops; tokens that were never learned, and no learned tokens at all, included."""
        entropy = unigram_entropy(torch.tensor(train, dtype=torch.int64), torch.tensor(validation), 6)
        assert math.isclose(entropy.item(), reference.unigram_entropy(train, validation, 6), rel_tol=1e-5)

    @given(st.integers(1, 9), texts)
    def test_nothing_train_is_the_log_of_the_vocabulary(self, times: int, validation: list[int]) -> None:
        """So is a text in which every token is equally frequent."""
        for train in ([], list(range(6)) * times):
            entropy = unigram_entropy(torch.tensor(train, dtype=torch.int64), torch.tensor(validation), 6)
            assert math.isclose(entropy.item(), math.log(6), rel_tol=1e-5)

    @given(texts, texts, seeds)
    def test_the_order_of_tokens_and_their_ids_do_not_matter(self, train: list[int], validation: list[int], seed: int) -> None:
        """Only how often each occurs does."""
        generator = np.random.default_rng(seed)
        names = generator.permutation(6)
        one = unigram_entropy(torch.tensor(train), torch.tensor(validation), 6)
        renamed = [torch.from_numpy(generator.permutation(names[np.array(text)])) for text in (train, validation)]
        torch.testing.assert_close(unigram_entropy(*renamed, 6), one)

    @given(texts)
    def test_no_frequencies_fit_a_text_better_than_its_own(self, text: list[int]) -> None:
        """Gibbs: the landmark is never below the entropy of the validation text itself, and comes near with much of the same."""
        counts = np.bincount(text) / len(text)
        entropy = -sum(p * math.log(p) for p in counts if p)
        assert unigram_entropy(torch.tensor(text), torch.tensor(text), 6) >= entropy - 1e-5
        assert abs(unigram_entropy(torch.tensor(text * 1000), torch.tensor(text), 6).item() - entropy) < 0.02
