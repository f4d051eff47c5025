"""The inputs of every exercise, with larger sizes than usual and with the least ones, and those that properties change.

exercise_inputs.txt has the shape of each tensor, and a sum of its numbers in which each place has its own weight. If inputs
change on purpose, `python -m tests.classroom.test_exercise_inputs` writes the file again: look at the difference.
"""

import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from minibert.classroom.exercise import Exercise
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.results import tensors_in

FILE = Path(__file__).with_name("exercise_inputs.txt")


class LargerSizes:
    """A draw without chance: numbers and choices that count up."""

    def __init__(self) -> None:
        self.calls = 0

    def size(self, usual: int, least: int = 1) -> int:
        return usual + 1

    def numbers(self, *shape: int, spread: float = 1.0, mean: float = 0.0) -> Tensor:
        self.calls += 1
        count = torch.arange(int(np.prod(shape)))
        return mean + spread * ((5 * count + self.calls) % 13 - 6.2).reshape(shape) / 4

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        self.calls += 1
        return low + ((3 * torch.arange(int(np.prod(shape))) + self.calls) % (high - low)).reshape(shape)

    def mask(self, *shape: int) -> Tensor:
        mask = self.integers(0, 2, *shape) > 0
        mask[..., 0] = True
        return mask

    def choice(self, options: Any) -> Any:
        return options[len(options) // 2]


class LeastSizes(LargerSizes):
    def size(self, usual: int, least: int = 1) -> int:
        return least

    def choice(self, options: Any) -> Any:
        return options[-1]


def checksum(tensor: Tensor) -> str:
    numbers = tensor.detach().double().flatten()
    total = (numbers * (1 + torch.arange(len(numbers)) % 11)).sum().item()
    return f"{'×'.join(map(str, tensor.shape)) or 'number'} {total:.4g}"


def described(name: str, value: Any) -> Iterator[str]:
    tensors = dict(tensors_in(value, name))
    if isinstance(value, nn.Module):
        sums = [torch.ones_like(tensor) if name.endswith("bias") else tensor for name, tensor in tensors.items()]
        fixed = sum(type(module).__name__ == "FixedDropout" for module in value.modules())
        kind = f"{type(value).__name__}{' in training' * value.training}{f' with {fixed} fixed dropouts' * bool(fixed)}"
        yield f"{name} {kind} {checksum(torch.cat([*map(torch.flatten, sums)]))}"
    elif isinstance(value, torch.optim.Optimizer):
        yield f"{name} {type(value).__name__} {value.param_groups[0]['lr']}"
    elif isinstance(value, np.random.Generator):
        yield f"{name} {value.integers(1000)}"
    elif dataclasses.is_dataclass(value):
        for part, each in vars(value).items():
            yield from described(f"{name}.{part}", each)
    elif tensors:
        yield ", ".join(f"{part} {checksum(tensor)}" for part, tensor in tensors.items())
    elif isinstance(value, bool | int | float | str | tuple | set | frozenset | None):
        yield f"{name} {sorted(value) if isinstance(value, set | frozenset) else value}"
    else:
        yield f"{name} {getattr(value, '__name__', type(value).__name__)}"


def lines_of(exercise: Exercise) -> Iterator[str]:
    """Yield the lines of an exercise: the arguments that a property changes, and the inputs of each case."""
    more = [*exercise.needs, *sorted(exercise.changes), *(form.__name__ for form in exercise.other_forms)]
    yield f"{exercise.name} ({inspect.unwrap(exercise.reference).__qualname__}) {', '.join(more)}"
    for invariant in exercise.invariants:
        yield f"  {invariant.name}: {invariant.relation}"
        for case in exercise.cases:
            arguments = case.recipe(LargerSizes())
            changed = invariant.changed(arguments)
            values = {name: value for name, value in (changed or {}).items() if value is not arguments.get(name)}
            words = "; ".join(part for each in values.items() for part in described(*each)) or "the same"
            yield f"    {words if changed else 'says nothing'}"
    for case in exercise.cases:
        compared = ", gradients" * case.gradients + ", statistic" * bool(case.summary)
        yield f"  {case.name}: {case.role}, {case.tolerance:g}{compared}"
        for draw in (LargerSizes(), LeastSizes()):
            arguments = case.recipe(draw)
            yield "    " + "; ".join(part for name, value in arguments.items() for part in described(name, value))


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda exercise: exercise.name)
def test_the_inputs_are_those_of_the_file(exercise: Exercise) -> None:
    whole = FILE.read_text(encoding="utf-8").splitlines()
    begins = [number for number, line in enumerate(whole) if not line.startswith(" ")] + [len(whole)]
    number = [*EXERCISES].index(exercise.name)
    assert [*lines_of(exercise)] == whole[begins[number] : begins[number + 1]]


if __name__ == "__main__":
    FILE.write_text("\n".join(line for exercise in EXERCISES.values() for line in lines_of(exercise)) + "\n", encoding="utf-8")
