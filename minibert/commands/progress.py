"""Progress of long work: a bar on a terminal, a line every ten seconds elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from minibert.commands.terminal import console, say

SECONDS_BETWEEN_LINES = 10.0


@runtime_checkable
class Advance(Protocol):
    """A function that counts one more item as done and shows a note about it, such as the loss."""

    def __call__(self, note: str = "") -> None: ...


@contextmanager
def progress(title: str, total: int, done: int = 0) -> Iterator[Advance]:
    """Show the progress of work on `total` items, with the time left."""
    if sys.stdout.isatty():
        columns = (
            TextColumn(f"{title:<12}"),
            BarColumn(bar_width=10, style="dim", complete_style="cyan"),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(title, total=total, completed=done, note="")
            yield lambda note="": bar.update(task, advance=1, note=note)
    else:
        yield _print_lines(title, total, done)


def _print_lines(title: str, total: int, done: int) -> Advance:
    """Print a line every ten seconds and at the end."""
    began = last_print = time.monotonic()
    current = first = done

    def advance(note: str = "") -> None:
        nonlocal current, last_print
        current += 1
        now = time.monotonic()
        if current == total or now - last_print >= SECONDS_BETWEEN_LINES:
            last_print = now
            left = max(0.0, now - began) / (current - first) * (total - current)
            say(f"{title} {current}/{total}, {left:.0f} s left. {note}")

    return advance
