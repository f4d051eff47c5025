"""The statement that a mistake changes, and the line with blanks that a learner sees."""

import pytest

from minibert.classroom import blanks
from minibert.classroom.blanks import Statement
from minibert.classroom.mistakes import Mistake

CODE = """\
def f(x, keep, size: int = 2,
      eps: float = 1e-5):
    scores = observe(
        "scores",
        x @ x.mT / math.sqrt(size),
    )
    if keep is not None:
        scores = scores.masked_fill(~keep, -math.inf)
    for start in range(0, size, 2):
        optimizer.step()
        total += start + 1
    first, second = x.chunk(2, dim=-1)
    weights = observe("weights", softmax(scores))
    return observe("context", weights @ x)
"""


def statement(right: str, wrong: str) -> Statement:
    return Statement.of_mistake(CODE, Mistake("a mistake", statement, ((right, wrong),), "", "", ""))


@pytest.mark.parametrize(
    ("right", "wrong", "removed", "line"),
    [
        (" / math.sqrt(size)", "", " / math.sqrt(size)", "scores = x @ x.mT ____"),
        ("math.sqrt(size)", "size", "math.sqrt( )", "scores = x @ x.mT / ____"),
        ("~keep", "keep", "~", "scores = scores.masked_fill(____ keep, -math.inf)"),
        ("keep is not None", "keep is None", "not ", "if keep is ____ None:"),
        ("range(0, size, 2)", "range(1, size, 2)", "0", "for start in range(____, size, 2):"),
        ("optimizer.step()", "pass", "optimizer.step()", "optimizer.____()"),
        ("        optimizer.step()\n", "", "        optimizer.step()\n", "optimizer.____()"),
        ("start + 1", "start", " + 1", "total += start ____"),
        ("total += ", "other += ", "total", "____ += start + 1"),
        ("dim=-1", "dim=0", "dim=-1", "first, second = x.chunk(2, dim=____)"),
        ("first, second", "second, first", "first second", "____, ____ = x.chunk(2, dim=-1)"),
        ("weights @ x", "x @ weights", "weights x", "return ____ @ ____"),
        ("(scores)", "(scores, 2)", "", "weights = softmax(____)"),
        ("return observe", "return -observe", "", "return ____ @ x"),
        ("weights = observe", "weights = 2 * observe", "", "weights = ____(scores)"),
        ("softmax(scores)", "other", "softmax(scores)", "weights = ____(scores)"),
        ("if keep is not None:", "", "if keep is not None:", "if keep is not None:"),
        ("eps: float = 1e-5", "eps: float = 0.0", "1e-5", "eps: float = ____):"),
        ("size: int = 2", "size: int = 3", "2", "def f(x, keep, size: int = ____"),
    ],
)
def test_the_blanks_of_a_line_are_what_the_mistake_changes(right, wrong, removed, line) -> None:
    found = statement(right, wrong)
    assert (found.removed, found.only_removes, found.with_blank()) == (removed, wrong in right, line)


@pytest.mark.parametrize(
    ("right", "changed", "line"),
    [
        ("    if keep is not None:\n", "        keep = ~keep\n", "scores = scores.masked_fill(~____, -math.inf)"),
        ("      eps: float = 1e-5):\n", "    x = x.mT\n", "scores = ____ @ x.mT / math.sqrt(size)"),
        ("        optimizer.step()\n", "        start = start + 1\n", "total += ____ + 1"),
    ],
)
def test_a_line_that_changes_a_variable_is_shown_as_the_next_use_of_the_variable(right, changed, line) -> None:
    found = statement(right, right + changed)
    assert (found.with_blank(), found.removed, found.only_removes) == (line, changed.split()[0], False)


def test_a_new_variable_that_is_used_nowhere_leaves_a_blank_near_its_line() -> None:
    right = "        optimizer.step()\n"
    assert statement(right, f"{right}        unknown = 1\n").with_blank() == "optimizer.____()"


@pytest.mark.parametrize(
    ("right", "step", "computes", "target"),
    [
        ("x @ x.mT", "scores", True, "`scores`"),
        ("~keep", "", True, "`scores`"),
        ("start + 1", "", True, "`total`"),
        ("x.chunk", "", True, "`(first, second)`"),
        ("weights @ x", "context", True, "the result"),
        ("optimizer.step()", "", False, "the line `optimizer.step()`"),
        ("range(0", "", False, "the line `for start in range(0, size, 2):`"),
    ],
)
def test_a_statement_has_a_step_and_a_target(right, step, computes, target) -> None:
    found = statement(right, "")
    assert (found.step, found.computes, found.target) == (step, computes, target)


@pytest.mark.parametrize(
    ("body", "last", "line"),
    [
        ("return x", "return x", "return x"),
        ("x = g(x)\n    print(x)", "x = g(x)", "x = ____(x)"),
        ("x = g(x)\n    if x:\n        return x + 1\n    y = x + 2", "return x + 1", "return x + ____"),
        ("for i in x:\n        y = 1\n    z: int = 2", "z: int = 2", "z: int = 2"),
        ("a = x + 1\n    b = 2\n    x.step()", "a = x + 1", "a = x + ____"),
        ("print(x)", "print(x)", "____(x)"),
        ("y = x.f(2)", "y = x.f(2)", "y = x.____(2)"),
        ("y = x < 2", "y = x < 2", "y = x < ____"),
        ("y = x if x else 2", "y = x if x else 2", "y = ____ if x else 2"),
        ("y = x, 2, 3", "y = x, 2, 3", "y = (____, 2, 3)"),
    ],
)
def test_the_result_is_the_last_statement_that_computes(body, last, line) -> None:
    found = Statement.of_result(f"def f(x):\n    {body}\n")
    assert (found.code, found.with_blank(), found.changed, found.removed) == (last, line, (), "")


@pytest.mark.parametrize(
    ("code", "spans", "line"),
    [
        ("a + b * c", [(0, 1), (4, 5)], "____ + ____ * c"),
        ("a + b * c", [(0, 1), (4, 5), (8, 9)], "a + ____"),
        ("a + b * c - d", [(0, 1), (4, 5), (8, 9)], "____ - d"),
        ("return a + b", [(7, 12)], "return a + ____"),
        ("y = a + b", [(4, 9)], "y = a + ____"),
        ("y += a + b", [(5, 10)], "y += a + ____"),
        ("f(a) + g(b)", [(1, 3), (9, 10)], "f(a) + ____"),
    ],
)
def test_a_line_with_too_many_blanks_or_nothing_else_has_one_blank(code, spans, line) -> None:
    node = blanks.ast.parse(code if not code.startswith("return") else "0").body[0]
    assert Statement(code, node, tuple(spans)).with_blank() == line


def test_a_line_that_is_no_statement_stays_as_it_is() -> None:
    assert Statement("for  a in\n b:").with_blank() == "for a in b:"


@pytest.mark.parametrize(
    ("code", "place", "word"),
    [
        ("return x", 7, "x"),
        ("a = b + c", 0, "b"),
        ("a = b + c", 5, "b"),
        ("a = b + c", 8, "b"),
        ("a = b + c", 9, "c"),
        ("x += y", 2, "y"),
        ("a == b", 2, "a"),
        ("f(dim=2)", 6, "f"),
        ("1.5e-3 * x", 8, "1.5e-3"),
        ('observe("a", b)', 0, "b"),
        ("()", 1, ""),
    ],
)
def test_the_blank_at_a_place_where_code_is_added_is_the_word_before(code, place, word) -> None:
    begin, end = blanks._word_before(code, place)
    assert code[begin:end] == word


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ('y = observe("a", f(observe("b", [x]) + 1))', "y = f([x] + 1)"),
        ('y = observe(\n  "a", x,\n)[0]', "y = x[0]"),
        ("f(\n    a,\n    b,\n)", "f(a, b)"),
        ("y = [\n    a\n]", "y = [a]"),
        ("a: int,", "a: int"),
    ],
)
def test_a_statement_is_shown_on_one_line_without_names_of_steps(code, line) -> None:
    assert blanks._one_line(code) == line


@pytest.mark.parametrize(("code", "is_balanced"), [("[{()}]", True), ("a)(", False), ("f(a", False), ("a]", False), ("", True)])
def test_a_piece_of_code_is_balanced_if_it_closes_its_brackets(code, is_balanced) -> None:
    assert blanks._is_balanced(code) == is_balanced
