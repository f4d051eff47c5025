"""The questions of a check about one call, in order. Each one has a problem as its answer, or None."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from minibert.classroom.distance import changed_arguments, relative_difference, scale_of_gradients, summarized, value_distance
from minibert.classroom.exercise import Exercise, Role
from minibert.classroom.probes import Probe, expected
from minibert.classroom.report import Stage
from minibert.classroom.running import Outcome, Runner

KINDS_OF_NUMBERS = {
    "Boolean": (torch.bool,),
    "whole": (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint32, torch.uint64),
    "complex": (torch.complex32, torch.complex64, torch.complex128),
}
"""Data types that are interchangeable; all others are those of real numbers."""
BOOLEAN_ADVICE = "Comparisons such as `a == b` give Boolean tensors, and `mask.bool()` converts one."


@dataclass(frozen=True)
class Problem:
    """A failed part of a check."""

    stage: Stage
    text: str
    """Description with numbers, in a sentence or two."""


@dataclass(frozen=True)
class Answered:
    """A call with the outcomes of the learner's function and of the reference."""

    exercise: Exercise
    probe: Probe
    own: Outcome
    other: Outcome
    runner: Runner


def problem_of(call: Answered) -> Problem | None:
    """Return the first problem of a call."""
    return next(filter(None, (question(call) for question in QUESTIONS)), None)


def aligned(own: Outcome, other: Outcome) -> Outcome:
    """Give the parts of a tuple the names of the parts that the reference returns, if there are as many."""
    names = [f"output.{number}" for number in range(len(other.outputs))]
    if len(names) > 1 and list(own.outputs) == names:
        own.outputs = dict(zip(other.outputs, own.outputs.values(), strict=True))
    return own


def _runs(call: Answered) -> Problem | None:
    if not call.own.error:
        return None
    numbers = [f"{name} = {value}" for name, value in call.probe.arguments.items() if isinstance(value, int | float)]
    called = f" It was called with {', '.join(numbers)}." if numbers else ""
    return Problem(Stage.RUNS, f"{call.own.error.removesuffix('.')}.{called}" if called else call.own.error)


def _shapes(call: Answered) -> Problem | None:
    own, other = call.own.outputs, call.other.outputs
    if own.keys() != other.keys():
        return Problem(Stage.SHAPE, _parts(own, other))
    for name, output in own.items():
        if output.shape != (wanted := other[name].shape):
            axes = axes_of(call.exercise, name, len(wanted))
            text = f"{axes} = {tuple(wanted)}" if axes and len(wanted) else str(tuple(wanted))
            return Problem(Stage.SHAPE, f"{words_for(name)} has the shape {tuple(output.shape)}, expected {text}.")
    return None


def _parts(own: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> str:
    """Describe a result with a wrong number of parts, or with wrong names of its parts."""
    if list(own) == ["output.0"] and list(other) == ["output"]:
        return "The function returned a tuple of one tensor, not the tensor. Is there a comma at the end of the `return` line?"
    count = f"{len(own)} {'result' if len(own) == 1 else 'results'}"
    if list(other) == ["output"]:
        return f"The function returned {count} in a tuple, list or dictionary, expected one tensor."
    if len(own) == len(other):
        return f"The parts of the result are {', '.join(own)}, expected {', '.join(other)}."
    return f"The function returned {count}, expected {len(other)}."


def axes_of(exercise: Exercise, name: str, axes: int) -> str:
    """Return the names of the axes of a result, such as "(batch, heads, queries, value_width)"; empty if they are not known."""
    annotation = inspect.signature(inspect.unwrap(exercise.reference)).return_annotation
    part = name.rpartition(".")[2]
    if part.isdecimal() and int(part) < len(get_args(annotation)):
        annotation = get_args(annotation)[int(part)]
    names = [axis.lstrip("#") for axis in str(getattr(annotation, "dim_str", "")).split()]
    if not names or not all(axis.lstrip("*").isidentifier() for axis in names):
        return ""
    leading = [number for number, axis in enumerate(names) if axis.startswith("*")]
    for number in leading:
        more = axes - len(names) + 1
        if more <= 2:
            second = "heads" if {"queries", "keys"} & set(names) else "tokens"
            names[number : number + 1] = [names[number].lstrip("*"), second][:more]
    return f"({', '.join(names)})" if len(names) == axes or leading else ""


def _kinds(call: Answered) -> Problem | None:
    for name, output in call.own.outputs.items():
        dtype, wanted = output.dtype, call.other.outputs[name].dtype
        if kind_of(dtype) != kind_of(wanted):
            advice = f" {BOOLEAN_ADVICE}" if wanted is torch.bool else ""
            text = f"{words_for(name)} has the data type {_name(dtype)}, expected {_name(wanted)}.{advice}"
            return Problem(Stage.DTYPE, text)
    return None


def kind_of(dtype: torch.dtype) -> str:
    """Return the kind of numbers of a data type: "Boolean", "whole", "complex" or "real"."""
    return next((kind for kind, dtypes in KINDS_OF_NUMBERS.items() if dtype in dtypes), "real")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _finite(call: Answered) -> Problem | None:
    for name, output in call.own.outputs.items():
        wanted = call.other.outputs[name]
        for wrong, word in ((output.isnan(), "NaN"), (output.isinf() & (not has_infinities(call.exercise)), "infinite")):
            if (places := wrong & wanted.isfinite()).any():
                place = first_place(places)
                count = f"{int(places.sum())} of {output.numel()} numbers are {word}"
                return Problem(
                    Stage.FINITE, f"{words_for(name)}: {count}, the first{at(place)}, expected {shown(wanted[place].item())}."
                )
    return None


@cache
def has_infinities(exercise: Exercise) -> bool:
    """Return True if correct results have infinite numbers, as those of a filter: then one more is a wrong value only."""
    return any(output.isinf().any().item() for outcome in expected(exercise) for output in outcome.outputs.values())


def _inputs(call: Answered) -> Problem | None:
    changed = changed_inputs(call)
    if not changed:
        return None
    code = re.sub(r"\.(\d+)", r"[\1]", next(iter(changed)))
    text = f"The function changes its argument `{code}`, which the caller may still need."
    is_array = isinstance(call.probe.arguments.get(code), np.ndarray)
    kind, copy = ("array", f"{code}.copy()") if is_array else ("tensor", f"{code}.clone()")
    advice = f"Use a copy (`{copy}`), or operations that return a new {kind}."
    return Problem(Stage.INPUTS, f"{text} {advice}")


def changed_inputs(call: Answered) -> dict[str, Tensor]:
    """Return the tensors of the arguments that the function must not change, and has changed or added."""
    own, before, changes = call.own.after, call.other.after, call.exercise.changes
    return {
        name: tensor
        for name, tensor in own.items()
        if name.partition(".")[0] not in changes and (name not in before or relative_difference(tensor, before[name]) > 0)
    }


def _invariants(call: Answered) -> Problem | None:
    if call.probe.case.role is Role.LIMIT:  # rounding may be large there
        return None
    for invariant in call.exercise.invariants:
        changed = invariant.changed(dict(call.probe.arguments))
        if changed is None:
            continue
        again = call.runner(changed, gradients=False)
        if again.error:
            return Problem(Stage.INVARIANTS, f"This property cannot be checked: {invariant.name}. {again.error}")
        if not invariant.holds(_only(call.own.outputs), _only(again.outputs), call.probe.arguments):
            return Problem(Stage.INVARIANTS, f"This property does not hold: {invariant.name}.")
    return None


def _only(outputs: Mapping[str, Tensor]) -> Tensor:
    return next(iter(outputs.values()), torch.tensor(torch.nan))


def _repeats(call: Answered) -> Problem | None:
    if call.own.repeatable or call.probe.case.summary is not None:
        return None
    return Problem(
        Stage.VALUES,
        "The function returns other numbers when it is called again with the same arguments. "
        "Does it use random numbers, or keep something from an earlier call, such as a global variable?",
    )


def _values(call: Answered) -> Problem | None:
    case, changes = call.probe.case, call.exercise.changes
    if value_distance(call.own, call.other, case, changes) <= case.tolerance:
        return None
    own, other = (
        {**summarized(outcome.outputs, case), **changed_arguments(outcome.after, changes)} for outcome in (call.own, call.other)
    )
    if missing := [name for name in other if name not in own]:
        return Problem(Stage.VALUES, f"After the call, {', '.join(missing)} is missing.")
    name = max(other, key=lambda name: relative_difference(own[name], other[name]))
    words = words_for(name) if name in call.other.outputs else f"After the call, `{name}`"
    return Problem(Stage.VALUES, difference_of(words, own[name], other[name], case.tolerance))


def _gradients(call: Answered) -> Problem | None:
    own, other = call.own, call.other
    if not other.gradients or own.leaves_torch:
        return None
    if own.gradient_error:
        return Problem(Stage.GRADIENTS, f"The result is right, but its gradient cannot be computed: {own.gradient_error}")
    if not own.gradients:
        return Problem(
            Stage.GRADIENTS,
            "The result is right, but no gradient flows through it. `detach()`, `.data`, `torch.no_grad()` and "
            "`torch.tensor(…)` cut the graph.",
        )
    scale = scale_of_gradients(other.gradients)
    far = {name: relative_difference(own.gradients[name], gradient, scale) for name, gradient in other.gradients.items()}
    worst = max(far, key=lambda name: far[name])
    if far[worst] <= call.probe.case.tolerance:
        return None
    words = f"the gradient with respect to `{worst}`"
    if not own.gradients[worst].any():
        return Problem(Stage.GRADIENTS, f"The result is right, but {words} is zero: the graph is cut on the way to it.")
    text = difference_of(words, own.gradients[worst], other.gradients[worst], call.probe.case.tolerance)
    return Problem(Stage.GRADIENTS, f"The result is right, but {text}")


QUESTIONS: tuple[Callable[[Answered], Problem | None], ...] = (
    _runs, _shapes, _kinds, _finite, _inputs, _invariants, _repeats, _values, _gradients,
)  # fmt: skip


def difference_of(words: str, own: Tensor, other: Tensor, tolerance: float) -> str:
    """Describe where a tensor differs, such as "the result: 3 of 8 numbers differ, most at [0, 1]: 0.5, expected 0.25."."""
    if own.shape != other.shape:
        return f"{words} has the shape {tuple(own.shape)}, expected {tuple(other.shape)}."
    far = differences(own, other).abs()
    finite = other.double().abs()[other.isfinite()]
    scale = (finite.max().item() if finite.numel() else 0.0) or 1.0
    if own.numel() == 1:
        return f"{words} is {shown(own.item())}, expected {shown(other.item())}."
    place = first_place(far == far.max())
    count = f"{int((far > tolerance * scale).sum()) or 1} of {own.numel()} numbers differ"
    return f"{words}: {count}, most{at(place)}: {shown(own[place].item())}, expected {shown(other[place].item())}."


def differences(own: Tensor, other: Tensor) -> Tensor:
    """Return own − other; infinity where only one of both is finite, or the infinite numbers differ."""
    own, other = own.double(), other.double()
    same = (own == other) | (own.isnan() & other.isnan())
    return (own - other).nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf).masked_fill(same, 0.0)


def words_for(name: str) -> str:
    """Return words for a part of the result: "The result" for "output", "Part 1 of the result" for "output.1"."""
    part = name.partition(".")[2]
    if not part:
        return "The result"
    return f"Part {part} of the result" if part.isdecimal() else f"`{part}` of the result"


def first_place(mask: Tensor) -> tuple[int, ...]:
    """Return the index of the first True."""
    return tuple(int(index) for index in mask.nonzero()[0])


def at(place: tuple[int, ...]) -> str:
    """Return " at [0, 2]", empty for a single number."""
    return f" at {list(place)}" if place else ""


def shown(number: Any) -> str:
    """Return a number with up to six digits."""
    return str(number) if isinstance(number, bool | int | complex) else f"{number:.6g}"
