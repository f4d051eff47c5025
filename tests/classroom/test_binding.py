"""A function is called with the parameters of the reference, whichever names and order its own ones have."""

from functools import partial

import pytest

from minibert.classroom.binding import REQUIRED, call
from minibert.classroom.results import Unusable

DEFAULTS = {"a": REQUIRED, "b": REQUIRED, "c": 3, "d": None}
GIVEN = {"a": 1, "b": 2, "c": 30, "d": 40}


@pytest.mark.parametrize(
    ("function", "result"),
    [
        (lambda a, b, c, d: (a, b, c, d), (1, 2, 30, 40)),
        (lambda d, c, b, a: (a, b, c, d), (1, 2, 30, 40)),
        (lambda x, y, z, w: (x, y, z, w), (1, 2, 30, 40)),
        (lambda x, y, a, d: (a, x, y, d), (1, 2, 30, 40)),
        (lambda x, /, b, *, d, y: (x, b, y, d), (1, 2, 30, 40)),
        (lambda *all: all, (1, 2, 30, 40)),
        (lambda a, *others: (a, *others), (1, 2, 30, 40)),
        (lambda b, *others: (b, *others), (2, 1, 30, 40)),
        (lambda **all: all, GIVEN),
        (lambda b, **others: (b, others), (2, {"a": 1, "c": 30, "d": 40})),
        (lambda b, *others, **more: (b, others, more), (2, (1, 30, 40), {})),
        (lambda a, b, c, d, e=5: (a, b, c, d, e), (1, 2, 30, 40, 5)),
        (partial(lambda e, a, b, c, d: (a, b, c, d, e), 5), (1, 2, 30, 40, 5)),
    ],
)
def test_each_parameter_gets_its_argument_by_name_or_else_by_order(function, result) -> None:
    assert call(function, GIVEN, DEFAULTS) == result


def test_a_function_without_a_signature_gets_the_arguments_in_order() -> None:
    assert call(min, {"a": 2, "b": 1}, {"a": REQUIRED, "b": REQUIRED}) == 1


@pytest.mark.parametrize("value", [3, 3.5, True, "text", None, [1]])
def test_an_argument_with_its_default_value_may_be_missing(value) -> None:
    """A list is the default if it is the same one."""
    assert call(lambda a, b: (a, b), {"a": 1, "b": 2, "c": value}, DEFAULTS | {"c": value}) == (1, 2)
    with pytest.raises(Unusable, match=r"no parameter for c; its parameters: a, b$"):
        call(lambda a, b: (a, b), {"a": 1, "b": 2, "c": value}, DEFAULTS | {"c": "another"})
    if isinstance(value, float | str):
        equal = value * 1 if isinstance(value, float) else "".join([*value])
        assert call(lambda a, b: (a, b), {"a": 1, "b": 2, "c": equal}, DEFAULTS | {"c": value}) == (1, 2)


@pytest.mark.parametrize(("value", "default"), [(1, True), (3.0, 3), ([1], [1]), (0, None)])
def test_a_value_of_another_type_or_another_object_is_not_the_default(value, default) -> None:
    with pytest.raises(Unusable, match=r"no parameter for c; its parameters: a$"):
        call(lambda a: a, {"a": 1, "c": value}, {"a": REQUIRED, "c": default})


def test_all_arguments_without_a_parameter_are_named() -> None:
    with pytest.raises(Unusable, match=r"^the function has no parameter for a, b, c, d; its parameters: none$"):
        call(lambda: None, GIVEN, DEFAULTS)


def test_missing_arguments_before_the_last_one_have_their_default_value() -> None:
    assert call(lambda a, *others: (a, *others), {"a": 1, "b": 2, "d": 4}, DEFAULTS) == (1, 2, 3, 4)
    assert call(lambda a, *others: (a, *others), {"a": 1, "b": 2, "c": 4}, DEFAULTS) == (1, 2, 4)
    assert call(lambda a, b, *others: (a, b, *others), {"a": 1, "b": 2, "c": 3}, DEFAULTS) == (1, 2)
