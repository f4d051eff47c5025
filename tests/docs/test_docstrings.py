"""Docstrings become reStructuredText: formulas, fields, lists and links."""

import inspect
from typing import Any

import pytest

pytest.importorskip("sphinx", reason="Sphinx is not installed (pip install minibert[docs])")
from docutils import nodes
from docutils.core import publish_doctree
from docutils.parsers.rst import roles

from minibert import equations
from minibert.docs.docstrings import inline, restructured
from minibert.docs.layout import REPOSITORY
from minibert.docs.names import public_names
from minibert.study.equations.registry import registry

DOCSTRING = r"""Compute the softmax of `scores`. See also `equations.softmax` and `x = 1`.

A second paragraph with a_name, a * and |bars|:

- one item
- another item,
  of two lines

    an indented
    block

Eq: $$\frac{a}{b},
    \qquad b > 0$$
Source: Vaswani et al. 2017,
    equation 1.
Args:
    scores, keep: numbers
        of two lines.
    *others: ignored.
Steps:
    weights (*batch keys): $$A = 1$$ The weights.
Tests: tests/a.py::TestA, tests/b.py
Lesson: lessons/02_attention.py

Raises: ValueError if a_name is wrong.

>>> softmax(1)
'_a_'
"""


@pytest.fixture(autouse=True)
def _known_roles() -> None:
    """Roles of Sphinx as plain text, with which docutils alone can read a docstring."""

    def role(name: str, raw: str, text: str, *others: object, **options: object) -> tuple[list[nodes.Node], list[Any]]:
        return [nodes.inline(raw, text, classes=[name])], []

    for name in ("py:obj", "repository"):
        roles.register_local_role(name, role)  # type: ignore[arg-type]


def parsed(docstring: str) -> nodes.document:
    """Return the document of a docstring. A warning of docutils is an error."""
    return publish_doctree(restructured(docstring), settings_overrides={"report_level": 2, "halt_level": 2})


def texts(document: nodes.document, kind: type[nodes.Element]) -> list[str]:
    return [node.astext() for node in document.findall(kind)]


def test_every_part_of_a_docstring_is_converted() -> None:
    document = parsed(DOCSTRING)
    assert texts(document, nodes.math_block) == ["\\frac{a}{b}, \\qquad b > 0"]
    assert texts(document, nodes.field_name) == ["Source", "Args", "Steps", "Tests", "Lesson", "Raises"]
    assert "Vaswani et al. 2017, equation 1." in texts(document, nodes.field_body)
    assert texts(document, nodes.strong) == ["scores, keep", "*others", "weights"]
    assert "weights (*batch keys) – A = 1 The weights." in texts(document, nodes.list_item)
    assert texts(document, nodes.literal) == ["scores", "x = 1"]
    assert texts(document, nodes.literal_block) == ["an indented\nblock"]
    assert texts(document, nodes.doctest_block) == [">>> softmax(1)\n'_a_'"]
    assert "A second paragraph with a_name, a * and |bars|:" in texts(document, nodes.paragraph)
    assert {"one item", "another item, of two lines"} <= {*texts(document, nodes.list_item)}


def test_public_names_tests_and_lessons_become_links() -> None:
    text = restructured(DOCSTRING)
    assert ":py:obj:`equations.softmax <minibert.equations.softmax>`" in text
    assert ":Tests: :repository:`tests/a.py::TestA`, :repository:`tests/b.py`" in text
    assert ":Lesson: :repository:`lessons/02_attention.py`" in text


@pytest.mark.parametrize("text", ["a_", "*a*", "`a`s", "a``b``c", "$$x_1$$s", "|a|", "\\alpha", "[a](b)", "**a", "__init__"])
def test_the_signs_of_a_sentence_stay_text(text: str) -> None:
    """Whatever a docstring has, docutils reads it without a warning, and code and formulas keep their content."""
    document = publish_doctree(inline(text), settings_overrides={"report_level": 2, "halt_level": 2})
    assert document.astext() == text.replace("`", "").replace("$$", "")


@pytest.mark.parametrize("name", registry())
def test_an_equation_has_its_formula_and_links_to_its_tests(name: str) -> None:
    document = parsed(inspect.getdoc(getattr(equations, name)) or "")
    assert len(texts(document, nodes.math_block)) == 1
    assert {"Source", "Tests"} <= {*texts(document, nodes.field_name)}


@pytest.mark.parametrize("name", public_names())
def test_the_docstrings_of_public_names_are_read_without_a_warning(name: str) -> None:
    thing = public_names()[name]
    members = vars(thing).values() if inspect.isclass(thing) else ()
    for each in (thing, *members):
        if inspect.isroutine(each) or inspect.isclass(each) or isinstance(each, property):
            parsed(inspect.getdoc(each) or "")


@pytest.mark.parametrize("name", registry())
def test_the_lessons_of_an_equation_exist(name: str) -> None:
    for file in (registry()[name].lesson or "").split(", "):
        assert not file or (REPOSITORY / file).is_file()
