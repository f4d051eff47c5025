"""Fair comparison of speeds: all ways to do the same are timed in turn, in random order, in one process."""

import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

Seconds = dict[str, list[float]]
"""The times of each way, in the order of the rounds."""


def time_in_turn(ways: Mapping[str, Callable[[], object]], rounds: int, warmup: int = 2, seed: int = 0) -> Seconds:
    """Run all ways once in each round, in another order each time, and return their seconds.

    Changes of the machine's speed then touch all ways. The first rounds, in which memory is allocated and code is compiled,
    are not counted.
    """
    generator = random.Random(seed)
    seconds: Seconds = {name: [] for name in ways}
    for number in range(warmup + rounds):
        for name in generator.sample([*ways], len(ways)):
            began = time.perf_counter()
            ways[name]()
            if torch.cuda.is_available():
                torch.cuda.synchronize()  # a GPU works on after the call has returned
            if number >= warmup:
                seconds[name].append(time.perf_counter() - began)
    return seconds


@dataclass(frozen=True)
class Ratio:
    """Quartiles of how many times as long one way takes as another, in the same round."""

    lower: float
    median: float
    upper: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.lower:.2f} to {self.upper:.2f})"


def ratio(slower: list[float], faster: list[float]) -> Ratio:
    """Compare two ways round by round."""
    ratios = [slow / fast for slow, fast in zip(slower, faster, strict=True)]
    return Ratio(*(round(value, 3) for value in statistics.quantiles(ratios, n=4, method="inclusive")))


def matrix_product_peak(dtype: torch.dtype, device: torch.device | str = "cpu", rounds: int = 8) -> float:
    """Return the floating-point operations per second of the fastest of some products of large square matrices."""
    size = 2048 if torch.device(device).type == "cpu" else 8192  # a GPU multiplies small ones faster than they are started
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    seconds = time_in_turn({"product": lambda: a @ b}, rounds)["product"]
    return 2 * size**3 / min(seconds)
