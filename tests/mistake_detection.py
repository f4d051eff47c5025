"""Run the tests of a function with a variant in its place, and report which tests fail.

The tests of a function form a class without fixtures, named on the line `Tests:` of the function's docstring. A *value* test
(`test_value…`, `test_gradient…`) compares with the formula in loops. Every other test is a *property* test.
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

import pytest
from hypothesis import Phase, settings

ROOT = Path(__file__).parents[1]
FAILURES = (Exception, pytest.fail.Exception)
"""Exceptions of a failed test. `pytest.raises` fails with a BaseException."""


def is_value_test(name: str) -> bool:
    """Return True if a test compares numbers with the formula, and False if it checks a property."""
    return name.startswith(("test_value", "test_gradient"))


@functools.cache
def load(path: str) -> Any:
    """Import a test file as a module, with the import hook that pytest has installed."""
    name = path.removesuffix(".py").replace("/", ".")
    spec = importlib.util.spec_from_file_location(f"mistake_detection.{name}", ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@functools.cache
def tests_at(node: str) -> dict[str, Callable[[], None]]:
    """Return the tests of a class such as `tests/equations/test_layers.py::TestGelu` by name, as callables."""
    path, _, name = node.partition("::")
    test_class = getattr(load(path), name)
    instance = test_class()
    return {test: functools.partial(_run, getattr(instance, test)) for test in vars(test_class) if test.startswith("test_")}


def failing_tests(
    function: Callable[..., Any],
    replacement: Callable[..., Any],
    tests: list[str],
    examples: int = 20,
    enough: Callable[[dict[str, bool]], bool] = lambda outcome: False,
) -> dict[str, bool]:
    """Return for each test, by name, whether it fails with `replacement` instead of `function`.

    Args:
        enough: called with the outcome so far before each test; if it returns True, no more tests are run.
    """
    outcome: dict[str, bool] = {}
    with replaced(function, replacement, tests), few_examples(tests, examples):
        for node in tests:
            for name, test in tests_at(node).items():
                if enough(outcome):
                    return outcome
                outcome[name] = not _passes(test)
    return outcome


@contextmanager
def replaced(function: Callable[..., Any], replacement: Callable[..., Any], tests: list[str]) -> Iterator[None]:
    """Replace a function in the module that defines it, in `minibert.equations`, and in the test modules."""
    original = inspect.unwrap(function)
    owner, _, name = original.__qualname__.rpartition(".")
    module = sys.modules[original.__module__]
    namespaces = (
        [getattr(module, owner)]
        if owner
        else [module, sys.modules["minibert.equations"], *(load(t.split("::")[0]) for t in tests)]
    )
    with mock.patch.multiple(namespaces[0], **{name: replacement}):
        patches = [mock.patch.object(space, name, replacement) for space in namespaces[1:] if hasattr(space, name)]
        for patch in patches:
            patch.start()
        try:
            yield
        finally:
            for patch in patches:
                patch.stop()


@contextmanager
def few_examples(tests: list[str], examples: int) -> Iterator[None]:
    """Run property tests with the same few examples every time, without shrinking."""
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
    """Call a test with every combination of its parameters."""
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
        except FAILURES:
            return False
    return True
