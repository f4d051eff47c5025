"""Study: step through a forward pass, compare networks, and look inside them."""

from typing import Any

__all__ = ["walk"]


def __getattr__(name: str) -> Any:
    if name != "walk":
        raise AttributeError(f"module 'minibert.study' has no attribute {name!r}")
    from minibert.study.stepthrough.walk import walk

    return walk
