"""An exercise about the patches of images."""

from minibert.classroom.draws import Draw
from minibert.classroom.exercise import Arguments, Case, Exercise
from minibert.classroom.exercises.invariants import independent
from minibert.equations import patches


def images_and_size(draw: Draw) -> Arguments:
    """Some images, and a size of patches that divides their size."""
    height, width = draw.size(2), draw.size(3)
    rows, columns = draw.size(2), draw.size(3)
    images = draw.numbers(draw.size(2), draw.size(2), rows * height, columns * width)
    return {"images": images, "height": height, "width": width}


PATCH_EXERCISES = [
    Exercise(
        "patches",
        patches,
        (Case("images", images_and_size),),
        questions=(
            "How many patches are next to each other, and how many below each other?",
            "Split each axis of pixels into two: which patch, and which pixel in it. In which order do you need the axes?",
        ),
        invariants=(independent("images", ("images",), axis=0),),
    ),
]
