"""What is chosen from, and by what whole outputs are compared."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck

from minibert.equations import keep_nucleus, keep_top, length_penalty
from tests import reference
from tests.strategies import normal, seeds

alphas = st.floats(0, 2)


def left(logits: torch.Tensor) -> set[int]:
    """The tokens that can still be chosen."""
    return {*(logits > -math.inf).nonzero().flatten().tolist()}


class TestLengthPenalty:
    @given(st.integers(1, 500), alphas)
    def test_value(self, length: int, alpha: float) -> None:
        """Equals the formula."""
        np.testing.assert_allclose(length_penalty(length, alpha), reference.length_penalty(length, alpha))

    @given(st.integers(1, 500), st.floats(0.01, 2))
    def test_longer_outputs_are_divided_by_more(self, length: int, alpha: float) -> None:
        """It rises with the length, from 1 for one token."""
        assert length_penalty(length + 1, alpha) > length_penalty(length, alpha)
        assert length_penalty(1, alpha) == 1

    @given(st.integers(1, 500))
    def test_alpha_zero_is_no_penalty(self, length: int) -> None:
        """Then the most probable output wins, which is the shortest too often."""
        assert length_penalty(length, 0.0) == 1


class TestKeepTop:
    @given(seeds, st.integers(1, 8), st.integers(1, 10))
    def test_value(self, seed: int, vocabulary: int, k: int) -> None:
        """Those are left that a sorted list begins with, as they were."""
        logits = normal(seed, vocabulary)
        kept = keep_top(logits, k)
        assert left(kept) == reference.most_likely(logits.numpy(), k)
        assert all(kept[token] == logits[token] for token in left(kept))

    def test_gradient(self) -> None:
        """That of the softmax over what is left; nothing flows to what is out."""
        logits = normal(0, 2, 5).requires_grad_()
        assert gradcheck(lambda z: keep_top(z, 3).softmax(dim=-1), logits)
        keep_top(logits, 2).softmax(dim=-1)[..., 0].sum().backward()
        assert ((logits.grad != 0).sum(dim=-1) <= 2).all()

    @given(seeds, st.integers(1, 8), st.integers(1, 8))
    def test_so_many_are_left_and_none_that_is_out_is_likelier(self, seed: int, vocabulary: int, k: int) -> None:
        """k tokens, or all if there are no more."""
        logits = normal(seed, vocabulary)
        chosen = left(keep_top(logits, k))
        assert len(chosen) == min(k, vocabulary)
        out = {*range(vocabulary)} - chosen
        assert all(logits[token] < min(logits[other] for other in chosen) for token in out)

    @given(seeds, st.integers(1, 6), st.floats(-5, 5))
    def test_a_constant_changes_nothing(self, seed: int, k: int, constant: float) -> None:
        """Which tokens are left depends on differences of logits."""
        logits = normal(seed, 6)
        assert left(keep_top(logits + constant, k)) == left(keep_top(logits, k))

    @given(seeds, st.integers(1, 5))
    def test_rows_are_chosen_from_by_themselves(self, seed: int, k: int) -> None:
        """Each row of a batch is as if it were alone."""
        logits = normal(seed, 3, 5)
        torch.testing.assert_close(keep_top(logits, k), torch.stack([keep_top(row, k) for row in logits]))

    def test_nothing_to_choose_from_is_refused(self) -> None:
        """k = 0."""
        with pytest.raises(ValueError, match="k is 0"):
            keep_top(torch.zeros(3), 0)


class TestKeepNucleus:
    @given(seeds, st.integers(1, 8), st.floats(0.01, 0.99))
    def test_value(self, seed: int, vocabulary: int, p: float) -> None:
        """The smallest set that has the probability, as they were."""
        logits = normal(seed, vocabulary)
        kept = keep_nucleus(logits, p)
        assert left(kept) == reference.nucleus(logits.numpy(), p)
        assert all(kept[token] == logits[token] for token in left(kept))

    def test_gradient(self) -> None:
        """That of the softmax over what is left."""
        assert gradcheck(lambda z: keep_nucleus(z, 0.7).softmax(dim=-1), normal(0, 2, 5).requires_grad_())

    @given(seeds, st.floats(0.01, 0.99))
    def test_it_is_enough_and_not_more_than_enough(self, seed: int, p: float) -> None:
        """What is left has p together; without the least likely of it, it would not."""
        logits = normal(seed, 7)
        probabilities, chosen = logits.softmax(dim=-1), left(keep_nucleus(logits, p))
        total = sum(probabilities[token].item() for token in chosen)
        assert total >= p - 1e-12
        assert len(chosen) == 1 or total - min(probabilities[token].item() for token in chosen) < p

    @given(seeds)
    def test_all_of_the_probability_is_everything(self, seed: int) -> None:
        """p = 1."""
        logits = normal(seed, 6)
        torch.testing.assert_close(keep_nucleus(logits, 1.0), logits)

    @given(seeds, st.floats(0.01, 1.0))
    def test_rows_are_chosen_from_by_themselves(self, seed: int, p: float) -> None:
        """Each row of a batch is as if it were alone."""
        logits = normal(seed, 3, 5)
        torch.testing.assert_close(keep_nucleus(logits, p), torch.stack([keep_nucleus(row, p) for row in logits]))

    def test_no_probability_is_refused(self) -> None:
        """Nor is more than all."""
        for p in (0.0, 1.5):
            with pytest.raises(ValueError, match="a probability above 0"):
                keep_nucleus(torch.zeros(3), p)
