"""Draws of test inputs. One recipe of an exercise makes random inputs, and the small whole numbers of a counterexample."""

from collections.abc import Sequence
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

ItemT = TypeVar("ItemT")
MORE = 2
"""A size in random inputs is up to this much larger than the size in the recipe, so that no shape can be taken for granted."""
EQUAL_SIZE = 4
"""Size of every axis where all are equal."""


@runtime_checkable
class Draw(Protocol):
    """The source of all sizes and numbers in a recipe."""

    def size(self, usual: int, least: int = 1) -> int:
        """Return a size, `usual` or near it; the smallest counterexample may have any size from `least` on."""
        ...

    def numbers(self, *shape: int, spread: float = 1.0, mean: float = 0.0) -> Tensor:
        """Return float32 numbers with this standard deviation and mean. A counterexample has small whole numbers instead."""
        ...

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Return whole numbers from `low` to `high - 1`, as int64."""
        ...

    def mask(self, *shape: int) -> Tensor:
        """Return a Boolean mask with at least one True in the last axis."""
        ...

    def choice(self, options: Sequence[ItemT]) -> ItemT:
        """Return one of the options; the smallest counterexample prefers the first."""
        ...


class RandomDraw:
    """Random numbers that depend on the seed only."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def size(self, usual: int, least: int = 1) -> int:
        return usual + int(self.integers(0, MORE + 1))

    def numbers(self, *shape: int, spread: float = 1.0, mean: float = 0.0) -> Tensor:
        return spread * torch.randn(shape, generator=self.generator) + mean

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, shape, generator=self.generator)

    def mask(self, *shape: int) -> Tensor:
        mask = torch.rand(shape, generator=self.generator) < 0.6
        one = torch.randint(0, shape[-1], (*shape[:-1], 1), generator=self.generator)
        return mask.scatter(-1, one, value=True)

    def choice(self, options: Sequence[ItemT]) -> ItemT:
        return options[int(self.integers(0, len(options)))]


class EqualSizes(RandomDraw):
    """Random numbers in arrays whose axes all have the same size."""

    def size(self, usual: int, least: int = 1) -> int:
        return max(EQUAL_SIZE, least)
