"""A runner that calls a learner's function in a sandbox."""

import pickle
from collections.abc import Mapping
from pathlib import Path

from minibert.classroom.exercise import Arguments, Exercise
from minibert.classroom.running import CallForm, Outcome
from minibert.classroom.sandbox.outcomes import decode
from minibert.classroom.sandbox.work import CheckWork
from minibert.sandbox import Limits, Session, Stopped
from minibert.sandbox.code import Code

MAX_SIBLINGS = 100
"""Largest number of files in the learner's folder that its code can import."""
MAX_SIBLING_BYTES = 2**20


class SandboxRunner(Session):
    """Calls a learner's function in a subprocess with limits. A context manager: the subprocess ends with the block.

    If the code exceeds a limit or does what it must not do, the outcome of this call and of all later ones is that it was
    stopped.
    """

    def __init__(
        self,
        exercise: Exercise,
        source: str | Path,
        function_name: str | None = None,
        limits: Limits | None = None,
        siblings: Mapping[str, bytes] | None = None,
    ) -> None:
        """Prepare a runner.

        Args:
            source: the text of the code, or a file. Code in a file can import the other Python files of its folder.
            function_name: name of the function in it; by default that of the exercise.
            siblings: names and contents of files that code in a text can import.
        """
        file = source.name if isinstance(source, Path) else f"{exercise.name}.py"
        files = _files(source) if isinstance(source, Path) else {**(siblings or {}), file: source.encode(errors="replace")}
        limits = limits or Limits()
        work = CheckWork(CallForm(exercise.defaults, exercise.read), exercise.reference, limits)
        super().__init__(Code(file, files, function_name or exercise.name, work, limits), "minibert.classroom.sandbox.work")

    def __call__(self, arguments: Arguments, gradients: bool, trail: bool = False) -> Outcome:
        """Call the function."""
        try:
            return decode(self.ask(pickle.dumps((arguments, gradients, trail))))
        except Stopped as stopped:
            self.stopped = stopped
            return Outcome(stopped=stopped.reason, line=stopped.line)


def _files(path: Path) -> dict[str, bytes]:
    """Return a file and the other Python files of its folder."""
    siblings = [each for each in sorted(path.parent.glob("*.py")) if each.is_file() and each.stat().st_size < MAX_SIBLING_BYTES]
    return {each.name: each.read_bytes() for each in [*siblings[:MAX_SIBLINGS], path]}
