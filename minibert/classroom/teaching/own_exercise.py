"""A teacher's own exercise: a Python file with a function, its inputs and its mistakes."""

import importlib
import keyword
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minibert.classroom.exercise import Exercise
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.mistakes import MISTAKES, Mistake
from minibert.files import write_atomically
from minibert.sandbox.errors import line_of

TEMPLATE = '''"""An exercise of your own: {name}.

Change the function, its inputs and its mistakes, then check them: minibert class new {name}
"""

import torch
from jaxtyping import Float
from torch import Tensor

from minibert.classroom.draws import Draw
from minibert.classroom.exercise import Case, Exercise, Role
from minibert.classroom.mistakes import Kind, Mistake


def {name}(x: Float[Tensor, "tokens width"], eps: float = 1e-6) -> Float[Tensor, "tokens width"]:
    r"""Divide each token's vector by the root of the mean of its squares.

    Eq: $$y = \\frac{{x}}{{\\sqrt{{\\frac{{1}}{{d}} \\sum_i x_i^2 + \\varepsilon}}}}$$
    Source: Zhang and Sennrich 2019, equation 4.

    >>> {name}(torch.tensor([[3.0, 4.0, 0.0, 0.0]]))
    tensor([[1.2000, 1.6000, 0.0000, 0.0000]])
    """
    mean_square = x.square().mean(dim=-1, keepdim=True)
    return x / torch.sqrt(mean_square + eps)


def inputs(draw: Draw) -> dict[str, Tensor]:
    """Inputs of usual size. The smallest failing input is found with the same function, from other draws."""
    return {{"x": draw.numbers(draw.size(2), draw.size(4))}}


def small_inputs(draw: Draw) -> dict[str, Tensor]:
    """Numbers so small that eps matters."""
    return {{"x": 1e-3 * draw.numbers(draw.size(2), draw.size(4))}}


EXERCISE = Exercise(
    "{name}",
    {name},
    (Case("tokens", inputs), Case("small numbers", small_inputs, Role.EDGE)),
    questions=("Over which axis is the mean computed?", "What happens to a vector of zeros?"),
)

# Each mistake is an edit of the function: a piece of its source, which must occur exactly once, and the replacement.
MISTAKES = [
    Mistake(
        "{name}: sum instead of mean",
        {name},
        (("mean(dim", "sum(dim"),),
        "The squares are summed.",
        "The result depends on the width.",
        "learners",
        message="You summed the squares instead of computing their mean.",
    ),
    Mistake(
        "{name}: eps outside the root",
        {name},
        (("torch.sqrt(mean_square + eps)", "(torch.sqrt(mean_square) + eps)"),),
        "eps is added to the root.",
        "Small vectors come out too large or too small.",
        "learners",
        message="You added eps after the root.",
    ),
    Mistake(
        "{name}: other form",
        {name},
        (("x / torch.sqrt(mean_square + eps)", "x * torch.rsqrt(mean_square + eps)"),),
        "The root is a factor.",
        "The result is the same.",
        "LLaMA",
        Kind.EQUIVALENT,
    ),
]
'''
"""The file of a new exercise. It is complete, and can be changed piece by piece."""


def write_template(path: Path) -> None:
    """Write the file of a new exercise. Its name is that of the function.

    Raises: ValueError if the name cannot be that of a Python function, or is in use; FileExistsError if the file exists.
    """
    check_name(path)
    if path.exists():
        raise FileExistsError(f"{path}: exists already")
    write_atomically(path, TEMPLATE.format(name=path.stem))


def check_name(path: Path) -> None:
    """Raise ValueError if the name of a file cannot be that of an exercise."""
    name = path.stem
    if path.suffix != ".py" or not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError(f"{path}: the name must be that of a Python function, such as my_norm.py")
    if name in EXERCISES or (name in sys.stdlib_module_names) or name == "minibert":
        raise ValueError(f"{path}: the name {name} is in use; choose another")


def load_exercise(path: Path) -> Exercise:
    """Load the exercise of a teacher's file, and add it and its mistakes to the exercises and to the catalogue.

    The file is imported, so it must be the teacher's own. A server of learners' code that starts later can import it too.

    Raises: FileNotFoundError; ValueError, with the line, for a file without an exercise, with an error, or with a name in use.
    """
    path = path.resolve()
    if not path.is_file():
        raise FileNotFoundError(f"{path}: file of an exercise not found; `minibert class new NAME` writes one")
    if path.stem in EXERCISES and getattr(sys.modules.get(path.stem), "__file__", None) == str(path):
        return EXERCISES[path.stem]
    check_name(path)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    try:
        module = importlib.import_module(path.stem)
    except Exception as error:
        line = f"line {number}: " if (number := line_of(error, str(path))) else ""
        raise ValueError(f"{path}: {line}{type(error).__name__}: {error}") from error
    if getattr(module, "__file__", None) != str(path):
        raise ValueError(f"{path}: Python imports another file of this name, {getattr(module, '__file__', None)}; rename yours")
    exercise, mistakes = _contents(module, path)
    EXERCISES[exercise.name] = exercise
    MISTAKES.update({mistake.name: mistake for mistake in mistakes})
    return exercise


def _contents(module: Any, path: Path) -> tuple[Exercise, Sequence[Mistake]]:
    """Return the exercise and the mistakes of a module. Raises: ValueError that says what is missing."""
    exercise, mistakes = getattr(module, "EXERCISE", None), getattr(module, "MISTAKES", [])
    if not isinstance(exercise, Exercise):
        raise ValueError(f"{path}: has no EXERCISE = Exercise(…)")
    if exercise.name != path.stem:
        raise ValueError(f"{path}: the exercise is named {exercise.name!r}, expected {path.stem!r}, the name of the file")
    if wrong := [mistake for mistake in mistakes if not isinstance(mistake, Mistake)]:
        raise ValueError(f"{path}: MISTAKES contains {wrong[0]!r}, expected Mistake(…)")
    if known := [mistake.name for mistake in mistakes if mistake.name in MISTAKES]:
        raise ValueError(f"{path}: the catalogue has a mistake named {known[0]!r} already; choose another name")
    return exercise, mistakes
