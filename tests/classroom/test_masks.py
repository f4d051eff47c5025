"""Mistakes in the mask of every exercise that takes one: which mask is used, and how, with -∞ and with unsafe numbers.

They are named by their numbers in whatever function of attention they are made.
"""

import math
from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor

from minibert.classroom.checking import check_function
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.report import Report, Verdict
from minibert.classroom.running import LocalRunner
from tests.sampling import sampled

pytestmark = pytest.mark.usefixtures("without_shape_checks")
Use = Callable[[Tensor, Tensor], Tensor]
"""Scores and a mask → masked scores."""

MASKS: dict[str, Callable[[Tensor], Tensor]] = {
    "mask inverted": lambda keep: ~keep,
    "mask transposed": lambda keep: keep.transpose(-1, -2),
    "mask of the first query": lambda keep: keep[..., :1, :],
    "mask of the first text": lambda keep: keep[:1],
}
UNSAFE: dict[str, Use] = {
    "minus a billion in place of masked scores": lambda scores, keep: scores.masked_fill(keep == 0, -1e9),
    "minus a billion added": lambda scores, keep: scores + (1.0 - keep.float()) * -1e9,
    "minus ten thousand added": lambda scores, keep: scores + (1.0 - keep.float()) * -1e4,
    "the lowest number": lambda scores, keep: torch.where(keep, scores, torch.finfo(scores.dtype).min),
    "NaN for rows without a key": lambda scores, keep: scores.masked_fill(~keep, -math.inf),
}
WRONG: dict[str, tuple[str, Use]] = {
    "plus a billion": ("mask of plus a billion", lambda scores, keep: scores.masked_fill(~keep, 1e9)),
    "plus a billion added": ("mask of plus a billion", lambda scores, keep: scores + (1.0 - keep.float()) * 1e9),
    "plus infinity": ("mask of plus infinity", lambda scores, keep: scores.masked_fill(~keep, math.inf)),
    "a billion added to the others": ("kept scores larger by a billion", lambda scores, keep: scores + keep * 1e9),
    "multiplied": ("mask multiplied with the scores", lambda scores, keep: scores * keep),
    "added": ("mask added to the scores", lambda scores, keep: scores + keep),
    "inverted and added": ("inverted mask added to the scores", lambda scores, keep: scores + (1.0 - keep.float())),
    "about zero": ("mask multiplied with the scores", lambda scores, keep: scores.masked_fill(~keep, 1e-9)),
}


def attention(use: Use) -> Callable[..., Tensor]:
    def scaled_dot_product_attention(query, key, value, keep=None):
        scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
        if keep is not None:
            scores = use(scores, keep)
        return torch.softmax(scores, dim=-1) @ value

    return scaled_dot_product_attention


def split(hidden: Tensor, heads: int) -> Tensor:
    return hidden.unflatten(-1, (heads, -1)).transpose(1, 2)


def with_heads(use: Use) -> Callable[..., Tensor]:
    def multi_head_attention(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
        q, k, v = split(queries_from @ w_q, heads), split(keys_from @ w_k, heads), split(keys_from @ w_v, heads)
        context = attention(use)(q, k, v, None if keep is None else keep[:, None])
        return context.transpose(1, 2).flatten(2) @ w_o

    return multi_head_attention


def with_parameters(use: Use) -> Callable[..., Tensor]:
    def multi_head_attention_layer(self, queries_from, keys_from, keep=None):
        given = isinstance(keys_from, tuple)  # keys and values of all heads, as a cache keeps them
        heads = keys_from if given else [split(x, self.heads) for x in (self.key(keys_from), self.value(keys_from))]
        context = attention(use)(split(self.query(queries_from), self.heads), *heads, keep)
        return self.output(context.transpose(1, 2).flatten(2))

    return multi_head_attention_layer


def in_blocks(use: Use) -> Callable[..., Tensor]:
    def online_softmax_attention(query, key, value, keep=None, block_size=64):
        return attention(use)(query, key, value, keep)

    return online_softmax_attention


EXERCISES_WITH_MASKS = {
    "scaled_dot_product_attention": attention,
    "multi_head_attention": with_heads,
    "multi_head_attention_layer": with_parameters,
    "online_softmax_attention": in_blocks,
}


def report_of(exercise: str, use: Use) -> Report:
    runner = LocalRunner(EXERCISES[exercise], EXERCISES_WITH_MASKS[exercise](use))
    return check_function(EXERCISES[exercise], runner, find=None)


@pytest.mark.parametrize("wrong", sampled(product(EXERCISES_WITH_MASKS, MASKS, UNSAFE), 31), ids=", ".join)
def test_a_wrong_mask_is_one_mistake_with_every_number_for_minus_infinity(wrong: tuple[str, str, str]) -> None:
    exercise, mask, unsafe = wrong
    report = report_of(exercise, lambda scores, keep: UNSAFE[unsafe](scores, MASKS[mask](keep)))
    assert [mistake.name for mistake in report.mistakes] == [mask]
    assert report.verdict in (Verdict.WRONG, Verdict.ERROR)
    assert report.warnings


@pytest.mark.parametrize("wrong", sampled(product(EXERCISES_WITH_MASKS, WRONG), 13), ids=", ".join)
def test_a_mask_used_in_a_wrong_way_is_named(wrong: tuple[str, str]) -> None:
    exercise, (name, use) = wrong[0], WRONG[wrong[1]]
    report = report_of(exercise, use)
    assert [mistake.name for mistake in report.mistakes] == [name]


@pytest.mark.slow
@pytest.mark.parametrize("wrong", product(["multi_head_attention", "multi_head_attention_layer"], [1, -1]), ids=str)
def test_another_number_for_masked_scores_is_said_in_every_exercise(wrong: tuple[str, float]) -> None:
    """The formula has zeros for rows without a key in a called function, and learners do not write them."""
    exercise, number = wrong
    report = report_of(exercise, lambda scores, keep: scores.masked_fill(~keep, number))
    assert f"{number:.1f}" in report.mistakes[0].message


@pytest.mark.parametrize("exercise", EXERCISES_WITH_MASKS)
def test_a_mask_of_minus_a_billion_alone_passes_with_a_warning(exercise: str) -> None:
    report = report_of(exercise, UNSAFE["minus a billion in place of masked scores"])
    assert report.verdict is Verdict.WARNING
    assert [mistake.name for mistake in report.mistakes] == ["mask of minus a billion"]
