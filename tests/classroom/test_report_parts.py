"""A report as text, Markdown and HTML: the parts in their order, and all texts as data."""

import re
from html import unescape
from html.parser import HTMLParser

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from minibert.classroom.report import Comparison, Named, Report, Stage, Verdict
from minibert.classroom.report_parts import (
    CALLS,
    COLUMNS,
    MAX_AFTER,
    Part,
    escaped_markdown,
    html,
    is_marked,
    markdown,
    markdown_of,
    message,
    parts,
    plain_text,
    side_by_side,
)
from minibert.printable import UNSAFE
from tests.hostile_text import DIRECTIONS, ESCAPES, MARKUP, QUOTES, RICH

EXAMPLE = Comparison({"scores": "[[0., 1.],\n [1., 2.]]", "n": "2"}, "[1., 2.]", "[0.27, 0.73]", "[0.73, 1.27]")
NAMED = Named("no scale", "bug", "You left out √d_k.", "The softmax saturates.", "learners")


def report(**changes) -> Report:
    full = {
        "failed": Stage.VALUES, "reason": "The numbers differ.", "mistakes": [NAMED], "first_difference": "scores, line 7",
        "example": EXAMPLE, "line": 7, "line_text": "\tscores = query @ key.mT", "hint": "Which number keeps it small?",
        "warnings": ["large scores: infinite"], "notes": ["no gradients"], "printed": "hello\nworld\n",
    }  # fmt: skip
    return Report("softmax", changes.pop("verdict", Verdict.WRONG), **{**full, **changes})


@pytest.mark.parametrize("render", [plain_text, markdown, html])
def test_the_parts_are_in_this_order(render) -> None:
    text = re.sub(r"<[^>]*>|\\(?=[\W_])", "", render(report()))
    expected = [
        "softmax: not correct (values)", "The numbers differ.", "smallest failing input",
        "scores = [[0., 1.],", "mine", "[0.27, 0.73]",
        "Mistake: no scale", "You left out √d_k.", "Why it matters: The softmax saturates.", "Seen in: learners",
        "Line 7 of your code", "scores = query @ key.mT", "Hint", "Which number", "Warning", "Note",
        "Your code printed", "world",
    ]  # fmt: skip
    places = [text.find(part) for part in expected]
    assert -1 not in places, expected[places.index(-1)]
    assert places == sorted(places)


def test_the_line_is_underlined() -> None:
    lines = plain_text(report()).splitlines()
    place = next(number for number, line in enumerate(lines) if "query @ key.mT" in line)
    assert lines[place + 1] == "      ^^^^^^^^^^^^^^^^^^^^^^^"
    assert "    <u>scores = query @ key.mT</u>" in html(report())


def test_a_place_in_a_line_is_marked() -> None:
    """Also behind the end of the line, and in a line that is too long."""
    at_the_end = report(line_text="def softmax(x)", column=15)
    assert "  def softmax(x)\n                ^\n" in plain_text(at_the_end)
    assert "def softmax(x)<u> </u>" in html(at_the_end)
    assert "<u>2</u> 3</pre>" in html(report(line_text="x = '中' + 2 3", column=11))
    line, mark = next(
        part for part in parts(report(line_text=f"{'x' * 5000} y{'z' * 5000}", column=5002)) if is_marked(part)
    ).lines
    assert line[mark.index("^")] == "y"
    assert len(line) < 200


@pytest.mark.parametrize("explained", [True, False])
def test_a_problem_that_explains_itself_is_not_called_unknown(explained) -> None:
    text = plain_text(report(mistakes=[], first_difference="", explained=explained))
    assert ("Not a known mistake" in text) is not explained


def test_the_message_is_made_of_sentences() -> None:
    """A warning that repeats the message of one of the mistakes is left out."""
    two = [NAMED, Named("no mask", "bug", "You left out the mask", "", "")]
    warnings = ["rows: You left out the mask", "large scores: infinite."]
    assert message(report(mistakes=two, warnings=warnings)) == (
        "softmax: not correct. The numbers differ. You left out √d_k. You left out the mask. large scores: infinite."
    )


def test_the_parts_of_a_property() -> None:
    """There are two calls to compare, and no expected numbers."""
    example = Comparison({"x": "[1.,\n 2.]"}, "[1.]", "", "", {"x": "[3.]"}, "[4.]", "They differ.")
    wrong = Report("softmax", Verdict.WRONG, Stage.INVARIANTS, example=example, line=3, cell=2, line_text=" ")
    assert list(parts(wrong)) == [
        Part("✗ softmax: not correct (properties)"),
        Part("The smallest failing input that was found", ("x = [1.,", "     2.]"), "code"),
        Part("The second call", ("They differ.",)),
        Part("", ("x = [3.]",), "code"),
        Part("", ("[1.]", "[4.]"), "columns", CALLS),
        Part("Not a known mistake"),
        Part("Line 3 of code cell 2 of your notebook", (), "code"),
    ]


def test_the_parts_of_an_error() -> None:
    """The stage is in the verdict then, and an error has no difference."""
    example = Comparison({}, "ValueError", "[4.]", "")
    assert list(parts(Report("softmax", Verdict.ERROR, Stage.RUNS, mistakes=[NAMED], example=example))) == [
        Part("✗ softmax: does not run"),
        Part("The smallest failing input that was found", (), "code"),
        Part("", ("ValueError", "[4.]"), "columns", ("mine", "expected")),
        Part("Mistake: no scale", ("You left out √d_k.", "Why it matters: The softmax saturates.", "Seen in: learners")),
    ]


@pytest.mark.parametrize(
    ("line", "column", "shown"),
    [
        ("  x = 1  ", None, ("  x = 1", "  ^^^^^")),
        ("x = 1", 0, ("x = 1", "^")),
        ("x" * MAX_AFTER, None, ("x" * MAX_AFTER, "^" * MAX_AFTER)),
        ("x" * (MAX_AFTER + 1), None, ("x" * MAX_AFTER + "…", "^" * (MAX_AFTER + 1))),
        ("y" * 60 + "x", 61, ("y" * 60 + "x", " " * 60 + "^")),
        ("y" * 61 + "x", 62, ("…" + "y" * 60 + "x", " " * 61 + "^")),
    ],
)
def test_a_long_line_is_cut_off(line: str, column: int | None, shown: tuple[str, str]) -> None:
    assert list(parts(Report("f", Verdict.ERROR, line=1, line_text=line, column=column)))[1].lines == shown


def test_markdown_has_headings_of_two_levels_and_code_in_fences() -> None:
    some = [
        Part("a", ("b *c*",)),
        Part("d", (), "code"),
        Part("", ("e```",), "code"),
        Part("f", ("1", "2"), "columns", COLUMNS[:2]),
    ]
    assert markdown_of(some, 2) == (
        "## a\n\nb \\*c\\*\n\n### d\n\n````text\ne```\n````\n\n### f\n\n```text\nmine   expected\n1      2\n```\n"
    )
    assert escaped_markdown("  a ") == "a"


def test_html_has_one_large_title_and_the_color_of_the_verdict() -> None:
    shown = html(Report("f", Verdict.ERROR, line=2, line_text=" "))
    assert shown.splitlines() == [
        '<div role="group" aria-label="f: does not run" style="border-left:4px solid #cf222e;padding:2px 12px">',
        '<p style="font-size:1.1em;margin:.6em 0 .2em"><b>✗ f: does not run</b></p>',
        '<p style="font-size:1em;margin:.6em 0 .2em"><b>Line 2 of your code</b></p>',
        "</div>",
    ]
    colors = {verdict: html(Report("f", verdict)).partition("solid ")[2][:7] for verdict in Verdict}
    assert (colors[Verdict.PASSED], colors[Verdict.UNKNOWN], colors[Verdict.STOPPED]) == ("#1a7f37", "#9a6700", "#cf222e")


@pytest.mark.parametrize("verdict", Verdict)
def test_the_verdict_is_in_words(verdict) -> None:
    """The sign is not in a color or a symbol only."""
    for render in (plain_text, html, message):
        assert f"softmax: {verdict}" in render(Report("softmax", verdict))


def test_a_passed_report_is_short() -> None:
    assert plain_text(Report("softmax", Verdict.PASSED)) == "✓ softmax: passed"
    assert message(Report("softmax", Verdict.PASSED)) == "softmax: passed."


def test_a_convention_is_no_mistake() -> None:
    text = plain_text(report(verdict=Verdict.CONVENTION, mistakes=[Named("tanh", "other convention", "a", "b", "c")]))
    assert "Other convention: tanh" in text
    assert "Mistake" not in text
    assert "Correct in other code" in text


def test_a_relation_that_explains_the_numbers_is_not_called_unknown() -> None:
    text = plain_text(report(mistakes=[], relation="Your numbers are 2 times the expected ones."))
    assert "How it differs\n  Your numbers are 2 times" in text
    assert "Not a known mistake" not in text
    assert "First difference: scores, line 7" in text


def test_the_last_right_value_is_not_called_a_difference() -> None:
    text = plain_text(
        report(mistakes=[], first_difference="", agreement="Your line 3 computes `scores` as the reference does.")
    )
    assert "Not a known mistake\n  Your line 3 computes `scores`" in text
    assert "First difference" not in text


def test_of_a_mistake_with_a_name_the_place_is_a_part_of_its_own() -> None:
    wrong = Report("softmax", Verdict.WRONG, mistakes=[NAMED], first_difference="scores, line 7")
    assert [part.title for part in parts(wrong)] == ["✗ softmax: not correct", "Mistake: no scale", "Where it differs"]


def test_two_mistakes_are_counted() -> None:
    text = plain_text(report(mistakes=[NAMED, NAMED]))
    assert "Mistake 1 of 2: no scale" in text
    assert "Mistake 2 of 2: no scale" in text


def test_columns_stand_side_by_side_if_they_fit() -> None:
    columns = Part("", ("[1., 2.]", "[1.,\n 3.]", "0."), "columns", COLUMNS)
    assert side_by_side(columns, 40) == ["mine       expected   difference", "[1., 2.]   [1.,       0.", "            3.]"]
    stacked = side_by_side(columns, 20)
    assert [line for line in stacked if line in COLUMNS] == list(COLUMNS)
    assert all(len(line) <= 20 for line in stacked)


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_text_is_wrapped_to_the_width(width) -> None:
    long = report(reason="word " * 60, hint="hint " * 60, example=None, printed="", line=None)
    assert max(map(len, plain_text(long, width).splitlines())) <= width
    assert plain_text(long) == plain_text(long, 80)
    assert plain_text(report(reason="x" * 38 + " " + "x" * 39)).splitlines()[1] == f"  {'x' * 38} {'x' * 39}"


def hostile_report(text: str) -> Report:
    named = Named(text, "bug", text, text, text)
    example = Comparison({text: text}, text, text, text)
    return Report(
        text, Verdict.WRONG, Stage.VALUES, text, [named], text, text, example, 1, text, text, [text], [text], printed=text
    )  # fmt: skip


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag, attributes) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attributes)


@pytest.mark.parametrize("text", [*MARKUP, *QUOTES, *RICH, *ESCAPES, *DIRECTIONS])
def test_hostile_text_is_data(text) -> None:
    shown = hostile_report(text)
    for render in (plain_text, markdown, html, message):
        assert not UNSAFE.search(render(shown).replace("\n", ""))
    parser = Tags()
    parser.feed(html(shown))
    assert parser.tags <= {"div", "p", "b", "bdi", "pre", "u", "table", "tr", "th", "td"}
    assert parser.attributes <= {"role", "aria-label", "style", "scope"}
    assert set(re.findall(r"<(\w+)", rendered(markdown(shown)))) <= {"h3", "h4", "p", "pre", "code"}


def rendered(text: str) -> str:
    return MarkdownIt("gfm-like", {"linkify": False}).render(text)


@given(st.text(st.sampled_from("\\`*_~$[]()<>&@:#+-=.!|/ ab12x;{}^'"), min_size=1, max_size=12))
@example("<script>alert(1)</script>")
@example("[a](http://b) ![a](b) [a][b]")
@example("[a]: http://b")
@example("1. a")
@example("&lt; &#60;")
@example("---")
@example("~~~")
def test_escaped_text_is_shown_as_it_is(text) -> None:
    assume(text.strip())
    shown = rendered(escaped_markdown(text)).strip()
    assert unescape(shown.removeprefix("<p>").removesuffix("</p>")) == text.strip()
    assert "<" not in shown.removeprefix("<p>").removesuffix("</p>")


@pytest.mark.parametrize(
    "text",
    [
        "softmax: not correct (values)", "Up to e (your line 43) your numbers agree.", "You left out √d_k.", "a < b and b > c",
        "[[1, 2], [3, 4]]", "2 * x + 1", "f(x) = e^{x}!", "-0.5", "scaled_dot_product_attention (7.5 / 10 points)", "x*y", "#1",
        "|x| = 3", "w_q: shape (2, 3)", "http: 50%", "a & b", "it costs 3.5 - 1.", "1.5 a",
    ],
)  # fmt: skip
def test_no_sign_is_escaped_that_is_shown_anyway(text) -> None:
    assert escaped_markdown(text) == text


def test_every_part_has_lines_or_a_title() -> None:
    assert all(part.title or part.lines for part in parts(report()))
