"""Images as sequences: cutting an image into patches. Dosovitskiy et al. 2021, section 3.1."""

from jaxtyping import Float
from torch import Tensor


def patches(
    images: Float[Tensor, "*batch channels image_height image_width"], height: int, width: int
) -> Float[Tensor, "*batch patches pixels"]:
    r"""Cut images into patches, row by row from the top left, and write the numbers of each patch one after another.

    A linear map of the patches is a convolution whose stride is the size of its kernel.

    Eq: $$x_p\!\left[i\,\tfrac{W}{w} + j,\; (c\,h + r)\,w + s\right] = x[c,\; i h + r,\; j w + s], \qquad
        x \in \mathbb{R}^{C \times H \times W}, \quad x_p \in \mathbb{R}^{\frac{HW}{hw} \times C h w}$$
    Source: Dosovitskiy et al. 2021, section 3.1, with square patches of P × P pixels.
    Differs: the numbers of a patch are in the order channel, row, column, as in a kernel of torch.nn.Conv2d. In the authors'
        code the channel is last. The results are the same if the rows of the matrix E are in the same order.
    Tests: tests/equations/test_patches.py::TestPatches
    Lesson: lessons/08_bert_input.py

    Args:
        height, width: size of a patch, in pixels.

    Raises: ValueError for images that cannot be cut into such patches without a rest.

    >>> patches(torch.arange(8.0).view(1, 2, 4), height=2, width=2)
    tensor([[0., 1., 4., 5.],
            [2., 3., 6., 7.]])
    """
    image_height, image_width = images.shape[-2:]
    if height < 1 or width < 1 or image_height % height or image_width % width:
        raise ValueError(f"images of {image_height} × {image_width} pixels cannot be cut into patches of {height} × {width}")
    rows, columns = image_height // height, image_width // width
    parts = images.reshape(*images.shape[:-2], rows, height, columns, width)
    grid = parts.movedim((-4, -2), (-5, -4))  # (*batch, rows, columns, channels, height, width)
    return grid.flatten(-3).flatten(-3, -2)
