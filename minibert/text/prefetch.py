"""Prefetching: prepare the next batches in a background thread."""

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


class _End:
    """The item after the last one."""


def prefetch(items: Iterable[Item], depth: int = 4) -> Generator[Item, None, None]:
    """Yield `items` in order, computing up to `depth` of them ahead in a background thread.

    An exception raised while an item is computed is raised here. The thread has ended when the iterator is exhausted or
    closed. An iterator that is neither does not delay the end of the program by more than `depth` items.
    """
    source = iter(items)

    def next_item() -> Item | _End:
        return next(source, _End())

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch") as executor:
        ahead = deque(executor.submit(next_item) for _ in range(depth))
        try:
            while not isinstance(item := ahead.popleft().result(), _End):
                ahead.append(executor.submit(next_item))
                yield item
        finally:
            for future in ahead:
                future.cancel()
