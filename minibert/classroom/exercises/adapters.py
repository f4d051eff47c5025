"""Exercises about LoRA and bottleneck adapters."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from minibert.classroom.draws import Draw
from minibert.classroom.exercise import Arguments, Case, Exercise, Invariant, without
from minibert.classroom.exercises.invariants import equal
from minibert.equations import bottleneck_adapter, lora, lora_merged_weight, lora_scale
from minibert.model.adapters.lora import LoRALinear

OLD = 10.0
"""Numbers of the matrices before the initialization are at least so large."""


@dataclass
class FrozenMap:
    """A linear map with fixed weights."""

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight, self.bias)


@dataclass
class FixedDropout:
    """A dropout that drops the same features in every call."""

    keep: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return 2 * self.keep * x


def scale_of_the_update(draw: Draw) -> Arguments:
    return {"alpha": draw.choice([16.0, 8.0, 24.0]), "rank": draw.size(3, least=2)}


def rank_stabilized_scale(draw: Draw) -> Arguments:
    return {**scale_of_the_update(draw), "rank_stabilized": True}


def low_rank_update(draw: Draw) -> Arguments:
    """A square matrix, as in BERT's attention, so that shapes cannot show a transpose."""
    batch, tokens, width, rank = draw.size(2), draw.size(3), draw.size(5, least=2), draw.size(2)
    frozen = FrozenMap(draw.numbers(width, width) / math.sqrt(width), draw.numbers(width))
    x, a, b = draw.numbers(batch, tokens, width), draw.numbers(rank, width), draw.numbers(width, rank)
    return {"x": x, "frozen": frozen, "a": a, "b": b, "scale": draw.choice([3.0, 2.5, 0.5])}


def square_matrices(draw: Draw) -> Arguments:
    """As many features as the rank, so that shapes show no wrong order."""
    inputs = low_rank_update(draw)
    width = inputs["x"].shape[-1]
    return {**inputs, "a": draw.numbers(width, width), "b": draw.numbers(width, width)}


def low_rank_update_with_dropout(draw: Draw) -> Arguments:
    inputs = low_rank_update(draw)
    keep = torch.arange(inputs["x"].shape[-1]) % 2
    return {**inputs, "dropout": FixedDropout(keep)}


def merged(inputs: Arguments) -> Arguments:
    """Return the arguments of a merge for those of an update."""
    return {"weight": inputs["frozen"].weight, "a": inputs["a"], "b": inputs["b"], "scale": inputs["scale"]}


def bottleneck(draw: Draw) -> Arguments:
    batch, tokens, width, features = draw.size(2), draw.size(3), draw.size(5, least=2), draw.size(3)
    return {
        "hidden": draw.numbers(batch, tokens, width),
        "down": draw.numbers(width, features),
        "down_bias": draw.numbers(features),
        "up": draw.numbers(features, width),
        "up_bias": draw.numbers(width),
    }


def bottleneck_with_another_activation(draw: Draw) -> Arguments:
    return {**bottleneck(draw), "activation": torch.tanh}


def lora_layer(draw: Draw) -> Arguments:
    """A new LoRA layer. Its update has numbers of another training, and the frozen map has as large ones.

    Also the smallest one has so many numbers that they show their distribution.
    """
    layer = LoRALinear(nn.Linear(draw.size(40, least=16), draw.size(4, least=2)), rank=draw.size(8, least=6), alpha=8)
    with torch.no_grad():
        for matrix in (layer.lora_a, layer.lora_b, layer.weight):
            matrix.copy_(OLD + draw.numbers(*matrix.shape).abs())
    return {"self": layer}


def distribution_of_numbers(matrix: Tensor) -> Tensor:
    """Return what the numbers of a matrix show of their distribution.

    These are answers (0 or 1): Are some not zero, are there old ones, different ones, negative ones? Is their distribution not
    uniform? Are they larger, or much smaller, than those of a linear layer in PyTorch?
    """
    matrix = matrix.reshape(-1, matrix.shape[-1] if matrix.ndim else 1)
    sizes, bound = matrix.abs(), matrix.shape[-1] ** -0.5
    largest, peaked = sizes.max(), sizes.mean() < 0.4 * sizes.max()
    answers = (
        largest > 0,
        largest >= OLD,
        (matrix != matrix[0, 0]).any(),
        (matrix < 0).any(),
        peaked,
        ~peaked & (largest > 1.001 * bound),
        ~peaked & (largest < 0.8 * bound),
    )
    return torch.stack(answers).float()


def kind_of_numbers(answers: Tensor, arguments: Arguments) -> str:
    """Describe what `distribution_of_numbers` returns, in words."""
    if answers.shape != (7,):  # the learner's matrix has no numbers
        return "no numbers"
    is_not_zero, is_old, differ, some_are_negative, is_peaked, is_larger, is_smaller = answers.bool().tolist()
    if is_old:
        return "the numbers of before"
    if not is_not_zero:
        return "zeros"
    if not differ:
        return "equal numbers"
    kind = "random numbers" if some_are_negative else "random numbers without a negative one"
    if is_peaked:
        return f"{kind} that are not uniform"
    if is_larger or is_smaller:
        return f"{kind} that are {'larger' if is_larger else 'smaller'} than those of a linear layer"
    return kind


def no_result(result: object) -> float:
    """Replace the result of a function that only changes its argument."""
    return 0.0


def without_update(arguments: Arguments) -> Arguments:
    return {**arguments, "scale": 0.0}


def is_frozen(one: Tensor, other: Tensor, arguments: Arguments) -> bool:
    """Return True if the output with scale 0 is that of the frozen map."""
    return equal(other, arguments["frozen"](arguments["x"]), arguments)


FROZEN = Invariant(
    "with scale 0, the result is that of the frozen map",
    without_update,
    is_frozen,
    "Here, the scale is 0. The second result must be frozen(x).",
)
ADAPTER_EXERCISES = [
    Exercise(
        "lora_scale",
        lora_scale,
        (Case("a scale", scale_of_the_update), Case("rank-stabilized", rank_stabilized_scale)),
        questions=("What happens to the scale if the rank is doubled?",),
    ),
    Exercise(
        "lora",
        lora,
        (
            Case("an update", low_rank_update),
            Case("square matrices", square_matrices),
            Case("without a scale", lambda draw: without(low_rank_update(draw), "scale")),
            Case("dropout", low_rank_update_with_dropout),
        ),
        questions=("Which of the two matrices is applied to the input first?",),
        invariants=(FROZEN,),
    ),
    Exercise(
        "lora_merged_weight",
        lora_merged_weight,
        (
            Case("an update", lambda draw: merged(low_rank_update(draw))),
            Case("square matrices", lambda draw: merged(square_matrices(draw))),
            Case("without a scale", lambda draw: without(merged(low_rank_update(draw)), "scale")),
        ),
        questions=("Which order of the matrices gives the shape of the weight?",),
    ),
    Exercise(
        "lora_initialization",
        LoRALinear.initialize_update,
        (Case("a new layer", lora_layer, gradients=False, summary=distribution_of_numbers),),
        questions=("Which gradient has A if B is zero, and which has B?",),
        changes=frozenset({"self"}),
        read=no_result,
        write=kind_of_numbers,
    ),
    Exercise(
        "bottleneck_adapter",
        bottleneck_adapter,
        (Case("GELU", bottleneck), Case("another activation function", bottleneck_with_another_activation)),
        questions=("What is the output if W_up and b_up are zero?",),
    ),
]
