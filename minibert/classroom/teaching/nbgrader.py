"""The exercises of a course as assignments of nbgrader: a notebook for each exercise, with solution and hidden tests.

The format: https://nbgrader.readthedocs.io/en/stable/contributor_guide/metadata.html
"""

import hmac
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minibert.classroom.exercise import Exercise
from minibert.classroom.solution import solution
from minibert.classroom.teaching.course import DEFAULT_CREDIT, Assignment, Course
from minibert.classroom.teaching.release import Released, notebook, write_new

CONFIGURATION = """\
c = get_config()
# The first check of a notebook starts a sandbox, which can take longer than nbgrader's limit of 30 seconds.
c.Execute.timeout = 300
"""
LATER = "# Your function is checked after you have submitted it."


def write_assignments(course: Course, folder: Path) -> Released:
    """Write the source of each assignment, and a configuration. No file that was changed is overwritten."""
    return write_new(folder, _files(course))


def _files(course: Course) -> Iterator[tuple[str, str]]:
    yield "nbgrader_config.py", CONFIGURATION
    for number, assignment in enumerate(course.assignments, start=1):
        name = f"{number:02}_{assignment.name}"
        content = json.dumps(source_notebook(course, assignment), indent=1, ensure_ascii=False)
        yield f"source/{name}/{name}.ipynb", content + "\n"


def source_notebook(course: Course, assignment: Assignment) -> dict[str, Any]:
    """Return the notebook of the teacher. `nbgrader generate_assignment` removes the solution and the hidden tests."""
    exercise = course.exercise(assignment.name)
    content = notebook(exercise, assignment)
    task, _, function, test = content["cells"]
    function["source"] = _lines(_solved("".join(function["source"]), exercise))
    test["source"] = _lines(_test(course, assignment))
    _mark(task, locked=True)
    _mark(function, solution=True)
    _mark(test, locked=True, grade=True, points=assignment.points)
    return content


def _mark(cell: dict[str, Any], **settings: Any) -> None:
    """Add the metadata of nbgrader to a cell."""
    usual = {"schema_version": 3, "grade": False, "locked": False, "solution": False, "task": False}
    cell["metadata"]["nbgrader"] = {**usual, "grade_id": cell["id"], **settings}


def _solved(stub: str, exercise: Exercise) -> str:
    """Return the stub with the solution as an inner function, because the solution may have several functions."""
    arguments = ", ".join(f"{name}={name}" for name in exercise.parameters)
    body = f"### BEGIN SOLUTION\n{solution(exercise).strip()}\n\nreturn {exercise.name}({arguments})\n### END SOLUTION"
    return stub.rstrip().removesuffix("raise NotImplementedError").rstrip(" ") + textwrap.indent(body, "    ")


def _test(course: Course, assignment: Assignment) -> str:
    """Return the test cell. The students' notebook cannot load a teacher's own exercise, so all of its test is hidden."""
    own = [path for path in course.files if path.stem == assignment.name]
    arguments = [f'"{assignment.name}"', repr(assignment.points), "key", str(course.hidden_seeds)]
    if course.credit != DEFAULT_CREDIT:
        arguments.append(repr(dict(course.credit)))
    imported = "from minibert.classroom.teaching.notebook_points import points"
    hidden = ["### BEGIN HIDDEN TESTS", f'key = "{_key(course, assignment)}"', "### END HIDDEN TESTS"]
    call = f"points({', '.join(arguments)})"
    if not own:
        return "\n".join([imported, "", 'key = ""', *hidden, call])
    load = ["from pathlib import Path", "from minibert.classroom.teaching.own_exercise import load_exercise"]
    return "\n".join([LATER, hidden[0], imported, *load, f"load_exercise(Path({str(own[0])!r}))", hidden[1], call, hidden[2]])


def _key(course: Course, assignment: Assignment) -> str:
    """Return the key of the hidden inputs of one exercise. It does not reveal the secret of the course."""
    return hmac.digest(course.secret.encode(), f"nbgrader\0{assignment.name}".encode(), "sha256").hex()[:32]


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
