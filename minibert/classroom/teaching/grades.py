"""The table of points, as CSV."""

import csv
import io
from collections.abc import Mapping, Sequence

from minibert.classroom.teaching.course import Course
from minibert.classroom.teaching.grading import Graded, State
from minibert.printable import printable

FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""A spreadsheet takes a cell that begins with one of these for a formula."""


def grades(course: Course, results: Mapping[str, Sequence[Graded]]) -> str:
    """Return the points of each student, the days late, and notes for the teacher."""
    names = [each.name for each in course.assignments]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["student", *names, "total", "late", "notes"])
    for student, graded in results.items():
        points = [each.points(course) for each in graded]
        cells = [f"{each:g}" for each in (*points, sum(points))]
        table.writerow([cell(student), *cells, days_late(course, graded), cell("; ".join(notes(course, graded)))])
    return text.getvalue()


def days_late(course: Course, results: Sequence[Graded]) -> int:
    """Return the days after the latest deadline that a student missed; 0 for none."""
    return max((each.days_late(course) for each in results), default=0)


def notes(course: Course, results: Sequence[Graded]) -> list[str]:
    """Return the remarks of all exercises of a student, each once."""
    found: dict[str, list[str]] = {}
    for each in results:
        late = each.days_late(course)
        remarks = [
            *([each.state] if each.state is not State.GRADED else []),
            *([f"{days(late)} late"] if late else []),
            *each.notes,
        ]
        for remark in remarks:
            found.setdefault(str(remark), []).append(each.exercise)
    return [f"{remark} ({'all' if len(names) == len(results) else ', '.join(names)})" for remark, names in found.items()]


def days(count: int) -> str:
    """Return a number of days as text, such as "1 day"."""
    return f"{count} {'day' if count == 1 else 'days'}"


def cell(text: str) -> str:
    """Return text for a cell that no spreadsheet takes for a formula."""
    shown = printable(text)
    return f"'{shown}" if text.lstrip(" ").startswith(FORMULA) else shown
