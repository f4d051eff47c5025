"""Losses: values, gradients and properties."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from minibert.equations import IGNORED, cross_entropy, masked_lm_loss, next_sentence_loss
from tests import reference
from tests.strategies import seeds


@st.composite
def predictions(draw: st.DrawFn, classes: int | None = None) -> tuple[Tensor, Tensor]:
    """Logits and labels, some of them ignored."""
    count, width = draw(st.integers(1, 6)), classes or draw(st.integers(1, 7))
    generator = torch.Generator().manual_seed(draw(seeds))
    logits = 3 * torch.randn(count, width, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, width, (count,), generator=generator)
    ignored = torch.rand(count, generator=generator) < draw(st.sampled_from([0.0, 0.5, 1.0]))
    return logits, labels.masked_fill(ignored, IGNORED)


@given(predictions())
def test_cross_entropy_value(drawn: tuple[Tensor, Tensor]) -> None:
    """Equals the formula in loops, one loss for each prediction, zero where the label is ignored."""
    logits, labels = drawn
    expected = [reference.cross_entropy(z, int(y)) for z, y in zip(logits.numpy(), labels, strict=True)]
    np.testing.assert_allclose(cross_entropy(logits, labels).numpy(), expected, atol=1e-12)


@given(predictions())
def test_the_gradient_is_the_softmax_less_the_truth(drawn: tuple[Tensor, Tensor]) -> None:
    """∂ℓ/∂z = softmax(z) - onehot(y), and zero where the label is ignored."""
    logits, labels = drawn
    logits.requires_grad_()
    cross_entropy(logits, labels).sum().backward()
    expected = torch.tensor(reference.softmax(logits.detach().numpy()))
    labelled = labels != IGNORED
    expected[labelled, labels[labelled]] -= 1
    expected[~labelled] = 0
    torch.testing.assert_close(logits.grad, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_sure_and_right_costs_nothing_and_nothing_overflows(dtype: torch.dtype) -> None:
    """Logits are taken, not probabilities: with softmax before it, a perfect prediction would still cost something."""
    logits = torch.tensor([[6e4, -6e4]], dtype=dtype)
    assert cross_entropy(logits, torch.tensor([0])).item() == 0.0


@pytest.mark.parametrize("loss", [masked_lm_loss, next_sentence_loss])
@given(drawn=predictions(classes=2))
def test_the_losses_are_means_over_what_is_labelled(loss, drawn: tuple[Tensor, Tensor]) -> None:
    """Equals the formula in loops; 0 if nothing is labelled. The sum is the mean times the number of labels."""
    logits, labels = drawn
    assert math.isclose(
        loss(logits, labels).item(), reference.mean_cross_entropy(logits.numpy(), labels.numpy()), abs_tol=1e-12
    )
    labelled = int((labels != IGNORED).sum())
    torch.testing.assert_close(loss(logits, labels, reduction="sum"), loss(logits, labels) * labelled)


@given(predictions(), seeds)
def test_masked_lm_loss_does_not_see_what_is_not_masked(drawn: tuple[Tensor, Tensor], seed: int) -> None:
    """Other logits where nothing is to be guessed change neither the loss nor any gradient."""
    logits, labels = drawn
    noise = 100 * torch.randn(logits.shape, generator=torch.Generator().manual_seed(seed), dtype=logits.dtype)
    other = torch.where((labels == IGNORED)[:, None], noise, logits).requires_grad_()
    logits.requires_grad_()
    losses = [masked_lm_loss(z, labels) for z in (logits, other)]
    torch.testing.assert_close(*losses)
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(logits.grad, other.grad)


def test_label_zero_counts() -> None:
    """Piece 0 and the answer "is next" are labels like any other: the loss of a wrong guess is not zero."""
    assert masked_lm_loss(torch.tensor([[-5.0, 5.0]]), torch.tensor([0])) > 5
    assert next_sentence_loss(torch.tensor([[-5.0, 5.0]]), torch.tensor([0])) > 5


def test_next_sentence_loss_on_known_pairs() -> None:
    """The first logit speaks for "is next" (label 0), the second for "another document" (label 1)."""
    sure = torch.tensor([[9.0, -9.0], [-9.0, 9.0]])
    assert next_sentence_loss(sure, torch.tensor([0, 1])) < 1e-6
    assert next_sentence_loss(sure, torch.tensor([1, 0])) > 17


def test_loss_gradients() -> None:
    """With an ignored label among them."""
    logits = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([2, IGNORED, 0, 1])
    assert gradcheck(lambda z: masked_lm_loss(z, labels), logits)
    pairs = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda z: next_sentence_loss(z, torch.tensor([1, IGNORED, 0])), pairs)
