"""`minibert class nbgrader`: the exercises of a course for nbgrader."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from minibert.commands.errors import UsageError
from minibert.commands.terminal import say
from minibert.printable import printable


@dataclass(frozen=True)
class ClassNbgrader:
    """Write the exercises of a course as assignments of nbgrader.

    Each exercise is an assignment with one notebook: the solution, which nbgrader removes for the students, and a test cell
    with partial credit and hidden inputs. The students need minibert where they work, and so does the computer that grades.
    """

    out: Positional[Path]
    """Folder of the course in nbgrader. Files that you have changed there are kept."""
    course: Annotated[Path, arg(metavar="FILE.toml")] = Path("course.toml")
    """The file with exercises and points, which `minibert class release` writes."""


def run(options: ClassNbgrader) -> int:
    """Write the notebooks."""
    from minibert.classroom.teaching.course import read_course
    from minibert.classroom.teaching.nbgrader import write_assignments

    try:
        course = read_course(options.course)
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(error) from error
    released = write_assignments(course, options.out)
    for kept in released.kept:
        say(printable(f"kept: {kept} (it differs from what would be written; delete it to get a new one)"))
    say(
        printable(
            f"{options.out / 'source'}: {len(course.assignments)} assignments, with solutions and hidden tests, for you only"
        )
    )
    say("Next, in that folder: nbgrader generate_assignment NAME, then nbgrader autograde NAME")
    return 0
