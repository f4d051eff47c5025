"""A plugin of pytest that notes which lines each test reaches, and how long it takes.

A fixture that several tests share runs in the first of them only. Its lines are noted by themselves, for all tests that use it.
"""

import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coverage
import pytest
from _pytest.doctest import DoctestItem

FOLDER = "MINIBERT_REACH"
"""The environment variable with the folder for the results."""


class Reach:
    """Lines and seconds of the tests of one process."""

    def __init__(self, folder: Path) -> None:
        worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
        self._seconds_file = folder / f"seconds.{worker}.json"
        self._coverage = coverage.Coverage(
            data_file=folder / f"coverage.{worker}", include=["minibert/*", "tests/processes.py"], config_file=False
        )
        self._coverage.start()
        self._seconds: dict[str, float] = defaultdict(float)
        self._fixtures: dict[str, list[str]] = {}
        self._now = "collection"

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[Any]:
        with self._noted(item.nodeid):
            result = yield
        known = item._fixtureinfo.name2fixturedefs if isinstance(item, pytest.Function | DoctestItem) else {}
        shared = [definitions[-1] for definitions in known.values() if definitions[-1].scope != "function"]
        self._fixtures[item.nodeid] = [f"{each.baseid}::{each.argname}" for each in shared]
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[Any]:
        if fixturedef.scope == "function":
            return (yield)
        with self._noted(f"{fixturedef.baseid}::{fixturedef.argname}"):
            return (yield)

    @pytest.hookimpl
    def pytest_sessionfinish(self) -> None:
        self._coverage.stop()
        self._coverage.save()
        result = {"seconds": self._seconds, "fixtures": self._fixtures}
        self._seconds_file.write_text(json.dumps(result), encoding="utf-8")

    def _noted(self, name: str) -> Any:
        return _Noted(self, name)

    def enter(self, name: str) -> tuple[str, float]:
        before, self._now = self._now, name
        self._coverage.switch_context(name)
        return before, seconds()

    def leave(self, before: str, began: float) -> None:
        took = seconds() - began
        self._seconds[self._now] += took
        self._seconds[before] -= took  # what is around does not count the time inside
        self._now = before
        self._coverage.switch_context(before)


class _Noted:
    """What runs inside is noted under a name."""

    def __init__(self, reach: Reach, name: str) -> None:
        self._reach, self._name = reach, name

    def __enter__(self) -> None:
        self._before = self._reach.enter(self._name)

    def __exit__(self, *_: object) -> None:
        self._reach.leave(*self._before)


def seconds() -> float:
    """Return the time of the processor for this process and its children, plus a third of the time that has passed.

    So tests that wait have a cost too, and other work on the machine changes the cost of the others little.
    """
    return sum(os.times()[:4]) + time.monotonic() / 3


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("numprocesses", None):
        return  # the workers run the tests
    config.pluginmanager.register(Reach(Path(os.environ[FOLDER])), "reach")


class ReachMap:
    """Which tests reach a line, and how long they take."""

    def __init__(self, folder: Path) -> None:
        self._files = [*folder.glob("coverage.*")]
        self.seconds: dict[str, float] = defaultdict(float)
        self.fixtures: dict[str, list[str]] = {}
        self._users: dict[str, list[str]] = defaultdict(list)
        for file in folder.glob("seconds.*.json"):
            noted = json.loads(file.read_text(encoding="utf-8"))
            self.fixtures |= noted["fixtures"]
            for name, seconds in noted["seconds"].items():
                self.seconds[name] += seconds
        for test, fixtures in self.fixtures.items():
            for fixture in fixtures:
                self._users[fixture].append(test)

    def lines(self, file: Path) -> dict[int, set[str]]:
        """Return the tests that reach each line of a file."""
        found: dict[int, set[str]] = defaultdict(set)
        for each in self._files:
            part = coverage.CoverageData(str(each))  # a copy of a process must open the file again
            part.read()
            for line, contexts in part.contexts_by_lineno(str(file)).items():
                for context in contexts:
                    found[line].update([context] if context in self.fixtures else self._users.get(context, ()))
        return found

    def cost(self, test: str) -> float:
        """Return the seconds of a test alone, with the fixtures that it shares."""
        return self.seconds[test] + sum(self.seconds[fixture] for fixture in self.fixtures.get(test, ()))
