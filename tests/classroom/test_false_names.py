"""Mistakes that were made are named, and no mistake is named that was not made."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from minibert.classroom.exercises import EXERCISES
from minibert.classroom.naming import explain
from minibert.classroom.probes import call_all, expected, probes
from minibert.classroom.running import LocalRunner, Outcome
from tests.classroom.wrong_functions import WRONG
from tests.sampling import sampled

NONSENSE = 50


@pytest.mark.parametrize(
    "number", sampled(range(len(WRONG)), 4), ids=[f"{number}-{name}" for number, (name, *_) in enumerate(WRONG)]
)
def test_a_mistake_in_a_learners_style_is_named(number) -> None:
    name, named, function = WRONG[number]
    exercise = EXERCISES[name]
    explanation = explain(exercise, call_all(probes(exercise), LocalRunner(exercise, function)))
    assert named in (" and ".join(mistake.name for mistake in explanation.mistakes) or explanation.relation)


def nonsense(output: Tensor, kind: int, generator: torch.Generator) -> Tensor:
    """Return numbers of the same shape and size that no function of the exercise computes."""
    noise = torch.randn(output.shape, generator=generator)
    if not output.is_floating_point():
        return torch.where(noise > 0.4, output.flatten().roll(1).reshape(output.shape), (noise < 0).to(output.dtype))
    a, b = torch.rand(2, generator=generator) + 0.3
    return (
        noise,
        output * (1 + 0.1 * noise),
        a * torch.sin(3 * output) + b * output.square(),
        output + a * torch.cos(torch.arange(output.numel()).reshape(output.shape) * b),
        torch.where(noise > 1, b, output),
    )[kind % 5]


def outcomes_of_nonsense(name: str) -> Iterator[list[Outcome]]:
    for kind in range(NONSENSE):
        generator = torch.Generator().manual_seed(kind)
        yield [
            Outcome({key: nonsense(output, kind, generator) for key, output in right.outputs.items()})
            for right in expected(EXERCISES[name])
        ]


@pytest.mark.parametrize("name", sampled(["gelu", "softmax", "causal_mask", "layer_norm", "scaled_dot_product_attention"], 5))
def test_nonsense_has_no_name(name) -> None:
    for outcomes in outcomes_of_nonsense(name):
        explanation = explain(EXERCISES[name], outcomes)
        assert explanation.mistakes == ()
        assert explanation.relation == ""
