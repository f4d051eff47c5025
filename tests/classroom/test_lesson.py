"""The parts of a lesson: code, tables, figures and exercises, displayed in a notebook or printed in a script."""

import base64
import builtins
import struct
from types import SimpleNamespace

import pytest
import torch

from minibert import equations, record
from minibert.classroom import checking
from minibert.classroom import lesson as parts
from minibert.model.layers import EncoderLayer


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    items: list[object] = []
    monkeypatch.setattr(parts, "show", items.append)
    return items


def a_function() -> torch.Tensor:
    """Return a number."""
    return torch.ones(())  # type: ignore[no-any-return]


def test_a_table_is_aligned_text_and_escaped_html() -> None:
    table = parts.Table(("width", "<b>"), (("8", "0.5"), ("512", "a")))
    assert repr(table) == "width  <b>\n    8  0.5\n  512    a"
    assert "&lt;b&gt;" in table._repr_html_()


def test_the_code_of_an_exercise_is_folded_in_a_notebook_under_the_name_of_the_exercise(shown) -> None:
    parts.show_code(equations.layer_norm, EncoderLayer.forward, record)
    parts.show_code(equations.layer_norm, folded=False)
    exercise, method, other, of_another_lesson = shown
    assert exercise._repr_markdown_().startswith("<details><summary>Code of <code>layer_norm</code>: an exercise.")
    assert "```python\n# minibert.equations.layers.layer_norm\n" in exercise._repr_markdown_()
    assert "Code of <code>encoder_layer</code>" in method._repr_markdown_()
    assert "details" not in repr(exercise)
    for code in (other, of_another_lesson):
        assert code._repr_markdown_().startswith("```python\n")


def test_code_is_shown_without_docstrings_and_without_comments_for_tools(shown) -> None:
    parts.show_code(a_function)
    code = "def a_function() -> torch.Tensor:\n    return torch.ones(())"
    assert shown == [parts.Code("tests.classroom.test_lesson.a_function", code)]
    assert repr(shown[0]) == f"# tests.classroom.test_lesson.a_function\n{code}"


@pytest.mark.parametrize("charts", [1, 2])
def test_a_figure_is_a_picture_of_its_charts_that_is_the_same_every_time(shown, charts: int) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (pip install minibert[plot])")
    for _ in range(2):
        parts.show_figure(*[lambda axes: axes.plot([1, 2])] * charts, alt="A line.", size=(2.0, 1.0))
    first, second = shown
    assert first == second
    assert first.content.startswith(b"\x89PNG")
    assert b"Software" not in first.content
    assert struct.unpack(">II", first.content[16:24]) == (2 * parts.DOTS_PER_INCH * charts, parts.DOTS_PER_INCH)
    assert repr(first) == "Figure: A line."


def test_the_description_of_a_picture_is_escaped() -> None:
    data = base64.b64encode(b"1").decode()
    expected = f'<img style="max-width:100%" alt="&quot;a&quot; &lt; b" src="data:image/png;base64,{data}">'
    assert parts.Picture(b"1", '"a" < b')._repr_html_() == expected


def test_an_exercise_is_shown_with_its_purpose_if_its_solution_passes(monkeypatch, capsys) -> None:
    checked: list[object] = []

    def check(function, exercise) -> SimpleNamespace:
        checked.append((function, exercise.name))
        return SimpleNamespace(passed=len(checked) == 1)

    monkeypatch.setattr(checking, "check", check)
    parts.exercise("softmax")
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("Exercise softmax: ")
    assert second == "To write it in a file: minibert learn. Its solution: minibert reveal softmax"
    with pytest.raises(AssertionError, match="the solution of softmax does not pass"):
        parts.exercise("softmax")
    assert checked == [(equations.softmax, "softmax")] * 2


def test_a_notebook_displays_objects_and_prints_text(monkeypatch, capsys) -> None:
    display = pytest.importorskip("IPython", reason="IPython is not installed (pip install minibert[notebook])").display
    displayed: list[object] = []
    monkeypatch.setattr(display, "display", displayed.append)
    table = parts.Table(("a",), (("1",),))
    parts.show(table)
    assert capsys.readouterr().out == "a\n1\n"
    monkeypatch.setattr(builtins, "__IPYTHON__", True, raising=False)
    parts.show("text")
    parts.show(table)
    assert capsys.readouterr().out == "text\n"
    assert displayed == [table]
