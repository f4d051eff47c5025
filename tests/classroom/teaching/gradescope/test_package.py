"""The zip of an autograder, with a small package in the place of minibert."""

import importlib.metadata
import io
import stat
import zipfile
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

from minibert.classroom.teaching.course import Assignment, Course, read_course
from minibert.classroom.teaching.gradescope import package
from minibert.classroom.teaching.own_exercise import write_template

COURSE = Course("Test", "a secret", (Assignment("softmax", 10.0, date(2000, 1, 1)), Assignment("relu", 5.0, date(2000, 1, 1))))
PROJECT = """[project]
name = "minibert"
dependencies = ["one>=1", "two"]
"""
FILES = {
    "pyproject.toml": PROJECT,
    "other.py": "",
    "minibert/__init__.py": "",
    "minibert/web/page.js": "1",
    "minibert/a.py": "2",
    "minibert/__pycache__/a.pyc": "",
}


@pytest.fixture(autouse=True)
def small_package(tmp_path: Path, monkeypatch) -> Path:
    """A checkout with a package of three files, in the place of minibert."""
    checkout = tmp_path / "checkout"
    for name, text in FILES.items():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(package, "minibert", SimpleNamespace(__file__=str(checkout / "minibert" / "__init__.py")))
    return checkout


def zip_of(course: Course, tmp_path: Path) -> zipfile.ZipFile:
    package.write_autograder(course, tmp_path / "a.zip")
    return zipfile.ZipFile(io.BytesIO((tmp_path / "a.zip").read_bytes()))


def test_the_zip_has_scripts_requirements_the_course_own_exercises_and_minibert(tmp_path: Path) -> None:
    own = tmp_path / "own_norm_in_a_zip.py"
    write_template(own)
    with zip_of(replace(COURSE, files=(own,)), tmp_path) as archive:
        content = {name: archive.read(name).decode() for name in archive.namelist()}
        archive.extractall(tmp_path / "unpacked")
    course = content.pop("course.toml")
    assert content == {
        **{name: (package.FOLDER / name).read_text(encoding="utf-8") for name in ("setup.sh", "run_autograder")},
        "requirements.txt": "one>=1\ntwo\n",
        "own_exercises/own_norm_in_a_zip.py": own.read_text(encoding="utf-8"),
        "minibert/__init__.py": "",
        "minibert/a.py": "2",
        "minibert/web/page.js": "1",
    }
    assert 'files = ["own_exercises/own_norm_in_a_zip.py"]' in course
    assert own.is_file()
    read = read_course(tmp_path / "unpacked" / "course.toml")
    without_deadlines = tuple(replace(each, due=None) for each in COURSE.assignments)
    files = (tmp_path / "unpacked" / "own_exercises" / own.name,)
    assert read == replace(COURSE, assignments=without_deadlines, files=files)


def test_equal_courses_give_equal_zips(tmp_path: Path) -> None:
    """Files are compressed and in alphabetical order, have one date, and only the scripts can be executed."""
    with zip_of(COURSE, tmp_path) as archive:
        entries = archive.infolist()
    names = ["setup.sh", "run_autograder", "requirements.txt", "course.toml"]
    assert [each.filename for each in entries] == [*names, "minibert/__init__.py", "minibert/a.py", "minibert/web/page.js"]
    modes = [each.external_attr >> 16 for each in entries]
    assert all(map(stat.S_ISREG, modes))
    assert [stat.S_IMODE(mode) for mode in modes] == [0o755] * 2 + [0o644] * 5
    assert {each.compress_type for each in entries} == {zipfile.ZIP_DEFLATED}
    assert {each.date_time for each in entries} == {(2020, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize("project", [None, PROJECT.replace("minibert", "other")])
def test_an_installed_minibert_has_the_requirements_of_its_metadata(small_package: Path, monkeypatch, project) -> None:
    """They are those that need no option. A pyproject.toml of another project is not read."""
    (small_package / "pyproject.toml").unlink()
    if project:
        (small_package / "pyproject.toml").write_text(project, encoding="utf-8")
    monkeypatch.setattr(importlib.metadata, "requires", {"minibert": ["three", 'four; extra == "lessons"']}.get)
    assert package.requirements() == ["three"]
    monkeypatch.setattr(importlib.metadata, "requires", {}.get)
    assert package.requirements() == []
