"""Exercises of one line, for tests of one part of a check."""

from collections.abc import Callable, Sequence
from typing import Any

from minibert.classroom.draws import Draw, EqualSizes
from minibert.classroom.exercise import Case, Exercise
from minibert.classroom.probes import call_all, probes
from minibert.classroom.running import LocalRunner, Outcome


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
