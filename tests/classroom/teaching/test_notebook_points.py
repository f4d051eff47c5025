"""The points of a test cell: what is displayed, and what is graded."""

import json
import sys
from types import SimpleNamespace

import pytest

from minibert.classroom.teaching import grading, notebook_points
from minibert.classroom.teaching.course import DEFAULT_CREDIT, Assignment, Course
from tests.classroom.teaching.synthetic_results import missing, right, unknown

IPython = pytest.importorskip("IPython", reason="IPython is not installed (pip install minibert[notebook])")
CELLS = ["", "import torch", "def softmax(scores): ..."]


@pytest.fixture
def shown(monkeypatch) -> list[object]:
    """Everything that a notebook with some cells displays."""
    displayed: list[object] = []
    notebook = SimpleNamespace(history_manager=SimpleNamespace(input_hist_raw=CELLS))
    monkeypatch.setattr(IPython, "get_ipython", lambda: notebook)
    monkeypatch.setattr(IPython.display, "display", lambda item, raw=False: displayed.append((item, raw)))
    return displayed


@pytest.mark.parametrize("graded", [right("", "softmax"), unknown("", "softmax", 1.0), missing("", "softmax")])
def test_a_cell_displays_its_points_and_a_report_of_what_is_wrong(shown, monkeypatch, capsys, graded) -> None:
    """Nothing is written to standard error, because nbgrader gives no points to such a cell."""

    def fake(*arguments: object) -> tuple[grading.Graded, str, float]:
        assert arguments == (CELLS, "softmax", 5.0, "a key", 2, {"shape": 1.0})
        print("a warning", file=sys.stderr)
        return graded, "the result", 2.5

    monkeypatch.setattr(notebook_points, "grade_cells", fake)
    assert notebook_points.points("softmax", 5.0, "a key", 2, {"shape": 1.0}) == 2.5
    reports = [(graded.report, False)] if graded.report and not graded.report.passed else []
    assert shown == [({"text/plain": "softmax: the result, 2.5 of 5 points"}, True), *reports]
    assert capsys.readouterr().err == ""


def test_without_a_key_there_are_no_hidden_inputs_by_default(shown, monkeypatch) -> None:
    given: list[object] = []

    def fake(*arguments: object) -> tuple[grading.Graded, str, float]:
        given.extend(arguments)
        return right("", "softmax"), "passed", 5.0

    monkeypatch.setattr(notebook_points, "grade_cells", fake)
    assert notebook_points.points("softmax", 5.0) == 5.0
    assert given == [CELLS, "softmax", 5.0, "", 0, None]


def test_points_are_for_notebooks() -> None:
    with pytest.raises(RuntimeError, match="points is for test cells in a notebook; `minibert check` checks a file"):
        notebook_points.points("softmax", 5.0)


@pytest.mark.parametrize(
    ("key", "credit", "course"),
    [
        ("a key", None, Course("", "a key", (Assignment("softmax", 5.0),), 3, DEFAULT_CREDIT)),
        ("", None, Course("", "", (Assignment("softmax", 5.0),), 0, DEFAULT_CREDIT)),
        ("a key", {"shape": 1.0}, Course("", "a key", (Assignment("softmax", 5.0),), 3, {"shape": 1.0})),
    ],
)
def test_hidden_inputs_need_a_key(monkeypatch, key, credit, course) -> None:
    """The executed cells are graded as a notebook with the name of the exercise."""
    graded = right("", "softmax")

    def fake(given, submission) -> list[grading.Graded]:
        assert given == course
        [path] = submission.paths
        assert (submission.student, path.name) == ("", "softmax.ipynb")
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert cells == [{"cell_type": "code", "source": cell} for cell in CELLS]
        return [graded]

    monkeypatch.setattr(grading, "grade_submission", fake)
    assert notebook_points.grade_cells(CELLS, "softmax", 5.0, key, 3, credit) == (graded, "visible checks passed", 5.0)


def test_rounded_points_are_not_more_than_those_of_the_exercise(monkeypatch) -> None:
    monkeypatch.setattr(grading, "grade_submission", lambda course, submission: [right("", "softmax")])
    assert notebook_points.grade_cells([], "softmax", 0.375, "", 0, None)[2] == 0.375  # 0.38 with two decimal places
    assert notebook_points.grade_cells([], "softmax", 0.125, "", 0, None)[2] == 0.12
