"""Exercises about attention."""

import torch
from torch import Tensor

from minibert.classroom.draws import Draw
from minibert.classroom.exercise import Arguments, Case, Exercise, Invariant, Role
from minibert.equations import scaled_dot_product_attention, softmax


def scores(draw: Draw) -> Arguments:
    return {"scores": draw.numbers(draw.size(2), draw.size(4))}


def large_scores(draw: Draw) -> Arguments:
    return {"scores": 200 * draw.numbers(draw.size(2), draw.size(4))}


def attention_inputs(draw: Draw) -> Arguments:
    batch, heads, queries, keys, width, value_width = (draw.size(usual) for usual in (2, 2, 3, 4, 5, 3))
    return {
        "query": 1.5 * draw.numbers(batch, heads, queries, width),
        "key": 1.5 * draw.numbers(batch, heads, keys, width),
        "value": draw.numbers(batch, heads, keys, value_width),
    }


def masked_attention_inputs(draw: Draw) -> Arguments:
    inputs = attention_inputs(draw)
    batch, heads, queries, _ = inputs["query"].shape
    return {**inputs, "keep": draw.mask(batch, heads, queries, inputs["key"].shape[-2])}


def attention_inputs_with_empty_rows(draw: Draw) -> Arguments:
    inputs = masked_attention_inputs(draw)
    inputs["keep"][..., 0, :] = False
    return inputs


def change_masked_keys(arguments: Arguments) -> Arguments | None:
    """Change the keys and values that no query may attend to."""
    if "keep" not in arguments:
        return None
    masked = ~arguments["keep"].any(dim=-2)[..., None]
    return {**arguments, "key": arguments["key"] + 3 * masked, "value": arguments["value"] - 5 * masked}


def equal(one: Tensor, other: Tensor, arguments: Arguments) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-4, atol=1e-5, equal_nan=True)


ATTENTION_EXERCISES = [
    Exercise(
        "softmax",
        softmax,
        (Case("scores", scores), Case("large scores", large_scores, Role.LIMIT)),
        questions=("The results are positive and sum to one. Over which axis?",),
    ),
    Exercise(
        "scaled_dot_product_attention",
        scaled_dot_product_attention,
        (
            Case("no mask", attention_inputs),
            Case("a mask", masked_attention_inputs),
            Case("rows that attend to nothing", attention_inputs_with_empty_rows, Role.LIMIT, gradients=False),
        ),
        questions=(
            "Which two axes does the product of queries and keys have?",
            "Which number keeps the softmax from choosing one key only?",
        ),
        invariants=(Invariant("masked keys have no influence", change_masked_keys, equal),),
        needs=("softmax",),
    ),
]
