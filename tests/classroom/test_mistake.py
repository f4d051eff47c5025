"""An entry of the catalogue, and the tests of its function."""

import pytest

from minibert.classroom.mistakes import Mistake


class Layer:
    """A layer.

    Tests: tests/a.py::one, tests/a.py::two
    """

    def own(self) -> None:
        """A method.

        Tests: tests/b.py::three
        """

    def other(self) -> None:
        """Another method."""


def undocumented() -> None:
    """A function."""


def test_the_tests_of_a_method_are_its_own_or_those_of_its_class() -> None:
    tests = [Mistake("", function, (), "", "", "").tests for function in (Layer.own, Layer.other)]
    assert tests == [["tests/b.py::three"], ["tests/a.py::one", "tests/a.py::two"]]
    with pytest.raises(
        ValueError, match="undocumented: its docstring and its class's docstring have no line 'Tests:'; add one"
    ):
        _ = Mistake("", undocumented, (), "", "", "").tests
