"""The folder of a learner: one file for each exercise, instructions, and the progress."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from minibert.classroom.exercise import Exercise
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.learner_file import BadFile, LearnerFile
from minibert.classroom.progress import FILE
from minibert.classroom.stubs import stub
from minibert.files import write_atomically

NUMBERED = re.compile(r"(?:\d+_)?(\w+)\.py")
"""Name of a file: the number may differ, as in a folder of another version."""
INSTRUCTIONS = "README.md"
README = """\
# The classroom of minibert

One exercise per file, in the order of the numbers. In each, replace the last line, `raise NotImplementedError`.

    minibert learn .              checks a file when you save it; keys: n next, h hint, s solution, l list, ? keys, q quit
    minibert check softmax        checks one exercise (without a name: all that you began)
    minibert hint softmax         shows the next hint: a question, the place, the line
    minibert reveal softmax       shows the solution
    minibert reset softmax        puts the empty file back, and keeps a copy of yours if you changed it
    minibert progress             lists all exercises; progress.json can be moved with the folder
"""


@dataclass(frozen=True)
class ExerciseFolder:
    """A folder with exercises."""

    path: Path

    def install(self) -> list[Path]:
        """Write the files that are missing. A learner's file is never overwritten.

        Returns: the new files of exercises.
        """
        present = self.files()
        missing = {name: self.new_file(exercise) for name, exercise in EXERCISES.items() if name not in present}
        missing = {name: path for name, path in missing.items() if not os.path.lexists(path)}
        for name, path in missing.items():
            write_atomically(path, stub(EXERCISES[name]))
        if not (self.path / INSTRUCTIONS).exists():
            write_atomically(self.path / INSTRUCTIONS, README)
        return list(missing.values())

    def new_file(self, exercise: Exercise) -> Path:
        """Return the path of a new file, such as 01_softmax.py."""
        return self.path / f"{list(EXERCISES).index(exercise.name) + 1:02}_{exercise.name}.py"

    def files(self) -> dict[str, Path]:
        """Return the files of exercises by the name of the exercise, in the order of the exercises."""
        found: dict[str, Path] = {}
        for path in sorted(self.path.iterdir()) if self.path.is_dir() else ():
            named = NUMBERED.fullmatch(path.name)
            if named and named[1] in EXERCISES and path.is_file():
                found.setdefault(named[1], path)
        return {name: found[name] for name in EXERCISES if name in found}

    def file(self, name: str) -> Path:
        """Return the file of an exercise. It may not exist."""
        return self.files().get(name, self.new_file(EXERCISES[name]))

    def is_started(self, name: str) -> bool:
        """Return True if the learner has begun to write the function. The empty file of another version is not begun."""
        path = self.files().get(name)
        try:
            return path is not None and not LearnerFile.read(path).is_stub(name)
        except BadFile:
            return True

    def is_empty(self, name: str) -> bool:
        """Return True if the file is there and has nothing that is the learner's."""
        path = self.files().get(name)
        return path is not None and path.read_bytes().replace(b"\r\n", b"\n") == stub(EXERCISES[name]).encode()

    def reset(self, name: str) -> Path | None:
        """Write the empty file of an exercise again. Return the copy of the learner's file, if it had changes."""
        path = self.file(name)
        if self.is_empty(name):
            return None
        backup = path.rename(backup_name(path)) if path.exists() else None
        write_atomically(path, stub(EXERCISES[name]))
        return backup

    @property
    def is_in_use(self) -> bool:
        """True for the folder of a learner, False for one that only has a file with the name of an exercise."""
        return self.progress.exists() or len(self.files()) > 1

    @property
    def progress(self) -> Path:
        """The file with the progress."""
        return self.path / FILE


def backup_name(path: Path) -> Path:
    """Return the first of 01_softmax.py.1.bak, 01_softmax.py.2.bak, … that does not exist."""
    number = 1
    while (backup := path.with_name(f"{path.name}.{number}.bak")).exists():
        number += 1
    return backup
