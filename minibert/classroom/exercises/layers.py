"""Exercises about layer normalization, activation functions and the feed-forward network."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from minibert.classroom.draws import Draw
from minibert.classroom.exercise import Arguments, Case, Exercise, Invariant, Role
from minibert.classroom.exercises.invariants import equal, independent, reordered
from minibert.equations import add_and_norm, feed_forward, gelu, gelu_tanh, layer_norm, relu, rms_norm


@dataclass(frozen=True)
class Sublayer:
    """A sublayer: a linear map of each token and its square, as the output for twice the input is not twice the output."""

    matrix: Tensor

    def __call__(self, hidden: Tensor) -> Tensor:
        linear = hidden @ self.matrix
        return linear + linear.square()


def tokens(draw: Draw, spread: float = 1.0, mean: float = 0.5) -> Arguments:
    batch, length, width = draw.size(2), draw.size(3), draw.size(4, least=2)
    hidden = draw.numbers(batch, length, width, spread=spread, mean=mean)
    return {"hidden": hidden, "gain": draw.numbers(width), "bias": draw.numbers(width)}


def tokens_and_sublayer(draw: Draw, spread: float = 1.0, mean: float = 0.5) -> Arguments:
    """Make tokens, and a sublayer that removes a constant part of its input, so that a large mean stays in one place."""
    inputs = tokens(draw, spread, mean)
    matrix = draw.numbers(inputs["hidden"].shape[-1], inputs["hidden"].shape[-1])
    return {**inputs, "sublayer": Sublayer(matrix - matrix.mean(dim=0))}


def cases_of_norms(inputs: Callable[..., Arguments]) -> tuple[Case, ...]:
    """Return the cases of layer normalization, with and without a sublayer."""
    return (
        Case("tokens", inputs),
        Case("another eps", lambda draw: {**inputs(draw), "eps": draw.choice((0.5, 0.25))}),
        Case("small variance", partial(inputs, spread=2e-6, mean=0.0), Role.EDGE),
        Case("large mean", partial(inputs, mean=3000.0), Role.LIMIT, tolerance=5e-3, gradients=False),
    )


def tokens_without_bias(draw: Draw, factor: float = 1.0) -> Arguments:
    given = tokens(draw)
    return {"hidden": factor * given["hidden"], "gain": given["gain"]}


def network(draw: Draw) -> Arguments:
    batch, length, width, intermediate = draw.size(2), draw.size(3), draw.size(3), draw.size(5)
    return {
        "hidden": draw.numbers(batch, length, width),
        "weight_1": draw.numbers(width, intermediate),
        "bias_1": draw.numbers(intermediate),
        "weight_2": draw.numbers(intermediate, width),
        "bias_2": draw.numbers(width),
    }


def grid(draw: Draw, largest: float = 4.0) -> Arguments:
    return {"x": torch.linspace(-largest, largest, 65) + 0.01 * draw.numbers(65)}


def mirrored(arguments: Arguments) -> Arguments:
    return {"x": -arguments["x"]}


NORM_INVARIANTS = (
    independent("sequences of a batch", ("hidden",), axis=0),
    independent("tokens", ("hidden",), axis=1),
    reordered("columns are alike", "columns", {"hidden": -1, "gain": 0, "bias": 0}, output_axis=-1),
)
DIFFERENCE_IS_X = Invariant(
    "f(x) - f(-x) = x",
    mirrored,
    lambda one, other, given: equal(one - other, given["x"]),
    "Here, x has the other sign. The first result minus the second must be x.",
)
LAYER_EXERCISES = [
    Exercise(
        "layer_norm",
        layer_norm,
        cases_of_norms(tokens),
        questions=("Over which axis are the mean and the variance computed?", "Where is eps added, and why is it needed?"),
        invariants=NORM_INVARIANTS,
    ),
    Exercise(
        "add_and_norm",
        add_and_norm,
        cases_of_norms(tokens_and_sublayer),
        questions=("Is the input of the sublayer normalized, its output, or the sum of both?",),
        invariants=NORM_INVARIANTS[:2],
        needs=("layer_norm",),
    ),
    Exercise(
        "relu",
        relu,
        (
            Case("a grid", partial(grid, largest=9.0)),
            Case("the gradient at zero", lambda draw: {"x": torch.zeros(1)}, Role.LIMIT),
        ),
        questions=("Which numbers does the function change?",),
        invariants=(DIFFERENCE_IS_X,),
    ),
    Exercise(
        "gelu",
        gelu,
        (Case("a grid", grid),),
        questions=("How is the distribution function of the normal distribution computed from the error function?",),
        invariants=(DIFFERENCE_IS_X,),
    ),
    Exercise(
        "gelu_tanh",
        gelu_tanh,
        (Case("a grid", grid),),
        questions=("Which part of the formula is inside tanh?",),
        invariants=(DIFFERENCE_IS_X,),
    ),
    Exercise(
        "feed_forward",
        feed_forward,
        (
            Case("tokens", network),
            Case("another activation function", lambda draw: {**network(draw), "activation": gelu}),
        ),
        questions=("What would two linear maps without a function between them be equal to?",),
        invariants=(
            independent("sequences of a batch", ("hidden",), axis=0),
            independent("tokens", ("hidden",), axis=1),
            reordered("hidden units can be permuted", "hidden units", {"weight_1": 1, "bias_1": 0, "weight_2": 0}),
        ),
        needs=("relu",),
    ),
    Exercise(
        "rms_norm",
        rms_norm,
        (
            Case("tokens", tokens_without_bias),
            Case("another eps", lambda draw: {**tokens_without_bias(draw), "eps": draw.choice((0.5, 0.25))}),
            Case("small numbers", partial(tokens_without_bias, factor=1e-3), Role.EDGE),
        ),
        questions=("Which two parts of layer normalization are left out?",),
        invariants=NORM_INVARIANTS,
    ),
]
