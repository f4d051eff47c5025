"""The questions about one call, and the sentences of their problems."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from minibert.classroom.exercise import Exercise
from minibert.classroom.probes import Probe
from minibert.classroom.questions import (
    BOOLEAN_ADVICE,
    Answered,
    Problem,
    aligned,
    changed_inputs,
    input_of,
    kind_of,
    problem_of,
)
from minibert.classroom.report import Stage
from minibert.classroom.running import Outcome
from tests.classroom.toys import CASE, X, answered, identity, text_of


def losses(x: Tensor) -> tuple[Float[Tensor, "rows columns"], Bool[Tensor, "rows"]]:  # noqa: F821
    """Text.

    Returns: losses and labels.
    """
    return x, x[0] > 1


def with_nan(*places: tuple[int, int], value: float = math.nan) -> Callable:
    def function(x: Tensor) -> Tensor:
        result = x.clone()
        for place in places:
            result[place] = value
        return result

    return function


def total(x: Tensor) -> Tensor:
    return x.sum()


COMMA = "The function returned a tuple of one tensor, not the tensor. Is there a comma at the end of the `return` line?"
SHAPES = [
    (lambda x: x[0], identity, "The result has the shape (2,), expected (rows, columns) = (2, 2)."),
    (lambda x: x.sum()[None], total, "The result has the shape (1,), expected ()."),
    (lambda x: (x,), identity, COMMA),
    (lambda x: (x, x), identity, "The function returned 2 tensors in a tuple, list or dictionary, expected one tensor."),
    (lambda x: {"a": x}, identity, "The function returned 1 tensor in a tuple, list or dictionary, expected one tensor."),
    (lambda x: x, losses, "The function returned 1 tensor, expected 2: losses, labels."),
    (lambda x: (x, x, x), losses, "The function returned 3 tensors, expected 2: losses, labels."),
    (lambda x: {"a": x, "b": x}, losses, "The parts of the result are a, b, expected losses, labels."),
    (lambda x: x[0], lambda x: x, "The result has the shape (2,), expected (2, 2)."),
    (lambda x: (x, x), total, "The function returned 2 tensors in a tuple, list or dictionary, expected Tensor."),
    (lambda x: (x, x), losses, "The labels have the shape (2, 2), expected (rows) = (2,)."),
]  # fmt: skip


@pytest.mark.parametrize(("own", "reference", "text"), SHAPES)
def test_another_shape_or_number_of_parts(own: Callable, reference: Callable, text: str) -> None:
    assert text_of(own, reference) == (Stage.SHAPE, text, True)


def test_a_result_that_is_no_tensor_has_the_name_of_its_type() -> None:
    def words(x: Tensor) -> list[float]:
        return [1.0, 2.0]

    sentence = "The function returned 2 tensors in a tuple, list or dictionary, expected list[float]."
    assert text_of(lambda x: (X, X), words) == (Stage.SHAPE, sentence, True)


def test_a_result_in_words_is_shown_in_words() -> None:
    """The numbers of such an exercise say nothing."""
    write = lambda tensor, arguments: "\n".join(map(str, tensor.flatten().int().tolist()))  # noqa: E731
    assert text_of(lambda x: x[0], write=write) == (Stage.SHAPE, "The result is 1 2, expected 1 2 3 4.", False)
    assert text_of(lambda x: x + 1, write=write) == (Stage.VALUES, "The result is 2 3 4 5, expected 1 2 3 4.", False)


@pytest.mark.parametrize(
    ("own", "reference", "text"),
    [
        (lambda x: x.int(), identity, "The result has the data type int32, expected float32."),
        (lambda x: x > 1, identity, "The result has the data type bool, expected float32."),
        (lambda x: x + 0j, identity, "The result has the data type complex64, expected float32."),
        (lambda x: (x, 1 * (x[0] > 1)), losses, f"The labels have the data type int64, expected bool. {BOOLEAN_ADVICE}"),
    ],
)
def test_other_kinds_of_numbers(own: Callable, reference: Callable, text: str) -> None:
    assert text_of(own, reference) == (Stage.DTYPE, text, True)


def test_data_types_of_one_kind_are_interchangeable() -> None:
    kinds = [kind_of(each) for each in (torch.bool, torch.uint8, torch.int64, torch.complex64, torch.float16, torch.float64)]
    assert kinds == ["Boolean", "whole", "whole", "complex", "real", "real"]
    assert text_of(lambda x: x.double()) is None


@pytest.mark.parametrize(
    ("own", "text"),
    [
        (with_nan((0, 1), (1, 1)), "The result: 2 of 4 numbers are NaN, the first at [0, 1], expected 2."),
        (with_nan((1, 0), value=-math.inf), "The result: 1 of 4 numbers are infinite, the first at [1, 0], expected 3."),
    ],
)
def test_numbers_that_are_not_finite(own: Callable, text: str) -> None:
    assert text_of(own) == (Stage.FINITE, text, False)


def test_a_single_number_that_is_not_finite_has_no_place() -> None:
    assert text_of(lambda x: x.sum() * math.nan, total) == (Stage.FINITE, "The result is NaN, expected 10.", False)


def test_where_right_results_are_infinite_one_more_is_a_wrong_value() -> None:
    def filtered(x: Tensor) -> Tensor:
        return x.masked_fill(x < 2, -math.inf)

    problem = text_of(lambda x: x.masked_fill(x < 3, -math.inf), filtered)
    assert problem == (Stage.VALUES, "The result: 1 of 4 numbers differ, most at [0, 1]: -inf, expected 2.", False)
    assert text_of(lambda x: x.masked_fill(x < 2, math.nan), filtered)[0] is Stage.VALUES


NAMES = ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("count", "names"),
    [
        (1, "argument `a`"),
        (2, "arguments `a` and `b`"),
        (3, "arguments `a`, `b` and `c`"),
        (4, "arguments `a`, `b`, `c` and 1 more"),
        (5, "arguments `a`, `b`, `c` and 2 more"),
    ],
)
def test_arguments_that_are_changed_are_named(count: int, names: str) -> None:
    def reference(a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor) -> Tensor:
        return a * 2

    def own(*given: Tensor) -> Tensor:
        result = given[0] * 2
        for tensor in given[:count]:
            tensor.data.add_(1)
        return result

    text = (
        f"The function changes its {names}, which the caller may still need. "
        "Use a copy (`a.clone()`), or operations that return a new tensor."
    )
    arguments = {name: torch.ones(2) + number for number, name in enumerate(NAMES)}
    assert text_of(own, reference, arguments=arguments) == (Stage.INPUTS, text, True)
    changes = frozenset(NAMES[: count - 1])
    assert [*changed_inputs(answered(own, reference, arguments, changes=changes))] == [NAMES[count - 1]]


def test_an_array_is_copied_in_its_own_way() -> None:
    def own(x: np.ndarray) -> np.ndarray:
        x += 1
        return x - 1

    advice = "Use a copy (`x.copy()`), or operations that return a new array."
    assert text_of(own, lambda x: x * 1, arguments={"x": np.ones(2)})[1].endswith(advice)


def test_a_function_that_keeps_something() -> None:
    calls: list[int] = []

    def own(x: Tensor) -> Tensor:
        calls.append(1)
        return x * len(calls)

    assert text_of(own)[0] is Stage.VALUES
    assert "when it is called again with the same arguments" in text_of(lambda x: own(x))[1]


@pytest.mark.parametrize(("difference", "tolerance", "is_wrong"), [(0.5, 0.125, False), (0.625, 0.125, True), (0.5, 0.1, True)])
def test_values_may_differ_by_the_tolerance(difference: float, tolerance: float, is_wrong: bool) -> None:
    """It is relative to the largest expected number."""
    problem = text_of(lambda x: x + torch.tensor([[0.0, 0.0], [0.0, difference]]), case=replace(CASE, tolerance=tolerance))
    text = f"The result: 1 of 4 numbers differ, most at [1, 1]: {4 + difference:g}, expected 4."
    assert problem == ((Stage.VALUES, text, False) if is_wrong else None)


def test_of_several_parts_the_one_that_differs_most_is_described() -> None:
    def parts(x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x * 2

    assert text_of(lambda x: (x * 1.5, x * 2), parts)[1].startswith("`result[0]`: 4 of 4 numbers differ")
    assert text_of(lambda x: (x * 1.5, x * 4), parts)[1].startswith("`result[1]`: 4 of 4 numbers differ")


def test_arguments_that_must_change_are_compared() -> None:
    def step(x: Tensor) -> Tensor:
        total = x.detach().sum()
        x.data.mul_(2)
        return total

    problem = text_of(lambda x: x.detach().sum(), step, changes=frozenset({"x"}))
    assert problem == (Stage.VALUES, "After the call, `x`: 4 of 4 numbers differ, most at [1, 1]: 4, expected 8.", False)
    call = answered(step, step, changes=frozenset({"x"}))
    assert problem_of(call) is None
    call.own.after.clear()
    assert problem_of(call) == Problem(Stage.VALUES, "After the call, x is missing.")


def test_gradients_are_compared() -> None:
    def product(x: Tensor, y: Tensor) -> Tensor:
        return x * y

    arguments = {"x": X, "y": X + 1}

    def gradient_of(own: Callable) -> tuple[Stage, str, bool] | None:
        return text_of(own, product, arguments=arguments)

    zero = "The result is right, but the gradient with respect to `y` is zero: the graph is cut on the way to it."
    assert gradient_of(lambda x, y: x * y.detach()) == (Stage.GRADIENTS, zero, True)
    stage, text, explains = gradient_of(lambda x, y: 2 * x * y - x.detach() * y)
    assert (stage, explains) == (Stage.GRADIENTS, False)
    partly = gradient_of(lambda x, y: torch.cat([(x * y)[:1], (x * y)[1:].detach()]))
    assert partly[1].startswith("The result is right, but the gradient with respect to `x`: 2 of 4 numbers differ")
    assert text.startswith("The result is right, but the gradient with respect to `x`: 4 of 4 numbers differ")
    stage, text, explains = gradient_of(lambda x, y: (x * y).detach())
    assert (stage, explains, "no gradient flows through it" in text) == (Stage.GRADIENTS, True, True)
    assert gradient_of(lambda x, y: torch.from_numpy((x * y).detach().numpy())) is None

    def fails(x: Tensor, y: Tensor) -> Tensor:
        if x.requires_grad:
            raise ValueError("no graph")
        return x * y

    failed = "The result is right, but its gradient cannot be computed: ValueError: no graph"
    assert gradient_of(fails) == (Stage.GRADIENTS, failed, True)


def test_an_error_is_the_first_problem() -> None:
    assert text_of(lambda x: 1 / 0) == (Stage.RUNS, "ZeroDivisionError: division by zero", False)


def test_the_input_of_a_call_in_words() -> None:
    arguments = {
        "x": X, "n": 2, "p": 0.5, "flag": True, "mask": None, "array": np.ones(3), "pair": (X, X[0]), "list": [X],
        "many": [X] * 4, "empty": (), "text": "a", "mixed": [X, 1],
    }  # fmt: skip
    call = Answered(Exercise("f", identity, ()), Probe(CASE, 0, arguments), Outcome(), Outcome(), lambda *given: Outcome())
    assert input_of(call) == (
        "The input: usual. Called with x of shape (2, 2); n = 2; p = 0.5; flag = True; mask = None; array of shape (3,); "
        "pair a tuple of 2 tensors of shapes (2, 2) and (2,); list a list of 1 tensor of shape (2, 2)."
    )
    assert input_of(replace(call, probe=Probe(CASE, 0, {"text": "a"}))) == "The input: usual."


def test_the_parts_of_a_tuple_get_the_names_of_the_reference() -> None:
    named = Outcome({"output.total": X, "output.mask": X})
    assert [*aligned(Outcome({"output.0": X, "output.1": X}), named).outputs] == ["output.total", "output.mask"]
    assert [*aligned(Outcome({"output.1": X, "output.0": X}), named).outputs] == ["output.1", "output.0"]
    assert [*aligned(Outcome({"output.0": X}), Outcome({"output": X})).outputs] == ["output.0"]
