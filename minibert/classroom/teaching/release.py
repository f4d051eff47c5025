"""The release of a course: stubs for the students, as Python files and as notebooks, and the course file for the teacher."""

import ast
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minibert.classroom.exercise import Exercise
from minibert.classroom.stubs import formulas, purpose, stub
from minibert.classroom.teaching.course import Assignment, Course
from minibert.files import write_atomically

STUDENTS = "students"
README = """\
# {title}

{table}

Write each function in its file, or in its notebook if there is one. Do not rename the functions. Names of files, and other
cells of notebooks, do not matter.

    minibert check {first}        checks one exercise (without a name: all that you began), and says which mistake it has
    minibert hint {first}         shows the next hint

Your points come from these checks{hidden}.
"""


@dataclass(frozen=True)
class Released:
    """The files of a release."""

    written: list[Path]
    kept: list[Path]
    """Files that exist with other contents. They were not changed."""


def release(course: Course, folder: Path, notebooks: bool = False) -> Released:
    """Write the files for the students: instructions, and the stub of each exercise. No file that was changed is overwritten.

    Args:
        notebooks: if True, also write a notebook for each exercise.
    """
    return write_new(folder / STUDENTS, _files(course, notebooks))


def write_new(folder: Path, files: Iterable[tuple[str, str]]) -> Released:
    """Write files, by name and text, and keep those that exist with another text."""
    released = Released([], [])
    for name, text in files:
        path = folder / name
        if not path.exists():
            write_atomically(path, text)
            released.written.append(path)
        elif path.read_bytes() != text.encode():
            released.kept.append(path)
    return released


def _files(course: Course, notebooks: bool) -> Iterator[tuple[str, str]]:
    yield "README.md", _readme(course)
    for number, assignment in enumerate(course.assignments, start=1):
        exercise = course.exercise(assignment.name)
        name = f"{number:02}_{exercise.name}"
        yield f"{name}.py", stub(exercise)
        if notebooks:
            yield f"{name}.ipynb", json.dumps(notebook(exercise, assignment), indent=1, ensure_ascii=False) + "\n"


def _readme(course: Course) -> str:
    rows = [f"| {each.name} | {each.points:g} | {due_text(each)} |" for each in course.assignments]
    table = "\n".join(["| exercise | points | deadline |", "|---|---:|---|", *rows])
    hidden = ", with these inputs and with others that you do not see" if course.hidden_seeds else ""
    return README.format(title=course.title, table=table, first=course.assignments[0].name, hidden=hidden)


def due_text(assignment: Assignment) -> str:
    """Return the deadline as text, without seconds that are zero; empty if there is none.

    >>> from datetime import UTC, datetime
    >>> due_text(Assignment("softmax", due=datetime(2030, 1, 31, 23, 59, tzinfo=UTC)))
    '2030-01-31 23:59+00:00'
    """
    return re.sub(r"(?<=:\d\d):00", "", str(assignment.due or ""))


def notebook(exercise: Exercise, assignment: Assignment) -> dict[str, Any]:
    """Return a notebook without outputs: the task, the imports, the function, and its check."""
    imports, function = _imports_and_function(stub(exercise))
    formula = "\n\n".join(f"$$\n{latex}\n$$" for latex in formulas(exercise))
    due = f", due {due_text(assignment)}" if assignment.due else ""
    task = [f"# {exercise.name}", purpose(exercise), formula, f"{assignment.points:g} points{due}. Do not rename the function."]
    cells = [
        ("task", "markdown", "\n\n".join(filter(None, task))),
        ("imports", "code", imports),
        ("function", "code", function),
        ("check", "code", f"from minibert.classroom import check\n\ncheck({exercise.name})"),
    ]
    return {
        "cells": [_cell(f"{exercise.name}-{part}", kind, text) for part, kind, text in cells],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _imports_and_function(code: str) -> tuple[str, str]:
    """Split a stub, without its first docstring."""
    body = ast.parse(code).body
    start, function = body[1].lineno - 1, body[-1]
    lines = code.split("\n")
    return "\n".join(lines[start : function.lineno - 1]).strip(), "\n".join(lines[function.lineno - 1 :]).strip()


def _cell(name: str, kind: str, text: str) -> dict[str, Any]:
    code: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
    identifier = re.sub(r"[^a-zA-Z0-9_-]", "-", name)[-64:]
    return {"cell_type": kind, "id": identifier, "metadata": {}, **code, "source": text.splitlines(keepends=True)}
