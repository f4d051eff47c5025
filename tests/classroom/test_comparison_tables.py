"""The tables of a comparison: which parts are shown, how much of them, and with how many digits."""

import numpy as np
import pytest
import torch
from torch import Tensor

from minibert.classroom.comparison import MAX_SHOWN, MAX_TEXT, comparison_of, number_text, text_of
from minibert.classroom.exercise import Case, Exercise
from minibert.classroom.probes import Probe
from minibert.classroom.questions import Answered, Problem, SecondCall
from minibert.classroom.report import Comparison, Stage
from minibert.classroom.running import Outcome


def function(x: Tensor) -> Tensor:
    """Has any result."""
    return x


def compared(
    own: Outcome, other: Outcome, stage: Stage = Stage.VALUES, second=None, write=None, of=function, **arguments
) -> Comparison:
    exercise = Exercise("function", of, (), write=write, changes=frozenset({"state"}))
    call = Answered(exercise, Probe(Case("a case", lambda draw: {}), 0, arguments), own, other, lambda *given: Outcome())
    return comparison_of(call, Problem(stage, "a problem", second=second))


def results(*tensors: Tensor) -> Outcome:
    if len(tensors) == 1:
        return Outcome({"output": tensors[0]})
    return Outcome({f"output.{number}": tensor for number, tensor in enumerate(tensors)})


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_a_result_is_shown_without_a_title() -> None:
    found = compared(results(numbers(1, 2)), results(numbers(1, 4)), x=numbers(3, 4))
    assert found == Comparison({"x": "[3. 4.]"}, "[1. 2.]", "[1. 4.]", "[ 0. -2.]")


def test_of_several_parts_those_that_differ_are_shown_with_titles() -> None:
    found = compared(results(numbers(1), numbers(1), numbers(3)), results(numbers(1), numbers(2), numbers(3)))
    assert (found.mine, found.expected, found.difference) == ("result[1]:\n[1.]", "result[1]:\n[2.]", "result[1]:\n[-1.]")


def test_a_part_that_differs_in_one_number_of_several_is_shown() -> None:
    found = compared(results(numbers(1), numbers(1, 3)), results(numbers(1), numbers(1, 2)))
    assert found.mine == "result[1]:\n[1. 3.]"


@pytest.mark.parametrize(("parts", "more"), [(3, []), (4, ["and 1 more"]), (6, ["and 3 more"])])
def test_three_parts_are_shown_and_the_others_counted(parts, more) -> None:
    found = compared(results(*[numbers(1)] * parts), results(*[numbers(2)] * parts))
    shown = [line for number in range(3) for line in (f"result[{number}]:", "[1.]")]
    assert found.mine.split("\n") == shown + more


def named(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return two parts.

    Returns: the sum and the mean.
    """
    return x.sum(), x.mean()


def test_parts_have_the_names_of_the_docstring_if_all_are_there() -> None:
    found = compared(results(numbers(1), numbers(1)), results(numbers(2), numbers(2)), of=named)
    assert found.mine == "sum:\n[1.]\nmean:\n[1.]"
    found = compared(results(numbers(1), numbers(1), numbers(1)), results(numbers(2), numbers(2)), of=named)
    assert found.mine == "result[0]:\n[1.]\nresult[1]:\n[1.]\nresult[2]:\n[1.]"


def test_all_parts_are_shown_if_none_differs() -> None:
    found = compared(results(numbers(1), numbers(2)), results(numbers(1), numbers(2)))
    assert found.mine == found.expected == "result[0]:\n[1.]\nresult[1]:\n[2.]"


def test_another_number_of_parts_is_shown_by_the_places_of_the_parts() -> None:
    found = compared(results(numbers(1)), results(numbers(1), numbers(2)), Stage.SHAPE)
    assert (found.mine, found.difference) == ("result:\n[1.]", "")
    assert found.expected == "result[0]:\n[1.]\nresult[1]:\n[2.]"


@pytest.mark.parametrize(
    ("mine", "expected", "difference"),
    [
        (torch.tensor([1, 2]), torch.tensor([1, 4]), "[ 0 -2]"),
        (torch.tensor([True, False]), torch.tensor([True, True]), "[= ≠]"),
        (torch.tensor([1.0, torch.inf]), torch.tensor([1.0, torch.inf]), "[0. 0.]"),
        (torch.tensor([1.0, torch.nan]), torch.tensor([1.0, 2.0]), "[ 0. nan]"),
        (torch.tensor([1.0]), torch.tensor([1.0, 2.0]), ""),
        (torch.tensor([1, 0]), torch.tensor([True, True]), ""),
        (torch.tensor([1j]), torch.tensor([2j]), ""),
    ],
)
def test_a_difference_is_shown_where_it_is_defined(mine, expected, difference) -> None:
    assert compared(results(mine), results(expected)).difference == difference


def test_more_digits_are_shown_if_fewer_are_equal() -> None:
    found = compared(results(numbers(1.00001)), results(numbers(1)))
    assert (found.mine, found.expected) == ("[1.00001]", "[1.]")
    found = compared(results(numbers(1.00041)), results(numbers(1)))
    assert found.mine == "[1.0004]"
    found = compared(results(numbers(1.00000001)), results(numbers(1)))
    assert (found.mine, found.expected) == ("[1.]", "[1.]")


@pytest.mark.parametrize(("last", "columns"), [(0, "0:8"), (3, "0:8"), (4, "0:8"), (5, "1:9"), (12, "8:16"), (19, "12:20")])
def test_of_a_large_result_the_numbers_around_the_largest_difference_are_shown(last, columns) -> None:
    right = torch.arange(60.0).reshape(3, 20)
    mine = right.clone()
    mine[0, 1] -= 0.5
    mine[2, last] -= 2
    found = compared(results(mine), results(right), x=right, y=torch.zeros(60), z=numbers(1))
    first, end = map(int, columns.split(":"))
    place = f"[2, {columns}]"
    assert found.expected == f"result{place}:\n{number_text(right[2, first:end])}"
    assert found.mine == f"result{place}:\n{number_text(mine[2, first:end])}"
    assert found.difference == f"result{place}:\n{number_text((mine - right)[2, first:end])}"
    assert found.arguments == {f"x{place}": number_text(right[2, first:end]), "y": "60 numbers", "z": "[1.]"}


def test_an_error_stands_in_the_place_of_numbers() -> None:
    found = compared(Outcome(error="ValueError: no"), results(numbers(1)), Stage.RUNS)
    assert (found.mine, found.expected, found.difference) == ("ValueError: no", "[1.]", "")
    own, other = results(numbers(1)), results(numbers(1))
    own.gradient_error, other.gradients = "RuntimeError: no graph", {"x.0": numbers(2)}
    found = compared(own, other, Stage.GRADIENTS)
    assert (found.mine, found.expected) == ("RuntimeError: no graph", "gradient of x[0]:\n[2.]")
    assert compared(own, results(numbers(2))).mine == "[1.]"


def test_a_result_without_parts_is_nothing() -> None:
    found = compared(Outcome(), results(numbers(1)), Stage.SHAPE)
    assert (found.mine, found.expected, found.difference) == ("nothing", "[1.]", "")
    other = Outcome({"output": numbers(1)}, gradients={"x": numbers(2)})
    assert compared(results(numbers(1)), other, Stage.GRADIENTS).mine == "no gradient"


def test_arguments_that_a_function_changes_are_results_too() -> None:
    own, other = (Outcome({}, after={"state.0": numbers(number), "x": numbers(0)}) for number in (1, 2))
    found = compared(own, other)
    assert (found.mine, found.expected) == ("state[0] after the call:\n[1.]", "state[0] after the call:\n[2.]")


def test_arguments_that_a_function_may_use_as_it_likes_are_no_results() -> None:
    own, other = (Outcome({"output.0": numbers(1)}, after={"x": numbers(number)}) for number in (1, 2))
    found = compared(own, other)
    assert (found.mine, found.difference) == ("result[0]:\n[1.]", "result[0]:\n[0.]")


def test_a_changed_input_is_shown_alone() -> None:
    own = Outcome({"output": numbers(0)}, after={"state": numbers(9), "x": numbers(2), "y": numbers(3)})
    other = Outcome({"output": numbers(5)}, after={"state": numbers(8), "x": numbers(1), "y": numbers(1)})
    found = compared(own, other, Stage.INPUTS, x=numbers(1))
    assert (found.mine, found.expected) == ("x after the call:\n[2.]", "x after the call:\n[1.]")


def test_for_a_property_the_results_of_two_calls_are_shown() -> None:
    same = numbers(7)
    second = SecondCall({"x": numbers(2), "y": same}, results(numbers(5)), "Both must be equal.")
    found = compared(results(numbers(4)), results(numbers(9)), Stage.INVARIANTS, second, x=numbers(1), y=same)
    assert found == Comparison(
        {"x": "[1.]", "y": "[7.]"}, "[4.]", "", "", {"x": "[2.]"}, again="[5.]", relation="Both must be equal."
    )


def test_for_a_property_the_window_lies_where_the_first_call_is_wrong() -> None:
    wanted = torch.zeros(60)
    mine, again = wanted.clone(), wanted.clone()
    mine[30], mine[50], again[2] = -2.0, 1.0, 5.0
    found = compared(results(mine), results(wanted), Stage.INVARIANTS, SecondCall({}, results(again), "Equal."))
    assert found.mine == f"result[26:34]:\n{number_text(mine[26:34])}"


def test_an_exercise_may_write_its_numbers_in_words() -> None:
    found = compared(
        results(numbers(1)), results(numbers(2)), write=lambda tensor, arguments: f"{tensor.item()} {arguments}", x=3
    )
    assert (found.mine, found.expected, found.difference) == ("1.0 {'x': 3}", "2.0 {'x': 3}", "")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([1.0, 0.00005], "[1.     0.0001]"),
        ([1.0, 0.00004], "[    1 4e-05]"),
        ([1.0, 999_999.0], "[     1. 999999.]"),
        ([1.0, 1e6], "[    1 1e+06]"),
        ([0.002, 100.0], "[  0.002 100.   ]"),
        ([[[1.0]], [[2.0]]], "[[[1.]]\n [[2.]]]"),
    ],
)
def test_very_small_and_very_large_numbers_have_an_exponent(values, text) -> None:
    assert number_text(torch.tensor(values, dtype=torch.float64)) == text


@pytest.mark.parametrize(("size", "text"), [(MAX_SHOWN, None), (MAX_SHOWN + 1, "49 numbers")])
def test_tensors_with_many_numbers_are_shown_by_their_shape(size, text) -> None:
    assert number_text(torch.ones(size)) == (text or number_text(torch.ones(size)))
    assert ("numbers" in number_text(torch.ones(size))) == (text is not None)
    assert ("\n" in text_of([torch.ones(size)])) == (text is None)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (torch.ones(1, requires_grad=True), "[1.]"),
        (SecondCall({"x": torch.ones(1)}, Outcome({"output": torch.ones(2)}), ""), "SecondCall with\narguments.x = [1.]"),
        (np.array([1, 2]), "[1 2]"),
        ((torch.ones(1),), "list of 1 with\n[0] = [1.]"),
        ("a" * (MAX_TEXT - 2), "'" + "a" * (MAX_TEXT - 2) + "'"),
        ("a" * (MAX_TEXT - 1), "'" + "a" * (MAX_TEXT - 1) + "…"),
        ({"b" * MAX_TEXT}, "{'" + "b" * (MAX_TEXT - 2) + "…"),
        (function, "function"),
        (object(), "object"),
        (Exercise("a\nb", function, ()), "Exercise(name='a\\nb', questions=(), changes=frozenset(), needs=())"),
    ],
)
def test_arguments_as_text(value, text) -> None:
    assert text_of(value) == text


def test_an_object_whose_text_has_several_lines_is_shown_by_its_type() -> None:
    assert text_of(torch.nn.Sequential(torch.nn.Identity())) == "Sequential"
