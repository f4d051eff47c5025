"""The mistake in a learner's attention function: the entry of the catalogue that computes the same."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from minibert.classroom.mistakes import MISTAKES, Kind, Mistake, compiled, variant
from minibert.equations import online_softmax_attention, scaled_dot_product_attention, softmax
from minibert.study.verify.sandbox import probes

TOLERANCE = 1e-4
"""Largest difference that counts as rounding, in float32. The values of the probes have a size of about 1."""
BLOCK_SIZES = (1, 2, 3, 4, 8)
"""Sizes of the blocks of keys in a learner's online softmax."""


@dataclass(frozen=True)
class Diagnosis:
    """The result of comparing a function with the equation and with its variants."""

    agrees: bool
    """True if the function equals the equation."""
    mistakes: tuple[Mistake, ...] = ()
    """The mistakes of the catalogue that give the same results, empty if none or no pair does."""

    @property
    def description(self) -> str:
        """The result in words, with the names and the effects of the mistakes."""
        if self.agrees:
            return "on random inputs the function equals the equation, so look for large scores or for fixed shapes"
        if not self.mistakes:
            return "no mistake of docs/mistakes.md, and no pair of them, computes the same as the function"
        names = " and ".join(f'"{mistake.name}"' for mistake in self.mistakes)
        effects = " ".join(f"{mistake.description} {mistake.consequence}" for mistake in self.mistakes)
        return f"the function computes the same as with {names} (docs/mistakes.md). {effects.removesuffix('.')}"


def diagnose_attention(outputs: Mapping[str, Tensor]) -> Diagnosis | None:
    """Find the mistake of an attention function from its results for `probes`: single mistakes first, then pairs.

    Padding masks whole columns. Code with another mistake may treat them in its own way, so the mask with rows is enough.

    Returns: None if there are no results.
    """
    if not outputs:
        return None
    if _gives(scaled_dot_product_attention, outputs):
        return Diagnosis(agrees=True)
    one_mask = dict([next(iter(outputs.items()))])
    for compared in (outputs, one_mask):
        if not _gives(scaled_dot_product_attention, compared):
            for mistakes, function in _variants():
                if _gives(function, compared):
                    return Diagnosis(agrees=False, mistakes=mistakes)
    return Diagnosis(agrees=False)


def _gives(function: Callable[..., Tensor], outputs: Mapping[str, Tensor]) -> bool:
    """Return True if a function computes these outputs, for every query that it lets attend to some key.

    The results of other queries are not compared: zeros here, and NaN or the mean of all values in learners' code.
    """
    for name, output in outputs.items():
        expected = function(*probes(output.dtype)[name])
        empty = expected.eq(0).all(dim=-1, keepdim=True)
        if empty.all() or not torch.allclose(expected, output.masked_fill(empty, 0.0), TOLERANCE, TOLERANCE, equal_nan=True):
            return False
    return True


def _variants() -> Iterator[tuple[tuple[Mistake, ...], Callable[..., Tensor]]]:
    """Return the mistakes of attention, and the pairs of them that can be combined, with the functions that have them."""
    mistakes = [mistake for mistake in MISTAKES.values() if mistake.kind is not Kind.EQUIVALENT]
    ordinary = [mistake for mistake in mistakes if mistake.function in (scaled_dot_product_attention, softmax)]
    for mistake in ordinary:
        yield (mistake,), _attention_with(mistake)
    for mistake in (mistake for mistake in mistakes if mistake.function is online_softmax_attention):
        for size in BLOCK_SIZES:
            yield (mistake,), partial(variant(mistake), block_size=size)
    for pair in combinations(ordinary, 2):
        try:
            yield pair, _attention_with(*pair)
        except ValueError:  # both edit the same line
            continue


def _attention_with(*mistakes: Mistake) -> Callable[..., Any]:
    """Return attention with mistakes in it or in its softmax. Raises: ValueError if they cannot be combined."""
    in_softmax = [mistake for mistake in mistakes if mistake.function is softmax]
    others = [mistake for mistake in mistakes if mistake.function is not softmax]
    correct = inspect.unwrap(scaled_dot_product_attention)
    attention = variant(*others) if others else compiled(correct, inspect.getsource(correct))
    if in_softmax:
        attention.__globals__["softmax"] = variant(*in_softmax)
    return attention
