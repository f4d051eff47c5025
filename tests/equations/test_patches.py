"""Patches of images: values, gradients, and their relation to convolutions."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.nn import functional as F

from minibert.equations import patches
from tests import reference
from tests.strategies import normal, seeds

sizes = st.tuples(*[st.integers(1, 3)] * 5)
"""Channels, rows and columns of patches, and height and width of a patch."""


def image(seed: int, size: tuple[int, ...], *batch: int) -> torch.Tensor:
    channels, rows, columns, height, width = size
    return normal(seed, *batch, channels, rows * height, columns * width)


class TestPatches:
    @given(seeds, sizes)
    def test_value(self, seed: int, size: tuple[int, ...]) -> None:
        """The result equals the formula in loops."""
        drawn = image(seed, size)
        expected = reference.patches(drawn.numpy(), *size[3:])
        np.testing.assert_array_equal(patches(drawn, *size[3:]), expected)

    def test_gradient(self) -> None:
        assert gradcheck(lambda x: patches(x, 2, 3), image(0, (2, 2, 1, 2, 3), 2).requires_grad_())

    @given(seeds, sizes, st.sampled_from([(), (2,), (2, 3)]))
    def test_every_pixel_appears_once(self, seed: int, size: tuple[int, ...], batch: tuple[int, ...]) -> None:
        """Each image keeps all of its numbers."""
        drawn = image(seed, size, *batch)
        cut = patches(drawn, *size[3:])
        assert cut.shape == (*batch, size[1] * size[2], size[0] * size[3] * size[4])
        torch.testing.assert_close(cut.flatten(-2).sort().values, drawn.flatten(-3).sort().values, rtol=0, atol=0)

    @given(seeds, sizes, st.integers(1, 4))
    def test_a_linear_map_of_patches_is_a_convolution(self, seed: int, size: tuple[int, ...], width: int) -> None:
        """Its stride is the size of its kernel, whose numbers are the rows of the matrix."""
        drawn, kernel = image(seed, size, 2), normal(seed + 1, width, size[0], *size[3:])
        convolved = F.conv2d(drawn, kernel, stride=size[3:])
        torch.testing.assert_close(patches(drawn, *size[3:]) @ kernel.flatten(1).T, convolved.flatten(2).mT)

    @given(seeds, sizes)
    def test_patches_are_those_of_unfold(self, seed: int, size: tuple[int, ...]) -> None:
        drawn = image(seed, size, 2)
        torch.testing.assert_close(patches(drawn, *size[3:]), F.unfold(drawn, size[3:], stride=size[3:]).mT, rtol=0, atol=0)

    @given(seeds, sizes)
    def test_patches_of_one_pixel_are_the_pixels(self, seed: int, size: tuple[int, ...]) -> None:
        """And a patch of the size of the image is the image."""
        drawn = image(seed, size)
        assert torch.equal(patches(drawn, 1, 1), drawn.flatten(1).T)
        assert torch.equal(patches(drawn, *drawn.shape[1:]), drawn.flatten()[None])

    @pytest.mark.parametrize("size", [(2, 3), (4, 2), (0, 1), (1, -1)])
    def test_a_rest_is_refused(self, size: tuple[int, int]) -> None:
        """In place of ignoring its pixels."""
        with pytest.raises(ValueError, match=f"images of 6 × 4 pixels cannot be cut into patches of {size[0]} × {size[1]}"):
            patches(torch.zeros(1, 6, 4), *size)
