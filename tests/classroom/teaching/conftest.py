"""Fixtures of the tests of teaching."""

import sys
from collections.abc import Iterator

import pytest

from minibert.classroom.exercises import EXERCISES
from minibert.classroom.mistakes import MISTAKES


@pytest.fixture(autouse=True)
def no_exercise_is_left() -> Iterator[None]:
    """A teacher's exercise is forgotten after the test: its entries in the tables, its module, and the path to it."""
    exercises, mistakes, path = set(EXERCISES), set(MISTAKES), list(sys.path)
    yield
    for name in set(EXERCISES) - exercises:
        del EXERCISES[name]
        sys.modules.pop(name, None)
    for name in set(MISTAKES) - mistakes:
        del MISTAKES[name]
    sys.path[:] = path
