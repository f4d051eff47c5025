"""The source that is edited, the places of its changes, and the code that the words quote."""

import ast
import functools
import inspect

import pytest

from minibert import equations
from minibert.classroom import edits
from minibert.classroom.edit_wording import LONGEST_QUOTE
from minibert.classroom.edits import edits_of

DOCUMENTED = """\
def documented(a: int, /, b: int, *rest: int, c: int = 2, **more: int) -> int:
    '''Has everything that is no part of the formula.'''
    check_size(a)
    if b:
        _check_size(b)
    else:
        c = 1
    if c:
        check_size(c)
    if c:
        yield c
    for _ in rest:
        if a < 0:
            c = 0
            raise ValueError(a)
    with more:
        check_size(observe("c", c))
    while observe("more", more):
        check_size(c)
        while a:
            a = observe("a", 2 * observe("b", b))
    rest.append(lambda: observe("c", c))
    if a:
        raise ValueError(a)
    else:
        c = 2
    return observe("result", a)  # a comment
"""


def test_what_is_edited_is_the_formula_alone(monkeypatch) -> None:
    """Checks, annotations, names of steps and comments are left out, and loops have an end."""
    monkeypatch.setattr(edits, "source_of", lambda function: DOCUMENTED)
    assert edits._plain(titles).splitlines() == [
        "def documented(a, /, b, *rest, c=2, **more):",
        "    if b:",
        "        pass",
        "    else:",
        "        c = 1",
        "    if c:",
        "        yield c",
        "    for _ in rest:",
        "        pass",
        "    with more:",
        "        pass",
        "    for _ in range(1000):",
        "        if not more:",
        "            break",
        "        for _ in range(1000):",
        "            if not a:",
        "                break",
        "            a = 2 * b",
        "    rest.append(lambda: c)",
        "    if a:",
        "        raise ValueError(a)",
        "    else:",
        "        c = 2",
        "    return a",
    ]


def titles(source: str) -> list[str]:
    """Return the titles of the edits of a source, for which any function may stand."""
    return [edit.name for edit in edits_of(titles, source=source)]


def test_all_edits_of_a_small_function_in_their_order() -> None:
    assert titles("def f(a, b=2):\n    return a - b") == [
        "exchanged: `a` and `b`",
        "left out: `- b`",
        "left out: `a -`",
        "another operator: `a + b` instead of `a - b`",
        "another operator: `a * b` instead of `a - b`",
        "exchanged: `b - a` instead of `a - b`",
        "another variable: `b - b` instead of `a - b`",
        "another variable: `a - a` instead of `a - b`",
        *(f"another default: `b={number}` instead of `b=2`" for number in (-1, -2, -3, 0, 1, 3, 4)),
    ]


def test_names_modules_and_numbers_are_exchanged_if_both_are_used() -> None:
    source = "def f(a, b, c):\n    d = self.a(1)\n    return self.b(b, a.b) + self.c(a.b)(2)"
    edited = {edit.name: edit.edits[0][1] for edit in edits_of(titles, source=source)}
    exchanged = {name: code.splitlines()[1:] for name, code in edited.items() if name.startswith("exchanged")}
    unchanged = "    return self.b(b, a.b) + self.c(a.b)(2)"
    assert exchanged == {
        "exchanged: `a` and `b`": ["    d = self.a(1)", "    return self.b(a, b.b) + self.c(b.b)(2)"],
        "exchanged: `self.a` and `self.c`": ["    d = self.c(1)", "    return self.b(b, a.b) + self.a(a.b)(2)"],
        "exchanged: `1` and `2`": ["    d = self.a(2)", "    return self.b(b, a.b) + self.c(a.b)(1)"],
        "exchanged: `self.b(a.b, b)` instead of `self.b(b, a.b)`": ["    d = self.a(1)", unchanged.replace("b, a.b", "a.b, b")],
    }


def test_a_change_has_the_words_of_the_first_rule_only() -> None:
    found = titles("def f(x, y):\n    return x.sum(dim=0) * x.sum(dim=0) + y.sum(dim=0)")
    assert {title for title in found if "dim=1" in title} == {
        "another axis: `dim=1` instead of `dim=0`",
        "another axis: `dim=1` instead of `dim=0` in `x.sum(dim=0)`",
        "another axis: `dim=1` instead of `dim=0` in `y.sum(dim=0)`",
    }


@pytest.mark.parametrize("source", ["def f(x, y):\n    return min(x, y)", "def f(x):\n    return x[0] * x[0] + 0"])
def test_no_source_comes_twice(source) -> None:
    edited = [edit.edits[0][1] for edit in edits_of(titles, source=source)]
    assert len({source, *edited}) == len(edited) + 1


def test_a_decorated_function_is_edited_and_named_as_the_function_itself() -> None:
    @functools.wraps(equations.softmax)
    def decorated(*arguments):
        return equations.softmax(*arguments)

    of_softmax = [edit.name for edit in edits_of(equations.softmax)]
    assert of_softmax == [edit.name for edit in edits_of(decorated)]
    assert [edit.name for edit in edits_of(equations.softmax, decorated)] == of_softmax
    assert all(edit.function is inspect.unwrap(equations.softmax) for edit in edits_of(decorated))


def test_changes_are_applied_in_any_order_and_never_if_they_overlap() -> None:
    assert edits._applied("a + b", [(4, 5, "long"), (0, 1, "longer")]) == "longer + long"
    assert edits._applied("a + b", [(0, 1, "c"), (1, 2, "")]) == "c+ b"
    assert edits._applied("a + b", [(0, 2, "c"), (1, 3, "d")]) is None
    assert edits._applied("a + b", [(4, 5, "")]) is None
    assert edits._applied("a + b", [(4, 5, "b")]) is None


def test_places_count_letters_and_not_bytes() -> None:
    source = "é = 1\nü = 'ä' + b  # ö\n"
    tree = ast.parse(source)
    value = tree.body[1].value
    assert [source[slice(*edits._span(node, source))] for node in (value, value.left, value.right)] == ["'ä' + b", "'ä'", "b"]


@pytest.mark.parametrize(
    ("code", "node", "new", "quotes"),
    [
        ("f(a + b)", "a", "c", ("a + b", "c + b")),
        ("f(-a)", "a", "c", ("f(-a)", "f(-c)")),
        ("a.b", "a", "c", ("a.b", "c.b")),
        ("a + b", "a + b", "b", ("a + b", "b")),
    ],
)
def test_a_short_piece_is_quoted_with_the_expression_around_it(code, node, new, quotes) -> None:
    tree = ast.parse(code)
    changed = next(each for each in ast.walk(tree) if isinstance(each, ast.expr) and ast.unparse(each) == node)
    assert edits._quotes(changed, new, tree, code) == quotes


@pytest.mark.parametrize("more", [0, 1])
def test_an_expression_is_quoted_alone_if_the_one_around_it_is_too_long(more) -> None:
    code = "a + " + "b" * (LONGEST_QUOTE - 8 + more)
    tree = ast.parse(code)
    quotes = edits._quotes(tree.body[0].value.left, "c*d", tree, code)
    assert quotes == (("a", "c * d") if more else (code, code.replace("a", "c * d")))
