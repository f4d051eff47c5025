"""Exercises about layer normalization, activation functions and the feed-forward network."""

import torch

from minibert.classroom.draws import Draw
from minibert.classroom.exercise import Arguments, Case, Exercise, Role
from minibert.equations import gelu, layer_norm


def tokens_with_gain_and_bias(draw: Draw, spread: float = 1.0) -> Arguments:
    tokens, width = (draw.size(2), draw.size(3), draw.size(4, least=2))[1:]
    hidden = spread * draw.numbers(2, tokens, width)
    return {"hidden": hidden, "gain": draw.numbers(width), "bias": draw.numbers(width)}


def tokens_of_small_variance(draw: Draw) -> Arguments:
    return tokens_with_gain_and_bias(draw, spread=2e-6)


def grid(draw: Draw) -> Arguments:
    return {"x": torch.linspace(-6, 6, 97) + 0.01 * draw.numbers(1)}


LAYER_EXERCISES = [
    Exercise(
        "layer_norm",
        layer_norm,
        (
            Case("tokens", tokens_with_gain_and_bias),
            Case("small variance", tokens_of_small_variance, Role.EDGE),
        ),
        questions=("Over which axis are the mean and the variance computed?",),
    ),
    Exercise("gelu", gelu, (Case("a grid", grid),)),
]
