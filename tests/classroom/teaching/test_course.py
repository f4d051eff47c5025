"""A course: its TOML file, its hidden inputs, its points, and its release to the students."""

import tomllib
from datetime import UTC, date, datetime

import pytest

from minibert.classroom.exercises import EXERCISES
from minibert.classroom.learner_file import LearnerFile
from minibert.classroom.stubs import stub
from minibert.classroom.teaching.course import Assignment, Course, new_course, read_course, write_course
from minibert.classroom.teaching.own_exercise import write_template
from minibert.classroom.teaching.release import STUDENTS, release

SECRET = 'secret = "0123456789"\n'
SOFTMAX = "[exercises.softmax]\n"


@pytest.mark.parametrize("title", ["", "BERT", 'a "b" \\ c\n\t\x00\x7f 注意 🎓', "]\n[exercises.gelu]"])
@pytest.mark.parametrize("due", [None, date(2030, 1, 31), datetime(2030, 1, 31, 18, 0), datetime(2030, 1, 31, tzinfo=UTC)])
def test_a_course_is_read_as_it_was_written(tmp_path, title, due) -> None:
    assignments = (Assignment("softmax", 7.5, due), Assignment("gelu", 0.0))
    course = Course(title, "a secret key", assignments, hidden_seeds=3)
    write_course(course, tmp_path / "course.toml")
    assert read_course(tmp_path / "course.toml") == course
    assert (tmp_path / "course.toml").stat().st_mode & 0o077 == 0


def test_a_new_course_has_a_new_secret_and_all_exercises() -> None:
    assert [each.name for each in new_course().assignments] == [*EXERCISES]
    assert new_course().secret != new_course().secret
    assert new_course().secret not in repr(new_course())
    assert [each.name for each in new_course(["attention", "softmax", "softmax"]).assignments] == [
        "scaled_dot_product_attention",
        "softmax",
    ]
    with pytest.raises(KeyError, match="similar names: softmax"):
        new_course(["sofmax"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = ", "is not valid TOML"),
        (SOFTMAX, "secret must be a text of at least 8 characters"),
        ('secret = "short"\n' + SOFTMAX, "at least 8 characters"),
        (SECRET, "has no exercises: add a table such as"),
        (SECRET + "[exercises.sofmax]\n", "no exercise is named 'sofmax'; similar names: softmax"),
        (SECRET + SOFTMAX + "points = -1", "points must be a number from 0 on"),
        (SECRET + SOFTMAX + "points = nan", "points must be a number"),
        (SECRET + SOFTMAX + "points = true", "points must be a number"),
        (SECRET + SOFTMAX + 'due = "soon"', "due must be a date or a time"),
        (SECRET + SOFTMAX + "due = 10:00:00", "due must be a date or a time"),
        (SECRET + SOFTMAX + "poinst = 1", "may have only points and due"),
        (SECRET + "titel = 1\n" + SOFTMAX, "unknown setting 'titel'; the settings are"),
        (SECRET + "hidden_seeds = 2.5\n" + SOFTMAX, "hidden_seeds must be a whole number"),
        (SECRET + "hidden_seeds = true\n" + SOFTMAX, "hidden_seeds must be a whole number"),
        (SECRET + "exercises = 3", "has no exercises"),
        (SECRET + 'files = "a.py"\n' + SOFTMAX, "files must be a list"),
        (SECRET + 'files = ["missing.py"]\n' + SOFTMAX, "missing.py"),
        (SECRET + "[credit]\nshape = 1\n" + SOFTMAX, "must have the parts shape, forward, gradient, edge cases"),
        (SECRET + '[credit]\nshape = 1\nforward = 1\ngradient = 0\n"edge cases" = 0\n' + SOFTMAX, "that sum to 1"),
        (SECRET + '[credit]\nshape = nan\nforward = 1\ngradient = 0\n"edge cases" = 0\n' + SOFTMAX, "that sum to 1"),
        (SECRET + '[credit]\nshape = -1\nforward = 2\ngradient = 0\n"edge cases" = 0\n' + SOFTMAX, "numbers from 0 on"),
    ],
)
def test_a_wrong_file_is_described(tmp_path, text, reason) -> None:
    path = tmp_path / "course.toml"
    path.write_text(text)
    with pytest.raises((ValueError, FileNotFoundError), match=reason) as caught:
        read_course(path)
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(FileNotFoundError, match="minibert class release"):
        read_course(tmp_path / "other.toml")


def test_hidden_inputs_depend_on_secret_student_and_exercise() -> None:
    course = new_course(["softmax"])
    other = new_course(["softmax"])
    seeds = [course.seeds("ada", "softmax"), course.seeds("ad", "asoftmax"), course.seeds("bob", "softmax")]
    seeds += [course.seeds("ada", "gelu"), other.seeds("ada", "softmax"), course.seeds("\udcff", "softmax")]
    assert len({seed for each in seeds for seed in each}) == 2 * len(seeds)
    assert course.seeds("ada", "softmax") == seeds[0]


def test_points_for_parts() -> None:
    course = new_course(["softmax"], points=8)
    (assignment,) = course.assignments
    assert course.score(assignment, {}) == 0
    assert course.score(assignment, {"shape": True, "forward": False}) == 0.8
    assert course.score(assignment, dict.fromkeys(course.credit, True)) == 8


def test_students_get_stubs_without_solutions_and_valid_notebooks(tmp_path) -> None:
    nbformat = pytest.importorskip("nbformat")
    course = new_course(due=date(2030, 1, 31))
    written = release(course, tmp_path, notebooks=True).written
    assert len(written) == 1 + 2 * len(EXERCISES)
    for number, name in enumerate(EXERCISES, start=1):
        path = tmp_path / STUDENTS / f"{number:02}_{name}.py"
        assert path.read_text() == stub(EXERCISES[name])
        notebook = nbformat.read(path.with_suffix(".ipynb"), 4)
        nbformat.validate(notebook)
        assert [cell.cell_type for cell in notebook.cells] == ["markdown", "code", "code", "code"]
        assert not any(cell.get("outputs") for cell in notebook.cells)
        assert "2030-01-31" in notebook.cells[0].source
        assert LearnerFile.read(path.with_suffix(".ipynb")).is_stub(name)
    everything = "".join(path.read_text() for path in (tmp_path / STUDENTS).iterdir())
    assert course.secret not in everything
    assert "observe(" not in everything


def test_files_that_the_teacher_has_changed_are_kept(tmp_path) -> None:
    course = new_course(["softmax", "gelu"])
    release(course, tmp_path)
    changed = tmp_path / STUDENTS / "01_softmax.py"
    changed.write_text("mine")
    (tmp_path / STUDENTS / "02_gelu.py").unlink()
    released = release(course, tmp_path)
    assert released.kept == [changed]
    assert released.written == [tmp_path / STUDENTS / "02_gelu.py"]
    assert changed.read_text() == "mine"


def test_a_course_with_the_teachers_own_exercise(tmp_path) -> None:
    """The file is found from the folder of course.toml."""
    write_template(tmp_path / "my_course_norm.py")
    course = new_course(["softmax", str(tmp_path / "my_course_norm.py")])
    write_course(course, tmp_path / "deep" / "course.toml")
    assert tomllib.loads((tmp_path / "deep" / "course.toml").read_text())["files"] == ["../my_course_norm.py"]
    assert read_course(tmp_path / "deep" / "course.toml") == course
    assert "def my_course_norm(" in stub(course.exercise("my_course_norm"))
