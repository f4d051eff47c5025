"""The exercises, in the order in which they are learned."""

import difflib

from minibert.classroom.exercise import Exercise
from minibert.classroom.exercises.adapters import ADAPTER_EXERCISES
from minibert.classroom.exercises.attention import ATTENTION_EXERCISES
from minibert.classroom.exercises.byte_pairs import BYTE_PAIR_EXERCISES
from minibert.classroom.exercises.data import DATA_EXERCISES
from minibert.classroom.exercises.distillation import DISTILLATION_EXERCISES
from minibert.classroom.exercises.generation import GENERATION_EXERCISES
from minibert.classroom.exercises.layers import LAYER_EXERCISES
from minibert.classroom.exercises.networks import NETWORK_EXERCISES
from minibert.classroom.exercises.objectives import OBJECTIVE_EXERCISES
from minibert.classroom.exercises.optimization import OPTIMIZATION_EXERCISES
from minibert.classroom.exercises.patches import PATCH_EXERCISES
from minibert.classroom.exercises.positions import POSITION_EXERCISES
from minibert.classroom.exercises.replaced_tokens import REPLACED_TOKEN_EXERCISES


class ExerciseTable(dict[str, Exercise]):
    """Exercises by name. The error for an unknown name lists similar names."""

    def __missing__(self, name: str) -> Exercise:
        raise KeyError(f"no exercise is named {name!r}; similar names: {', '.join(self.similar(name)) or 'none'}")

    def similar(self, name: str) -> list[str]:
        """Return up to three names that are similar to another one, the most similar first."""
        return difflib.get_close_matches(name.lower(), self, n=3, cutoff=0.3)


TOPICS = {
    "attention": ATTENTION_EXERCISES,
    "positions": POSITION_EXERCISES,
    "layers": [*LAYER_EXERCISES, *PATCH_EXERCISES],
    "data": [*DATA_EXERCISES, *BYTE_PAIR_EXERCISES],
    "losses": [*OBJECTIVE_EXERCISES, *REPLACED_TOKEN_EXERCISES, *DISTILLATION_EXERCISES],
    "networks": NETWORK_EXERCISES,
    "optimization": OPTIMIZATION_EXERCISES,
    "generation": GENERATION_EXERCISES,
    "adapters": ADAPTER_EXERCISES,
}
"""The exercises by topic."""
EXERCISES = ExerciseTable((exercise.name, exercise) for part in TOPICS.values() for exercise in part)
"""All exercises by name."""
SHORT_NAMES = {"attention": "scaled_dot_product_attention"}


def find_exercise(name: str) -> Exercise:
    """Return an exercise by its name or short name. Raises: KeyError that lists similar names."""
    return EXERCISES[SHORT_NAMES.get(name, name)]
