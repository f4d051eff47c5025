"""Positions: values, gradients, and what makes relative positions easy to read."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from minibert.equations import alibi_bias, learned_positions, rotary_positions, sinusoidal_positions
from tests import reference
from tests.strategies import normal, seeds

even_widths = st.integers(1, 8).map(lambda half: 2 * half)
positions = st.integers(0, 2000)


def at(*places: float, width: int) -> torch.Tensor:
    """The vectors of some places, in float64."""
    return sinusoidal_positions(torch.tensor(places, dtype=torch.float64), width)


class TestSinusoidalPositions:
    @given(st.lists(positions, max_size=5), even_widths)
    def test_value(self, places: list[int], width: int) -> None:
        """Equals the formula in loops: sine and cosine alternate."""
        expected = reference.sinusoidal_positions(np.array(places, dtype=np.float64), width)
        np.testing.assert_allclose(at(*places, width=width).numpy(), expected, atol=1e-9)

    def test_gradient(self) -> None:
        """With respect to the position, which need not be a whole number; the second order too."""
        places = torch.tensor([0.0, 1.5, 7.0], dtype=torch.float64, requires_grad=True)
        assert gradcheck(lambda t: sinusoidal_positions(t, 6), places)
        assert gradgradcheck(lambda t: sinusoidal_positions(t, 6), places)

    @given(positions, st.integers(-50, 50), even_widths)
    def test_a_move_is_a_rotation_that_does_not_depend_on_where(self, place: int, move: int, width: int) -> None:
        """Columns 2i and 2i+1 at t + k are those at t turned by the angle k / 10000^(2i/d), the same for every t."""
        here, there = at(place, place + move, width=width)
        for i in range(width // 2):
            angle = move * 10000 ** (-2 * i / width)
            sine, cosine = here[2 * i : 2 * i + 2].tolist()
            turned = [sine * np.cos(angle) + cosine * np.sin(angle), cosine * np.cos(angle) - sine * np.sin(angle)]
            np.testing.assert_allclose(there[2 * i : 2 * i + 2].numpy(), turned, atol=1e-9)

    @given(positions, positions, st.integers(0, 50), even_widths)
    def test_dot_products_depend_on_the_distance_alone(self, one: int, other: int, distance: int, width: int) -> None:
        """PE(s) · PE(s + k) = PE(t) · PE(t + k) = Σ cos(k / 10000^(2i/d))."""
        s, s_k, t, t_k = at(one, one + distance, other, other + distance, width=width)
        expected = sum(np.cos(distance * 10000 ** (-2 * i / width)) for i in range(width // 2))
        np.testing.assert_allclose([(s @ s_k).item(), (t @ t_k).item()], expected, atol=1e-9)

    @given(even_widths)
    def test_place_zero_is_sines_of_nothing_and_cosines_of_nothing(self, width: int) -> None:
        """0, 1, 0, 1, …"""
        np.testing.assert_array_equal(at(0, width=width)[0].numpy(), [0.0, 1.0] * (width // 2))

    def test_an_odd_width_is_refused(self) -> None:
        """A sine would be left without its cosine."""
        with pytest.raises(ValueError, match="width is 5"):
            at(0, width=5)


class TestLearnedPositions:
    @given(seeds, st.lists(st.integers(0, 4), max_size=6))
    def test_value(self, seed: int, places: list[int]) -> None:
        """The rows of the table."""
        table = normal(seed, 5, 3)
        found = learned_positions(table, torch.tensor(places, dtype=torch.long))
        np.testing.assert_array_equal(found.numpy(), table.numpy()[np.array(places, dtype=int)].reshape(-1, 3))

    def test_gradient(self) -> None:
        """With respect to the table: a place that comes twice is counted twice."""
        table = normal(0, 4, 3).requires_grad_()
        assert gradcheck(lambda p: learned_positions(p, torch.tensor([1, 3, 1])), table)

    @given(seeds, st.integers(0, 4), st.integers(0, 4))
    def test_a_place_knows_nothing_of_another(self, seed: int, one: int, other: int) -> None:
        """Changing the vector of one place changes that of no other."""
        table = normal(seed, 5, 3)
        changed = table.clone()
        changed[one] += 1
        same = torch.equal(learned_positions(table, torch.tensor([other])), learned_positions(changed, torch.tensor([other])))
        assert same == (one != other)


class TestRotaryPositions:
    @given(seeds, st.lists(positions, max_size=5), even_widths)
    def test_value(self, seed: int, places: list[int], width: int) -> None:
        """Equals complex numbers in loops."""
        vectors, at_places = normal(seed, len(places), width), torch.tensor(places, dtype=torch.float64)
        expected = reference.rotary_positions(vectors.numpy(), at_places.numpy())
        np.testing.assert_allclose(rotary_positions(vectors, at_places).numpy(), expected, atol=1e-9)

    def test_gradient(self) -> None:
        """With respect to the vectors and to the positions; the second order too."""
        leaves = [normal(0, 2, 3, 4).requires_grad_(), torch.tensor([0.0, 1.5, 7.0], dtype=torch.float64).requires_grad_()]
        assert gradcheck(rotary_positions, leaves)
        assert gradgradcheck(rotary_positions, leaves)

    @given(seeds, positions, positions, st.integers(0, 2000), even_widths)
    def test_dot_products_depend_on_the_distance_alone(self, seed: int, s: int, t: int, move: int, width: int) -> None:
        """(R_s q) · (R_t k) is the same when both move; it differs from q · k unless s = t."""
        query, key = normal(seed, 1, width), normal(seed + 1, 1, width)

        def product(one: int, other: int) -> float:
            places = [torch.tensor([float(place)], dtype=torch.float64) for place in (one, other)]
            return float(rotary_positions(query, places[0])[0] @ rotary_positions(key, places[1])[0])

        np.testing.assert_allclose(product(s, t), product(s + move, t + move), atol=1e-9 * width)
        np.testing.assert_allclose(product(s, s), float(query[0] @ key[0]), atol=1e-9 * width)

    @given(seeds, positions, even_widths)
    def test_it_keeps_the_length_of_every_pair_of_columns(self, seed: int, place: int, width: int) -> None:
        """A rotation: no pair gets longer or shorter, nor leaks into another."""
        vectors = normal(seed, 1, width)
        turned = rotary_positions(vectors, torch.tensor([float(place)], dtype=torch.float64))
        torch.testing.assert_close(turned.view(-1, 2).norm(dim=-1), vectors.view(-1, 2).norm(dim=-1))

    @given(st.integers(2, 8), st.floats(0.1, 3.0))
    def test_each_pair_of_columns_turns_slower_than_the_one_before(self, pairs: int, place: float) -> None:
        """From one radian a place down to nearly 1/10000, each the same share of the one before."""
        vectors = torch.tensor([[1.0, 0.0] * pairs], dtype=torch.float64)
        turned = rotary_positions(vectors, torch.tensor([place], dtype=torch.float64)).view(pairs, 2)
        angles = torch.atan2(turned[:, 1], turned[:, 0])
        torch.testing.assert_close(angles[0].item(), place)
        torch.testing.assert_close(
            angles[1:] / angles[:-1], torch.full((pairs - 1,), 1e4 ** (-1 / pairs)).double(), check_dtype=False
        )

    @given(seeds, even_widths)
    def test_place_zero_changes_nothing(self, seed: int, width: int) -> None:
        """The angle is zero."""
        vectors = normal(seed, 1, width)
        torch.testing.assert_close(rotary_positions(vectors, torch.zeros(1, dtype=torch.float64)), vectors)

    @given(seeds, st.integers(1, 100))
    def test_two_moves_are_one(self, seed: int, place: int) -> None:
        """R_s R_t = R_(s+t): by the same angles wherever they are made."""
        vectors, once = normal(seed, 1, 6), torch.tensor([float(place)], dtype=torch.float64)
        twice = rotary_positions(rotary_positions(vectors, once), once)
        torch.testing.assert_close(twice, rotary_positions(vectors, 2 * once))

    def test_an_odd_width_is_refused(self) -> None:
        """A column would be left without its partner."""
        with pytest.raises(ValueError, match="width is 5"):
            rotary_positions(torch.zeros(1, 5), torch.zeros(1))


class TestAlibiBias:
    @given(st.lists(positions, max_size=4), st.lists(positions, max_size=4), st.integers(1, 12))
    def test_value(self, queries: list[int], keys: list[int], heads: int) -> None:
        """Equals the formula in loops, for any number of heads."""
        one, other = (torch.tensor(places, dtype=torch.float64) for places in (queries, keys))
        expected = reference.alibi_bias(one.numpy(), other.numpy(), heads)
        np.testing.assert_allclose(alibi_bias(one, other, heads).numpy(), expected, atol=1e-9)

    def test_gradient(self) -> None:
        """With respect to the positions, away from where they meet."""
        places = [torch.tensor(some, dtype=torch.float64, requires_grad=True) for some in ([0.0, 2.0], [1.0, 5.0, 9.0])]
        assert gradcheck(lambda one, other: alibi_bias(one, other, 3), places)

    @given(positions, st.integers(0, 2000), st.integers(1, 50), st.integers(1, 8))
    def test_it_depends_on_the_distance_alone_and_falls_with_it(self, place: int, move: int, far: int, heads: int) -> None:
        """The same wherever the pair stands and in both directions; 0 to itself, and less and less from there on."""
        here = torch.tensor([float(place)], dtype=torch.float64)
        there = here + torch.arange(far + 1, dtype=torch.float64)
        bias = alibi_bias(here, there, heads)
        torch.testing.assert_close(bias, alibi_bias(here + move, there + move, heads))
        torch.testing.assert_close(bias, alibi_bias(there, here, heads).mT)
        assert (bias[..., 0] == 0).all()
        assert (bias.diff(dim=-1) < 0).all()

    @given(st.integers(2, 16))
    def test_slopes_are_a_geometric_sequence(self, heads: int) -> None:
        """From 2^(-8/H) down to 2^-8, each the same share of the one before."""
        bias = alibi_bias(torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64), heads)
        slopes = -bias.flatten()
        torch.testing.assert_close(slopes[1:] / slopes[:-1], slopes[0].expand(heads - 1))
        assert slopes[-1] == 2.0**-8
