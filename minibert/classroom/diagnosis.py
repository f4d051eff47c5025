"""The mistake in an attention function that `minibert verify` runs in a real checkpoint.

`naming` answers the same question for an exercise, whose function can be called again in a check. Here the function ran in
a process of its own, with inputs of the sizes of a checkpoint, in its dtype: only these outputs are known. So nothing but
entries of the catalogue and their pairs are compared, for attention and for attention in blocks.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import torch
from torch import Tensor

from minibert.classroom.mistakes import MISTAKES, Kind, Mistake, variant, variant_of
from minibert.equations import online_softmax_attention, scaled_dot_product_attention, softmax
from minibert.study.verify.user_attention import probes

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
    if _difference(scaled_dot_product_attention, outputs) < math.inf:
        return Diagnosis(agrees=True)
    one_mask = dict([next(iter(outputs.items()))])
    for compared in (outputs, one_mask):
        if _difference(scaled_dot_product_attention, compared) < math.inf:
            continue
        # A mask of a billion and an inverted mask differ by rounding only, so the closest mistake is the right one.
        differences = [(_difference(function, compared), mistakes) for mistakes, function in _single_mistakes()]
        smallest, closest = min(differences, key=lambda difference: difference[0])
        if smallest < math.inf:
            return Diagnosis(agrees=False, mistakes=closest)
        for mistakes, function in _pairs_of_mistakes():
            if _difference(function, compared) < math.inf:
                return Diagnosis(agrees=False, mistakes=mistakes)
    return Diagnosis(agrees=False)


def _difference(function: Callable[..., Tensor], outputs: Mapping[str, Tensor]) -> float:
    """Return the largest difference between the results of a function and these outputs, infinity if it is no rounding.

    Queries that the function lets attend to no key are not compared: their results are zeros here, and NaN or the mean of all
    values in learners' code.
    """
    largest = 0.0
    for name, output in outputs.items():
        expected = None
        with suppress(RuntimeError, IndexError):  # some variants cannot process every shape
            expected = function(*probes(output.dtype)[name])
        if not isinstance(expected, Tensor) or expected.shape != output.shape:
            return math.inf
        empty = expected.eq(0).all(dim=-1, keepdim=True)
        compared = output.masked_fill(empty, 0.0)
        if empty.all() or not torch.allclose(expected, compared, TOLERANCE, TOLERANCE, equal_nan=True):
            return math.inf
        largest = max(largest, (expected - compared).nan_to_num().abs().max().item())
    return largest


Variant = tuple[tuple[Mistake, ...], Callable[..., Tensor]]
"""Mistakes, and a function that has them."""


def _attention_mistakes() -> list[Mistake]:
    """Return the mistakes of attention and of its softmax."""
    functions = (scaled_dot_product_attention, softmax)
    return [mistake for mistake in MISTAKES.values() if mistake.function in functions and mistake.kind is not Kind.EQUIVALENT]


def _single_mistakes() -> Iterator[Variant]:
    """Return the mistakes of attention, of its softmax and of the online softmax."""
    for mistake in _attention_mistakes():
        yield (mistake,), variant_of(scaled_dot_product_attention, mistake)
    for mistake in MISTAKES.values():
        if mistake.function is online_softmax_attention and mistake.kind is not Kind.EQUIVALENT:
            for size in BLOCK_SIZES:
                yield (mistake,), partial(variant(mistake), block_size=size)


def _pairs_of_mistakes() -> Iterator[Variant]:
    """Return the pairs of mistakes that can be combined."""
    for pair in combinations(_attention_mistakes(), 2):
        try:
            yield pair, variant_of(scaled_dot_product_attention, *pair)
        except ValueError:  # both edit the same line
            continue
