"""Properties: a second call of a learner's function, and its relation to the first."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from jaxtyping import Float
from torch import Tensor

from minibert.classroom.exercise import Arguments, Invariant, Role
from minibert.classroom.questions import Problem, SecondCall, problem_of
from minibert.classroom.report import Stage
from tests.classroom.toys import CASE, X, answered, text_of


def property_of(holds: bool, changed: Callable) -> Invariant:
    return Invariant("it is so", changed, lambda one, other, arguments: holds, "They differ.")


@pytest.mark.parametrize("role", Role)
def test_a_property_is_checked_with_a_second_call(role: Role) -> None:
    """Not at limits, and not for other axes."""
    broken = property_of(False, lambda arguments: {"x": arguments["x"] + 1})
    call = answered(lambda x: x, case=replace(CASE, role=role), invariants=(property_of(False, lambda arguments: None), broken))
    problem = problem_of(call)
    if role in (Role.LIMIT, Role.AXES):
        assert problem is None
        return
    assert (problem.stage, problem.text) == (Stage.INVARIANTS, "This property does not hold: it is so.")
    second = problem.second
    assert isinstance(second, SecondCall)
    assert (second.arguments["x"].tolist(), second.outcome.outputs["output"].tolist()) == ((X + 1).tolist(), (X + 1).tolist())
    assert second.relation == "They differ."


def test_a_property_relates_the_first_call_to_the_second() -> None:
    """The arguments of a call are not changed, and the parts of the second result have the names of the reference."""

    def changed(arguments: Arguments) -> Arguments:
        return {**arguments, "n": arguments.pop("n") + 1}

    given: list[list[float]] = []

    def holds(one: Tensor, other: Tensor, arguments: Arguments) -> bool:
        given.append([one.sum().item(), other.sum().item(), arguments["n"]])
        return False

    def times(x: Tensor, n: int) -> tuple[Float[Tensor, "rows columns"], Tensor]:
        """Text.

        Returns: product and argument.
        """
        return x * n, x

    call = answered(times, times, {"x": X, "n": 2}, invariants=(Invariant("it is so", changed, holds),))
    call.other.outputs = {"output.product": X, "output.argument": X}
    call.own.outputs = dict(call.other.outputs)
    second = problem_of(call).second
    assert given == [[10.0, 30.0, 2]]
    assert [*second.outcome.outputs] == ["output.product", "output.argument"]
    assert second.arguments["n"] == 3


def test_a_property_that_holds_is_no_problem_and_an_error_is() -> None:
    assert text_of(lambda x: x, invariants=(property_of(True, lambda arguments: {"x": X + 1}),)) is None
    same = problem_of(answered(lambda x: x, invariants=(property_of(False, dict),)))
    assert same == Problem(Stage.INVARIANTS, "This property does not hold: it is so.")
    gradients: list[bool] = []
    text_of(lambda x: gradients.append(x.requires_grad) or x, invariants=(property_of(True, lambda arguments: {"x": X + 1}),))
    assert gradients == [False, True, False]
    problem = text_of(lambda x: 6 / (x.sum() < 11) * x / 6, invariants=(property_of(True, lambda arguments: {"x": "text"}),))
    assert problem[1].startswith("This property cannot be checked: it is so. AttributeError: ")
