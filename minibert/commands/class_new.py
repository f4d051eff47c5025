"""`minibert class new`: an exercise of a teacher."""

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from minibert.commands.errors import UsageError
from minibert.commands.terminal import say
from minibert.printable import printable


@dataclass(frozen=True)
class ClassNew:
    """Write the file of your own exercise, or check it.

    The first time, a small working example is written: a function, its inputs and its mistakes. After your changes, the same
    command checks it as minibert's own exercises are checked. Exit code 0 if the exercise is ready, 1 if not.
    """

    name: Positional[str]
    """Name of the exercise, which is that of its function, such as my_norm. The file is my_norm.py in this folder."""


def run(options: ClassNew) -> int:
    """Write or check the file."""
    from minibert.classroom.teaching.exercise_checks import problems
    from minibert.classroom.teaching.own_exercise import load_exercise, write_template

    path = Path(options.name if options.name.endswith(".py") else f"{options.name}.py")
    try:
        if not path.exists():
            write_template(path)
            say(f"{printable(path)}: change the function, its inputs and its mistakes. The same command then checks them.")
            return 0
        exercise = load_exercise(path)
    except (ValueError, OSError) as error:
        raise UsageError(error) from error
    found = list(problems(exercise))
    for problem in found:
        say(f"✗ {printable(problem)}")
    if not found:
        count = len([mistake for mistake in exercise.mistakes if mistake.message])
        say(f"✓ {exercise.name} is ready: the empty stub fails, the reference passes, and {count} mistakes are named.")
    return int(bool(found))
