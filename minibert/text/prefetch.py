"""The next batch is made while the one before it is in use."""

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def prefetch(items: Iterable[Item], depth: int = 4) -> Iterator[Item]:
    """The same items, each made in another thread while the one before it is in use.

    What making them raises is raised here.
    """
    ready: queue.Queue[tuple[str, Item | BaseException | None]] = queue.Queue(depth)
    gone = threading.Event()

    def put(kind: str, item: Item | BaseException | None) -> None:
        while not gone.is_set():
            try:
                ready.put((kind, item), timeout=0.1)
                break
            except queue.Full:
                continue

    def make() -> None:
        try:
            for item in items:
                put("item", item)
                if gone.is_set():
                    return
            put("end", None)
        except BaseException as error:
            put("error", error)

    threading.Thread(target=make, daemon=True).start()
    try:
        while (next_one := ready.get())[0] == "item":
            yield next_one[1]  # type: ignore[misc]
        if isinstance(next_one[1], BaseException):
            raise next_one[1]
    finally:
        gone.set()
