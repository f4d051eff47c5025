"""Prefetching: prepare the next batches in a background thread."""

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def prefetch(items: Iterable[Item], depth: int = 4) -> Iterator[Item]:
    """Yield `items` in order, computing up to `depth` of them ahead in a background thread.

    An exception raised while an item is computed is raised here.
    """
    ready: queue.Queue[tuple[str, Item | BaseException | None]] = queue.Queue(depth)
    stopped = threading.Event()

    def put(kind: str, item: Item | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                ready.put((kind, item), timeout=0.1)
                break
            except queue.Full:
                continue

    def produce() -> None:
        try:
            for item in items:
                put("item", item)
                if stopped.is_set():
                    return
            put("end", None)
        except BaseException as error:
            put("error", error)

    threading.Thread(target=produce, daemon=True).start()
    try:
        while (received := ready.get())[0] == "item":
            yield received[1]  # type: ignore[misc]
        if isinstance(received[1], BaseException):
            raise received[1]
    finally:
        stopped.set()
