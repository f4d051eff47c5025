"""Filters for sampling and the length penalty: values, gradients, and properties."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck

from minibert.equations import length_penalty, top_k_filter, top_p_filter
from tests import reference
from tests.strategies import normal, seeds

alphas = st.floats(0, 2)


def kept_tokens(logits: torch.Tensor) -> set[int]:
    """Return the tokens that can still be chosen."""
    return {*(logits > -math.inf).nonzero().flatten().tolist()}


class TestLengthPenalty:
    @given(st.integers(1, 500), alphas)
    def test_value(self, length: int, alpha: float) -> None:
        """The result equals the formula."""
        np.testing.assert_allclose(length_penalty(length, alpha), reference.length_penalty(length, alpha))

    def test_value_of_the_default(self) -> None:
        """The default α is 0.6, as in Vaswani et al."""
        assert length_penalty(20) == length_penalty(20, 0.6)

    @given(st.integers(1, 500), st.floats(0.01, 2))
    def test_penalty_grows_with_the_length(self, length: int, alpha: float) -> None:
        """The penalty is 1 for one token and grows with the length."""
        assert length_penalty(length + 1, alpha) > length_penalty(length, alpha)
        assert length_penalty(1, alpha) == 1

    @given(st.integers(1, 500))
    def test_alpha_zero_means_no_penalty(self, length: int) -> None:
        """The divisor is then 1 for every length."""
        assert length_penalty(length, 0.0) == 1


class TestTopKFilter:
    @given(seeds, st.integers(1, 8), st.integers(1, 10))
    def test_value(self, seed: int, vocabulary: int, k: int) -> None:
        """The kept tokens are the first k of a sorted list, and their logits are unchanged."""
        logits = normal(seed, vocabulary)
        kept = top_k_filter(logits, k)
        assert kept_tokens(kept) == reference.most_likely(logits.numpy(), k)
        assert all(kept[token] == logits[token] for token in kept_tokens(kept))

    @given(seeds, st.integers(1, 5))
    def test_value_of_a_batch(self, seed: int, k: int) -> None:
        """Each row keeps its own k most likely tokens."""
        logits = normal(seed, 3, 5) * torch.tensor([[1.0], [10.0], [0.1]]).double()
        kept = top_k_filter(logits, k)
        assert [kept_tokens(row) for row in kept] == [reference.most_likely(row.numpy(), k) for row in logits]

    def test_equally_likely_tokens_are_kept_together(self) -> None:
        """Of tokens with the same logit, all are kept or none."""
        assert kept_tokens(top_k_filter(torch.tensor([1.0, 2.0, 3.0, 2.0]), 2)) == {1, 2, 3}

    def test_gradient(self) -> None:
        """The derivative is that of the softmax over the kept tokens; removed tokens have none."""
        logits = normal(0, 2, 5).requires_grad_()
        assert gradcheck(lambda z: top_k_filter(z, 3).softmax(dim=-1), logits)
        top_k_filter(logits, 2).softmax(dim=-1)[..., 0].sum().backward()
        assert ((logits.grad != 0).sum(dim=-1) <= 2).all()

    @given(seeds, st.integers(1, 8), st.integers(1, 8))
    def test_k_tokens_are_kept_and_no_removed_token_is_more_likely(self, seed: int, vocabulary: int, k: int) -> None:
        """The number of kept tokens is k, or all tokens if there are fewer."""
        logits = normal(seed, vocabulary)
        chosen = kept_tokens(top_k_filter(logits, k))
        assert len(chosen) == min(k, vocabulary)
        out = {*range(vocabulary)} - chosen
        assert all(logits[token] < min(logits[other] for other in chosen) for token in out)

    @given(seeds, st.integers(1, 6), st.floats(-5, 5))
    def test_adding_a_constant_changes_nothing(self, seed: int, k: int, constant: float) -> None:
        """The kept tokens depend on differences of logits only."""
        logits = normal(seed, 6)
        assert kept_tokens(top_k_filter(logits + constant, k)) == kept_tokens(top_k_filter(logits, k))

    @given(seeds, st.integers(1, 5))
    def test_rows_are_independent(self, seed: int, k: int) -> None:
        """Each row of a batch gives the same result as separately."""
        logits = normal(seed, 3, 5)
        torch.testing.assert_close(top_k_filter(logits, k), torch.stack([top_k_filter(row, k) for row in logits]))

    def test_k_of_zero_raises(self) -> None:
        """k = 0 would leave no token."""
        with pytest.raises(ValueError, match="k is 0"):
            top_k_filter(torch.zeros(3), 0)


class TestTopPFilter:
    @given(seeds, st.integers(1, 8), st.floats(0.01, 0.99))
    def test_value(self, seed: int, vocabulary: int, p: float) -> None:
        """The kept tokens are the smallest set with probability p, and their logits are unchanged."""
        logits = normal(seed, vocabulary)
        kept = top_p_filter(logits, p)
        assert kept_tokens(kept) == reference.nucleus(logits.numpy(), p)
        assert all(kept[token] == logits[token] for token in kept_tokens(kept))

    @given(seeds, st.floats(0.01, 0.99))
    def test_value_of_a_batch(self, seed: int, p: float) -> None:
        """Each row keeps its own nucleus."""
        logits = normal(seed, 3, 5)
        kept = top_p_filter(logits, p)
        assert [kept_tokens(row) for row in kept] == [reference.nucleus(row.numpy(), p) for row in logits]

    def test_gradient(self) -> None:
        """The derivative is that of the softmax over the kept tokens."""
        assert gradcheck(lambda z: top_p_filter(z, 0.7).softmax(dim=-1), normal(0, 2, 5).requires_grad_())

    @given(seeds, st.floats(0.01, 0.99))
    def test_nucleus_is_the_smallest_sufficient_set(self, seed: int, p: float) -> None:
        """The kept tokens have probability p in total; without the least likely of them they would not."""
        logits = normal(seed, 7)
        probabilities, chosen = logits.softmax(dim=-1), kept_tokens(top_p_filter(logits, p))
        total = sum(probabilities[token].item() for token in chosen)
        assert total >= p - 1e-12
        assert len(chosen) == 1 or total - min(probabilities[token].item() for token in chosen) < p

    @given(seeds, st.sampled_from([torch.float64, torch.float32, torch.bfloat16]), st.sampled_from([1.0, 20.0]))
    def test_p_of_one_keeps_all_tokens(self, seed: int, dtype: torch.dtype, spread: float) -> None:
        """p = 1 changes nothing, although the sum of the probabilities is rounded."""
        logits = (spread * normal(seed, 300)).to(dtype)
        assert torch.equal(top_p_filter(logits, 1.0), logits)

    @given(seeds, st.floats(0.01, 1.0))
    def test_rows_are_independent(self, seed: int, p: float) -> None:
        """Each row of a batch gives the same result as separately."""
        logits = normal(seed, 3, 5)
        torch.testing.assert_close(top_p_filter(logits, p), torch.stack([top_p_filter(row, p) for row in logits]))

    def test_a_set_with_exactly_the_probability_p_is_enough(self) -> None:
        """Powers of two have no rounding, so that the sums are exact."""
        logits = torch.tensor([0.5, 0.25, 0.125, 0.125], dtype=torch.float64).log()
        for p, kept in ((0.5, 1), (0.75, 2), (0.875, 3)):
            assert int(top_p_filter(logits, p).isfinite().sum()) == kept

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_sums_of_many_small_probabilities_are_exact_in_half_precision(self, dtype: torch.dtype) -> None:
        """In half precision, 1/4096 added to 1/2 many times would stay 1/2."""
        kept = top_p_filter(torch.zeros(4096, dtype=dtype), 0.75).isfinite().sum()
        assert abs(int(kept) - 3072) <= 1

    def test_invalid_probability_raises(self) -> None:
        """p must be above 0 and at most 1."""
        for p in (0.0, 1.5):
            with pytest.raises(ValueError, match="probability above 0"):
                top_p_filter(torch.zeros(3), p)
