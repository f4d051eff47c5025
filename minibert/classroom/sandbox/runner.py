"""A runner that calls a learner's function in a sandbox."""

import atexit
import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from minibert.classroom.exercise import Arguments, Exercise
from minibert.classroom.running import CallForm, Outcome
from minibert.classroom.sandbox.frames import Tag, decode, receive, send
from minibert.classroom.sandbox.learner_code import LearnerCode
from minibert.classroom.sandbox.limits import Limits, Stopped

STARTING_SECONDS = 120
"""Time to start Python and to import torch, on a slow machine."""
ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH")
"""Variables of the environment that learners' code sees. All others may be secrets."""
MAX_SIBLINGS = 100
"""Largest number of files in the learner's folder that its code can import."""
MAX_SIBLING_BYTES = 2**20


class Server:
    """The server of a sandbox, which runs one check at a time. Several may exist."""

    def __init__(self) -> None:
        self.path = tuple(sys.path)
        """The search path of the server. An exercise of a teacher may be in a folder that is added later."""
        self.folder = tempfile.mkdtemp(prefix="minibert-sandbox-")  # a copy of this process would remove a `TemporaryDirectory`
        self.connection, theirs = socket.socketpair()
        self.errors = Path(self.folder, "errors.txt")
        with theirs, self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "minibert.classroom.sandbox.server", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=_environment(self.folder),
                cwd=self.folder,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def ask(self, tag: Tag, body: bytes = b"", seconds: float = 0.0) -> tuple[Tag, bytes]:
        """Send a message and return the answer.

        Raises: Stopped if the server has ended or does not answer in time.
        """
        self.connection.settimeout(seconds + STARTING_SECONDS)
        try:
            send(self.connection, tag, body)
            return receive(self.connection)
        except (OSError, EOFError, ValueError) as error:
            self.close()
            errors = self.errors.read_text(errors="replace").strip().rpartition("\n")[2] if self.errors.exists() else ""
            raise Stopped(f"The code ended the process that supervises it, or it could not start. {errors}".strip()) from error

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def close(self) -> None:
        """End the server. It ends all that runs in it."""
        self.connection.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _environment(folder: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")  # a copy needs one thread
    path = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)
    return {**kept, **threads, "PYTHONPATH": path, "HOME": folder, "TMPDIR": folder, "CUDA_VISIBLE_DEVICES": ""}


_idle: list[Server] = []
"""Servers of this process that run no check."""
os.register_at_fork(after_in_child=_idle.clear)


def _take_server() -> Server:
    while _idle:
        if (server := _idle.pop()).alive and server.path == tuple(sys.path):
            return server
        server.close()
    return Server()


@atexit.register
def _close_idle_servers() -> None:
    while _idle:
        _idle.pop().close()


class SandboxRunner:
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
        self.exercise = exercise
        self.limits = limits or Limits()
        self.stopped: Stopped | None = None
        self.printed = ""
        """The beginning of what the code printed, at the end of the block."""
        file = source.name if isinstance(source, Path) else f"{exercise.name}.py"
        files = _files(source) if isinstance(source, Path) else {**(siblings or {}), file: source.encode(errors="replace")}
        form = CallForm(exercise.defaults, exercise.read)
        self.learner_code = LearnerCode(form, exercise.reference, file, files, function_name or exercise.name, self.limits)

    def __enter__(self) -> "SandboxRunner":
        self.server = _take_server()
        with suppress(Stopped):  # the first call has it as its outcome
            self._ask(Tag.OPEN, pickle.dumps(self.learner_code))
        return self

    def __call__(self, arguments: Arguments, gradients: bool, trail: bool = False) -> Outcome:
        """Call the function."""
        try:
            return decode(self._ask(Tag.CALL, pickle.dumps((arguments, gradients, trail))))
        except Stopped as stopped:
            self.stopped = stopped
            return Outcome(stopped=stopped.reason, line=stopped.line)

    def _ask(self, tag: Tag, body: bytes) -> bytes:
        """Send a message and return the answer.

        Raises: Stopped if the code is or was stopped.
        """
        if self.stopped is None:
            try:
                tag, answer = self.server.ask(tag, body, self.limits.seconds)
                if tag is not Tag.STOPPED:
                    return answer
                self.stopped = Stopped(**json.loads(answer))
            except Stopped as stopped:
                self.stopped = stopped
        raise self.stopped

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None and not issubclass(kind, Exception):  # Ctrl-C in the middle of a message
            self.server.close()
        if self.server.alive:
            with suppress(Stopped):
                self.printed = self.server.ask(Tag.CLOSE)[1].decode("utf-8", "replace")
                _idle.append(self.server)


def _files(path: Path) -> dict[str, bytes]:
    """Return a file and the other Python files of its folder."""
    siblings = [each for each in sorted(path.parent.glob("*.py")) if each.is_file() and each.stat().st_size < MAX_SIBLING_BYTES]
    return {each.name: each.read_bytes() for each in [*siblings[:MAX_SIBLINGS], path]}
