"""Parameters of a test that has hundreds of them."""

from collections.abc import Iterable
from typing import Any

import pytest


def sampled(items: Iterable[Any], one_in: int) -> list[Any]:
    """Return the parameters of a test: one in so many in every run, and the others with `pytest -m slow`, as CI does it."""
    return [item if number % one_in == 0 else pytest.param(item, marks=pytest.mark.slow) for number, item in enumerate(items)]
