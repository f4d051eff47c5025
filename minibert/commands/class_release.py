"""`minibert class release`: the files of a course."""

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from minibert.commands.errors import UsageError, check_new_folder, check_text
from minibert.commands.terminal import say, shell_command
from minibert.printable import printable

if TYPE_CHECKING:
    from minibert.classroom.teaching.course import Course


@dataclass(frozen=True)
class ClassRelease:
    """Write the files of a course: stubs for the students, and course.toml with points and deadlines for you.

    OUT/students is for the students: it has no solutions. OUT/course.toml is for you: it has the key of the hidden inputs. To
    change points or deadlines, edit it, and run the command again. Files that you have changed are kept.
    """

    out: Positional[Path]
    """Folder for the course."""
    exercises: Annotated[tuple[str, ...], arg(metavar="NAME|FILE.py [NAME|FILE.py ...]")] = ()
    """Exercises, or files with your own ones, which `minibert class new` begins. Default: all of minibert."""
    title: str | None = None
    """Title of the course."""
    points: float | None = None
    """Points for each exercise. Default: 10."""
    due: Annotated[str | None, arg(metavar="DATE")] = None
    """Deadline of all exercises, such as 2030-01-31 or 2030-01-31T18:00."""
    notebooks: bool = False
    """Also write a notebook for each exercise."""


def run(options: ClassRelease) -> int:
    """Write the files, and print which are for the students and which for the teacher."""
    from minibert.classroom.teaching.course import COURSE_FILE, read_course, write_course
    from minibert.classroom.teaching.release import STUDENTS, release

    check_new_folder(options.out)
    path = options.out / COURSE_FILE
    try:
        if path.exists():
            _check_no_settings(options, path)
            course = read_course(path)
        else:
            course = _course(options)
            write_course(course, path)
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(error) from error
    released = release(course, options.out, options.notebooks)
    for kept in released.kept:
        say(printable(f"kept: {kept} (it differs from what would be written; delete it to get a new one)"))
    say(printable(f"{options.out / STUDENTS}: {len(course.assignments)} exercises for the students, without solutions"))
    say(printable(f"{path}: points, deadlines and the key of the hidden inputs, for you only"))
    say(f"When the students have submitted: minibert class grade SUBMISSIONS --course {shell_command(path)}")
    return 0


def _check_no_settings(options: ClassRelease, path: Path) -> None:
    """Raise `UsageError` for options that the course file has already."""
    given = [name for name in ("exercises", "title", "points", "due") if getattr(options, name) not in (None, ())]
    if given:
        raise UsageError(
            f"{path} exists and has these settings: edit it, or leave out {', '.join(f'--{name}' for name in given)}"
        )


def _course(options: ClassRelease) -> "Course":
    from minibert.classroom.teaching.course import POINTS, TITLE, new_course

    title = TITLE if options.title is None else options.title
    check_text(title)
    points = POINTS if options.points is None else options.points
    if not 0 <= points < float("inf"):
        raise UsageError(f"--points must be a number from 0 on, not {points:g}")
    try:
        return new_course(options.exercises, title, points, _due(options.due))
    except KeyError as error:
        raise UsageError(f"--exercises: {error.args[0]}; `minibert progress` lists all exercises") from None


def _due(text: str | None) -> date | datetime | None:
    if text is None:
        return None
    for kind in (date, datetime):
        try:
            return kind.fromisoformat(text)
        except ValueError:
            continue
    raise UsageError(f"--due must be a date such as 2030-01-31, or a time such as 2030-01-31T18:00, not {text!r}")
