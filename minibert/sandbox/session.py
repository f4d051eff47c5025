"""A session with a learner's function in a sandbox, and the servers of this process."""

import atexit
import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from minibert.sandbox.code import Code
from minibert.sandbox.limits import Stopped
from minibert.sandbox.messages import Tag, receive, send

STARTING_SECONDS = 120
"""Time to start Python and to import torch, on a slow machine."""
ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH")
"""Variables of the environment that learners' code sees. All others may be secrets."""


class Server:
    """The server of a sandbox, which runs one session at a time. Several may exist."""

    def __init__(self, module: str) -> None:
        self.path = tuple(sys.path)
        """The search path of the server. An exercise of a teacher may be in a folder that is added later."""
        self.folder = tempfile.mkdtemp(prefix="minibert-sandbox-")  # a copy of this process would remove a `TemporaryDirectory`
        self.connection, theirs = socket.socketpair()
        self.errors = Path(self.folder, "errors.txt")
        with theirs, self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "minibert.sandbox.server", str(theirs.fileno()), module],
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


_idle: defaultdict[str, list[Server]] = defaultdict(list)
"""Servers of this process that run no session, by their module."""
os.register_at_fork(after_in_child=_idle.clear)


def _take_server(module: str) -> Server:
    while _idle[module]:
        if (server := _idle[module].pop()).alive and server.path == tuple(sys.path):
            return server
        server.close()
    return Server(module)


@atexit.register
def _close_idle_servers() -> None:
    for servers in _idle.values():
        while servers:
            servers.pop().close()


SessionT = TypeVar("SessionT", bound="Session")


class Session:
    """A learner's function in a subprocess with limits. A context manager: the subprocess ends with the block.

    If the code exceeds a limit or does what it must not do, this call and all later ones raise Stopped.

    Args:
        code: the code, and what is done with its function.
        module: a module whose function `prepare` imports what the code and the work need.
    """

    def __init__(self, code: Code, module: str) -> None:
        self.code, self.module = code, module
        self.stopped: Stopped | None = None
        self.printed = ""
        """The beginning of what the code printed, at the end of the block."""

    def __enter__(self: SessionT) -> SessionT:
        self.server = _take_server(self.module)
        with suppress(Stopped):  # the first call raises it
            self._ask(Tag.OPEN, pickle.dumps(self.code))
        return self

    def ask(self, message: bytes) -> bytes:
        """Send a message to the work, and return its answer. The answer may come from anywhere.

        Raises: Stopped if the code is or was stopped.
        """
        return self._ask(Tag.CALL, message)

    def _ask(self, tag: Tag, body: bytes) -> bytes:
        if self.stopped is None:
            try:
                tag, answer = self.server.ask(tag, body, self.code.limits.seconds)
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
                _idle[self.module].append(self.server)
