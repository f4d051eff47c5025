"""The rules for changes of statements: all changes of a small function, in their order, with the words for them."""

import ast
from textwrap import indent

import pytest

from minibert.classroom import statement_changes
from minibert.classroom.syntax import Function

DETACHED = "You cut `{}` off from the graph, as `detach()` does, so no gradient flows through it."
ALWAYS = "You left out the condition `{}`: you always do what depends on it."
NEVER = "You left out the case `{}`: the code for it is missing."
FIRST = "You left out the first round of the loop `for u in x`."
LAST = "You left out the last round of the loop `for u in x`."
BREAK = "You ended the loop `for u in x` after its first round, as `return` in a loop does."
EARLY = "You returned the result of `{}`. The formula goes on after it."
OTHER_STATEMENT = {
    "if x > y:\n    return x": [("x > y", "True", ALWAYS.format("x > y")), ("x > y", "False", NEVER.format("x > y"))],
    "x += y": [("x += y", "pass", "You left out `x += y`.")],
    "f(x)": [("f(x)", "pass", "You left out `f(x)`.")],
    "x = x + y": [
        ("x = x + y", "pass", "You left out `x = x + y`."),
        ("x + y", "(x + y).detach()", DETACHED.format("x")),
    ],
    "u = x + y": [("x + y", "(x + y).detach()", DETACHED.format("u"))],
    "u = y.u": [("y.u", "y.u.detach()", DETACHED.format("u"))],
    "u = 3": [],
    "u = v = y": [],
    "x.u = y": [],
    "return x": [],
}
STATEMENTS_EXCHANGED = {
    "u = x\nv += y\nf(u)": [
        ("u = x\n    v += y", "v += y\n    u = x", "You did two steps in the other order: `v += y` came before `u = x`."),
        ("v += y\n    f(u)", "f(u)\n    v += y", "You did two steps in the other order: `f(u)` came before `v += y`."),
    ],
    "if x:\n    u = x\n    f(u)": [
        ("u = x\n        f(u)", "f(u)\n        u = x", "You did two steps in the other order: `f(u)` came before `u = x`."),
    ],
    "if x:\n    f(x)\nu = x\nreturn u": [],
    "for u in x:\n    f(u)\n    u += 1": [
        ("f(u)\n        u += 1", "u += 1\n        f(u)", "You did two steps in the other order: `u += 1` came before `f(u)`."),
    ],
    "with f(x):\n    u = x\n    v = y": [
        ("u = x\n        v = y", "v = y\n        u = x", "You did two steps in the other order: `v = y` came before `u = x`."),
    ],
}
EARLY_END = {
    "u = x\nu += y\nreturn u": [("u = x", "u = x\n    return u", EARLY.format("u = x"))],
    "if x:\n    u = x": [("u = x", "u = x\n        return u", EARLY.format("u = x"))],
    "u = v = y\nx.u = y": [],
    "for u in x:\n    u += y": [
        ("x", "list(x)[1:]", FIRST),
        ("x", "list(x)[:-1]", LAST),
        ("u += y", "u += y\n        break", BREAK),
    ],
    "for u in x:\n    f(u)\n    if u:\n        break": [("x", "list(x)[1:]", FIRST), ("x", "list(x)[:-1]", LAST)],
    "for u in x:\n    v = u": [
        ("x", "list(x)[1:]", FIRST),
        ("x", "list(x)[:-1]", LAST),
        ("v = u", "v = u\n        break", BREAK),
        ("v = u", "v = u\n        return v", EARLY.format("v = u")),
    ],
    "for _ in x:\n    f(x)": [],
}
RULES = {"other_statement": OTHER_STATEMENT, "statements_exchanged": STATEMENTS_EXCHANGED, "early_end": EARLY_END}


@pytest.mark.parametrize(("rule", "body"), [(rule, body) for rule, table in RULES.items() for body in table], ids=str)
def test_a_rule_makes_these_changes_and_no_others(rule: str, body: str) -> None:
    """Each is a piece of the code, the code in its place, and a message for the learner."""
    code = f"def f(x, y):\n{indent(body, '    ')}"
    function = Function(ast.parse(code))
    before = ast.dump(function.definition, include_attributes=True)
    change = getattr(statement_changes, rule)
    of_function = rule == "statements_exchanged"
    made = change(function) if of_function else (each for node in function.nodes for each in change(node, function))
    found = [(ast.get_source_segment(code, old), new, words.filled("", new).message) for old, new, words in made]
    assert found == RULES[rule][body]
    assert ast.dump(function.definition, include_attributes=True) == before  # other rules read the same tree
