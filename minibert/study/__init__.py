"""Study: step through a forward pass, compare networks, and look inside them."""

from typing import Any

__all__ = ["backward_walk", "walk"]


def __getattr__(name: str) -> Any:
    if name == "walk":
        from minibert.study.stepthrough.walk import walk

        return walk
    if name == "backward_walk":
        from minibert.study.stepthrough.backward import backward_walk

        return backward_walk
    raise AttributeError(f"module 'minibert.study' has no attribute {name!r}")
