"""The variables of a function, in their order."""

import ast

from minibert.classroom.value_words import computed_values

CODE = """
def f(self, x):
    a = x + 1
    for _ in a:
        b, c = x
        a = 3
    _, d = x
    self.k = c
    d += 1
    return d
"""


def test_each_variable_has_the_expression_that_it_gets_first() -> None:
    """One of several in a tuple has none of its own. `_` is no variable."""
    found = computed_values(CODE)
    assert [(name, value and ast.unparse(value)) for name, value in found.items()] == [
        ("a", "x + 1"),
        ("b", None),
        ("c", None),
        ("d", None),
        ("self.k", "c"),
    ]
