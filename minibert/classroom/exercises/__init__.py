"""The exercises, in the order in which they are learned."""

import difflib

from minibert.classroom.exercise import Exercise
from minibert.classroom.exercises.attention import ATTENTION_EXERCISES
from minibert.classroom.exercises.layers import LAYER_EXERCISES
from minibert.classroom.exercises.positions import POSITION_EXERCISES


class ExerciseTable(dict[str, Exercise]):
    """Exercises by name. The error for an unknown name lists similar names."""

    def __missing__(self, name: str) -> Exercise:
        near = difflib.get_close_matches(name, self, n=3, cutoff=0.3)
        raise KeyError(f"no exercise is named {name!r}; similar names: {', '.join(near) or 'none'}")


EXERCISES = ExerciseTable(
    (exercise.name, exercise) for part in (ATTENTION_EXERCISES, LAYER_EXERCISES, POSITION_EXERCISES) for exercise in part
)
"""All exercises by name."""
SHORT_NAMES = {"attention": "scaled_dot_product_attention"}


def find_exercise(name: str) -> Exercise:
    """Return an exercise by its name or short name. Raises: KeyError that lists similar names."""
    return EXERCISES[SHORT_NAMES.get(name, name)]
