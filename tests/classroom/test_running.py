"""One call of a learner's function: what is in its outcome, and what the function cannot change."""

import random
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from minibert.classroom.binding import REQUIRED
from minibert.classroom.running import (
    MAX_PRINTED,
    CallForm,
    LocalRunner,
    Outcome,
    Printed,
    Stopped,
    same_numbers,
    settings_kept,
    watched,
)

X = torch.tensor([1.0, 2.0])


def outcome_of(
    function: Callable[..., Any], gradients: bool = True, trail: bool = False, read: Any = None, **more: Any
) -> Outcome:
    arguments = {"x": X, **more}
    return LocalRunner(CallForm(dict.fromkeys(arguments, REQUIRED), read), function)(arguments, gradients, trail)


def test_a_call_has_results_gradients_and_no_error() -> None:
    """The weights of the sum whose gradient is taken are all different: cos(n) + 0.5."""
    outcome = outcome_of(lambda x, labels, y: (x * y, x.detach(), labels), labels=torch.tensor([1]), y=torch.tensor(3.0))
    assert {name: tensor.tolist() for name, tensor in outcome.outputs.items()} == {
        "output.0": [3.0, 6.0], "output.1": [1.0, 2.0], "output.2": [1]
    }  # fmt: skip
    weights = torch.tensor([0.0, 1.0]).cos() + 0.5
    torch.testing.assert_close(outcome.gradients, {"x": 3 * weights, "y": (X * weights).sum()})
    assert (outcome.is_list, outcome.leaves_torch, outcome.repeatable) == (True, False, True)
    assert (outcome.error, outcome.line, outcome.line_text, outcome.trail, outcome.printed) == (None, None, "", [], "")
    assert not any(tensor.requires_grad for tensor in outcome.outputs.values())


def test_an_argument_that_is_not_used_has_the_gradient_zero() -> None:
    assert outcome_of(lambda x, y: x, y=X.clone()).gradients["y"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("function", [lambda x: x.detach(), lambda x: torch.ones(2)])
def test_a_result_without_a_graph_has_no_gradients(function: Callable) -> None:
    outcome = outcome_of(function)
    assert (outcome.gradients, outcome.gradient_error) == ({}, None)


def test_a_function_that_disables_gradients_at_its_end_has_those_of_its_result() -> None:
    def function(x: Tensor) -> Tensor:
        result = 2 * x
        torch.set_grad_enabled(False)
        return result

    assert outcome_of(function).gradients["x"].tolist() == outcome_of(lambda x: 2 * x).gradients["x"].tolist()
    assert outcome_of(function).gradient_error is None


def test_gradients_are_computed_only_if_they_are_asked_for() -> None:
    calls: list[bool] = []

    def function(x: Tensor) -> Tensor:
        calls.append(x.requires_grad)
        return 2 * x

    assert outcome_of(function, gradients=False).gradients == {}
    assert calls == [False]
    assert outcome_of(function).gradients.keys() == {"x"}
    assert calls == [False, False, True]


def test_the_arguments_are_copies_and_their_state_after_the_call_is_known() -> None:
    outcome = outcome_of(lambda x: x.add_(1), gradients=False)
    assert (X.tolist(), outcome.after["x"].tolist(), outcome.is_list) == ([1.0, 2.0], [2.0, 3.0], False)
    assert outcome_of(lambda x: x.add_(1)).gradient_error.startswith("RuntimeError: a leaf Variable that requires grad")


def test_a_result_is_read_by_the_exercise() -> None:
    assert outcome_of(lambda x: "12", read=float).outputs["output"].item() == 12.0


def fails(x: Tensor) -> Tensor:
    def inner() -> None:
        raise ValueError("wrong\nhere")

    return inner()


def test_an_error_has_its_type_its_text_and_its_line() -> None:
    outcome = outcome_of(fails)
    assert (outcome.error, outcome.line_text) == ("ValueError: wrong here", 'raise ValueError("wrong\\nhere")')
    assert outcome.line == fails.__code__.co_firstlineno + 2
    assert outcome_of(lambda x: sys.exit(2)).error == "SystemExit: 2"
    assert outcome_of(lambda x: None).error == "the function returned None; does it end with `return`?"
    unknown = outcome_of(partial(int, "text", "more"))
    assert (unknown.error is None, unknown.line, unknown.line_text) == (False, None, "")


def test_a_function_that_fails_is_not_called_again() -> None:
    calls: list[int] = []

    def function(x: Tensor) -> Tensor:
        calls.append(1)
        raise ValueError

    outcome = outcome_of(function)
    assert (len(calls), outcome.gradient_error) == (1, None)


@pytest.mark.parametrize(
    ("function", "leaves"),
    [
        (lambda x: torch.from_numpy(x.detach().numpy()), True),
        (lambda x: torch.tensor(x.tolist()), True),
        (lambda x: x * x.sum().item(), True),
        (lambda x: x * float(x[0]), True),
        (lambda x: x * torch.tensor([2]).item(), False),
        (lambda x: x.softmax(dim=0), False),
        (lambda x: torch.add(x, x, alpha=2.0), False),
    ],
)
def test_numbers_that_leave_pytorch_are_noticed(function: Callable, leaves: bool) -> None:
    assert outcome_of(function).leaves_torch is leaves


def test_a_function_that_keeps_something_is_not_repeatable() -> None:
    calls: list[int] = []

    def function(x: Tensor) -> Tensor:
        calls.append(1)
        return x * len(calls)

    assert not outcome_of(function).repeatable
    assert outcome_of(lambda x: x + torch.rand(2)).repeatable


def test_random_numbers_are_the_same_in_every_call() -> None:
    """They do not depend on those that were drawn before."""
    drawn = []
    for seed in range(2):
        torch.manual_seed(seed)
        drawn.append(outcome_of(lambda x: torch.rand(2), False).outputs["output"])
    assert torch.equal(*drawn)


def test_the_call_with_gradients_gets_the_keyword_arguments_of_pytorch() -> None:
    outcome = outcome_of(lambda x: torch.stack([x, 2 * x], dim=1).sum(dim=0, keepdim=True))
    assert outcome.outputs["output"].tolist() == [[3.0, 6.0]]
    assert outcome.repeatable
    weights = torch.tensor([0.0, 1.0]).cos() + 0.5
    torch.testing.assert_close(outcome.gradients["x"], (weights[0] + 2 * weights[1]).expand(2))


def test_no_trail_is_recorded_unless_it_is_asked_for() -> None:
    runner = LocalRunner(CallForm({"x": REQUIRED}), lambda x: x + 1)
    assert runner({"x": X}, False).trail == []


def test_a_trail_has_the_values_of_the_lines() -> None:
    def function(x: Tensor) -> Tensor:
        y = x + 1
        return y * 2

    assert [entry.label for entry in outcome_of(function, gradients=False, trail=True).trail] == ["", "y", "", "return"]


def test_what_a_function_prints_is_kept_up_to_a_limit(capsys: pytest.CaptureFixture[str]) -> None:
    def function(x: Tensor) -> Tensor:
        print("a")
        print("b" * MAX_PRINTED)
        warnings.warn("a warning", stacklevel=2)
        return x

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert outcome_of(function).printed == "a\n" + "b" * (MAX_PRINTED - 2)
    assert capsys.readouterr() == ("", "")
    stream = Printed()
    assert [stream.write(text) for text in ("a" * MAX_PRINTED, "text")] == [MAX_PRINTED, 4]
    assert stream.getvalue() == "a" * MAX_PRINTED
    stream.seek(MAX_PRINTED + 5)
    assert stream.write("text") == 4
    assert stream.getvalue() == "a" * MAX_PRINTED


def test_warnings_of_a_function_are_not_shown() -> None:
    """Also if they were errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert outcome_of(lambda x: warnings.warn("a warning", stacklevel=2) or x).error is None


def change_everything() -> tuple[Any, ...]:
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    return torch.rand(1), random.random(), np.random.rand()  # noqa: NPY002


def state() -> list[Any]:
    """Return the settings, and a digest of the state of each random generator."""
    generators = torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()  # noqa: NPY002
    return [torch.get_default_dtype(), torch.is_grad_enabled(), *(hash(str(each)) for each in generators)]


def test_settings_and_random_generators_are_restored() -> None:
    """Also after an error."""
    before = state()
    with settings_kept():
        change_everything()
    assert state() == before
    with suppress(ValueError), settings_kept():
        change_everything()
        raise ValueError
    assert state() == before
    outcome_of(lambda x: change_everything() and x)
    assert state()[:3] == before[:3]  # checks of annotations, which tests have, draw random numbers of Python
    with torch.no_grad():
        assert outcome_of(lambda x: change_everything() and 2 * x.sum().double()).gradients == {}
        assert outcome_of(lambda x: 2 * x).gradients.keys() == {"x"}
        assert not torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({"a": X + 1e-7}, True),
        ({"a": X * 1.001}, False),
        ({"a": X[:1]}, False),
        ({"b": X}, False),
        ({"a": X, "b": X}, False),
    ],
)
def test_numbers_are_the_same_up_to_rounding(other: dict[str, Tensor], same: bool) -> None:
    assert same_numbers({"a": X}, other) is same


def test_all_outputs_are_the_same_and_nan_equals_nan() -> None:
    nan = torch.tensor([torch.nan])
    assert same_numbers({"a": nan, "b": X}, {"a": nan, "b": X})
    assert not same_numbers({"a": nan, "b": X}, {"a": nan, "b": -X})


def test_a_stopped_process_ends_what_is_done_with_its_function() -> None:
    given: list[Any] = []

    def runner(arguments: dict[str, Any], gradients: bool, trail: bool = False) -> Outcome:
        given.append((arguments, gradients, trail))
        return Outcome(stopped="too long" if gradients else "")

    assert watched(runner)({"x": 1}, False).stopped == ""
    with pytest.raises(Stopped, match="too long") as error:
        watched(runner)({"x": 1}, True, True)
    assert error.value.outcome.stopped == "too long"
    assert str(error.value) == "too long"
    assert given == [({"x": 1}, False, False), ({"x": 1}, True, True)]
