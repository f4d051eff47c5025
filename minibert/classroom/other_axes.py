"""Cases with other axes than an exercise's own: all that its annotations allow.

`*batch` means any number of axes, so there is a case without them and one with one more. `#queries` means this size or 1, and
`*#batch` means fewer axes, too.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any, get_args

import torch
from torch import Tensor

from minibert.classroom.draws import Draw, RandomDraw
from minibert.classroom.exercise import Arguments, Case, Exercise, Role


@dataclass(frozen=True)
class Axes:
    """The axes of an argument: those in front, of any number, and the others by name, with `#` for "or 1"."""

    front: str
    """Such as "*batch" or "*#batch"; empty if there are none."""
    names: tuple[str, ...]

    @property
    def may_differ(self) -> bool:
        """True if an axis may have the size 1 instead."""
        return any("#" in name for name in (self.front, *self.names))

    def in_front(self, value: Tensor) -> int:
        """Return how many axes of a tensor are in front."""
        return value.ndim - len(self.names)

    def sizes(self, value: Tensor) -> dict[str, tuple[int, ...]]:
        """Return the sizes of a tensor by the names of its axes: one for each, and any number for those in front."""
        count = self.in_front(value)
        front = {self.front: tuple(value.shape[:count])} if self.front else {}
        return front | {name: (size,) for name, size in zip(self.names, value.shape[count:], strict=True)}


CLEAR = 0.01
"""Smallest relative difference that counts: a wrong axis gives a large one, and a single number may be mostly rounding."""
Change = Callable[[Mapping[str, Axes], Arguments], Arguments]
"""A function that gives the arguments with these axes other axes."""


def axes_of_annotation(annotation: Any) -> Axes | None:
    """Return the axes of a tensor, or of a tensor that may be None; None for anything else."""
    for option in (annotation, *get_args(annotation)):
        if names := str(getattr(option, "dim_str", "")).split():
            front = names.pop(0) if names[0].startswith("*") else ""
            return None if any(name.startswith(("*", "...")) for name in names) else Axes(front, tuple(names))
    return None


def cases_of_other_axes(exercise: Exercise) -> Iterator[Case]:
    """Yield the cases with other axes, made from the usual case that has most arguments."""
    axes = {name: found for name, each in exercise.parameters.items() if (found := axes_of_annotation(each.annotation))}
    usual = [case for case in exercise.cases if case.role is Role.TYPICAL and case.summary is None]
    if not usual or not any(each.front or each.may_differ for each in axes.values()):
        return
    case = max(usual, key=lambda case: len(case.recipe(RandomDraw(0))))
    for name, change in CHANGES.items():
        recipe = partial(_changed, case.recipe, axes, change)
        if _shapes(recipe(RandomDraw(0))) != _shapes(case.recipe(RandomDraw(0))):
            yield replace(case, name=name, recipe=recipe, role=Role.AXES, tolerance=CLEAR, gradients=False)


def _shapes(arguments: Arguments) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in arguments.items() if isinstance(value, Tensor)}


def _changed(recipe: Callable[[Draw], Arguments], axes: Mapping[str, Axes], change: Change, draw: Draw) -> Arguments:
    arguments = recipe(draw)
    present = {name: each for name, each in axes.items() if isinstance(arguments.get(name), Tensor)}
    return {**arguments, **change(present, arguments)}


def without_front(axes: Mapping[str, Axes], arguments: Arguments) -> Arguments:
    """Keep the first part along each axis in front, in all arguments, but no single number: one axis stays then."""
    free = [each for each in axes.values() if _is_free(each)]
    return _first_parts(axes, arguments, kept=0 if all(each.names for each in free) else 1) if free else {}


def _is_free(axes: Axes) -> bool:
    """Return True for axes such as "*batch", whose number does not depend on other arguments."""
    return bool(axes.front) and "#" not in axes.front


def _first_parts(axes: Mapping[str, Axes], arguments: Arguments, kept: int = 0) -> Arguments:
    return {name: arguments[name][(0,) * (each.in_front(arguments[name]) - kept)] for name, each in axes.items() if each.front}


def one_more_in_front(axes: Mapping[str, Axes], arguments: Arguments) -> Arguments:
    """Stack each batch with a copy whose parts are in reverse order. Arguments with fewer axes in front stay as they are."""
    front = {name: arguments[name] for name, each in axes.items() if each.front}
    most = max((axes[name].in_front(value) for name, value in front.items() if _is_free(axes[name])), default=-1)
    full = {name: value for name, value in front.items() if axes[name].in_front(value) == most}
    return {name: torch.stack([value, value.flip(0)]) for name, value in full.items() if value.ndim}


def one_in_front(axes: Mapping[str, Axes], arguments: Arguments) -> Arguments:
    """Give the axes in front of `*#batch` the size 1."""
    return {
        name: arguments[name][(slice(1),) * each.in_front(arguments[name])] for name, each in axes.items() if "#" in each.front
    }


def one_at_names(axes: Mapping[str, Axes], arguments: Arguments) -> Arguments:
    """Give the axes such as `#queries` the size 1."""
    return {
        name: arguments[name][(..., *(slice(1) if "#" in axis else slice(None) for axis in each.names))]
        for name, each in axes.items()
    }


def fewer_in_front(axes: Mapping[str, Axes], arguments: Arguments) -> Arguments:
    """Leave out the axes in front of `*#batch`."""
    return _first_parts({name: each for name, each in axes.items() if "#" in each.front}, arguments)


def full_size(axes: Mapping[str, Axes], arguments: Arguments) -> Arguments:
    """Give the axes with `#` the sizes that other arguments have, and each part along them its own numbers."""
    sizes: dict[str, tuple[int, ...]] = {}
    for name, each in axes.items():
        sizes |= {axis: size for axis, size in each.sizes(arguments[name]).items() if "#" not in axis}
    return {
        name: _expanded(arguments[name], _full(each.sizes(arguments[name]), sizes))
        for name, each in axes.items()
        if each.may_differ
    }


def _full(own: Mapping[str, tuple[int, ...]], others: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Return a shape with the sizes of other arguments in place of own ones with `#`."""
    plain = {axis.strip("*"): size for axis, size in others.items()}
    return tuple(chain.from_iterable(plain.get(axis.strip("*#"), size) if "#" in axis else size for axis, size in own.items()))


def _expanded(value: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return a tensor in a larger shape. The numbers of each row are moved by another number of places along the last axis."""
    if tuple(value.shape) == shape:
        return value
    rows = value.expand(shape).reshape(-1, shape[-1])
    return torch.stack([row.roll(number) for number, row in enumerate(rows)]).reshape(shape)


CHANGES: Mapping[str, Change] = {
    "without a batch": without_front,
    "one more batch axis": one_more_in_front,
    "batch axes of size 1": one_in_front,
    "other axes of size 1": one_at_names,
    "fewer batch axes": fewer_in_front,
    "all axes of full size": full_size,
}
"""The cases by name."""
