"""Position encodings: values, gradients, and properties of relative positions."""

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from minibert.equations import (
    alibi_bias,
    learned_positions,
    positions_without_padding,
    relative_position_buckets,
    rotary_positions,
    sinusoidal_positions,
)
from tests import reference
from tests.strategies import half_precisions, normal, seeds

even_widths = st.integers(1, 8).map(lambda half: 2 * half)
position_values = st.integers(0, 2000)


def encode(*positions: float, width: int) -> torch.Tensor:
    """Return the sinusoidal vectors of some positions in float64."""
    return sinusoidal_positions(torch.tensor(positions, dtype=torch.float64), width)


class TestSinusoidalPositions:
    @given(st.lists(position_values, max_size=5), even_widths)
    def test_value(self, positions: list[int], width: int) -> None:
        """The result equals the formula in loops: sine and cosine alternate."""
        expected = reference.sinusoidal_positions(np.array(positions, dtype=np.float64), width)
        np.testing.assert_allclose(encode(*positions, width=width).numpy(), expected, atol=1e-9)

    def test_gradient(self) -> None:
        """The first and second derivatives are right with respect to the position, which may be a fraction."""
        positions = torch.tensor([0.0, 1.5, 7.0], dtype=torch.float64, requires_grad=True)
        assert gradcheck(lambda t: sinusoidal_positions(t, 6), positions)
        assert gradgradcheck(lambda t: sinusoidal_positions(t, 6), positions)

    @given(position_values, st.integers(-50, 50), even_widths)
    def test_shift_is_a_rotation_independent_of_the_position(self, position: int, shift: int, width: int) -> None:
        """Columns 2i and 2i+1 at t + k are those at t rotated by the angle k / 10000^(2i/d), for every t."""
        here, there = encode(position, position + shift, width=width)
        for i in range(width // 2):
            angle = shift * 10000 ** (-2 * i / width)
            sine, cosine = here[2 * i : 2 * i + 2].tolist()
            rotated = [sine * np.cos(angle) + cosine * np.sin(angle), cosine * np.cos(angle) - sine * np.sin(angle)]
            np.testing.assert_allclose(there[2 * i : 2 * i + 2].numpy(), rotated, atol=1e-9)

    @given(position_values, position_values, st.integers(0, 50), even_widths)
    def test_dot_products_depend_on_the_distance_only(self, one: int, other: int, distance: int, width: int) -> None:
        """PE(s) · PE(s + k) = PE(t) · PE(t + k) = Σ cos(k / 10000^(2i/d))."""
        s, s_k, t, t_k = encode(one, one + distance, other, other + distance, width=width)
        expected = sum(np.cos(distance * 10000 ** (-2 * i / width)) for i in range(width // 2))
        np.testing.assert_allclose([(s @ s_k).item(), (t @ t_k).item()], expected, atol=1e-9)

    @given(even_widths)
    def test_position_zero(self, width: int) -> None:
        """The vector of position 0 is 0, 1, 0, 1, …"""
        np.testing.assert_array_equal(encode(0, width=width)[0].numpy(), [0.0, 1.0] * (width // 2))

    def test_odd_width_raises(self) -> None:
        """With an odd width, a sine would have no cosine."""
        with pytest.raises(ValueError, match="width is 5"):
            encode(0, width=5)


class TestLearnedPositions:
    @given(seeds, st.lists(st.integers(0, 4), max_size=6))
    def test_value(self, seed: int, positions: list[int]) -> None:
        """The result is rows of the table."""
        table = normal(seed, 5, 3)
        found = learned_positions(table, torch.tensor(positions, dtype=torch.long))
        np.testing.assert_array_equal(found.numpy(), table.numpy()[np.array(positions, dtype=int)].reshape(-1, 3))

    def test_gradient(self) -> None:
        """The derivative with respect to the table counts a position that occurs twice two times."""
        table = normal(0, 4, 3).requires_grad_()
        assert gradcheck(lambda p: learned_positions(p, torch.tensor([0, 3, 0])), table)

    @given(seeds, st.lists(st.integers(0, 4), min_size=1, max_size=6))
    def test_every_vector_is_a_row_of_the_table(self, seed: int, positions: list[int]) -> None:
        """No number is changed."""
        table = normal(seed, 5, 3)
        found = learned_positions(table, torch.tensor(positions))
        assert (found[:, None] == table).all(dim=-1).any(dim=-1).all()

    @given(seeds, st.integers(0, 4), st.integers(0, 4))
    def test_positions_are_independent(self, seed: int, one: int, other: int) -> None:
        """Changing the vector of one position changes no other vector."""
        table = normal(seed, 5, 3)
        changed = table.clone()
        changed[one] += 1
        same = torch.equal(learned_positions(table, torch.tensor([other])), learned_positions(changed, torch.tensor([other])))
        assert same == (one != other)

    @given(st.lists(st.integers(0, 4), min_size=1, max_size=6))
    @example([0])
    def test_every_position_is_learned(self, positions: list[int]) -> None:
        """The rows of the positions have a gradient, and no others."""
        table = normal(0, 5, 3).requires_grad_()
        learned_positions(table, torch.tensor(positions)).sum().backward()
        assert table.grad is not None
        assert {*table.grad.any(dim=-1).nonzero()[:, 0].tolist()} == {*positions}


class TestRotaryPositions:
    @given(seeds, st.lists(position_values, max_size=5), even_widths)
    def test_value(self, seed: int, positions: list[int], width: int) -> None:
        """The result equals complex numbers in loops."""
        vectors, position_tensor = normal(seed, len(positions), width), torch.tensor(positions, dtype=torch.float64)
        expected = reference.rotary_positions(vectors.numpy(), position_tensor.numpy())
        np.testing.assert_allclose(rotary_positions(vectors, position_tensor).numpy(), expected, atol=1e-9)

    def test_gradient(self) -> None:
        """The first and second derivatives are right with respect to the vectors and the positions."""
        leaves = [normal(0, 2, 3, 4).requires_grad_(), torch.tensor([0.0, 1.5, 7.0], dtype=torch.float64).requires_grad_()]
        assert gradcheck(rotary_positions, leaves)
        assert gradgradcheck(rotary_positions, leaves)

    @given(seeds, position_values, position_values, st.integers(0, 2000), even_widths)
    def test_dot_products_depend_on_the_distance_only(self, seed: int, s: int, t: int, shift: int, width: int) -> None:
        """(R_s q) · (R_t k) is the same if both positions are shifted, and equals q · k if s = t."""
        query, key = normal(seed, 1, width), normal(seed + 1, 1, width)

        def product(one: int, other: int) -> float:
            positions = [torch.tensor([float(position)], dtype=torch.float64) for position in (one, other)]
            return float(rotary_positions(query, positions[0])[0] @ rotary_positions(key, positions[1])[0])

        np.testing.assert_allclose(product(s, t), product(s + shift, t + shift), atol=1e-9 * width)
        np.testing.assert_allclose(product(s, s), float(query[0] @ key[0]), atol=1e-9 * width)

    @given(seeds, position_values, even_widths)
    def test_length_of_each_pair_of_columns_is_kept(self, seed: int, position: int, width: int) -> None:
        """A rotation changes no pair's length and does not mix pairs."""
        vectors = normal(seed, 1, width)
        rotated = rotary_positions(vectors, torch.tensor([float(position)], dtype=torch.float64))
        torch.testing.assert_close(rotated.view(-1, 2).norm(dim=-1), vectors.view(-1, 2).norm(dim=-1))

    @given(st.integers(2, 8), st.floats(0.1, 3.0))
    def test_angles_are_a_geometric_sequence(self, pairs: int, position: float) -> None:
        """From one radian per position down to nearly 1/10000, with a constant ratio."""
        vectors = torch.tensor([[1.0, 0.0] * pairs], dtype=torch.float64)
        rotated = rotary_positions(vectors, torch.tensor([position], dtype=torch.float64)).view(pairs, 2)
        angles = torch.atan2(rotated[:, 1], rotated[:, 0])
        torch.testing.assert_close(angles[0].item(), position)
        torch.testing.assert_close(
            angles[1:] / angles[:-1], torch.full((pairs - 1,), 1e4 ** (-1 / pairs)).double(), check_dtype=False
        )

    @given(seeds, even_widths)
    def test_position_zero_changes_nothing(self, seed: int, width: int) -> None:
        """The angle is zero."""
        vectors = normal(seed, 1, width)
        torch.testing.assert_close(rotary_positions(vectors, torch.zeros(1, dtype=torch.float64)), vectors)

    @given(seeds, st.integers(1, 100))
    def test_two_rotations_compose_to_one(self, seed: int, position: int) -> None:
        """R_s R_t = R_(s+t)."""
        vectors, once = normal(seed, 1, 6), torch.tensor([float(position)], dtype=torch.float64)
        twice = rotary_positions(rotary_positions(vectors, once), once)
        torch.testing.assert_close(twice, rotary_positions(vectors, 2 * once))

    @given(seeds, position_values, half_precisions)
    def test_half_precision_is_close_and_keeps_its_dtype(self, seed: int, position: int, dtype: torch.dtype) -> None:
        """The angles are computed in the precision of the positions, and only the result is rounded."""
        vectors, at = normal(seed, 1, 6).to(dtype), torch.tensor([float(position)])
        rotated = rotary_positions(vectors, at)
        assert rotated.dtype == dtype
        torch.testing.assert_close(rotated.float(), rotary_positions(vectors.float(), at), atol=0.05, rtol=0.02)

    def test_odd_width_raises(self) -> None:
        """With an odd width, a column would have no partner."""
        with pytest.raises(ValueError, match="width is 5"):
            rotary_positions(torch.zeros(1, 5), torch.zeros(1))


class TestAlibiBias:
    @given(st.lists(position_values, max_size=4), st.lists(position_values, max_size=4), st.integers(1, 12))
    def test_value(self, queries: list[int], keys: list[int], heads: int) -> None:
        """The result equals the formula in loops, for any number of heads."""
        one, other = (torch.tensor(positions, dtype=torch.float64) for positions in (queries, keys))
        expected = reference.alibi_bias(one.numpy(), other.numpy(), heads)
        np.testing.assert_allclose(alibi_bias(one, other, heads).numpy(), expected, atol=1e-9)

    def test_gradient(self) -> None:
        """The derivative is right with respect to the positions, where they differ."""
        positions = [torch.tensor(some, dtype=torch.float64, requires_grad=True) for some in ([0.0, 2.0], [1.0, 5.0, 9.0])]
        assert gradcheck(lambda one, other: alibi_bias(one, other, 3), positions)

    @given(position_values, st.integers(0, 2000), st.integers(1, 50), st.integers(1, 8))
    def test_bias_depends_on_the_distance_only_and_decreases(self, position: int, shift: int, far: int, heads: int) -> None:
        """It is the same at every position and in both directions, and proportional to the distance."""
        here = torch.tensor([float(position)], dtype=torch.float64)
        there = here + torch.arange(far + 1, dtype=torch.float64)
        bias = alibi_bias(here, there, heads)
        torch.testing.assert_close(bias, alibi_bias(here + shift, there + shift, heads))
        torch.testing.assert_close(bias, alibi_bias(there, here, heads).mT)
        assert (bias[..., 0] == 0).all()
        assert (bias.diff(dim=-1) < 0).all()
        torch.testing.assert_close(bias, bias[..., 1:2] * (there - here))

    @given(seeds, st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))
    def test_texts_of_a_batch_are_independent(self, seed: int, texts: int, queries: int, keys: int, heads: int) -> None:
        """Texts with other positions, such as those after padding, have other biases."""
        query_positions, key_positions = normal(seed, texts, queries), normal(seed + 1, texts, keys)
        expected = [alibi_bias(*each, heads) for each in zip(query_positions, key_positions, strict=True)]
        torch.testing.assert_close(alibi_bias(query_positions, key_positions, heads), torch.stack(expected))

    @given(st.integers(2, 16))
    def test_slopes_are_a_geometric_sequence(self, heads: int) -> None:
        """From 2^(-8/H) down to 2^-8, with a constant ratio."""
        bias = alibi_bias(torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64), heads)
        slopes = -bias.flatten()
        torch.testing.assert_close(slopes[1:] / slopes[:-1], slopes[0].expand(heads - 1))
        assert slopes[-1] == 2.0**-8


class TestPositionsWithoutPadding:
    @given(seeds, st.integers(0, 3), st.integers(0, 7))
    def test_value(self, seed: int, pad_id: int, tokens: int) -> None:
        """Loops over the tokens."""
        ids = torch.randint(0, 4, (3, tokens), generator=torch.Generator().manual_seed(seed))
        expected = []
        for row in ids.tolist():
            seen = pad_id
            for token in row:
                seen += token != pad_id
                expected.append(seen if token != pad_id else pad_id)
        assert positions_without_padding(ids, pad_id).flatten().tolist() == expected

    @given(seeds, st.integers(0, 3), st.integers(0, 5), st.integers(0, 5))
    def test_padding_on_either_side_changes_no_other_position(self, seed: int, pad_id: int, left: int, right: int) -> None:
        """BERT's positions, which count padding, would be shifted."""
        ids = torch.randint(4, 9, (2, 5), generator=torch.Generator().manual_seed(seed))
        padded = torch.nn.functional.pad(ids, (left, right), value=pad_id)
        found = positions_without_padding(padded, pad_id)
        assert torch.equal(found[:, left : left + 5], positions_without_padding(ids, pad_id))
        assert found.sum() == positions_without_padding(ids, pad_id).sum() + 2 * (left + right) * pad_id

    @given(seeds, st.integers(0, 3))
    def test_only_padding_matters(self, seed: int, pad_id: int) -> None:
        """Other tokens have the same positions, with smaller ids than that of padding and with larger ones."""
        ids = torch.randint(0, 6, (2, 7), generator=torch.Generator().manual_seed(seed))
        others = torch.where(ids == pad_id, ids, 9 - ids)
        assert torch.equal(positions_without_padding(ids, pad_id), positions_without_padding(others, pad_id))

    @given(seeds, st.integers(0, 3))
    def test_texts_of_a_batch_are_independent(self, seed: int, pad_id: int) -> None:
        ids = torch.randint(0, 4, (3, 4), generator=torch.Generator().manual_seed(seed))
        alone = torch.stack([positions_without_padding(row, pad_id) for row in ids])
        assert torch.equal(positions_without_padding(ids, pad_id), alone)

    def test_a_text_has_the_positions_after_that_of_padding(self) -> None:
        """The first token has the position after that of padding, and each next one the next."""
        assert positions_without_padding(torch.tensor([5, 6, 7]), 1).tolist() == [2, 3, 4]
        assert positions_without_padding(torch.tensor([5, 6, 7]), 0).tolist() == [1, 2, 3]


def bucket(distance: int, **settings: int | bool) -> int:
    """Return the bucket of a key that is `distance` tokens after the query."""
    return relative_position_buckets(torch.tensor([1000]), torch.tensor([1000 + distance]), **settings).item()


settings_of_buckets = st.fixed_dictionaries(
    {"buckets": st.integers(4, 40), "max_distance": st.integers(21, 300), "bidirectional": st.booleans()}
)


class TestRelativePositionBuckets:
    @given(st.lists(position_values, max_size=4), st.lists(position_values, max_size=4), settings_of_buckets)
    def test_value(self, queries: list[int], keys: list[int], settings: dict[str, int | bool]) -> None:
        """The result equals the formula, for each query and each key. At the border of two buckets, rounding decides."""
        found = relative_position_buckets(torch.tensor(queries).long(), torch.tensor(keys).long(), **settings).tolist()
        for query, row in zip(queries, found, strict=True):
            for key, number in zip(keys, row, strict=True):
                assert number in reference.relative_position_bucket(query, key, **settings)

    def test_value_with_the_numbers_of_t5(self) -> None:
        """The default: 32 buckets up to a distance of 128, half of them for each side."""
        numbers = {0: 0, -1: 1, -7: 7, -8: 8, -11: 8, -12: 9, -127: 15, -128: 15, -999: 15, 1: 17, 7: 23, 12: 25, 999: 31}
        assert {distance: bucket(distance) for distance in numbers} == numbers
        causal = {0: 0, 5: 0, -1: 1, -15: 15, -16: 16, -19: 17, -112: 30, -113: 31, -999: 31}
        assert {distance: bucket(distance, bidirectional=False) for distance in causal} == causal

    @given(position_values, st.integers(0, 2000), st.integers(-400, 400), settings_of_buckets)
    def test_only_the_distance_matters(self, query: int, shift: int, distance: int, settings: dict[str, int | bool]) -> None:
        positions = torch.tensor([query, query + shift])
        here, there = relative_position_buckets(positions, positions + distance, **settings).diagonal().tolist()
        assert here == there == bucket(distance, **settings)

    @given(settings_of_buckets)
    def test_buckets_grow_with_the_distance_and_leave_out_none(self, settings: dict[str, int | bool]) -> None:
        """From 0 to the last of one side. Near distances have buckets of their own, and no bucket is as wide as the last."""
        numbers = [bucket(-distance, **settings) for distance in range(400)]
        of_one_side = int(settings["buckets"]) // (2 if settings["bidirectional"] else 1)
        assert numbers == sorted(numbers)
        assert numbers[: of_one_side // 2] == [*range(of_one_side // 2)]
        assert numbers[int(settings["max_distance"]) :] == [of_one_side - 1] * (400 - int(settings["max_distance"]))

    @given(st.integers(1, 400), settings_of_buckets)
    def test_later_keys_have_buckets_of_their_own_or_none(self, distance: int, settings: dict[str, int | bool]) -> None:
        """Those of the same distance on the other side, moved by half of the buckets; or bucket 0 in a decoder."""
        if settings["bidirectional"]:
            assert bucket(distance, **settings) == bucket(-distance, **settings) + int(settings["buckets"]) // 2
        else:
            assert bucket(distance, **settings) == 0

    @given(settings_of_buckets)
    def test_numbers_are_those_of_transformers(self, settings: dict[str, int | bool]) -> None:
        """Bit for bit, also at the borders of buckets."""
        from transformers.models.t5.modeling_t5 import T5Attention

        distances = torch.arange(-500, 501)
        names = {"buckets": "num_buckets"}
        theirs = T5Attention._relative_position_bucket(
            distances, **{names.get(name, name): value for name, value in settings.items()}
        )
        assert torch.equal(relative_position_buckets(torch.tensor([0]), distances, **settings)[0], theirs)

    def test_texts_of_a_batch_are_independent(self) -> None:
        queries, keys = torch.tensor([[3], [7]]), torch.tensor([[0, 3, 90], [9, 7, 2]])
        expected = [relative_position_buckets(*each) for each in zip(queries, keys, strict=True)]
        assert torch.equal(relative_position_buckets(queries, keys), torch.stack(expected))

    @pytest.mark.parametrize("settings", [{"buckets": 3}, {"buckets": 1, "bidirectional": False}, {"max_distance": 8}], ids=str)
    def test_too_few_buckets_and_too_small_distances_are_refused(self, settings: dict[str, int | bool]) -> None:
        with pytest.raises(ValueError, match="at least one distance needs a bucket of its own"):
            bucket(1, **settings)
