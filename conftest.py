"""Every test, doctests included, checks every shape annotation; none needs a network, or leaves a trace in a cache."""

import math
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import jaxtyping
import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

import tests.shapes  # noqa: F401 - the hook takes it from here

install_import_hook("minibert", "tests.shapes.check")
os.environ["HF_HUB_OFFLINE"] = "1"
if "PYTEST_XDIST_WORKER" not in os.environ:  # which has that of the process that started it
    os.environ["MINIBERT_CACHE"] = tempfile.mkdtemp(prefix="minibert-test-cache-")
os.environ["OMP_NUM_THREADS"] = "1"  # two tests run at a time, and many threads on few cores wait for each other

import torch  # noqa: E402

# A slow machine is no failure; and continuous integration draws the same examples each time.
settings.register_profile("default", deadline=None, max_examples=50)
settings.register_profile("ci", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

torch.set_num_threads(1)


@pytest.fixture
def without_shape_checks() -> Iterator[None]:
    """As in normal use, where annotations are not checked: for compiling, and for errors of minibert's own."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace: dict[str, Any]) -> None:
    """What the examples in docstrings take for granted."""
    doctest_namespace.update(math=math, torch=torch)


def pytest_collection_modifyitems(items: list[pytest.Item], config: pytest.Config) -> None:
    """Tests that take minutes, and those for a device that is not there, are skipped with a reason."""
    for item in items:
        if item.get_closest_marker("slow") and "slow" not in (config.option.markexpr or ""):
            item.add_marker(pytest.mark.skip(reason="takes minutes: run with -m slow"))
        if item.get_closest_marker("cuda") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
