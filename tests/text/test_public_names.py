"""The public names of minibert.text, which are loaded on first use."""

import inspect

import pytest

import minibert.text


def test_every_public_name_is_defined_in_its_module_and_listed() -> None:
    for name in minibert.text.__all__:
        found = getattr(minibert.text, name)
        assert found.__name__ == name
        assert inspect.getmodule(found).__name__.startswith("minibert.text.")
    assert {*minibert.text.__all__} <= {*dir(minibert.text)}


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'minibert\.text' has no attribute 'nothing'"):
        _ = minibert.text.nothing
