"""New processes of the tests as copies of this one, so that they have the changed code and need no time to import torch."""

import multiprocessing
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from minibert.sandbox import server, session
from tests import processes


def processes_are_copies() -> None:
    """Start servers of a sandbox and the processes of tests/processes.py as copies of this process from now on."""
    processes.fork_server = lambda: multiprocessing.get_context("fork")  # type: ignore[assignment,return-value]
    session.subprocess = _Subprocess  # type: ignore[attr-defined]


class _Copy:
    """`subprocess.Popen` for a server of a sandbox."""

    def __init__(
        self, command: list[str], *, stderr: Any, env: dict[str, str], cwd: str, pass_fds: list[int], **_: Any
    ) -> None:
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                os.dup2(stderr.fileno(), 2)
                os.environ.clear()
                os.environ.update(env)
                sys.path[:] = env.get("PYTHONPATH", "").split(os.pathsep)
                os.chdir(cwd)
                kept = {0, 1, 2, *pass_fds}
                for descriptor in {int(link.name) for link in Path("/proc/self/fd").iterdir()} - kept:
                    with suppress(OSError):  # the list of open files was itself one of them
                        os.close(descriptor)
                server.main(*command[command.index("minibert.sandbox.server") + 1 :])
            finally:
                os._exit(0)

    def poll(self) -> int | None:
        if self.returncode is None and os.waitpid(self.pid, os.WNOHANG) != (0, 0):
            self.returncode = 0
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            os.waitpid(self.pid, 0)
            self.returncode = 0
        return self.returncode

    def kill(self) -> None:
        if self.returncode is None:
            os.kill(self.pid, 9)


class _Subprocess:
    """The part of the module `subprocess` that a session uses."""

    Popen, DEVNULL, TimeoutExpired = _Copy, subprocess.DEVNULL, subprocess.TimeoutExpired
