"""Exercises about attention: softmax, masks, attention, and heads."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from minibert.classroom.draws import Draw
from minibert.classroom.exercise import LARGE_NUMBERS, Arguments, Case, Exercise, Invariant, Role, without
from minibert.classroom.exercises.invariants import (
    EQUAL,
    HEADS_REVERSED,
    equal,
    independent,
    reordered,
    unchanged_by_shift,
)
from minibert.classroom.references import attention_in_one_block
from minibert.equations import (
    causal_mask,
    merge_heads,
    multi_head_attention,
    online_softmax_attention,
    padding_mask,
    scaled_dot_product_attention,
    softmax,
    split_heads,
)

Axes = tuple[int, int, int, int, int, int]
"""Numbers of sequences, heads, queries and keys; widths of a head's queries and values."""
HUGE = 1e5
"""Queries and keys of this size have scores beyond every number that is used in place of minus infinity."""


def axes_of_attention(draw: Draw) -> Axes:
    return draw.size(2), draw.size(2), draw.size(3), draw.size(4, least=2), draw.size(4), draw.size(3)


def mask_with_padding(draw: Draw, *axes: int) -> Tensor:
    """Draw a mask in which every query may attend to some key, and none to the last key.

    The last query of every text but the first may attend to all keys.
    """
    *others, keys = axes
    keep = torch.cat([draw.mask(*others, keys - 1), torch.zeros(*others, 1, dtype=torch.bool)], dim=-1)
    keep[1:, ..., -1, :] = True
    return keep


def attention_inputs(draw: Draw, axes: Axes, size: float = 1.5) -> Arguments:
    batch, heads, queries, keys, width, value_width = axes
    return {
        "query": draw.numbers(batch, heads, queries, width, spread=size),
        "key": draw.numbers(batch, heads, keys, width, spread=size),
        "value": draw.numbers(batch, heads, keys, value_width),
        "keep": mask_with_padding(draw, batch, heads, queries, keys),
    }


def attention_in_blocks(draw: Draw, axes: Axes, size: float = 1.5) -> Arguments:
    """Make inputs whose last block is shorter, and whose first query may not attend to the first block."""
    batch, heads, queries, keys, width, value_width = axes
    inputs = attention_inputs(draw, (batch, heads, queries + 2, keys + 2, width, value_width), size)
    inputs["keep"][..., 0, :] = torch.arange(keys + 2) == 2
    return {**inputs, "block_size": 2 if keys % 2 else 3}


def multi_head_inputs(draw: Draw, axes: Axes, size: float = 1.0) -> Arguments:
    batch, heads, queries, keys, width, value_width = axes
    different = len({*axes}) > 1
    query_width, key_width, output_width = (width + 1, width + 2, width + 3) if different else (heads * width,) * 3
    return {
        "queries_from": draw.numbers(batch, queries, query_width),
        "keys_from": draw.numbers(batch, keys, key_width),
        "w_q": draw.numbers(query_width, heads * width, spread=1.5 * size / query_width**0.5),
        "w_k": draw.numbers(key_width, heads * width, spread=1.5 * size / key_width**0.5),
        "w_v": draw.numbers(key_width, heads * value_width),
        "w_o": draw.numbers(heads * value_width, output_width),
        "heads": heads,
        "keep": mask_with_padding(draw, batch, queries, keys),
    }


def lengths(draw: Draw) -> Arguments:
    return {"lengths": draw.integers(0, 6, draw.size(3)), "tokens": draw.size(5, least=5)}


def large_scores(draw: Draw) -> Arguments:
    """Scores so large that their exponentials overflow."""
    return {"scores": 200 * draw.numbers(2, draw.size(4))}


def one_vector_per_token(draw: Draw) -> Arguments:
    heads = draw.size(2)
    return {"hidden": draw.numbers(draw.size(2), draw.size(3), heads * draw.size(3)), "heads": heads}


def one_vector_per_head(draw: Draw) -> Arguments:
    return {"heads": draw.numbers(draw.size(2), draw.size(2), draw.size(3), draw.size(3))}


def without_mask(inputs: Arguments) -> Arguments:
    return without(inputs, "keep")


def with_an_empty_row(inputs: Arguments) -> Arguments:
    inputs["keep"][..., 0, :] = False
    return inputs


def cases_of_attention(inputs: Callable[..., Arguments]) -> tuple[Case, ...]:
    """Return the cases of every kind of attention, with inputs made for the sizes of the axes."""
    limit = partial(Case, role=Role.LIMIT, gradients=False)
    return (
        Case("no mask", lambda draw: without_mask(inputs(draw, axes_of_attention(draw)))),
        Case("a mask", lambda draw: inputs(draw, axes_of_attention(draw))),
        limit("a query that may attend to nothing", lambda draw: with_an_empty_row(inputs(draw, axes_of_attention(draw)))),
        limit("large scores", lambda draw: inputs(draw, axes_of_attention(draw), size=HUGE)),
    )


def masked_keys_have_no_influence(*names: str) -> Invariant:
    """Other numbers for keys that no query may attend to change nothing."""

    def changed(arguments: Arguments) -> Arguments | None:
        if "keep" not in arguments:
            return None
        masked = ~arguments["keep"].any(dim=-2)[..., None]
        return {**arguments, **{name: arguments[name].masked_fill(masked, 3.0) for name in names}}

    relation = f"Here, the keys that are masked for every query have other numbers. {EQUAL}"
    return Invariant("masked keys have no influence", changed, equal, relation)


def weights_are_a_distribution(one: Tensor, other: Tensor, arguments: Arguments) -> bool:
    return bool((one >= 0).all()) and equal(one.sum(dim=-1), torch.ones_like(one[..., 0]))


def permuted_heads(arguments: Arguments) -> Arguments:
    """Reverse the order of the heads in all four projections."""
    heads = arguments["heads"]
    columns = {name: arguments[name].unflatten(-1, (heads, -1)).flip(-2).flatten(-2) for name in ("w_q", "w_k", "w_v")}
    return {**arguments, **columns, "w_o": arguments["w_o"].unflatten(0, (heads, -1)).flip(0).flatten(0, 1)}


ATTENTION_INVARIANTS = (
    masked_keys_have_no_influence("key", "value"),
    independent("sequences of a batch", ("query", "key", "value"), axis=0),
    reordered("heads can be permuted", "heads", {"query": 1, "key": 1, "value": 1, "keep": 1}, output_axis=1),
    reordered("the order of the keys has no influence", "keys", {"key": -2, "value": -2, "keep": -1}),
)
ATTENTION_EXERCISES = [
    Exercise(
        "softmax",
        softmax,
        (
            Case("scores", lambda draw: {"scores": draw.numbers(draw.size(2), draw.size(3), draw.size(4))}),
            Case("large scores", large_scores, Role.LIMIT, tolerance=LARGE_NUMBERS, gradients=False),
        ),
        questions=("The results are positive and sum to one. Over which axis?",),
        invariants=(
            Invariant("the results are positive and each row sums to one", dict, weights_are_a_distribution),
            unchanged_by_shift("adding a constant to the scores changes nothing", "scores"),
            independent("rows", ("scores",), axis=0),
        ),
    ),
    Exercise(
        "causal_mask",
        causal_mask,
        (Case("tokens", lambda draw: {"tokens": draw.size(3)}),),
        questions=("Which tokens may the first token attend to, and which the last?", "May a token attend to itself?"),
    ),
    Exercise(
        "padding_mask",
        padding_mask,
        (Case("lengths", lengths),),
        questions=("The mask of a sequence is a row that all queries share. Where is the axis of the queries?",),
        invariants=(independent("sequences of a batch", ("lengths",), axis=0),),
    ),
    Exercise(
        "scaled_dot_product_attention",
        scaled_dot_product_attention,
        cases_of_attention(attention_inputs),
        questions=(
            "Which two axes does the product of queries and keys have?",
            "Which number keeps the softmax from choosing one key only?",
        ),
        invariants=ATTENTION_INVARIANTS,
        needs=("softmax",),
    ),
    Exercise(
        "split_heads",
        split_heads,
        (Case("tokens", one_vector_per_token),),
        questions=("After the reshape, which axis has the tokens and which the heads?",),
        invariants=(reordered("tokens are not mixed", "tokens", {"hidden": 1}, output_axis=2),),
    ),
    Exercise(
        "merge_heads",
        merge_heads,
        (Case("heads", one_vector_per_head),),
        questions=("Which axis must be next to the columns of a head before both are merged into one axis?",),
        invariants=(reordered("tokens are not mixed", "tokens", {"heads": 2}, output_axis=1),),
    ),
    Exercise(
        "multi_head_attention",
        multi_head_attention,
        cases_of_attention(multi_head_inputs),
        questions=(
            "Which of the two inputs are the keys and the values computed from?",
            "Does every head need its own mask?",
        ),
        invariants=(
            masked_keys_have_no_influence("keys_from"),
            independent("sequences of a batch", ("queries_from", "keys_from"), axis=0),
            Invariant("heads can be permuted", permuted_heads, equal, HEADS_REVERSED),
        ),
        needs=("split_heads", "scaled_dot_product_attention", "merge_heads"),
    ),
    Exercise(
        "online_softmax_attention",
        online_softmax_attention,
        cases_of_attention(attention_in_blocks),
        questions=(
            "What happens to the sums so far if a later block has a larger score?",
            "Which score is the maximum of a block in which every key is masked?",
        ),
        invariants=ATTENTION_INVARIANTS,
        other_forms=(attention_in_one_block,),
    ),
]
