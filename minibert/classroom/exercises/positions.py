"""Exercises about position encodings."""

import torch
from torch import Tensor

from minibert.classroom.draws import Draw
from minibert.classroom.exercise import Arguments, Case, Exercise, Invariant
from minibert.classroom.exercises.invariants import equal, independent, reordered
from minibert.equations import alibi_bias, learned_positions, relative_position_buckets, rotary_positions, sinusoidal_positions

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
]
