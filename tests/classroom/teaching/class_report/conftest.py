"""A browser for the tests of the report. It ends with the tests of this folder: its event loop must not meet other tests."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser import CHROMIUM, chromium


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    with chromium() as started:
        yield started
