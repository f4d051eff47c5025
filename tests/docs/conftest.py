"""Sites that are built for the tests, and a browser."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import CHROMIUM, chromium

SMALL = ("lessons/02_scaled_dot_product_attention", "study", "equations", "api/minibert.equations")
"""Pages of the small site: one of each kind."""


@pytest.fixture(scope="package")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Build a site in a new folder. The test fails if Sphinx reports a fault."""
    pytest.importorskip("furo", reason="furo is not installed (pip install minibert[docs])")
    from minibert.docs.site import BuildFailed, build

    def built(*pages: str) -> Path:
        out = tmp_path_factory.mktemp("site") / "site"
        lines: list[str] = []
        try:
            lines.extend(build(out, pages))
        except BuildFailed:
            pytest.fail("\n".join(lines))
        return out

    return built


@pytest.fixture(scope="package")
def small_site(built: Callable[..., Path]) -> Path:
    return built(*SMALL)


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    with chromium() as started:
        yield started
