"""The zip of an autograder: two scripts, the course, the teacher's own exercises, and minibert itself."""

import importlib.metadata
import io
import shutil
import stat
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import minibert
from minibert.classroom.teaching.course import COURSE_FILE, Course, write_course
from minibert.files import write_atomically

SCRIPTS = ("setup.sh", "run_autograder")
OWN = "own_exercises"
DATE = (2020, 1, 1, 0, 0, 0)
"""The date of all files, so that equal courses give equal zips."""
FOLDER = Path(__file__).parent


def write_autograder(course: Course, path: Path) -> None:
    """Write the zip. The course has no deadlines in it, because Gradescope has its own."""
    content = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in _files(course, Path(folder)):
            entry = zipfile.ZipInfo(name, DATE)
            mode = 0o755 if name in SCRIPTS else 0o644
            entry.external_attr = (stat.S_IFREG | mode) << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
    write_atomically(path, content.getvalue())


def _files(course: Course, folder: Path) -> Iterator[tuple[str, bytes]]:
    for name in SCRIPTS:
        yield name, (FOLDER / name).read_bytes()
    yield "requirements.txt", "".join(f"{each}\n" for each in requirements()).encode()
    (folder / OWN).mkdir()
    own = tuple(Path(shutil.copy(file, folder / OWN)) for file in course.files)
    assignments = tuple(replace(each, due=None) for each in course.assignments)
    write_course(replace(course, files=own, assignments=assignments), folder / COURSE_FILE)
    for path in [folder / COURSE_FILE, *own]:
        yield path.relative_to(folder).as_posix(), path.read_bytes()
    package = Path(minibert.__file__).parent
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"minibert/{path.relative_to(package).as_posix()}", path.read_bytes()


def requirements() -> list[str]:
    """Return the packages that minibert needs, without those for options. In a checkout, pyproject.toml has the newest list."""
    project = Path(minibert.__file__).parents[1] / "pyproject.toml"
    if project.is_file() and (fields := tomllib.loads(project.read_text(encoding="utf-8"))["project"])["name"] == "minibert":
        return list(fields["dependencies"])
    return [each for each in importlib.metadata.requires("minibert") or [] if "extra ==" not in each]
