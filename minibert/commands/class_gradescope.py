"""`minibert class gradescope`: an autograder for Gradescope."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from minibert.commands.errors import UsageError
from minibert.commands.terminal import say
from minibert.printable import printable


@dataclass(frozen=True)
class ClassGradescope:
    """Write a zip that Gradescope runs as the autograder of a programming assignment.

    It has minibert itself, the course, and your own exercises. Upload it under "Configure Autograder". Students submit Python
    files or notebooks, and see their points, their mistakes and a hint for each exercise.
    """

    out: Annotated[Positional[Path], arg(metavar="OUT.zip")]
    """The zip."""
    course: Annotated[Path, arg(metavar="FILE.toml")] = Path("course.toml")
    """The file with exercises and points, which `minibert class release` writes. Deadlines are set in Gradescope."""


def run(options: ClassGradescope) -> int:
    """Write the zip."""
    if options.out.suffix.lower() != ".zip":
        raise UsageError(f"{options.out}: the name must end with .zip")
    from minibert.classroom.teaching.course import read_course
    from minibert.classroom.teaching.gradescope.package import write_autograder

    try:
        course = read_course(options.course)
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(error) from error
    write_autograder(course, options.out)
    say(printable(f"{options.out}: an autograder with {len(course.assignments)} exercises and {course.points:g} points"))
    say("It has the key of the hidden inputs: give it to nobody but Gradescope.")
    return 0
