"""The first wrong value of a trail, from a few values of each line."""

import math

import pytest
import torch
from torch import Tensor

from minibert.classroom.location import NUMBERS_SHOWN, Trails, Values, is_number
from minibert.classroom.trail import Entry

X = torch.tensor([1.0, 2.0, 4.0, 7.0])
A, B, C = X + 1, (X + 1) * 3, ((X + 1) * 3) ** 2
WRONG_B, WRONG_C = (X + 1) * 5, ((X + 1) * 5) ** 2


def trail(*values: tuple[str, Tensor], first: int = 1, repeated: str = "") -> list[Entry]:
    """Return a trail with a line for each value. `return` is on the line of the last value."""
    lines = [first + number - (label == "return") for number, (label, _) in enumerate(values)]
    return [Entry(line, "", label, value, label == repeated) for line, (label, value) in zip(lines, values, strict=True)]


REFERENCE = trail(("a", A), ("b", B), ("c", C), ("return", C))
VARIANT = trail(("a", A), ("b", WRONG_B), ("c", WRONG_C), ("return", WRONG_C))
WRONG = trail(("p", A), ("q", WRONG_B), ("r", WRONG_C), ("return", WRONG_C), first=11)
OTHER = (("a * 3", "a * 5"),)
AGREE = "Up to `a` (your line 11) your numbers agree with the reference. "


def trails(
    own: list[Entry], variant: list[Entry] = (), edits=(), reference=REFERENCE, arguments=None, names="abc", **more
) -> Trails:
    return Trails(own, reference, {"x": X} if arguments is None else arguments, variant, edits, names=frozenset(names), **more)


def found(each: Trails) -> tuple[int | None, str]:
    suspect = each.suspect()
    return suspect and suspect.line, each.first_difference()


RETURN = "Up to `{}` (your line {}) your numbers agree with the reference. The result is the first value that differs."
LEFT_OUT, MOVED = (("a * 3", "a"),), (("(a + e) * 3", "(a * 3) + e"),)
WITHOUT = trail(("a", A), ("b", A), ("c", A**2), ("return", A**2))
OWN_WITHOUT = trail(("p", A), ("q", A**2), ("return", A**2), first=11)
SPREAD = trail(("a", A * 8), ("b", B + 1), ("c", WRONG_C), ("return", WRONG_C))
FIRST = "Line 12 computes the first value that the reference does not have: 10, 15, 25, …. The mistake is there or after it."
UNKNOWN = AGREE + FIRST
KNOWN = f"{AGREE}The first that differs is `b`: 6, 9, 15, …. Your value (line 12): 10, 15, 25, …."
CASES = {
    "all values are right": (trails(trail(("p", A), ("q", B), ("r", C), ("return", C))), None, ""),
    "unknown mistake": (trails(WRONG), 12, UNKNOWN),
    "known mistake": (trails(WRONG, VARIANT, OTHER), 12, KNOWN),
    "names that the learner does not know": (
        trails(WRONG, VARIANT, OTHER, names=""),
        12,
        KNOWN.replace("`a` (your line 11)", "your line 11").replace("`b`", "the next value"),
    ),
    "a right value after the wrong one": (
        trails(trail(("p", A), ("q", WRONG_B), ("r", B), ("s", WRONG_C), ("return", WRONG_C))), None, "",
    ),
    "another wrong value in the line": (
        trails([*trail(("p", A), ("q", WRONG_B)), Entry(2, "", "", A * 7), *trail(("", WRONG_C), ("return", C * 9), first=3)]),
        2,
        UNKNOWN.replace("ine 11", "ine 1").replace("ine 12", "ine 2").replace("10, 15, 25", "14, 21, 35"),
    ),
    "a loop": (trails(trail(("p", A), ("q", WRONG_B), ("r", WRONG_C), ("return", WRONG_C), repeated="q")), None, ""),
    "another value is returned": (trails(trail(("p", A), ("q", B), ("r", C), ("return", B))), 3, RETURN.format("c", 3)),
    "only the result is wrong": (trails(trail(("p", A), ("return", A * 9))), 1, RETURN.format("a", 1)),
    "nothing is equal": (trails(trail(("return", A * 9), first=2)), 1, ""),
    "something is missing": (
        trails(OWN_WITHOUT, WITHOUT, LEFT_OUT), 11,
        "The first that differs is `b`: 6, 9, 15, …. Your value (line 11): 2, 3, 5, ….",
    ),
    "something else in its place": (trails(OWN_WITHOUT, WITHOUT, OTHER), None, ""),
    "a part that moved to another line": (
        trails(trail(("p", A * 8), ("q", A * 8), ("r", WRONG_C), ("return", WRONG_C)), SPREAD, MOVED), None, ""
    ),
    "a part that moved in a line": (
        trails(trail(("p", A * 8), ("r", WRONG_C), ("return", WRONG_C)), SPREAD, MOVED),
        1,
        "The first that differs is `a`: 2, 3, 5, …. Your value (line 1): 16, 24, 40, ….",
    ),
    "an argument that got another value": (
        trails(trail(("x", A), ("q", WRONG_B), ("r", WRONG_C), ("return", WRONG_C)), VARIANT, (("x * 3", "5"),)), None, ""
    ),
    "a value that the learner does not have": (
        trails(trail(("q", WRONG_B), ("r", WRONG_C), ("return", WRONG_C)), VARIANT, (("a * 3", "5"),)), None, ""
    ),
    "an argument whose value is used": (
        trails(trail(("x", A), ("q", WRONG_B), ("r", WRONG_C), ("return", WRONG_C)), VARIANT, (("x * 3", "x * 5"),)),
        2,
        KNOWN.replace("ine 11", "ine 1").replace("ine 12", "ine 2"),
    ),
    "a value that the learner has in another shape": (
        trails(trail(("p", A.reshape(2, 2)), ("q", WRONG_B), ("return", WRONG_B)), VARIANT, (("a * 3", "5"),)), 2, "",
    ),
    "a step is missing after a copy": (
        trails(trail(("p", A), ("q", A), ("r", A**2), ("return", A**2)), WITHOUT, LEFT_OUT), 2,
        "Up to `a` (your line 1) your numbers agree with the reference. A step is missing after it: `b` is 6, 9, 15, ….",
    ),
    "a name that the reference does not have": (
        trails(WRONG, trail(("a", A), ("z", WRONG_B), ("c", WRONG_C), ("return", WRONG_C)), OTHER), 12, ""
    ),
    "a value that comes later in the reference": (
        trails(trail(("p", A), ("k", C), ("q", WRONG_B), ("r", WRONG_C), ("return", WRONG_C)), VARIANT, OTHER), 3,
        KNOWN.replace("ine 11", "ine 1").replace("ine 12", "ine 3"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_line_and_the_first_difference(name: str) -> None:
    """Both are left out if the values leave a doubt."""
    each, line, text = CASES[name]
    assert found(each) == (line, text)


def test_the_last_agreement_is_shown_for_an_unknown_mistake() -> None:
    assert trails(WRONG).last_agreement() == "Your line 11 computes `a` as the reference does."
    assert trails(WRONG, names="").last_agreement() == "Your line 11 computes a value as the reference does."
    assert (
        trails(trail(("", A), ("q", A * 7), ("return", A * 9))).last_agreement()
        == "Your line 1 computes `a` as the reference does."
    )
    assert trails(trail(("", A), ("return", A * 9))).last_agreement() == ""  # inside of a line
    assert trails(WRONG, VARIANT, OTHER).last_agreement() == ""
    assert trails(trail(("return", A * 9), first=2)).last_agreement() == ""


def test_values_that_are_no_evidence_do_not_count() -> None:
    """Arguments, equal numbers, empty tensors, and numbers of Python where the reference has none."""
    number = torch.tensor(3.0, dtype=torch.float64)
    own = trail(("p", torch.zeros(4)), ("q", torch.ones(0)), ("r", number), ("s", A), ("return", WRONG_B))
    assert [entry.label for entry in trails(own).own] == ["s", "return"]
    with_number = trail(("a", number), ("b", A), ("return", A))
    assert [entry.label for entry in trails(own, reference=with_number).own] == ["r", "s", "return"]
    assert trails(trail(("p", X), ("return", WRONG_B))).last_agreement() == ""
    below_zero = trail(("p", torch.tensor([0.0, 0.0, 0.0, 1.0])), ("return", WRONG_B))
    assert [entry.label for entry in trails(below_zero).own] == ["p", "return"]
    assert not is_number(torch.tensor(3.0))
    assert not is_number(X.double())


def test_a_name_that_is_used_again_is_replaced_in_part_only() -> None:
    """The mistake has `a` once instead of twice: no value is missing."""
    edits = (("a * a", "a * 5"),)
    own = trail(("p", A), ("q", WRONG_B), ("a", WRONG_C), ("return", WRONG_C))
    assert found(trails(own, VARIANT, (("x + x", "x + 5"),)))[0] == 2
    assert found(trails(own, VARIANT, edits))[0] == 2


def test_an_argument_that_gets_another_value_later_leaves_no_doubt() -> None:
    own = trail(("p", A), ("q", WRONG_B), ("x", WRONG_C), ("return", WRONG_C))
    assert found(trails(own, VARIANT, (("x * 3", "a * 5"),)))[0] == 2


def test_as_many_words_are_no_omission() -> None:
    assert not trails(WRONG, VARIANT, (("a * 3", "a * 5"),)).omission
    assert trails(WRONG, VARIANT, LEFT_OUT).omission


def test_a_line_that_the_mistake_does_not_have_is_suspected_at_the_end_only() -> None:
    """The learner has computed two steps in one."""
    last = trail(("p", A), ("return", WRONG_C), first=5)
    assert found(trails(last, VARIANT, OTHER))[0] == 5
    middle = trail(("p", A), ("q", A * 9), ("r", WRONG_C), ("return", WRONG_C))
    assert found(trails(middle, VARIANT, OTHER)) == (None, "")


def test_the_first_value_among_some_is_found() -> None:
    first = trails(WRONG).first_of([WRONG_C, WRONG_B])
    assert first is not None
    assert first.line == 12
    assert trails(WRONG).first_of([C]) is None


def test_the_numbers_begin_where_they_differ() -> None:
    """A difference by rounding does not count, relative to the largest number."""
    right = torch.arange(12.0).reshape(3, 4) + 1
    own = right.clone()
    own[0, 1] += 1e-5
    own[1, 2:] = 6.5
    own[2] = math.inf
    reference = trail(("a", A), ("b", right), ("return", right.cumsum(0)))
    variant = trail(("a", A), ("b", own), ("return", own.cumsum(0)))
    each = trails(trail(("p", A), ("q", own), ("return", own.cumsum(0))), variant, OTHER, reference)
    assert each.first_difference().endswith(
        "The first that differs is `b` from [1, 2] on: 7, 8, 9, …. Your value (line 2): 6.5, 6.5, inf, …."
    )
    assert NUMBERS_SHOWN == 3


@pytest.mark.parametrize(
    ("difference", "text"),
    [
        (1e-3, "`b`: 1, 20, 0. Your value (line 2): 1.001, 20, 1."),
        (1e-4, "`b` from [2] on: 0. Your value (line 2): 1."),
    ],
)
def test_a_first_small_difference_is_one_if_it_is_more_than_rounding(difference: float, text: str) -> None:
    """Relative to the largest number, here 20."""
    right = torch.tensor([1.0, 20.0, 0.0])
    own = right + torch.tensor([difference, 0.0, 1.0])
    reference, variant = (trail(("a", A), ("b", b), ("return", b.cumsum(0))) for b in (right, own))
    each = trails(trail(("p", A), ("q", own), ("return", own.cumsum(0))), variant, OTHER, reference)
    assert each.first_difference().endswith(f"The first that differs is {text}")


def test_values_are_equal_up_to_rounding() -> None:
    """Relative to the largest number, here 1."""
    values = Values.of([torch.tensor([1.0, 0.0], dtype=torch.float64)])
    assert values.has(torch.tensor([1.0, 1e-5], dtype=torch.float64))
    assert not values.has(torch.tensor([1.0, 1.0001e-5], dtype=torch.float64))


@pytest.mark.parametrize(
    ("value", "reshaped", "is_found"),
    [
        (A, False, True),
        (A * (1 + 1e-6), False, True),
        (A * 1.001, False, False),
        (A[None, :, None], False, True),
        (A.reshape(2, 2), False, False),
        (A.reshape(2, 2), True, True),
        (A.flip(0), True, False),
        (torch.complex(A[:2], A[2:]), False, False),
        (torch.complex(A[::2], A[1::2]), True, True),
        (A[:3], True, False),
    ],
)
def test_a_value_is_looked_up(value: Tensor, reshaped: bool, is_found: bool) -> None:
    """Axes of size 1 do not count, and complex numbers are pairs."""
    assert Values.of([B, A]).has(value, reshaped) is is_found


def test_the_values_that_are_looked_up_may_have_axes_of_size_1() -> None:
    values = Values.of([A[:, None]])
    assert values.has(A)
    assert not values.has(A.reshape(2, 2))


def test_the_same_numbers_in_another_order_are_not_found() -> None:
    """Heads that are split without a transposition have the numbers of the tokens in a row."""
    tokens = torch.tensor([[5.0, 1.0, 4.0, 2.0], [0.0, 7.0, 3.0, 6.0], [9.0, 8.0, 11.0, 10.0]])
    heads = tokens.reshape(3, 2, 2).transpose(0, 1)
    assert Values.of([tokens]).has(tokens.reshape(2, 3, 2), reshaped=True)
    assert not Values.of([tokens, heads]).has(tokens.reshape(2, 3, 2), reshaped=True)


def test_axes_may_be_exchanged_up_to_four() -> None:
    value = torch.arange(32.0).reshape(2, 2, 2, 2, 2)
    assert Values.of([value[0]]).has(value[0].permute(3, 1, 0, 2))
    assert not Values.of([value]).has(value.permute(4, 1, 2, 3, 0))
    assert Values.of([value]).has(value)
