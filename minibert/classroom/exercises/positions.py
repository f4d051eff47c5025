"""Exercises about position encodings."""

import torch
from torch import Tensor

from minibert.classroom.draws import Draw
from minibert.classroom.exercise import Arguments, Case, Exercise, Invariant
from minibert.classroom.exercises.invariants import EQUAL, equal, independent, reordered
from minibert.equations import (
    alibi_bias,
    learned_positions,
    positions_without_padding,
    relative_position_buckets,
    rotary_positions,
    sinusoidal_positions,
)

ANGLES = 1e-4
"""Tolerance of angles: 10000 to some power differs in the sixth digit if it is computed by a logarithm."""


def counted(draw: Draw) -> Tensor:
    """The usual positions: 0, 1, 2, …"""
    return torch.arange(draw.size(3, least=2), dtype=torch.float32)


def scattered(draw: Draw, *shape: int) -> Tensor:
    """Positions in any order, with repetitions."""
    return draw.integers(0, 20, *shape).float()


def counted_positions(draw: Draw) -> Arguments:
    return {"positions": counted(draw), "width": 2 * draw.size(3)}


def scattered_positions(draw: Draw) -> Arguments:
    return {"positions": scattered(draw, draw.size(4)), "width": 2 * draw.size(3)}


def table_and_positions(draw: Draw) -> Arguments:
    rows = draw.size(5, least=2)
    return {"table": draw.numbers(rows, draw.size(3)), "positions": draw.integers(0, rows, draw.size(2), draw.size(4))}


def vectors_at(draw: Draw, positions: Tensor) -> Arguments:
    return {"vectors": draw.numbers(draw.size(2), draw.size(2), len(positions), 2 * draw.size(2)), "positions": positions}


def distances(draw: Draw) -> Arguments:
    queries, keys = scattered(draw, draw.size(2)), scattered(draw, draw.size(4))
    return {"query_positions": queries, "key_positions": keys, "heads": draw.size(3)}


def positions_of_both(draw: Draw) -> Arguments:
    """Positions of queries and keys: near each other, far away, and further away than all buckets."""
    near, far = draw.integers(0, 40, draw.size(3)), torch.tensor([0, 3, 15, 60, 400])
    return {"query_positions": torch.cat([near, torch.tensor([30])]), "key_positions": torch.cat([far, near])}


def buckets_of_a_decoder(draw: Draw) -> Arguments:
    return {**positions_of_both(draw), "bidirectional": False}


def fewer_buckets(draw: Draw) -> Arguments:
    return {**positions_of_both(draw), "buckets": draw.choice([12, 16, 20]), "max_distance": draw.choice([50, 90])}


def texts(draw: Draw, pad_id: int) -> Arguments:
    """Texts with padding at the end, and in one of them at the beginning too. The other ids are smaller and larger ones."""
    ids = draw.integers(0, 9, draw.size(3, least=2), draw.size(7, least=5))
    ids[ids == pad_id] = 9
    ids[:, 1], ids[0, 0], ids[:, -1] = 0, pad_id, pad_id
    return {"ids": ids, "pad_id": pad_id}


def with_other_tokens(arguments: Arguments) -> Arguments:
    ids = arguments["ids"]
    return {**arguments, "ids": torch.where(ids == arguments["pad_id"], ids, ids + 10)}


def with_padding_at_the_front(arguments: Arguments) -> Arguments:
    return {**arguments, "ids": torch.nn.functional.pad(arguments["ids"], (2, 0), value=arguments["pad_id"])}


def at_position_zero(arguments: Arguments) -> Arguments:
    return {**arguments, "positions": torch.zeros_like(arguments["positions"])}


def swapped(arguments: Arguments) -> Arguments:
    return {
        **arguments,
        "query_positions": arguments["key_positions"],
        "key_positions": arguments["query_positions"],
    }


POSITION_EXERCISES = [
    Exercise(
        "sinusoidal_positions",
        sinusoidal_positions,
        (
            Case("positions from 0", counted_positions, tolerance=ANGLES),
            Case("positions in any order", scattered_positions, tolerance=ANGLES),
        ),
        questions=("How many different wavelengths are there, and which columns share one?",),
        invariants=(reordered("each position has its own vector", "positions", {"positions": 0}, output_axis=0),),
    ),
    Exercise(
        "learned_positions",
        learned_positions,
        (Case("positions", table_and_positions),),
        questions=("Which axis of the table do the positions select from?",),
        invariants=(reordered("each position has its own vector", "positions", {"positions": 1}, output_axis=1),),
    ),
    Exercise(
        "rotary_positions",
        rotary_positions,
        (
            Case("positions from 0", lambda draw: vectors_at(draw, counted(draw)), tolerance=ANGLES),
            Case("positions in any order", lambda draw: vectors_at(draw, scattered(draw, draw.size(3))), tolerance=ANGLES),
        ),
        questions=(
            "Which two columns form a pair?",
            "What happens to a point in the plane if it is rotated by an angle? Write down both coordinates.",
        ),
        invariants=(
            Invariant(
                "position 0 changes nothing",
                at_position_zero,
                lambda one, other, given: equal(other, given["vectors"]),
                "Here, every position is 0. The second result must be `vectors`.",
            ),
            independent("tokens", ("vectors",), axis=-2),
        ),
    ),
    Exercise(
        "alibi_bias",
        alibi_bias,
        (Case("positions", distances),),
        questions=(
            "Which slope has the first head, and which the last?",
            "What is the bias of a query and a key at the same position?",
        ),
        invariants=(
            Invariant(
                "both directions are alike",
                swapped,
                lambda one, other, given: equal(one, other.mT),
                "Here, the positions of queries and keys are exchanged. The second result must be the first one transposed.",
            ),
        ),
    ),
    Exercise(
        "relative_position_buckets",
        relative_position_buckets,
        (
            Case("an encoder", positions_of_both),
            Case("a decoder", buckets_of_a_decoder),
            Case("other buckets", fewer_buckets),
        ),
        questions=(
            "Of 32 buckets, how many are for later keys, and how many of these are for one distance each?",
            "Which bucket has a key that is further away than `max_distance`?",
        ),
    ),
    Exercise(
        "positions_without_padding",
        positions_without_padding,
        (
            Case("the padding of RoBERTa", lambda draw: texts(draw, 1)),
            Case("another padding", lambda draw: texts(draw, draw.choice([2, 3, 4]))),
        ),
        questions=(
            "Which position has the first token of a text if `pad_id` is 1, and which has padding?",
            "How can the number of real tokens up to each place be computed at once?",
        ),
        invariants=(
            Invariant(
                "padding at the front changes no other position",
                with_padding_at_the_front,
                lambda one, other, given: equal(one, other[..., 2:]),
                "Here, two pieces of padding are at the front of each text. All others must have the same positions.",
            ),
            Invariant(
                "only the padding matters",
                with_other_tokens,
                equal,
                f"Here, all ids but those of padding are larger by 10. {EQUAL}",
            ),
            independent("texts", ("ids",), axis=0),
        ),
    ),
]
