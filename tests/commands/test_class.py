"""`minibert class release` and `minibert class grade` from the command line. Grading itself: tests/classroom/teaching."""

import csv

import pytest

from minibert.commands import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_course_is_released_and_its_stubs_are_graded(folder, capsys) -> None:
    """The released stubs are a valid submission: nothing is started. A wrong student does not change the exit code."""
    release = ["class", "release", "course", "--exercises", "softmax", "gelu", "--points", "5", "--due", "2030-01-31"]
    assert main([*release, "--title", "注意"]) == 0
    (folder / "course/students").rename(folder / "ada")
    (folder / "in").mkdir()
    (folder / "ada").rename(folder / "in/ada")
    (folder / "in/bob.py").write_text("def softmax(scores\n")
    (folder / "in/roster.csv").write_text("")
    assert main(["class", "grade", "in", "--course", "course/course.toml", "--jobs", "1"]) == 0
    printed = capsys.readouterr()
    assert "2 students graded" in printed.out
    assert "students 2/2" in printed.out
    assert "not graded, because they are no folder, Python file or notebook: roster.csv" in printed.err
    rows = list(csv.DictReader((folder / "results/grades.csv").read_text().splitlines()))
    assert [(row["student"], row["total"]) for row in rows] == [("ada", "0"), ("bob", "0")]
    assert "not started" in (folder / "results/feedback/ada.md").read_text()
    assert "SyntaxError" in (folder / "results/feedback/bob.md").read_text()


def test_a_second_release_keeps_the_course_and_says_what_it_keeps(folder, capsys) -> None:
    assert main(["class", "release", "course", "--exercises", "softmax"]) == 0
    course = (folder / "course/course.toml").read_text()
    (folder / "course/students/01_softmax.py").write_text("mine")
    assert main(["class", "release", "course", "--notebooks"]) == 0
    assert "kept: course/students/01_softmax.py" in capsys.readouterr().out
    assert (folder / "course/course.toml").read_text() == course
    assert (folder / "course/students/01_softmax.ipynb").exists()
    assert main(["class", "release", "course", "--points", "3", "--title", "x"]) == 2
    assert "leave out --title, --points" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["release", "out", "--exercises", "sofmax"], "--exercises: no exercise is named 'sofmax'; similar names: softmax"),
        (["release", "out", "--exercises", "missing.py"], "missing.py: file of an exercise not found"),
        (["release", "out", "--points", "-1"], "--points must be a number from 0 on, not -1"),
        (["release", "out", "--points", "nan"], "--points must be a number from 0 on, not nan"),
        (["release", "out", "--due", "soon"], "--due must be a date such as 2030-01-31"),
        (["grade", "missing"], "course.toml: course file not found; `minibert class release FOLDER` writes one"),
        (["grade", "missing", "--course", "c/course.toml"], "missing: folder of submissions not found"),
        (["grade", "c", "--course", "c/course.toml", "--jobs", "0"], "--jobs must be from 1 to 256, not 0"),
        (["grade", "c", "--course", "c/course.toml", "--time-limit", "0"], "--time-limit must be a number of seconds from 0.1"),
        (["grade", "c", "--course", "c/course.toml", "--time-limit", "nan"], "--time-limit must be a number of seconds"),
    ],
)
def test_wrong_options_are_described(folder, capsys, words, message) -> None:
    main(["class", "release", "c", "--exercises", "softmax"])
    capsys.readouterr()
    assert main(["class", *words]) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "out").exists()
    assert not (folder / "results").exists()
