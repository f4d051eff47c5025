"""The code and the words of each change of a number."""

import ast
from collections.abc import Callable

import pytest

from minibert.classroom import edit_wording as wording
from minibert.classroom.number_changes import other_bound, other_constant, other_defaults, other_size_of_number, other_term
from minibert.classroom.syntax import Function


def changes(rule: Callable, expression: str) -> list[tuple[str, str, wording.Wording]]:
    """Return the old code, the new code, and the words of each change of an expression."""
    function = Function(ast.parse(f"def f(x, y, n):\n    return {expression}"))
    return [(ast.unparse(old), new, words) for node in function.nodes for old, new, words in rule(node, function)]


@pytest.mark.parametrize(
    ("expression", "others"),
    [
        ("-1", "(-2) (-3) 0 1"),
        ("3", "(-1) (-2) (-3) 0 1 4 2 6"),
        ("0.5", "0.0 1e-05 1e-06 1e-08 1e-09 1e-12 1.0 0.25 (-0.5) 5.0 0.05"),
        ("-2.0", "0.0 1e-05 1e-06 1e-08 1e-09 1e-12 1.0 (-4.0) (-1.0) 2.0 (-20.0) (-0.2)"),
        ("-math.inf", "0.0 (-1.0) 1.0 1e-09"),
        ("True", "False"),
        ("math.inf", ""),
        ("'a'", ""),
        ("-n", ""),
    ],
)
def test_other_numbers_are_other_axes_small_numbers_and_multiples(expression: str, others: str) -> None:
    found = changes(other_constant, expression)
    assert [new for _, new, _ in found] == others.split()
    assert all(words == wording.other_number(new.strip("()"), expression) for _, new, words in found)


def test_the_words_for_a_number_depend_on_its_place() -> None:
    """Words for a keyword or for a size come first; the same change as any number follows."""
    others = [("(-2)", "-2"), ("(-3)", "-3"), ("0", "0"), ("1", "1")]
    assert changes(other_constant, "x.sum(dim=-1)") == [
        *(("-1", code, wording.other_keyword("dim", number, "-1")) for code, number in others),
        *(("-1", code, wording.other_number(number, "-1")) for code, number in others),
    ]
    assert changes(other_constant, "x.shape[-1]") == [
        *(("-1", code, wording.other_size(code, "-1")) for code, _ in others),
        *(("-1", code, wording.other_number(number, "-1")) for code, number in others),
    ]
    assert [words.title for *_, words in changes(other_constant, "x.size[0]")] == [wording.other_number("1", "0").title] * 4


ONE, FIRST, LAST, BOUND = wording.OFF_BY_ONE, wording.FIRST_LEFT_OUT, wording.LAST_LEFT_OUT, wording.BOUND_LEFT_OUT


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("range(n)", [("n", "n - 1", ONE), ("n", "n + 1", ONE), ("range(n)", "range(1, n)", FIRST)]),
        ("torch.arange(n, dtype=y)", [
            ("n", "n - 1", ONE), ("n", "n + 1", ONE),
            ("torch.arange(n, dtype=y)", "torch.arange(1, n, dtype=y)", FIRST),
        ]),
        ("torch.arange(0, n * 2, y + 1)", [
            ("n * 2", "(n * 2) - 1", ONE), ("n * 2", "(n * 2) + 1", ONE),
            ("y + 1", "(y + 1) - 1", ONE), ("y + 1", "(y + 1) + 1", ONE),
            ("n * 2", "(n * 2) - (y + 1)", LAST),
        ]),
        ("range(-1, n)", [("n", "n - 1", ONE), ("n", "n + 1", ONE)]),
        ("x[:]", [(":", ":", BOUND), (":", ":", BOUND), (":", "1:", FIRST), (":", ":-1", LAST)]),
        ("x[1:n]", [("1:n", ":n", BOUND), ("1:n", "1:", BOUND), ("n", "n - 1", ONE), ("n", "n + 1", ONE)]),
        ("x[:5:2]", [(":5:2", ":5:2", BOUND), (":5:2", "::2", BOUND), (":5:2", "1:5:2", FIRST)]),
        ("x[5::n]", [("5::n", "::n", BOUND), ("5::n", "5::n", BOUND), ("5::n", "5:-1:n", LAST)]),
        ("x < n", [("n", "n - 1", ONE), ("n", "n + 1", ONE)]),
        ("x >= n", [("n", "n - 1", ONE), ("n", "n + 1", ONE)]),
        ("x < 3", []),
        ("x == n", []),
        ("len(n)", []),
    ],
)  # fmt: skip
def test_other_bounds_are_one_more_one_less_or_none(expression: str, expected: list) -> None:
    assert changes(other_bound, expression) == expected


def test_default_values_are_changed_by_the_names_of_their_parameters() -> None:
    function = Function(ast.parse("def f(x, n=True, m=False, *, y, dim=-1): pass"))
    assert [(ast.unparse(old), new, words) for old, new, words in other_defaults(function)] == [
        ("False", "True", wording.other_default("m", "True", "False")),
        ("True", "False", wording.other_default("n", "False", "True")),
        ("-1", "(-2)", wording.other_default("dim", "-2", "-1")),
        ("-1", "(-3)", wording.other_default("dim", "-3", "-1")),
        ("-1", "0", wording.other_default("dim", "0", "-1")),
        ("-1", "1", wording.other_default("dim", "1", "-1")),
    ]


def test_a_number_of_a_formula_is_halved_doubled_inverted_squared_or_its_root() -> None:
    for expression, number in (("x + math.pi", "math.pi"), ("2 * x", "2"), ("0.5 - 1", "0.5")):
        others = [f"{number} / 2", f"2 * {number}", f"1 / {number}", f"{number} ** 2", f"{number} ** 0.5"]
        assert changes(other_size_of_number, expression) == [
            (number, f"({other})", wording.other_size_of_number(other, number)) for other in others
        ]
    assert changes(other_size_of_number, "f(2, x + y, 1 * x, 0 - x)") == []


def added(term: str, code: str) -> list[tuple[str, str, wording.Wording]]:
    numbers = ["+ 1", "- 1", "+ 1e-3", "+ 1e-5", "+ 1e-6", "+ 1e-8"]
    return [(term, f"({code} {number})", wording.added(number)) for number in numbers]


def powers(term: str, code: str) -> list[tuple[str, str, wording.Wording]]:
    return [(term, f"({code} ** 2)", wording.SQUARED), (term, f"({code} ** 0.5)", wording.ROOT)]


def scaled(term: str, code: str) -> list[tuple[str, str, wording.Wording]]:
    return [(term, f"({other})", wording.SCALED) for other in (f"2 * {code}", f"{code} / 2", f"-{code}")]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("(x + 1) * y", [*powers("x + 1", "(x + 1)"), *powers("y", "y")]),
        ("x / (n + 1)", [*powers("x", "x"), *powers("n + 1", "(n + 1)"), *added("n + 1", "(n + 1)")]),
        ("2 / -3", added("-3", "(-3)")),
        ("torch.exp(x + y)", scaled("x + y", "(x + y)")),
        ("x.sqrt()", [*scaled("x", "x"), *added("x", "x")]),
        ("torch.log(x)", [*scaled("x", "x"), *added("x", "x")]),
        ("torch.log(2)", []),
        ("f()", []),
        ("x.sum()", []),
        ("x - y", []),
    ],
)
def test_terms_have_something_more(expression: str, expected: list) -> None:
    assert changes(other_term, expression) == expected
