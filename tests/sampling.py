"""Parameters of a test that has hundreds of them."""

from collections.abc import Iterable
from typing import Any

import pytest


def slow(*values: Any) -> Any:
    """Return the values of parameters that a test has with `pytest -m slow` only."""
    return pytest.param(*values, marks=pytest.mark.slow)


def sampled(items: Iterable[Any], one_in: int) -> list[Any]:
    """Return the parameters of a test: one in so many in every run, and the others with `pytest -m slow`, as CI does it."""
    return [item if number % one_in == 0 else slow(item) for number, item in enumerate(items)]
