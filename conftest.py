"""Test configuration: shape annotations are checked in all tests and doctests, without a network, with a temporary cache."""

import gc
import math
import os
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
from hypothesis import settings

from tests import shapes

os.environ["HF_HUB_OFFLINE"] = "1"
if "PYTEST_XDIST_WORKER" not in os.environ:  # a worker inherits the folder of the main process
    os.environ["MINIBERT_CACHE"] = tempfile.mkdtemp(prefix="minibert-test-cache-")
    os.environ["HF_HOME"] = os.environ["MINIBERT_CACHE"] + "/huggingface"  # of datasets
os.environ["OMP_NUM_THREADS"] = "1"  # two tests run in parallel; more threads than cores would slow them down

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported: its kernels then run on the CPU

collect_ignore = [] if find_spec("triton") else ["minibert/kernels/triton_attention.py"]
shapes.install()
gc.disable()  # until the tests are collected: there is nothing to free

# No deadline: tests must not fail on slow machines. Continuous integration uses the same examples every time.
settings.register_profile("default", deadline=None, max_examples=50)
settings.register_profile("ci", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

torch.set_num_threads(1)


@pytest.fixture
def without_shape_checks() -> Iterator[None]:
    """Turn off the shape checks, as in normal use: for torch.compile, and for minibert's own error messages."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def forked_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start processes for receipts as copies of one that has imported torch."""
    from torch.multiprocessing.spawn import start_processes

    from tests.processes import fork_server

    fork_server()
    monkeypatch.setattr("minibert.study.evaluation.two_processes.spawn", partial(start_processes, start_method="forkserver"))


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace: dict[str, Any]) -> None:
    """Names that doctests use without importing them."""
    doctest_namespace.update(math=math, torch=torch)


@pytest.fixture(autouse=True)
def _without_exercises_of_teachers() -> Iterator[None]:
    """Remove the exercises that a test has loaded from a teacher's file, so that no other test finds them."""
    yield
    if (classroom := sys.modules.get("minibert.classroom.exercises")) is None:
        return
    modules = {name: each.reference.__module__ for name, each in classroom.EXERCISES.items()}
    for name, module in modules.items():
        if not module.startswith(("minibert.", "tests.")):
            del classroom.EXERCISES[name]
            mistakes = sys.modules["minibert.classroom.mistakes"].MISTAKES
            for mistake in [each for each in mistakes.values() if each.function.__module__ == module]:
                del mistakes[mistake.name]
            sys.path.remove(str(Path(sys.modules.pop(module).__file__ or "").parent))


def pytest_collection_modifyitems(items: list[pytest.Item], config: pytest.Config) -> None:
    """Skip slow and long tests unless requested, and CUDA tests without a CUDA device."""
    for item in items:
        for name in ("slow", "long"):
            if item.get_closest_marker(name) and name not in (config.option.markexpr or ""):
                item.add_marker(pytest.mark.skip(reason=f"is {name}: run with -m {name}"))
        if item.get_closest_marker("cuda") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


def pytest_collection_finish() -> None:
    """Leave the million objects of the collected tests out of all later garbage collections."""
    gc.freeze()
    gc.enable()


def pytest_sessionfinish() -> None:
    """Let Python free all objects at its end: nanobind reports those that remain."""
    gc.unfreeze()
