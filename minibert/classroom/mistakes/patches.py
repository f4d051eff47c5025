"""Mistakes in cutting images into patches."""

from minibert.classroom.mistakes.mistake import Kind, Mistake
from minibert.equations import patches

PARTS = "images.reshape(*images.shape[:-2], rows, height, columns, width)"
GRID = "parts.movedim((-4, -2), (-5, -4))"
RESULT = "return grid.flatten(-3).flatten(-3, -2)"

PATCH_MISTAKES = [
    Mistake(
        "patches by reshape alone",
        patches,
        ((RESULT, "return images.reshape(*images.shape[:-3], rows * columns, images.shape[-3] * height * width)"),),
        "The numbers of the image are divided in the order in which they are stored.",
        "The shape is right, but a patch is a piece of a row of pixels, and has one channel only.",
        "learners",
        message="You reshaped the image without moving its axes. A patch then has pixels of a few long rows.",
    ),
    Mistake(
        "channels last in a patch",
        patches,
        ((RESULT, "return grid.movedim(-3, -1).flatten(-3).flatten(-3, -2)"),),
        "The numbers of a patch are in the order row, column, channel.",
        "A model trained this way works, but its weights are not compatible with a convolution of PyTorch.",
        "Google's code; einops with (p1 p2 c)",
        Kind.CONVENTION,
        message="You put the channels last in a patch. Here the order is channel, row, column, as in a kernel of Conv2d.",
    ),
    Mistake(
        "patches from top to bottom",
        patches,
        ((GRID, "parts.movedim((-2, -4), (-5, -4))"),),
        "The patches are in the order of the columns of the image.",
        "Each patch gets the position of another one, also with the weights of a published model.",
        "learners",
        message="Your patches go down the columns of the image. They go from left to right, row by row.",
    ),
    Mistake(
        "patches transposed",
        patches,
        ((RESULT, "return grid.mT.flatten(-3).flatten(-3, -2)"),),
        "The rows and columns of pixels in a patch are exchanged.",
        "Each patch is mirrored at its diagonal, which the weights of a published model do not expect.",
        "learners; arrays with the width first",
        message="You exchanged the rows and the columns of pixels in a patch.",
    ),
    Mistake(
        "pixels of a patch far apart",
        patches,
        (
            (PARTS, "images.reshape(*images.shape[:-2], height, rows, width, columns)"),
            (GRID, "parts.movedim((-3, -1), (-5, -4))"),
        ),
        "A patch has every n-th pixel of the image instead of neighbors.",
        "Every patch is a small copy of the whole image.",
        "learners; torch.nn.PixelUnshuffle makes such copies, as channels",
        message="Your patch has pixels that are far apart. Its pixels are neighbors.",
    ),
    Mistake(
        "patches as columns",
        patches,
        ((RESULT, "return grid.flatten(-3).flatten(-3, -2).mT"),),
        "The result has one column for each patch.",
        "Tokens and features are exchanged for the layers that follow.",
        "torch.nn.Unfold",
        Kind.CONVENTION,
        message="Your result has one column for each patch. It has one row for each patch.",
    ),
    Mistake(
        "patches by unfold",
        patches,
        ((PARTS, "images.unfold(-2, height, height).unfold(-2, width, width)"), (GRID, "parts.movedim(-5, -3)")),
        "The patches are cut out by Tensor.unfold.",
        "The result is the same.",
        "many",
        Kind.EQUIVALENT,
    ),
]
