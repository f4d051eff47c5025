"""Exercises of one line, for tests of one part of a check."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from minibert.classroom.draws import Draw, EqualSizes
from minibert.classroom.exercise import Arguments, Case, Exercise
from minibert.classroom.probes import Probe, call_all, probes
from minibert.classroom.questions import Answered, problem_of
from minibert.classroom.report import Stage
from minibert.classroom.running import LocalRunner, Outcome

X = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
CASE = Case("usual", lambda draw: {"x": X})


def identity(x: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
    """Return the argument."""
    return x


def toy(
    reference: Callable[..., Any], inputs: Sequence[dict[str, Any]], last: dict[str, Any] | None = None, **options: Any
) -> Exercise:
    """Return an exercise with a case for each of some inputs. The last of its probes can have another input."""
    cases = [Case(f"case {number}", recipe(each), **options) for number, each in enumerate(inputs)]
    cases[-1] = Case("the last case", recipe(inputs[-1], last), **options)
    return Exercise(reference.__name__, reference, tuple(cases))


def recipe(arguments: dict[str, Any], last: dict[str, Any] | None = None) -> Callable[[Draw], dict[str, Any]]:
    """Return a recipe that draws nothing."""

    def draw_nothing(draw: Draw) -> dict[str, Any]:
        if not isinstance(draw, EqualSizes):
            return arguments
        if last is None:
            raise ValueError("no input has equal sizes")
        return last

    return draw_nothing


def outcomes_of(exercise: Exercise, function: Callable[..., Any]) -> tuple[Outcome, ...]:
    """Return the outcomes of a function for all inputs of an exercise."""
    return call_all(probes(exercise), LocalRunner(exercise, function))


def answered(
    own: Callable[..., Any],
    reference: Callable[..., Any] = identity,
    arguments: Arguments | None = None,
    case: Case = CASE,
    **options: Any,
) -> Answered:
    """Return a call of a function, with its gradients, next to that of the reference."""
    arguments = {"x": X} if arguments is None else arguments
    exercise = Exercise(reference.__name__, reference, (replace(case, recipe=lambda draw: arguments),), **options)
    runners = LocalRunner(exercise, own), LocalRunner(exercise, reference)
    outcomes = [runner(arguments, case.gradients) for runner in runners]
    return Answered(exercise, Probe(case, 0, arguments), *outcomes, runners[0])


def text_of(
    own: Callable[..., Any], reference: Callable[..., Any] = identity, **options: Any
) -> tuple[Stage, str, bool] | None:
    """Return stage and text of the problem of a call, and whether the text explains it."""
    problem = problem_of(answered(own, reference, **options))
    return problem and (problem.stage, problem.text, problem.explains)
