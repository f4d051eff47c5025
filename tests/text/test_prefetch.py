"""Prefetching: order, errors, and the end of the background thread."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from minibert.text.prefetch import prefetch

ABANDONED = """
import torch
from minibert.text.prefetch import prefetch

def items():
    matrix = torch.ones(200, 200)
    while True:
        for _ in range(50):
            (matrix @ matrix).sum().item()
        yield 1

stream = prefetch(items())
next(stream)
"""


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def endless(computed: list[int]) -> Iterator[int]:
    while True:
        computed.append(len(computed))
        yield computed[-1]


def test_items_keep_their_order() -> None:
    for count in (0, 1, 3, 50):
        assert list(prefetch(iter(range(count)))) == list(range(count))
    assert list(prefetch([None, False, 0])) == [None, False, 0]
    assert not threads()


def test_no_more_than_the_depth_is_computed_ahead() -> None:
    computed: list[int] = []
    stream = prefetch(endless(computed), depth=2)
    assert [next(stream) for _ in range(3)] == [0, 1, 2]
    stream.close()
    assert len(computed) <= 3 + 2


def test_an_error_is_raised_after_the_items_before_it() -> None:
    def fails() -> Iterator[int]:
        yield 1
        raise KeyError("broken")

    stream = prefetch(fails())
    assert next(stream) == 1
    with pytest.raises(KeyError, match="broken"):
        next(stream)
    assert not threads()


def test_a_closed_iterator_has_no_thread() -> None:
    computed: list[int] = []
    stream = prefetch(endless(computed))
    next(stream)
    assert len(threads()) == 1
    stream.close()
    assert not threads()


def test_closing_ends_after_the_item_that_is_being_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The items that are not begun are canceled before the thread is awaited. Item 1 takes until then."""
    computed, is_begun, is_closed, shutdown = [], threading.Event(), threading.Event(), ThreadPoolExecutor.shutdown

    def close(executor: ThreadPoolExecutor, *arguments: object, **settings: object) -> None:
        is_closed.set()
        shutdown(executor, *arguments, **settings)

    def slow() -> Iterator[int]:
        for number in range(9):
            computed.append(number)
            if number:
                is_begun.set()
                is_closed.wait()
            yield number

    stream = prefetch(slow(), depth=4)
    assert next(stream) == 0
    is_begun.wait()
    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", close)
    stream.close()
    assert computed == [0, 1]


def test_an_abandoned_iterator_does_not_abort_the_program() -> None:
    """The thread would otherwise still compute while Python ends: "terminate called without an active exception"."""
    done = subprocess.run([sys.executable, "-c", ABANDONED], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
