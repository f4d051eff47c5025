"""The files of results: names, tables, feedback."""

import csv
import os
import re

import pytest

from minibert.classroom.report import Report, Verdict
from minibert.classroom.teaching.course import new_course
from minibert.classroom.teaching.feedback import feedback, result_of
from minibert.classroom.teaching.grades import grades
from minibert.classroom.teaching.grading import Graded, State
from minibert.classroom.teaching.results import LONGEST, Results, file_name

HOSTILE = [
    "..",
    ".",
    "",
    " ",
    "a/b",
    "a\\b",
    "C:x",
    "\0",
    "a\nb",
    "x" * 300,
    "李" * 90,
    "\udcff",
    '"',
    "a*?",
    "../../etc/passwd",
]


def passed(student: str, exercise: str = "softmax", **fields: object) -> Graded:
    credit = dict.fromkeys(("shape", "forward", "gradient", "edge cases"), True)
    return Graded(student, exercise, State.GRADED, Report(exercise, Verdict.PASSED, credit=credit, **fields))


def test_names_of_files_are_safe_and_different() -> None:
    names = [*HOSTILE, "ada", "Ada Lovelace", "李", "a.b", "=1+1", "a_b"]
    files = [file_name(name) for name in names]
    assert len(set(files)) == len(names)
    for file in files:
        assert not re.search(r"[/\\\0\n:*?\"]", file)
        assert not file.startswith(".")
        assert 0 < len(os.fsencode(file)) <= LONGEST
    assert file_name("Ada Lovelace") == "Ada Lovelace"


@pytest.mark.parametrize("student", HOSTILE)
def test_results_of_any_student_are_stored_in_the_folder(tmp_path, student) -> None:
    course, results = new_course(["softmax"]), Results(tmp_path / "out")
    graded = passed(student)
    results.save(graded)
    assert results.read(course, student) == {"softmax": graded}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert list(csv.reader(grades(course, {student: [graded]}).splitlines()))[1][1:] == ["10", "10", "0", ""]
    assert "visible checks passed" in feedback(course, student, [graded])


def test_damaged_results_are_computed_again(tmp_path) -> None:
    course, results = new_course(["softmax"]), Results(tmp_path)
    results.save(passed("ada"))
    for text in ("", "{", "[]", '{"format": 1}', '{"format": 1, "student": "ada", "report": 3}'):
        results.path("ada", "softmax").write_text(text)
        assert results.read(course, "ada") == {}
    results.save(passed("bob"))
    results.path("bob", "softmax").replace(results.path("ada", "softmax"))
    assert results.read(course, "ada") == {}, "the result of another student"


MARKDOWN = (
    "# h", "<b>x</b>", "![a](http://b)", "```\nx", "- a", "1. a", "| a |", "www.a.bc", "&lt;", "a\n\n# b", "===", "~~~",
    "a|b|\\|c",
)  # fmt: skip


@pytest.mark.parametrize("text", MARKDOWN)
def test_text_of_students_is_data_in_feedback(text) -> None:
    """Rendered as Markdown, the feedback has no element that the text of the student makes."""
    markdown_it = pytest.importorskip("markdown_it")
    course = new_course(["softmax"])
    report = Report("softmax", Verdict.ERROR, reason=text, line=1, line_text=text, printed=text, hint=text, warnings=[text])
    shown = feedback(course, text, [Graded(text, "softmax", State.GRADED, report)])
    plain = feedback(course, "ada", [Graded("ada", "softmax", State.GRADED, Report(
        "softmax", Verdict.ERROR, reason="x", line=1, line_text="x", printed="x", hint="x", warnings=["x"]))])  # fmt: skip
    render = markdown_it.MarkdownIt("gfm-like", {"linkify": False}).render
    assert re.findall(r"<\w+", render(shown)) == re.findall(r"<\w+", render(plain))


def test_results_in_words() -> None:
    course = new_course(["softmax"])
    assert result_of(course, passed("ada")) == "visible checks passed"
    warned = Graded("ada", "softmax", State.GRADED, Report("softmax", Verdict.WARNING))
    assert result_of(course, warned) == "visible checks passed, with a warning"
    hidden = Graded("ada", "softmax", State.GRADED, Report("softmax", Verdict.WRONG, only_hidden=True))
    assert result_of(course, hidden) == "visible checks passed, hidden checks not"
    assert result_of(course, Graded("ada", "softmax", State.MISSING)) == "not submitted"
