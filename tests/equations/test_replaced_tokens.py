"""Samples of the generator and the losses of ELECTRA: values, gradients, and properties."""

import inspect
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from minibert.equations import (
    IGNORE_INDEX,
    electra_loss,
    replaced_token_labels,
    replaced_token_loss,
    sample_tokens,
    softmax,
)
from tests import reference
from tests.strategies import normal, seeds

sizes = st.integers(1, 8)
losses = st.floats(0, 100)


def drawn_labels(seed: int, *shape: int) -> Tensor:
    """Return labels 0, 1 and -100."""
    return torch.tensor([0, 1, IGNORE_INDEX])[torch.randint(0, 3, shape, generator=torch.Generator().manual_seed(seed))]


class TestSampleTokens:
    @given(seeds, sizes, st.floats(0, 1, exclude_max=True))
    def test_value(self, seed: int, vocabulary: int, u: float) -> None:
        """The sample equals that of the formula, computed one token after the other."""
        logits = 2 * normal(seed, vocabulary)
        sums = softmax(logits).cumsum(dim=-1)
        if (sums - u).abs().min() > 1e-9:
            sample = sample_tokens(logits, torch.tensor(u, dtype=torch.float64))
            assert sample.item() == reference.sample_tokens(logits.tolist(), u)

    @given(seeds, st.integers(2, 6))
    def test_the_shares_of_evenly_spread_numbers_are_the_probabilities(self, seed: int, vocabulary: int) -> None:
        """With u = 0, 1/N, …, (N - 1)/N, token k is drawn N p_k times, up to rounding to whole numbers."""
        logits, count = normal(seed, vocabulary), 1000
        uniform = torch.arange(count, dtype=torch.float64) / count
        shares = sample_tokens(logits.expand(count, -1), uniform).bincount(minlength=vocabulary) / count
        torch.testing.assert_close(shares.double(), softmax(logits), rtol=0, atol=1.01 / count)

    @given(seeds, st.floats(0, 1, exclude_max=True))
    def test_a_larger_number_never_draws_an_earlier_token(self, seed: int, u: float) -> None:
        logits, uniform = normal(seed, 5).expand(2, -1), torch.tensor([u / 2, u], dtype=torch.float64)
        first, second = sample_tokens(logits, uniform).tolist()
        assert first <= second

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
    @pytest.mark.parametrize("u", [0.0, 1 - 2**-24, 1 - 2**-53])
    def test_a_token_without_probability_is_never_drawn(self, dtype: torch.dtype, u: float) -> None:
        """Not even with the smallest and the largest number: sums of probabilities are 1 only up to rounding."""
        logits = normal(0, 30000).to(dtype)
        logits[[0, -1]] = -math.inf
        sample = sample_tokens(logits, torch.tensor(u, dtype=torch.float64)).item()
        assert 0 < sample < 29999

    def test_gradient_is_none(self) -> None:
        """The samples are ids, so that the discriminator's loss has no gradient for the generator."""
        assert not sample_tokens(torch.zeros(2, 3, requires_grad=True), torch.zeros(2)).requires_grad

    def test_rows_are_independent(self) -> None:
        logits, uniform = normal(3, 4, 2, 6), torch.rand(4, 2)
        samples = sample_tokens(logits, uniform)
        rows = [sample_tokens(row, u) for row, u in zip(logits.flatten(0, 1), uniform.flatten(), strict=True)]
        assert samples.flatten().tolist() == [row.item() for row in rows]
        assert sample_tokens(torch.zeros(0, 5), torch.zeros(0)).shape == (0,)

    @pytest.mark.parametrize("u", [-0.1, 1.0, math.nan])
    def test_a_number_outside_of_the_interval_is_refused(self, u: float) -> None:
        with pytest.raises(ValueError, match="from 0 to below 1"):
            sample_tokens(torch.zeros(1, 4), torch.tensor([u]))
        with pytest.raises(ValueError, match="uniform has shape"):
            inspect.unwrap(sample_tokens)(torch.zeros(2, 4), torch.zeros(1))


class TestReplacedTokenLabels:
    @given(seeds, sizes)
    def test_value(self, seed: int, tokens: int) -> None:
        """The label equals the formula: 1 if the ids differ."""
        generator = torch.Generator().manual_seed(seed)
        corrupted, original = (torch.randint(0, 3, (2, tokens), generator=generator) for _ in range(2))
        keep = torch.rand(2, tokens, generator=generator) < 0.7
        expected = [
            [int(a != b) if is_kept else IGNORE_INDEX for a, b, is_kept in zip(*rows, strict=True)]
            for rows in zip(corrupted.tolist(), original.tolist(), keep.tolist(), strict=True)
        ]
        assert replaced_token_labels(corrupted, original, keep).tolist() == expected

    @given(seeds, sizes)
    def test_a_sample_that_is_the_original_token_is_original(self, seed: int, tokens: int) -> None:
        """A text that is not changed has no replaced token. Both texts can be exchanged, and the ids can have other numbers."""
        generator = torch.Generator().manual_seed(seed)
        ids, others = (torch.randint(0, 4, (tokens,), generator=generator) for _ in range(2))
        keep = torch.ones(tokens, dtype=torch.bool)
        assert not replaced_token_labels(ids, ids, keep).any()
        labels = replaced_token_labels(others, ids, keep)
        assert torch.equal(labels, replaced_token_labels(ids, others, keep))
        assert torch.equal(labels, replaced_token_labels(3 - others, 3 - ids, keep))

    @given(seeds, sizes)
    def test_padding_has_no_label(self, seed: int, tokens: int) -> None:
        """Whatever its ids are, and the labels of the other tokens do not depend on it."""
        generator = torch.Generator().manual_seed(seed)
        corrupted, original = (torch.randint(0, 3, (tokens,), generator=generator) for _ in range(2))
        keep = torch.arange(tokens) < tokens // 2
        labels = replaced_token_labels(corrupted, original, keep)
        assert (labels[~keep] == IGNORE_INDEX).all()
        assert torch.equal(labels[keep], replaced_token_labels(corrupted[keep], original[keep], keep[keep]))


class TestReplacedTokenLoss:
    @given(seeds, sizes)
    def test_value(self, seed: int, tokens: int) -> None:
        """The loss equals the formula."""
        logits, labels = 3 * normal(seed, 2, tokens), drawn_labels(seed, 2, tokens)
        expected = reference.replaced_token_loss(logits.flatten().tolist(), labels.flatten().tolist())
        np.testing.assert_allclose(replaced_token_loss(logits, labels), expected)
        total = replaced_token_loss(logits, labels, "sum").item()
        np.testing.assert_allclose(total, expected * (labels != IGNORE_INDEX).sum().item())

    @given(seeds, sizes)
    def test_both_classes_are_treated_alike(self, seed: int, tokens: int) -> None:
        """The loss of the other labels is that of the opposite scores: σ(-z) = 1 - σ(z)."""
        logits, labels = normal(seed, tokens), drawn_labels(seed, tokens)
        others = torch.where(labels == IGNORE_INDEX, labels, 1 - labels)
        torch.testing.assert_close(replaced_token_loss(-logits, others), replaced_token_loss(logits, labels))

    @given(seeds, sizes)
    def test_padding_has_no_influence(self, seed: int, tokens: int) -> None:
        """Its scores change neither the loss nor a gradient."""
        labels = drawn_labels(seed, tokens)
        noise = torch.where(labels == IGNORE_INDEX, 100.0, 0.0).double()
        logits = [(normal(seed, tokens) + each).requires_grad_() for each in (0 * noise, noise)]
        both = [replaced_token_loss(each, labels) for each in logits]
        torch.testing.assert_close(*both)
        torch.stack(both).sum().backward()
        torch.testing.assert_close(logits[0].grad, logits[1].grad)

    @given(seeds, sizes, sizes)
    def test_the_mean_is_over_the_tokens_of_all_texts(self, seed: int, texts: int, tokens: int) -> None:
        """It is the same if all texts are one, or occur twice, and with more padding. Then the sum of the losses is doubled."""
        logits, labels = normal(seed, texts, tokens), drawn_labels(seed, texts, tokens)
        loss = replaced_token_loss(logits, labels)
        torch.testing.assert_close(replaced_token_loss(logits.flatten(), labels.flatten()), loss)
        twice = torch.cat([logits, logits]), torch.cat([labels, labels])
        torch.testing.assert_close(replaced_token_loss(*twice), loss)
        torch.testing.assert_close(replaced_token_loss(*twice, "sum"), 2 * replaced_token_loss(logits, labels, "sum"))
        padded = torch.cat([labels, torch.full_like(labels, IGNORE_INDEX)])
        torch.testing.assert_close(replaced_token_loss(twice[0], padded), loss)

    @given(seeds, sizes)
    def test_gradient(self, seed: int, tokens: int) -> None:
        """The gradient is (σ(z) - y) / n, and equals finite differences."""
        logits, labels = normal(seed, tokens).requires_grad_(), drawn_labels(seed, tokens)
        assert gradcheck(lambda each: replaced_token_loss(each, labels), (logits,))
        (gradient,) = torch.autograd.grad(replaced_token_loss(logits, labels), logits)
        counted = labels != IGNORE_INDEX
        expected = (logits.sigmoid() - labels) * counted / max(1, int(counted.sum()))
        torch.testing.assert_close(gradient, expected.detach())

    def test_other_labels_and_types_are_refused(self) -> None:
        with pytest.raises(ValueError, match="labels has the value 2"):
            replaced_token_loss(torch.zeros(2), torch.tensor([0, 2]))
        with pytest.raises(TypeError, match="labels has the type float32"):
            inspect.unwrap(replaced_token_loss)(torch.zeros(2), torch.zeros(2))
        assert replaced_token_loss(torch.ones(2), torch.tensor([IGNORE_INDEX, IGNORE_INDEX])) == 0


class TestElectraLoss:
    @given(losses, losses, st.floats(0, 100))
    def test_value(self, generator: float, discriminator: float, weight: float) -> None:
        """The loss equals the formula."""
        both = torch.tensor([generator, discriminator], dtype=torch.float64)
        value = electra_loss(*both, weight)
        np.testing.assert_allclose(value, generator + weight * discriminator)

    def test_the_default_weight_is_that_of_the_paper(self) -> None:
        assert electra_loss(torch.tensor(0.0), torch.tensor(1.0)) == 50

    @given(losses, losses, losses)
    def test_the_discriminators_loss_has_the_weight_and_that_of_the_generator_has_none(
        self, generator: float, first: float, second: float
    ) -> None:
        """L(G, D) - L(G, D') = λ (D - D'), and L(2G, D) - L(G, D) = G."""
        g, one, other = torch.tensor([generator, first, second], dtype=torch.float64)
        torch.testing.assert_close(electra_loss(g, one) - electra_loss(g, other), 50 * (one - other), rtol=0, atol=1e-8)
        torch.testing.assert_close(electra_loss(2 * g, one) - electra_loss(g, one), g, rtol=0, atol=1e-8)

    def test_gradient(self) -> None:
        """The gradient of each loss is its weight."""
        both = [torch.tensor(2.0, requires_grad=True) for _ in range(2)]
        gradients = torch.autograd.grad(electra_loss(*both, discriminator_weight=7.0), both)
        assert [each.item() for each in gradients] == [1.0, 7.0]
