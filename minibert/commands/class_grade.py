"""`minibert class grade`: grade the submissions of a course."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from minibert.commands.errors import Stopped, UsageError, deferred_signals
from minibert.commands.progress import progress
from minibert.commands.terminal import report, say
from minibert.files import write_atomically
from minibert.printable import printable

if TYPE_CHECKING:
    from minibert.classroom.teaching.course import Course
    from minibert.classroom.teaching.grading import Graded
    from minibert.classroom.teaching.submissions import Submission

MAX_SECONDS = 3600
MAX_JOBS = 256


@dataclass(frozen=True)
class ClassGrade:
    """Grade all submissions of a course: points for each student and exercise, and feedback with the mistakes.

    Each folder, Python file or notebook in SUBMISSIONS is one student. Functions are found by their names. Their code runs in
    a subprocess with limits. A second run grades only what has changed.
    """

    submissions: Annotated[Positional[Path], arg(metavar="SUBMISSIONS")]
    """Folder with a folder, a Python file or a notebook for each student."""
    out: Path = Path("results")
    """Folder for the results."""
    course: Annotated[Path, arg(metavar="FILE.toml")] = Path("course.toml")
    """The file with exercises, points and deadlines, which `minibert class release` writes."""
    jobs: Annotated[int | None, arg(metavar="N")] = None
    """Number of processes. Default: one for each processor."""
    time_limit: float = 10.0
    """Seconds for each function, after which it is stopped."""
    again: bool = False
    """Grade everything again, also what has not changed."""


def run(options: ClassGrade) -> int:
    """Grade, and write the results."""
    if not 0.1 <= options.time_limit <= MAX_SECONDS:
        raise UsageError(f"--time-limit must be a number of seconds from 0.1 to {MAX_SECONDS}, not {options.time_limit:g}")
    if options.jobs is not None and not 1 <= options.jobs <= MAX_JOBS:
        raise UsageError(f"--jobs must be from 1 to {MAX_JOBS}, not {options.jobs}")
    from minibert.classroom.teaching.course import read_course
    from minibert.classroom.teaching.submissions import find_submissions

    try:
        course = read_course(options.course)
        submissions, others = find_submissions(options.submissions, leave_out=options.out)
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(error) from error
    if others:
        report(f"warning: not graded, because they are no folder, Python file or notebook: {', '.join(others)}")
    return _write(options.out, course, _grade(options, course, submissions))


def _grade(options: ClassGrade, course: "Course", submissions: "list[Submission]") -> "dict[str, list[Graded]]":
    """Grade all submissions, and return the results by student. Ctrl-C stops after the current checks."""
    from minibert.classroom.teaching.parallel import Grading, grade_all
    from minibert.classroom.teaching.results import Results
    from minibert.sandbox import Limits

    grading = Grading(course, Results(options.out), Limits(seconds=options.time_limit), options.again)
    jobs = min(options.jobs or os.cpu_count() or 1, len(submissions))
    found: dict[str, list[Graded]] = {}
    with deferred_signals() as received, progress("students", len(submissions)) as advance:
        try:
            for results in grade_all(grading, submissions, jobs, received.check):
                found[results[0].student] = results
                advance(printable(results[0].student))
        except Stopped as stopped:
            same = "The same command without --again" if options.again else "The same command"
            message = f"minibert: stopped; {len(found)} of {len(submissions)} students are graded. {same} goes on."
            raise Stopped(stopped.number, message) from None
    return {submission.student: found[submission.student] for submission in submissions}


def _write(out: Path, course: "Course", results: "dict[str, list[Graded]]") -> int:
    """Write the table and the feedback, and print a summary. Return the exit code."""
    from minibert.classroom.teaching.class_report.page import class_report
    from minibert.classroom.teaching.feedback import feedback
    from minibert.classroom.teaching.grades import grades
    from minibert.classroom.teaching.grading import State
    from minibert.classroom.teaching.results import file_name

    write_atomically(out / "grades.csv", grades(course, results))
    write_atomically(out / "report.html", class_report(course, results))
    for student, graded in results.items():
        write_atomically(out / "feedback" / f"{file_name(student)}.md", feedback(course, student, graded))
    say(printable(f"{len(results)} students graded: {out / 'report.html'}, {out / 'grades.csv'}, {out / 'feedback'}"))
    failed = [
        f"{each.student}, {each.exercise}: {'; '.join(each.notes)}"
        for graded in results.values()
        for each in graded
        if each.state is State.FAILED
    ]
    for text in failed:
        report(f"not graded: {text}")
    return 1 if failed else 0
