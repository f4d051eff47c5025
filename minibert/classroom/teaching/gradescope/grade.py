"""The grading of one submission on Gradescope, and its results in the format of Gradescope.

The format: https://gradescope-autograders.readthedocs.io/en/latest/specs/
"""

import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minibert.classroom.teaching.course import Course, read_course
from minibert.classroom.teaching.feedback import section
from minibert.classroom.teaching.grading import Graded, State, grade_submission
from minibert.classroom.teaching.submissions import read_submission
from minibert.files import read_json, write_atomically

NOTHING = "No Python file and no notebook was found in this submission."
OUT_OF_TIME = "The time of the autograder was over before all exercises were graded."


class OutOfTime(BaseException):
    """The time of the autograder is over. Like KeyboardInterrupt it is no Exception: grading must not handle it."""


def main(course_file: Path, submission_folder: Path, metadata: Path, results: Path) -> None:
    """Grade a submission and write `results`. SIGTERM ends the grading; what is graded then counts."""
    start = time.monotonic()
    signal.signal(signal.SIGTERM, _stop)
    values = grade(read_course(course_file), submission_folder, student_of(metadata))
    values["execution_time"] = round(time.monotonic() - start, 1)
    write_atomically(results, json.dumps(values, indent=1, allow_nan=False) + "\n")


def grade(course: Course, folder: Path, student: str) -> dict[str, Any]:
    """Grade a submission, and return the results."""
    submission = read_submission(folder, student)
    graded: list[Graded] = []
    message = "" if submission.paths else NOTHING
    try:
        grade_submission(course, submission, save=graded.append)
    except OutOfTime:
        message = OUT_OF_TIME
        graded += [Graded(student, each.name, State.FAILED) for each in course.assignments[len(graded) :]]
    return results_of(course, graded, message)


def _stop(number: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the results are written now
    raise OutOfTime


def student_of(metadata: Path) -> str:
    """Return the addresses of the students who submitted together. The hidden inputs depend on them."""
    try:
        users = read_json(metadata)["users"]
        return " ".join(sorted(str(user.get("email") or user["id"]) for user in users))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # as when it is run by hand
        return ""


def results_of(course: Course, graded: Sequence[Graded], message: str = "") -> dict[str, Any]:
    """Return the results as Gradescope reads them: a test for each exercise, with the feedback."""
    tests = [
        {
            "number": str(number),
            "name": each.exercise,
            "score": each.points(course),
            "max_score": course.assignment(each.exercise).points,
            "status": "passed" if each.report and each.report.passed else "failed",
            "output": section(course, each),
            "output_format": "md",
            "visibility": "visible",
        }
        for number, each in enumerate(graded, start=1)
    ]
    return {
        "score": round(sum(each.points(course) for each in graded), 2),
        "output": message,
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": tests,
    }


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
