"""The folder of results: one JSON file for each student and exercise."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from minibert.classroom.teaching.course import Course
from minibert.classroom.teaching.grading import Graded
from minibert.files import read_json, write_atomically

UNSAFE = re.compile(r'[\x00-\x1f/\\:*?"<>|]|^\.+')
"""Characters that a file name must not have on some system."""
LONGEST = 200
"""Bytes of the name of a file, without its suffix."""


def file_name(student: str) -> str:
    """Return a name for files about a student. Names that no file can have are changed, and get a hash to stay different."""
    safe = UNSAFE.sub("_", student).strip() or "_"
    name = safe.encode(errors="surrogateescape")
    if safe == student and len(name) <= LONGEST:
        return student
    digest = hashlib.sha256(student.encode(errors="surrogateescape")).hexdigest()[:8]
    return f"{name[: LONGEST - 9].decode(errors='ignore')}-{digest}"


@dataclass(frozen=True)
class Results:
    """The folder of results."""

    folder: Path

    def path(self, student: str, exercise: str) -> Path:
        """Return the file of a result."""
        return self.folder / "reports" / file_name(student) / f"{file_name(exercise)}.json"

    def save(self, graded: Graded) -> None:
        """Write a result."""
        write_atomically(self.path(graded.student, graded.exercise), json.dumps(graded.as_json(), indent=1) + "\n")

    def read(self, course: Course, student: str) -> dict[str, Graded]:
        """Return the stored results of a student by exercise. Damaged files count as missing: they are graded again."""
        found = {}
        for assignment in course.assignments:
            path = self.path(student, assignment.name)
            try:
                graded = Graded.from_json(read_json(path)) if path.is_file() else None
            except ValueError:
                continue
            if graded and (graded.student, graded.exercise) == (student, assignment.name):
                found[assignment.name] = graded
        return found
