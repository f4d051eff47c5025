"""The question about properties: the calls that it makes, and the sentences of its problems."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from minibert.classroom.exercise import Invariant, Role
from minibert.classroom.questions import Answered, Problem, SecondCall, problem_of
from minibert.classroom.report import Stage
from minibert.classroom.running import Outcome
from tests.classroom.toys import CASE, X, answered

DOUBLED = Invariant("twice the input", lambda given: {"x": 2 * given["x"]}, lambda one, two, _: torch.equal(2 * one, two), "2x")
SILENT = Invariant("nothing", lambda given: None, lambda one, two, given: False)
SAME = Invariant("the same again", lambda given: given, lambda one, two, given: torch.equal(one, two))


def called(own: Callable[..., Any], *invariants: Invariant, **options: Any) -> Answered:
    """Return a call of a function that is its own reference, so that only a property can be wrong."""
    return answered(own, own, invariants=invariants, **options)


def square(x: Tensor) -> Tensor:
    return x * x


def test_properties_that_hold_are_no_problem() -> None:
    assert problem_of(called(lambda x: 3 * x, DOUBLED, SAME)) is None
    assert problem_of(called(square, SILENT, SAME)) is None


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_first_property_that_does_not_hold_is_named(place: int) -> None:
    """The second call shows it with the first one."""
    invariants = [SILENT, SAME]
    invariants.insert(place, DOUBLED)
    call = called(square, *invariants, Invariant("a later one", DOUBLED.changed, DOUBLED.holds))
    problem = problem_of(call)
    assert isinstance(problem, Problem)
    assert (problem.stage, problem.explains) == (Stage.INVARIANTS, False)
    assert problem.text == "This property does not hold: twice the input."
    assert isinstance(problem.second, SecondCall)
    assert problem.second.relation == "2x"
    assert torch.equal(problem.second.arguments["x"], 2 * X)
    assert torch.equal(problem.second.outcome.outputs["output"], 4 * X * X)


@pytest.mark.parametrize("role", [*Role])
def test_properties_are_asked_of_usual_inputs(role: Role) -> None:
    """Rounding may be large at a limit, and other axes are not those of the property."""
    problem = problem_of(called(square, DOUBLED, case=replace(CASE, role=role)))
    assert (problem is None) == (role in (Role.LIMIT, Role.AXES))


def test_a_call_that_fails_is_a_problem_of_the_property() -> None:
    def fails_for_large_numbers(x: Tensor) -> Tensor:
        if x.max() > 4:
            raise ValueError("too large")
        return x

    text = "This property cannot be checked: twice the input. ValueError: too large"
    assert problem_of(called(fails_for_large_numbers, DOUBLED)) == Problem(Stage.INVARIANTS, text)


@pytest.mark.parametrize(("changed", "is_shown"), [(X, False), (X + 1, True)])
def test_a_second_call_with_the_same_arguments_shows_nothing(changed: Tensor, is_shown: bool) -> None:
    """One argument that is another one is enough."""
    never = Invariant("never", lambda given: {**given, "y": changed}, lambda one, two, given: False)
    call = called(lambda x, y: x + y, never, arguments={"x": X, "y": X})
    problem = problem_of(call)
    assert problem is not None
    assert (problem.second is not None) is is_shown


def test_the_second_call_needs_no_gradients_and_leaves_the_first_input() -> None:
    """A property may change the table of the arguments, and an outcome has the names of the reference."""

    def change_in_place(given: dict[str, Any]) -> dict[str, Any]:
        given["x"] = given["x"] + 1
        return given

    asked: list[bool] = []

    def runner(arguments: dict[str, Any], gradients: bool, trail: bool = False) -> Outcome:
        asked.append(gradients)
        return Outcome({"output.0": arguments["x"], "output.1": X})

    never = Invariant("never", change_in_place, lambda one, two, given: not torch.equal(two, one + 1))
    named = Outcome({"output.total": X, "output.mask": X})
    call = replace(called(lambda x: {"total": x, "mask": x}, never), other=named, own=named, runner=runner)
    problem = problem_of(call)
    assert problem is not None
    assert problem.second is not None
    assert [*problem.second.outcome.outputs] == ["output.total", "output.mask"]
    assert asked == [False]
    assert torch.equal(call.probe.arguments["x"], X)


@pytest.mark.parametrize(("tolerance", "is_wrong"), [(0.5, False), (0.49, True)])
def test_gradients_may_differ_by_the_tolerance(tolerance: float, is_wrong: bool) -> None:
    """A right value whose gradient is one and a half times as large."""
    call = answered(lambda x: x + (x - x.detach()) / 2, case=replace(CASE, tolerance=tolerance))
    assert (problem_of(call) is not None) is is_wrong


def test_a_changed_part_of_an_argument_is_written_as_code() -> None:
    def change_last(tensors: list[Tensor]) -> Tensor:
        tensors[1].add_(1)
        return tensors[0]

    call = answered(change_last, lambda tensors: tensors[0], arguments={"tensors": [X, X.clone()]})
    problem = problem_of(call)
    assert problem is not None
    assert problem.text == (
        "The function changes its argument `tensors[1]`, which the caller may still need. "
        "Use a copy (`tensors[1].clone()`), or operations that return a new tensor."
    )
