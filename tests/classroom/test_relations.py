"""Relations of a few numbers: what each one needs, and where it ends."""

import math
from collections.abc import Callable

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from minibert.classroom.probes import probes
from minibert.classroom.relations import _equals_with, find_relation
from minibert.classroom.running import Outcome
from tests.classroom.toys import identity, outcomes_of, toy


def relation(change: Callable, *inputs: list | Tensor, last: list | None = None, reference: Callable = identity) -> str:
    """Return the relation of `change(x)` to `reference(x)`."""
    exercise = toy(reference, [{"x": torch.as_tensor(x)} for x in inputs], last and {"x": torch.tensor(last)})
    return find_relation(exercise, outcomes_of(exercise, change))


ROW = [1.0, 2.0, 5.0, -4.0, 0.5]
TABLE = torch.tensor([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda x: -2 * x, "Your numbers are -2 times the expected ones."),
        (lambda x: -x / 3, "Your numbers are -1/3 times the expected ones."),
        (lambda x: -0.123 * x, "Your numbers are -0.123 times the expected ones."),
        (lambda x: -math.pi * x, "Your numbers are -π times the expected ones."),
        (lambda x: x - 0.25, "Your numbers are the expected ones minus 0.25."),
        (lambda x: x * (x > 0), "Your numbers are the expected ones with 0 instead of every negative number."),
        (lambda x: x.abs(), "Your numbers are the expected ones without their signs."),
        (lambda x: x + torch.tensor([0, 0, 0, 0, 2]), "Your numbers are wrong only at the last place along axis 0."),
        (lambda x: x.roll(1), "Your numbers are one place too late along axis 0."),
        (lambda x: x[[4, 2, 0, 1, 3]], ""),
        (lambda x: x, ""),
    ],
)
def test_relations_of_a_row(change: Callable, sentence: str) -> None:
    assert relation(change, ROW) == sentence


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda x: x**-1, "Your numbers are 1 divided by the expected ones."),
        (lambda x: x**2, "Your numbers are the squares of the expected ones."),
        (lambda x: x**0.5, "Your numbers are the square roots of the expected ones."),
        (lambda x: x**3, "Your numbers are the expected ones to the power 3."),
        (lambda x: x.log(), "Your numbers are the logarithms of the expected ones."),
        (lambda x: x.log2(), "Your numbers are the logarithms to base 2 of the expected ones."),
        (lambda x: -x.log(), "Your numbers are the negative logarithms of the expected ones."),
    ],
)
def test_relations_of_positive_numbers(change: Callable, sentence: str) -> None:
    """The second input has only ones, which any power fits."""
    assert relation(change, [0.5, 2.0, 3.0, 7.0], [1.0, 1.0, 1.0]) == sentence


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda x: x.mT, 'Your result is transposed: the axis "rows" and the axis "columns" are exchanged.'),
        (lambda x: x.sum(0), 'Your result is the sum of the expected one along the axis "rows".'),
        (lambda x: x.cumsum(1), 'Your numbers are the cumulative sums of the expected ones along the axis "columns".'),
        (lambda x: x.roll(1, 1), 'Your numbers are one place too late along the axis "columns".'),
        (lambda x: x[:, [1, 0, 2]], 'Your result has the right parts in another order along the axis "columns".'),
        (
            lambda x: x[-1:].expand_as(x),
            'Your result has the expected numbers of the last place everywhere along the axis "rows".',
        ),
        (lambda x: x.flatten(), "Your numbers are right and in the right order, but the shape is another one."),
    ],
)
def test_relations_along_the_axes_of_a_table(change: Callable, sentence: str) -> None:
    assert relation(change, TABLE) == sentence


@pytest.mark.parametrize(
    "change",
    [lambda x: x + 1, lambda x: 2 * x, lambda x: x**3, lambda x: x[:, [2, 1, 0]], lambda x: x[:, [1, 0, 2]]],
)
def test_a_relation_holds_for_the_last_input_too(change: Callable) -> None:
    last = [[1.0, 2.0, 3.0]]
    other_in_the_last = relation(lambda x: x.exp() + 7 if x.shape == (1, 3) else change(x), TABLE, last=last)
    assert (bool(relation(change, TABLE, last=last)), other_in_the_last) == (True, "")


def test_true_and_false_are_exchanged() -> None:
    assert relation(lambda x: ~x, [True, False, False], [True, True]) == "True and False are exchanged."


def test_axes_are_exchanged_in_results_with_up_to_four_axes() -> None:
    x = torch.arange(120.0).reshape(2, 3, 4, 5)
    assert relation(lambda x: x.transpose(0, 1), x).startswith("Your result is transposed: axis 0 and axis 1")
    assert "in another order" not in relation(lambda x: x.transpose(0, 1), x[None])
    assert "transposed" not in relation(lambda x: x.transpose(1, 2), x[None])


def test_two_different_numbers_show_no_factor() -> None:
    assert relation(lambda x: 2 * x, [1.0, 3.0]) == ""


def test_a_result_of_zeros_fits_any_factor_if_the_learners_numbers_are_zero_too() -> None:
    zeros = [0.0, 0.0, 0.0]
    assert relation(lambda x: 2 * x, zeros, last=[1.0, 2.0, 4.0]) == "Your numbers are 2 times the expected ones."
    assert relation(lambda x: 2 * x + (x.cumsum(0) == 0).cumsum(0) // 3, [1.0, 2.0, 4.0], zeros) == ""


def scaled(x: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
    return x / x.shape[-1]


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        ((2, 3), "Your numbers are columns times the expected ones."),
        ((2, 2), "Your numbers are 2 times the expected ones."),
        ((1, 2), ""),
    ],
)
def test_a_factor_depends_on_a_size_if_the_size_differs(sizes: tuple[int, int], sentence: str) -> None:
    assert relation(identity, *(torch.rand(5, size) + 1 for size in sizes), reference=scaled) == sentence


def test_a_factor_of_two_sizes() -> None:
    tables = torch.rand(2, 3) + 1, torch.rand(5, 4) + 1
    both = relation(lambda x: x * x.shape[0] * x.shape[1], *tables)
    assert both == "Your numbers are (rows · columns) times the expected ones."


def test_a_size_that_some_inputs_lack_is_no_factor() -> None:
    def optional(x: Float[Tensor, " rows"], y: Float[Tensor, " columns"] | None = None) -> Tensor:
        return x

    exercise = toy(optional, [{"x": torch.rand(4) + 1, "y": torch.ones(3)}, {"x": torch.rand(5) + 1}])
    found = find_relation(exercise, outcomes_of(exercise, lambda x, y=None: len(x) * x))
    assert found == "Your numbers are rows times the expected ones."


@pytest.mark.parametrize(
    ("mine", "sentence"),
    [
        ([501.0, 1.1, 2.1], "Your numbers are close to the expected ones: the largest difference is 0.2%."),
        ([501.5, 1.1, 2.1], ""),
        ([500.25, 1.0, 2.25], "Your numbers have only the precision of float16."),
    ],
)
def test_numbers_are_close_up_to_the_rounding_of_half_precision(mine: list[float], sentence: str) -> None:
    assert relation(lambda x: torch.tensor(mine), [500.0, 1.0, 2.0]) == sentence


def test_a_constant_was_added_to_the_probabilities_of_a_loss() -> None:
    """Losses of zero belong to ignored labels."""
    sentence = "Your numbers are -log(p + 0.1) of the right probabilities p. Add nothing inside the logarithm."
    losses = [0.5, 1.0, 2.0, 0.0]
    assert relation(lambda x: torch.where(x == 0, 0, -torch.log(torch.exp(-x) + 0.1)), losses) == sentence
    assert relation(lambda x: -torch.log(torch.exp(-x) + 0.1), losses) == ""


def pair(x: Tensor) -> tuple[Tensor, Tensor]:
    return x, x > 0


def test_a_relation_holds_for_all_parts_of_a_result() -> None:
    """Both parts have only two different numbers, which is enough for a mask."""
    assert relation(lambda x: (1 - x, x <= 0), [0.0, 1.0], reference=pair) == ""
    assert relation(lambda x: (x * 1.0007, x > 0), [3.0, 2.0, 9.0], reference=pair) == ""


def test_a_result_without_numbers_has_no_relation() -> None:
    assert relation(lambda x: torch.ones(1, 3), torch.ones(0, 3), [[1.0, 2.0, 3.0]]) == ""


def below_one(x: Tensor) -> Tensor:
    if x >= 1:
        raise ValueError("too large")
    return 2 * x


def divided(x: Tensor, n: float = 5.0) -> Tensor:
    return x / n


def shifted(x: Tensor, y: Tensor) -> Tensor:
    return x + y


def test_an_argument_is_ignored() -> None:
    exercise = toy(shifted, [{"x": torch.tensor(ROW), "y": torch.rand(5)}, {"x": torch.rand(3), "y": torch.rand(3)}])
    assert find_relation(exercise, outcomes_of(exercise, lambda x, y: x)).endswith("for y = 0: y is not used.")
    exercise = toy(divided, [{"x": torch.tensor(ROW), "n": n} for n in (2.0, 3.0)])
    assert find_relation(exercise, outcomes_of(exercise, lambda x, n: x)).endswith("for n = 1: n is not used.")


@pytest.mark.parametrize(
    ("inputs", "default", "tolerance", "is_found"),
    [
        ([{"n": 2.0}, {}], 10.0, 0.1, True),
        ([{"n": 2.0}, {}], 2.5, 1.0, False),
        ([{"n": 2.0}, {}], None, 0.1, False),
        ([{"n": 2.0}], 10.0, 0.1, False),
        ([{"n": 2.0}, {"n": 5.0}], 10.0, 0.1, False),
    ],
)
def test_a_default_value_is_used_wherever_the_numbers_are_wrong(inputs, default, tolerance, is_found: bool) -> None:
    """A difference is relative to the expected numbers, and an error is no number."""
    exercise = toy(divided, [{"x": torch.tensor(ROW), **each} for each in inputs], tolerance=tolerance)
    found = find_relation(exercise, outcomes_of(exercise, lambda x, n=default: x / n))
    assert (found == "Your numbers are wrong only where the default of the stub is used: n = 5.0.") == is_found


def test_a_default_value_is_not_to_blame_if_it_gives_right_numbers_elsewhere() -> None:
    exercise = toy(divided, [{"x": torch.tensor(ROW), "n": 2.0}, {"x": torch.rand(3)}, {"x": torch.rand(4)}])
    found = find_relation(exercise, outcomes_of(exercise, lambda x, n=5.0: x / n + (len(x) == 4)))
    assert found == ""


def test_two_numbers_and_zero_show_no_factor() -> None:
    assert "times" not in relation(lambda x: 3 * x, [0.0, 2.0, 4.0])
    assert relation(lambda x: 3 * x, [0.0, 1.0, 2.0, 4.0]) == "Your numbers are 3 times the expected ones."


def test_whole_numbers_are_not_replaced_to_find_an_argument_that_is_not_used() -> None:
    whole = torch.tensor([3, 1, 4, 1, 5])
    assert relation(lambda x: x[[4, 2, 0, 1, 3]] ** 3, whole) == ""


def test_calls_with_errors_are_no_sign_of_another_argument() -> None:
    exercise = toy(identity, [{"x": torch.ones(2)}])
    outcomes = [Outcome(error="ValueError")] * len(probes(exercise))
    assert not _equals_with(exercise, outcomes, "x", 1.0)


def test_a_number_that_the_formula_refuses_is_no_sign_of_another_argument() -> None:
    exercise = toy(below_one, [{"x": torch.tensor(0.5)}])
    assert not _equals_with(exercise, outcomes_of(exercise, below_one), "x", 1.0)
    assert _equals_with(exercise, outcomes_of(exercise, below_one), "x", 0.5)
