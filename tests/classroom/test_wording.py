"""Words for the parts, the axes, the places and the differences of a result."""

import math
from typing import Any

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from minibert.checks import check_number
from minibert.classroom.exercise import Exercise
from minibert.classroom.wording import (
    as_code,
    at,
    axes_of,
    difference_of,
    first_place,
    index_name,
    part_name,
    shown,
    value_as_code,
    with_verb,
    words_for,
)


def exercise_of(annotation: Any, docstring: str = "") -> Exercise:
    """Return an exercise whose result has a type, and is described by a docstring."""

    def reference(x: Tensor) -> Tensor:
        return x

    reference.__annotations__["return"] = annotation
    reference.__doc__ = f"Text.\n\n{docstring}"
    return Exercise("f", reference, ())


@pytest.mark.parametrize(
    ("names", "axes", "words"),
    [
        ("rows width", 2, "(rows, width)"),
        ("rows width", 3, ""),
        ("#rows width", 2, "(rows, width)"),
        ("*batch width", 1, "(width)"),
        ("*batch width", 2, "(batch, width)"),
        ("*batch width", 3, "(batch, tokens, width)"),
        ("*batch queries width", 4, "(batch, heads, queries, width)"),
        ("*batch keys", 3, "(batch, heads, keys)"),
        ("*batch width", 4, "(*batch, width)"),
        ("*#batch 2*width", 2, ""),
        ("3", 1, ""),
        ("", 0, ""),
    ],
)
def test_the_axes_of_a_result_have_the_names_of_the_annotation(names: str, axes: int, words: str) -> None:
    """The axes in front have names up to two of them."""
    assert axes_of(exercise_of(Float[Tensor, names]), "output", axes) == words


def test_the_parts_of_a_result_have_axes_of_their_own() -> None:
    exercise = exercise_of(tuple[Float[Tensor, "a b"], Float[Tensor, "c d"]])
    names = ("output", "output.0", "output.1", "output.2", "output.x")
    assert [axes_of(exercise, name, 2) for name in names] == ["", "(a, b)", "(c, d)", "", ""]


PAIR = exercise_of(tuple[Tensor, Tensor], "Returns: the losses and the labels: both in float32.")
UNNAMED = exercise_of(tuple[Tensor, Tensor], "Returns: the losses.")


@pytest.mark.parametrize(
    ("exercise", "name", "part", "words"),
    [
        (PAIR, "output", "", "The result"),
        (PAIR, "output.0", "losses", "The losses"),
        (PAIR, "output.1", "labels", "The labels"),
        (PAIR, "output.1.0", "labels[0]", "`labels[0]`"),
        (PAIR, "output.2", "result[2]", "`result[2]`"),
        (PAIR, "output.total", "total", "`total`"),
        (UNNAMED, "output.0", "result[0]", "`result[0]`"),
        (exercise_of(tuple[Tensor], "Returns: the losses."), "output.0", "result[0]", "`result[0]`"),
    ],
)
def test_the_parts_of_a_result_have_the_names_of_the_docstring(exercise: Exercise, name: str, part: str, words: str) -> None:
    assert (part_name(exercise, name), words_for(exercise, name)) == (part, words)


def test_a_decorated_reference_has_the_words_of_the_function_inside() -> None:
    def decorated(x):
        return x

    decorated.__wrapped__ = PAIR.reference
    exercise = Exercise("f", decorated, ())
    assert part_name(exercise, "output.0") == "losses"
    decorated.__wrapped__ = exercise_of(Float[Tensor, "a b"]).reference
    assert axes_of(Exercise("g", decorated, ()), "output", 2) == "(a, b)"


@pytest.mark.parametrize(
    ("own", "other", "text"),
    [
        ([1.0, 2.0], [1.0], "the x has the shape (2,), expected (1,)."),
        ([1.0], [2.5], "the x is 1, expected 2.5."),
        ([1.0, 2.0, 4.0], [1.0, 2.5, 3.0], "the x: 2 of 3 numbers differ, most at [2]: 4, expected 3."),
        ([[1.0, -9.0]], [[1.0, 9.0]], "the x: 1 of 2 numbers differ, most at [0, 1]: -9, expected 9."),
        ([100.0, 9.5], [100.0, 10.0], "the x: 1 of 2 numbers differ, most at [1]: 9.5, expected 10."),
        ([-100.0, 9.5, 2.0], [-100.0, 10.0, 0.0], "the x: 1 of 3 numbers differ, most at [2]: 2, expected 0."),
        ([0.0, 0.005], [0.0, 0.0], "the x: 1 of 2 numbers differ, most at [1]: 0.005, expected 0."),
        ([1.0, 0.05, 0.5], [1.0, 0.0, 0.0], "the x: 2 of 3 numbers differ, most at [2]: 0.5, expected 0."),
        ([100.0, 12.0, 14.0], [100.0, 10.0, 10.0], "the x: 2 of 3 numbers differ, most at [2]: 14, expected 10."),
        ([2 / 3], [1 / 3], "the x is 0.666667, expected 0.333333."),
        ([math.nan, 1.0], [math.inf, 1.0], "the x: 1 of 2 numbers differ, most at [0]: nan, expected inf."),
        ([0.0, 1.0], [-math.inf, -math.inf], "the x: 2 of 2 numbers differ, most at [0]: 0, expected -inf."),
    ],
)
def test_a_difference_has_a_count_and_the_largest_place(own: list, other: list, text: str) -> None:
    """Small differences, relative to the largest expected number, do not count; the largest one always does."""
    assert difference_of("the x", torch.tensor(own), torch.tensor(other), 0.01) == text


@pytest.mark.parametrize(
    ("words", "has", "is_"),
    [
        ("The result", "The result has", "The result is"),
        ("The new ids", "The new ids have", "The new ids are"),
        ("`labels[0]`", "`labels[0]` has", "`labels[0]` is"),
    ],
)
def test_a_part_in_the_plural_has_a_verb_in_the_plural(words: str, has: str, is_: str) -> None:
    assert (with_verb(words, "has"), with_verb(words, "is")) == (has, is_)
    one, two = torch.zeros(1), torch.zeros(2)
    assert difference_of(words, one, two, 0.1) == f"{has} the shape (1,), expected (2,)."
    assert difference_of(words, one, one + 1, 0.1) == f"{is_} 0, expected 1."


def test_names_become_code() -> None:
    assert [index_name(name) for name in ("output", "output.1", "output.1.12", "output.total.0")] == [
        "", "result[1]", "result[1][12]", "total[0]"
    ]  # fmt: skip
    assert as_code("gradients.0.weight.1") == "gradients[0].weight[1]"
    assert [value_as_code(value) for value in (check_number, 0.5, "mean")] == ["check_number", "0.5", "'mean'"]


def test_places_and_numbers_are_short() -> None:
    assert first_place(torch.tensor([[False, False], [True, True]])) == (1, 0)
    assert (at((1, 0)), at(())) == (" at [1, 0]", "")
    assert [shown(each) for each in (True, 1234567, 1.0, 1 / 3, 2.5e-8, 1j)] == [
        "True", "1234567", "1", "0.333333", "2.5e-08", "1j"
    ]  # fmt: skip
