"""Progress of long work: a bar on a terminal, a plain line now and then anywhere else."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 10.0

console = Console(highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Prints a line, as it is."""
    console.print(text, markup=False)


@runtime_checkable
class Advance(Protocol):
    """Says that one more piece is done, and something about it, such as the loss."""

    def __call__(self, note: str = "") -> None: ...


@contextmanager
def progress(title: str, total: int, done: int = 0) -> Iterator[Advance]:
    """Shows how far work of `total` pieces has got, and the time that is left."""
    if sys.stdout.isatty():
        columns = (
            TextColumn(f"{title:<12}"),
            BarColumn(bar_width=10),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(title, total=total, completed=done, note="")
            yield lambda note="": bar.update(task, advance=1, note=note)
    else:
        yield _lines(title, total, done)


def _lines(title: str, total: int, done: int) -> Advance:
    """Prints a line every ten seconds, and at the end."""
    began = last = time.monotonic()
    at = first = done

    def advance(note: str = "") -> None:
        nonlocal at, last
        at += 1
        now = time.monotonic()
        if at == total or now - last >= SECONDS_BETWEEN_LINES:
            last = now
            left = (now - began) / (at - first) * (total - at)
            print(f"{title} {at}/{total}, {left:.0f} s left. {note}", flush=True)

    return advance
