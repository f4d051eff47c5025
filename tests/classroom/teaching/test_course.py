"""A course: its TOML file, its hidden inputs, its points, and its release to the students."""

import tomllib
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from minibert.classroom.exercises import EXERCISES
from minibert.classroom.learner_file import LearnerFile
from minibert.classroom.stubs import stub
from minibert.classroom.teaching import course as course_file
from minibert.classroom.teaching.course import Assignment, Course, new_course, read_course, write_course
from minibert.classroom.teaching.own_exercise import write_template
from minibert.classroom.teaching.release import STUDENTS, notebook, release

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
        (SECRET + "exercises.softmax = 3", r"\[exercises.softmax\] may have only points and due"),
        (SECRET + "hidden_seeds = 21\n" + SOFTMAX, "from 0 to 20"),
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


def test_all_files_of_a_course_are_loaded(monkeypatch, tmp_path) -> None:
    loaded = []
    monkeypatch.setattr(course_file, "load_exercise", lambda path: loaded.append(path) or EXERCISES[path.stem])
    files = ["softmax.py", "gelu.py"]
    monkeypatch.chdir(tmp_path)
    course = new_course(files)
    paths = [tmp_path / file for file in files]
    assert (course.files, loaded) == (tuple(paths), paths)
    course.load()
    assert loaded == 2 * paths
    write_course(course, tmp_path / "course.toml")
    assert (read_course(tmp_path / "course.toml"), loaded) == (course, 3 * paths)


def test_the_hidden_inputs_of_a_secret_are_always_the_same() -> None:
    """A later version of minibert grades with the inputs of an earlier one. A new secret has 128 bits."""
    course = Course("", "a secret key", (Assignment("softmax"),))
    assert course.seeds("ada", "softmax") == [2575567220350, 28863578616129]
    assert len(new_course(["softmax"]).secret) == 32


def test_a_deadline_without_a_time_is_the_end_of_the_day() -> None:
    due = datetime(2030, 1, 31, 18, 0)
    assert [Assignment("softmax", 1, each).deadline for each in (None, due, date(2030, 1, 31))] == [
        None, due, datetime(2030, 1, 31, 23, 59, 59, 999999),
    ]  # fmt: skip


def test_the_file_of_a_course(tmp_path) -> None:
    """The shortest secret has eight characters, and whole points are numbers as any other."""
    path = tmp_path / "course.toml"
    path.write_text("secret = '01234567'\n[exercises.softmax]\npoints = 3\ndue = 2030-01-31\n", encoding="utf-8")
    course = read_course(path)
    assert course == Course("", "01234567", (Assignment("softmax", 3.0, date(2030, 1, 31)),))
    assert type(course.assignments[0].points) is float
    write_course(course, path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[1:3] == ['title = ""', 'secret = "01234567"']
    assert lines[4:5] == ["files = []"]
    assert lines[-3:] == ["[exercises.softmax]", "points = 3", "due = 2030-01-31"]
    write_course(replace(course, assignments=(Assignment("gelu", due=datetime(2030, 1, 31, 18)), Assignment("softmax"))), path)
    assert path.read_text(encoding="utf-8").splitlines()[-7:] == [
        "[exercises.gelu]", "points = 10", "due = 2030-01-31T18:00:00", "",
        "[exercises.softmax]", "points = 10", "# due = 2030-01-31T23:59:00",
    ]  # fmt: skip


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


def test_the_instructions_have_points_and_deadlines(tmp_path) -> None:
    """Notebooks are written only if they are asked for."""
    assignments = (Assignment("softmax", 7.5, datetime(2030, 1, 31, 18, 0)), Assignment("gelu", 2.0))
    course = Course("A title", "a secret key", assignments, hidden_seeds=1)
    written = release(course, tmp_path).written
    assert [path.name for path in written] == ["README.md", "01_softmax.py", "02_gelu.py"]
    text = written[0].read_text(encoding="utf-8")
    assert text.startswith(
        "# A title\n\n| exercise | points | deadline |\n|---|---:|---|\n"
        "| softmax | 7.5 | 2030-01-31 18:00 |\n| gelu | 2 |  |\n\nWrite each function"
    )
    assert "minibert check softmax " in text
    hidden = ", with these inputs and with others that you do not see.\n"
    assert text.endswith(f"Your points come from these checks{hidden}")
    release(replace(course, hidden_seeds=0), tmp_path / "visible")
    assert (tmp_path / "visible" / STUDENTS / "README.md").read_text().endswith("Your points come from these checks.\n")


def test_the_cells_of_a_notebook() -> None:
    exercise = EXERCISES["softmax"]
    task, *code = notebook(exercise, Assignment("softmax", 2.5))["cells"]
    assert task["id"] == "softmax-task"
    assert "".join(task["source"]).endswith("2.5 points. Do not rename the function.")
    assert ["".join(cell["source"]) for cell in code[:1]] == ["import math\nimport torch\nfrom torch import Tensor"]
    assert "".join(code[1]["source"]).startswith("def softmax(")
    assert code[2]["source"] == ["from minibert.classroom import check\n", "\n", "check(softmax)"]
    assert notebook(replace(exercise, name="x" * 70), Assignment("softmax"))["cells"][0]["id"] == "x" * 59 + "-task"


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
