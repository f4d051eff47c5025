"""Tests of the tensors in which a key-value cache grows."""

from itertools import pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st

from minibert.model.attention import MultiHeadAttention
from minibert.model.cache import GrowingTensor, KeyValueCache
from minibert.model.positions import NO_RELATIVE_POSITIONS
from tests.strategies import normal, seeds

steps = st.lists(st.one_of(st.integers(1, 4), st.lists(st.integers(0, 1), min_size=2, max_size=2)), min_size=1, max_size=12)


class TestGrowingTensor:
    @given(seeds, steps)
    def test_value(self, seed: int, steps: list[int | list[int]]) -> None:
        """It equals torch.cat of all parts, with the selections between them."""
        growing, expected = GrowingTensor(), torch.empty(2, 1, 0, 3, dtype=torch.float64)
        for number, step in enumerate(steps):
            if isinstance(step, int):
                new = normal(seed + number, 2, 1, step, 3)
                expected = torch.cat([expected, new], dim=2)
                assert torch.equal(growing.append(new), expected)
            elif expected.shape[2]:
                rows = torch.tensor(step)
                growing.select(rows)
                expected = expected[rows]

    def test_tensors_of_earlier_steps_keep_their_gradient(self) -> None:
        """Each step of a computation with gradients reads the tensors of the steps before it."""
        growing, parts = GrowingTensor(), [normal(seed, 1, 1, 1, 2).requires_grad_() for seed in range(5)]
        torch.stack([growing.append(part).square().sum() for part in parts]).sum().backward()
        for later, part in zip(range(5, 0, -1), parts, strict=True):
            torch.testing.assert_close(part.grad, 2 * later * part.detach())

    def test_a_step_copies_its_own_token_only(self) -> None:
        """The tensor is allocated again after 1, 3, 7, 15 and 31 tokens."""
        growing = GrowingTensor()
        places = [growing.append(torch.ones(1, 1, 1, 2)).untyped_storage().data_ptr() for _ in range(40)]
        allocations = 1 + sum(one != other for one, other in pairwise(places))
        assert allocations <= 7


class TestMask:
    @given(st.lists(st.booleans(), min_size=1, max_size=4))
    def test_value(self, padded: list[bool]) -> None:
        """The masks of all tokens, one after another; None for as long as nothing is masked."""
        cache = KeyValueCache()
        parts = [torch.tensor([[True, False], [False, True]]) if has_mask else None for has_mask in padded]
        for number, part in enumerate(parts, start=1):
            found = cache.add_tokens(2, part)
            assert cache.tokens == 2 * number
            expected = torch.cat(
                [torch.ones(2, 2, dtype=torch.bool) if each is None else each for each in parts[:number]], dim=1
            )
            assert expected.all() if found is None else torch.equal(found, expected)
            assert (found is None) == (not any(padded[:number]))


def test_the_text_has_the_numbers_of_tokens_and_modules() -> None:
    """The modules of self-attention and of cross-attention."""
    cache, attentions = KeyValueCache(), [MultiHeadAttention(4, 2) for _ in range(3)]
    cache.add_tokens(5, None)
    for attention in attentions:
        cache.keys_and_values(attention, torch.ones(1, 5, 4), NO_RELATIVE_POSITIONS)
    cache.memory_keys_and_values(attentions[0], torch.ones(1, 2, 4))
    assert repr(cache) == "KeyValueCache(5 tokens, 4 attention modules)"
