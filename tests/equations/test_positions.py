"""Sinusoidal positions: values, gradient, and what makes relative positions easy to read."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from minibert.equations import sinusoidal_positions
from tests import reference

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
