"""The questions of a check about one call, in order. Each one has a problem as its answer, or None."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from minibert.classroom.distance import changed_arguments, relative_difference, scale_of_gradients, summarized, value_distance
from minibert.classroom.exercise import Exercise, Role
from minibert.classroom.probes import Probe, expected
from minibert.classroom.report import Stage
from minibert.classroom.running import Arguments, Outcome, Runner
from minibert.classroom.signatures import annotation_text
from minibert.classroom.wording import (
    as_code,
    at,
    axes_of,
    difference_of,
    first_place,
    index_name,
    part_name,
    shown,
    with_verb,
    words_for,
)

KINDS_OF_NUMBERS = {
    "Boolean": (torch.bool,),
    "whole": (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint32, torch.uint64),
    "complex": (torch.complex32, torch.complex64, torch.complex128),
}
"""Data types that are interchangeable; all others are those of real numbers."""
MOST_NAMED = 3
"""Changed arguments that are named."""
BOOLEAN_ADVICE = "Comparisons such as `a == b` give Boolean tensors, and `mask.bool()` converts one."


@dataclass(frozen=True)
class SecondCall:
    """The second call of the learner's function for a property."""

    arguments: Arguments
    outcome: Outcome
    relation: str
    """Its difference from the first call, and the right results, in words."""


@dataclass(frozen=True)
class Problem:
    """A failed part of a check."""

    stage: Stage
    text: str
    """Description with numbers, in a sentence or two."""
    explains: bool = False
    """True if the text names the fault in the code, so that no mistake of the catalogue is needed."""
    second: SecondCall | None = None
    """For a property: the call that shows with the first one that it does not hold."""


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
    return Problem(Stage.RUNS, call.own.error) if call.own.error else None


def input_of(call: Answered) -> str:
    """Describe the input of a call, for an error that other inputs do not raise."""
    arguments = [text for name, value in call.probe.arguments.items() if (text := _described(name, value))]
    return f"The input: {call.probe.case.name}." + (f" Called with {'; '.join(arguments)}." if arguments else "")


def _described(name: str, value: object) -> str:
    """Describe an argument of a call: a number, the shape of a tensor, or a tuple of these; empty for anything else."""
    match value:
        case bool() | int() | float() | None:
            return f"{name} = {value}"
        case Tensor() | np.ndarray():
            return f"{name} of shape {tuple(value.shape)}"
        case tuple() | list() if 0 < len(value) <= MOST_NAMED and all(isinstance(part, Tensor) for part in value):
            shapes = " and ".join(str(tuple(part.shape)) for part in value)
            plural = "s" if len(value) > 1 else ""
            return f"{name} a {type(value).__name__} of {len(value)} tensor{plural} of shape{plural} {shapes}"
    return ""


def _shapes(call: Answered) -> Problem | None:
    own, other = call.own.outputs, call.other.outputs
    if own.keys() != other.keys():
        return Problem(Stage.SHAPE, _parts(call.exercise, own, other), explains=True)
    for name, output in own.items():
        if output.shape != (wanted := other[name].shape):
            axes = axes_of(call.exercise, name, len(wanted))
            text = f"{axes} = {tuple(wanted)}" if axes and len(wanted) else str(tuple(wanted))
            words = words_for(call.exercise, name)
            problem = _written(call, Stage.SHAPE, words, output, other[name])
            return problem or Problem(
                Stage.SHAPE, f"{with_verb(words, 'has')} the shape {tuple(output.shape)}, expected {text}.", explains=True
            )
    return None


def _written(call: Answered, stage: Stage, words: str, own: Tensor, other: Tensor) -> Problem | None:
    """Return a problem in words, if the numbers of the exercise say nothing."""
    if write := call.exercise.write:
        mine, wanted = (" ".join(write(tensor, call.probe.arguments).split("\n")) for tensor in (own, other))
        return Problem(stage, f"{with_verb(words, 'is')} {mine}, expected {wanted}.")
    return None


def _parts(exercise: Exercise, own: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> str:
    """Describe a result with a wrong number of parts, or with other parts."""
    if list(own) == ["output.0"] and list(other) == ["output"]:
        return "The function returned a tuple of one tensor, not the tensor. Is there a comma at the end of the `return` line?"
    count = f"{len(own)} {'tensor' if len(own) == 1 else 'tensors'}"
    if list(other) == ["output"]:
        returned = inspect.signature(exercise.reference).return_annotation
        one = "one tensor" if hasattr(returned, "dim_str") else annotation_text(returned) or "one result"
        return f"The function returned {count} in a tuple, list or dictionary, expected {one}."
    wanted = ", ".join(part_name(exercise, name) for name in other)
    if len(own) == len(other):
        return f"The parts of the result are {', '.join(map(index_name, own))}, expected {wanted}."
    return f"The function returned {count}, expected {len(other)}: {wanted}."


def _kinds(call: Answered) -> Problem | None:
    for name, output in call.own.outputs.items():
        dtype, wanted = output.dtype, call.other.outputs[name].dtype
        if kind_of(dtype) != kind_of(wanted):
            advice = f" {BOOLEAN_ADVICE}" if wanted is torch.bool else ""
            words = with_verb(words_for(call.exercise, name), "has")
            text = f"{words} the data type {_name(dtype)}, expected {_name(wanted)}.{advice}"
            return Problem(Stage.DTYPE, text, explains=True)
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
                words, place = words_for(call.exercise, name), first_place(places)
                count = f"{int(places.sum())} of {output.numel()} numbers are {word}, the first{at(place)}"
                found = f"{with_verb(words, 'is')} {word}" if output.numel() == 1 else f"{words}: {count}"
                return Problem(Stage.FINITE, f"{found}, expected {shown(wanted[place].item())}.")
    return None


@cache
def has_infinities(exercise: Exercise) -> bool:
    """Return True if correct results have infinite numbers, as those of a filter: then one more is a wrong value only."""
    return any(output.isinf().any().item() for outcome in expected(exercise) for output in outcome.outputs.values())


def _inputs(call: Answered) -> Problem | None:
    changed = changed_inputs(call)
    if not changed:
        return None
    codes = [as_code(name) for name in changed]
    names = [f"`{code}`" for code in codes[:MOST_NAMED]]
    names += [f"{len(codes) - MOST_NAMED} more"] if len(codes) > MOST_NAMED else []
    listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    text = f"The function changes its argument{'s' if len(codes) > 1 else ''} {listed}, which the caller may still need."
    is_array = isinstance(call.probe.arguments.get(codes[0]), np.ndarray)
    kind, copy = ("array", f"{codes[0]}.copy()") if is_array else ("tensor", f"{codes[0]}.clone()")
    advice = f"Use a copy (`{copy}`), or operations that return a new {kind}."
    return Problem(Stage.INPUTS, f"{text} {advice}", explains=True)


def changed_inputs(call: Answered) -> dict[str, Tensor]:
    """Return the tensors of the arguments that the function must not change, and has changed or added."""
    own, before, changes = call.own.after, call.other.after, call.exercise.changes
    return {
        name: tensor
        for name, tensor in own.items()
        if name.partition(".")[0] not in changes and (name not in before or relative_difference(tensor, before[name]) > 0)
    }


def _invariants(call: Answered) -> Problem | None:
    if call.probe.case.role in (Role.LIMIT, Role.AXES):  # rounding may be large there, and properties speak of axes
        return None
    for invariant in call.exercise.invariants:
        changed = invariant.changed(dict(call.probe.arguments))
        if changed is None:
            continue
        again = call.runner(changed, gradients=False)
        if again.error:
            return Problem(Stage.INVARIANTS, f"This property cannot be checked: {invariant.name}. {again.error}")
        if not invariant.holds(_only(call.own.outputs), _only(again.outputs), call.probe.arguments):
            is_same = all(value is call.probe.arguments.get(name) for name, value in changed.items())
            second = None if is_same else SecondCall(changed, aligned(again, call.other), invariant.relation)
            return Problem(Stage.INVARIANTS, f"This property does not hold: {invariant.name}.", second=second)
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
        explains=True,
    )


def _values(call: Answered) -> Problem | None:
    case, changes = call.probe.case, call.exercise.changes
    if value_distance(call.own, call.other, case, changes) <= case.tolerance:
        return None
    own, other = (
        summarized({**outcome.outputs, **changed_arguments(outcome.after, changes)}, case) for outcome in (call.own, call.other)
    )
    if missing := [name for name in other if name not in own]:
        return Problem(Stage.VALUES, f"After the call, {', '.join(missing)} is missing.")
    name = max(other, key=lambda name: relative_difference(own[name], other[name]))
    words = words_for(call.exercise, name) if name in call.other.outputs else f"After the call, `{as_code(name)}`"
    text = difference_of(words, own[name], other[name], case.tolerance)
    return _written(call, Stage.VALUES, words, own[name], other[name]) or Problem(Stage.VALUES, text)


def _gradients(call: Answered) -> Problem | None:
    own, other = call.own, call.other
    if not other.gradients or own.leaves_torch:
        return None
    if own.gradient_error:
        text = f"The result is right, but its gradient cannot be computed: {own.gradient_error}"
        return Problem(Stage.GRADIENTS, text, explains=True)
    if not own.gradients:
        return Problem(
            Stage.GRADIENTS,
            "The result is right, but no gradient flows through it. `detach()`, `.data`, `torch.no_grad()` and "
            "`torch.tensor(…)` cut the graph.",
            explains=True,
        )
    scale = scale_of_gradients(other.gradients, call.probe.case)
    far = {name: relative_difference(own.gradients[name], gradient, scale) for name, gradient in other.gradients.items()}
    worst = max(far, key=lambda name: far[name])
    if far[worst] <= call.probe.case.tolerance:
        return None
    words = f"the gradient with respect to `{worst}`"
    if not own.gradients[worst].any():
        text = f"The result is right, but {words} is zero: the graph is cut on the way to it."
        return Problem(Stage.GRADIENTS, text, explains=True)
    text = difference_of(words, own.gradients[worst], other.gradients[worst], call.probe.case.tolerance)
    return Problem(Stage.GRADIENTS, f"The result is right, but {text}")


QUESTIONS: tuple[Callable[[Answered], Problem | None], ...] = (
    _runs, _shapes, _kinds, _finite, _inputs, _invariants, _repeats, _values, _gradients,
)  # fmt: skip
