"""Runs the tests of a function while something else stands in its place, and tells which of them notice.

Tests stand in classes, one for each function, and need no fixtures; the line `Tests:` of the function's docstring names them.
A *value* test (`test_value…`, `test_gradient…`) compares with the formula in loops; every other one is a *property*.
"""

import functools
import importlib.util
import inspect
import io
import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import Phase, settings

ROOT = Path(__file__).parents[1]


def is_value_test(name: str) -> bool:
    """Whether a test compares with the formula, number by number; else it is a theorem."""
    return name.startswith(("test_value", "test_gradient"))


@functools.cache
def load(path: str) -> Any:
    """A file of tests as a module, under the hook that pytest has installed."""
    name = path.removesuffix(".py").replace("/", ".")
    spec = importlib.util.spec_from_file_location(f"killing.{name}", ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@functools.cache
def tests_at(node: str) -> dict[str, Callable[[], None]]:
    """The tests of a class such as `tests/equations/test_layers.py::TestGelu`, by name, ready to be called."""
    path, _, name = node.partition("::")
    found = getattr(load(path), name)
    one = found()
    return {test: functools.partial(_run, getattr(one, test)) for test in vars(found) if test.startswith("test_")}


def killers(function: Callable[..., Any], other: Callable[..., Any], tests: list[str], examples: int = 20) -> dict[str, bool]:
    """By test, whether it fails while `other` stands in the place of `function`."""
    outcome = {}
    with put_in_place(function, other, tests), quick(tests, examples):
        for node in tests:
            for name, test in tests_at(node).items():
                outcome[name] = not _passes(test)
    return outcome


@contextmanager
def put_in_place(function: Callable[..., Any], other: Callable[..., Any], tests: list[str]) -> Iterator[None]:
    """Wherever the function is known by its name: where it is defined, where it is exported, and in the tests."""
    original = inspect.unwrap(function)
    owner, _, name = original.__qualname__.rpartition(".")
    home = sys.modules[original.__module__]
    places = (
        [getattr(home, owner)] if owner else [home, sys.modules["minibert.equations"], *(load(t.split("::")[0]) for t in tests)]
    )
    with mock.patch.multiple(places[0], **{name: other}):
        patches = [mock.patch.object(place, name, other) for place in places[1:] if hasattr(place, name)]
        for patch in patches:
            patch.start()
        try:
            yield
        finally:
            for patch in patches:
                patch.stop()


@contextmanager
def quick(tests: list[str], examples: int) -> Iterator[None]:
    """The same few examples every time, and no search for the smallest."""
    inner = [getattr(method, "__func__", method) for node in tests for method in _methods(node)]
    with_examples = [method for method in inner if hasattr(method, "hypothesis")]
    before = [method._hypothesis_internal_use_settings for method in with_examples]
    for method, old in zip(with_examples, before, strict=True):
        few = min(examples, old.max_examples)
        method._hypothesis_internal_use_settings = settings(
            old, max_examples=few, phases=[Phase.explicit, Phase.generate], derandomize=True, database=None, deadline=None
        )
    try:
        yield
    finally:
        for method, old in zip(with_examples, before, strict=True):
            method._hypothesis_internal_use_settings = old


def _methods(node: str) -> list[Any]:
    path, _, name = node.partition("::")
    return [method for test, method in vars(getattr(load(path), name)).items() if test.startswith("test_")]


def _run(method: Callable[..., None]) -> None:
    """Calls a test with every combination of its parameters."""
    marks = [mark for mark in getattr(method, "pytestmark", []) if mark.name == "parametrize"]
    for values in itertools.product(*(mark.args[1] for mark in marks)):
        arguments = {}
        for mark, value in zip(marks, values, strict=True):
            names = [mark.args[0]] if isinstance(mark.args[0], str) else list(mark.args[0])
            arguments.update(zip(names, value if len(names) > 1 else [value], strict=True))
        method(**arguments)


def _passes(test: Callable[[], None]) -> bool:
    with redirect_stdout(io.StringIO()):
        try:
            test()
        except Exception:
            return False
    return True
