"""Positions of values in JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.text.labeled.located_json import JSONSyntaxError, Lines, LocatedList, LocatedObject, json_values

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)


def check(value: object, text: str, base: int) -> None:
    """Check that the text at the position of each value is its JSON."""
    if not isinstance(value, LocatedObject | LocatedList):
        return
    keys = value.keys() if isinstance(value, LocatedObject) else range(len(value))
    if isinstance(value, LocatedObject):
        assert text[value.position - base] == "{"
        assert value.positions.keys() == value.keys()
    for key in keys:
        found, _ = json.JSONDecoder().raw_decode(text, value.positions[key] - base)
        assert found == value[key]
        check(value[key], text, base)


@given(values, st.sampled_from([None, 0, 2]), st.integers(0, 100))
def test_every_position_is_that_of_its_value(value: object, indent: int | None, base: int) -> None:
    text = json.dumps(value, indent=indent)
    [(position, found)] = json_values(text, base)
    assert position == base
    assert found == value
    check(found, text, base)


@given(st.lists(values, max_size=4), st.sampled_from(["\n", " ", "\r\n\t", "\ufeff\n"]))
def test_values_one_after_the_other(several: list[object], blank: str) -> None:
    text = blank + "".join(json.dumps(value) + blank for value in several)
    assert [value for _, value in json_values(text)] == several


@pytest.mark.parametrize("text", ['{"a": 1', "[1, 2", '{"a": }', "{'a': 1}", "[1 2]", "nul", '"a', "9" * 5000, "[" * 10_000])
def test_errors_have_a_position(text: str) -> None:
    with pytest.raises(JSONSyntaxError) as raised:
        list(json_values(text, base=7))
    assert 7 <= raised.value.position <= 7 + len(text)


def test_names_that_are_repeated() -> None:
    [(_, found)] = json_values('{"a": 1, "b": 2, "a": 3, "c": {"b": 4}}')
    assert (found, found.repeated, found["c"].repeated) == ({"a": 3, "b": 2, "c": {"b": 4}}, ["a"], [])


@given(st.text("ab\n"))
def test_line_numbers(text: str) -> None:
    lines = Lines(text)
    assert [lines.number(position) for position in range(len(text))] == [
        text[:position].count("\n") + 1 for position in range(len(text))
    ]
