"""The supervision of one learner's process and of all that it starts: time, memory, processes, files and printed text."""

import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from minibert.sandbox import linux
from minibert.sandbox.code import Code
from minibert.sandbox.limits import Limits, Stopped
from minibert.sandbox.messages import HEADER, SECONDS, WROTE_TO_SANDBOX, Tag, header, pack
from minibert.sandbox.process import prepare, run

INTERVAL = 0.1
"""Seconds between two inspections."""
GRACE = 0.3
"""Seconds for the code to report its line when its time has ended."""
LOST = 113
"""Exit code of a process that has lost its connection."""
LOST_CONNECTION = "The code lost its connection to the check. Does it close files, or replace parts of Python?"
BLOCK = 4096
KEPT = 10_000
"""Bytes of printed text that are kept."""


class Supervisor:
    """One learner's process, seen from the server."""

    def __init__(self, code: Code) -> None:
        self.limits: Limits = code.limits
        self.printed, self.printed_bytes, self.spent = bytearray(), 0, 0.0
        self.folder = Path(tempfile.mkdtemp(prefix="check-")).resolve()
        self.file = self.folder / code.file
        self.connection, theirs = socket.socketpair()
        self.output, output = os.pipe()
        self.stack, stack = os.pipe()
        self.usual_memory = linux.private_bytes(os.getpid())
        self.process = _fork_twice(lambda: _run(code, self.folder, theirs, output, stack))
        theirs.close()
        os.close(output)
        os.close(stack)
        self.connection.setblocking(False)
        os.set_blocking(self.output, False)
        self.open_outputs: list[Any] = [self.output]
        self.next_inspection, self.is_running = 0.0, True
        self.stopped: Stopped | None = None

    def ask(self, tag: Tag, body: bytes = b"") -> tuple[Tag, bytes]:
        """Send a message to the learner's process, and return the answer. If the code is stopped, its processes are ended."""
        if self.stopped is None:
            try:
                tag, answer = self._exchange(tag, body)
                if tag is not Tag.STOPPED:
                    return tag, answer
                self._stop(Stopped(answer.decode(errors="replace")))
            except Stopped as stopped:
                self._stop(stopped)
        assert self.stopped is not None
        return Tag.STOPPED, json.dumps({"reason": self.stopped.reason, "line": self.stopped.line}).encode()

    def _stop(self, stopped: Stopped) -> None:
        self.stopped = stopped
        self._end_processes()

    def _exchange(self, tag: Tag, body: bytes) -> tuple[Tag, bytes]:
        """Send a message and return the answer.

        Raises: Stopped if a limit is exceeded or the process ends.
        """
        start = time.monotonic()
        left = max(self.limits.seconds - self.spent, 0.001)
        waiting, answer = memoryview(pack(tag, SECONDS.pack(left) + body)), bytearray()
        self.next_inspection = start + INTERVAL
        try:
            while (missing := self._missing(answer)) > 0:
                self._inspect()
                if time.monotonic() > start + left + GRACE:
                    raise Stopped(self.limits.too_slow, self._line())
                writing: list[Any] = [self.connection] if waiting else []
                readable, writable, _ = select.select([self.connection, *self.open_outputs], writing, [], INTERVAL)
                if writable:
                    waiting = waiting[self.connection.send(waiting) :]
                if self.output in readable:
                    self._read_output()
                if self.connection in readable:
                    part = self.connection.recv(min(missing, 2**20))
                    if not part:
                        raise ConnectionResetError
                    answer += part
        except ConnectionError:
            raise Stopped(self._why_ended()) from None
        self.spent += time.monotonic() - start
        return header(bytes(answer[: HEADER.size]))[0], bytes(answer[HEADER.size :])

    def _missing(self, answer: bytearray) -> int:
        """Return the number of bytes that are missing in an answer."""
        if len(answer) < HEADER.size:
            return HEADER.size - len(answer)
        try:
            _, size = header(bytes(answer[: HEADER.size]))
        except ValueError:
            raise Stopped(WROTE_TO_SANDBOX) from None
        if size > 2 * self.limits.answer:  # names and texts come in addition
            raise Stopped(self.limits.too_large_answer)
        return HEADER.size + size - len(answer)

    def wait_until_readable(self, other: socket.socket) -> None:
        """Supervise the process while there is nothing to do, until `other` has a message."""
        try:
            while self.stopped is None and other not in (
                ready := select.select([other, *self.open_outputs], [], [], INTERVAL)[0]
            ):
                if ready:
                    self._read_output()
                self._inspect()
        except Stopped as stopped:
            self._stop(stopped)

    def _read_output(self) -> None:
        with suppress(BlockingIOError):
            text = os.read(self.output, 2**16)
            self.printed += text[: KEPT - len(self.printed)]
            self.printed_bytes += len(text)
            if not text:  # closed by the code
                self.open_outputs = []
        if self.printed_bytes > self.limits.printed:
            raise Stopped(self.limits.too_much_text)

    def _inspect(self) -> None:
        """Raise Stopped if the processes or their files are too many or too large."""
        now = time.monotonic()
        if now < self.next_inspection:
            return
        self.next_inspection = now + INTERVAL
        processes = linux.descendants(os.getpid())
        if len(processes) > self.limits.processes:
            raise Stopped(self.limits.too_many_processes)
        if sum(max(0, linux.private_bytes(process) - self.usual_memory) for process in processes) > self.limits.memory:
            raise Stopped(self.limits.too_much_memory)
        if _folder_bytes(self.folder) > self.limits.files:
            raise Stopped(self.limits.too_large_files)

    def _line(self) -> int | None:
        """Return the line at which the code was when its time ended."""
        os.set_blocking(self.stack, False)
        with suppress(BlockingIOError):
            if found := re.search(
                rf'File "{re.escape(str(self.file))}", line (\d+)', os.read(self.stack, 2**16).decode(errors="replace")
            ):
                return int(found[1])
        return None

    def _why_ended(self) -> str:
        for _ in range(100):
            process, status = os.waitpid(self.process, os.WNOHANG)
            if process:
                self.is_running = False
                return _described(os.waitstatus_to_exitcode(status))
            time.sleep(0.01)
        return LOST_CONNECTION

    def _end_processes(self) -> None:
        if self.is_running:  # in a process namespace, all others end with it
            os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
            self.is_running = False
        end_descendants()

    def end(self) -> None:
        """End the process and all that it has started, and remove its folder."""
        self._end_processes()
        self.connection.close()
        for file in (self.output, self.stack):
            os.close(file)
        _remove(self.folder)


def _described(exit_code: int) -> str:
    if exit_code == LOST:
        return LOST_CONNECTION
    if exit_code >= 0:
        return f"The code ends its process, with exit code {exit_code}."
    return f"The code crashes its process ({signal.Signals(-exit_code).name})."


def end_descendants() -> None:
    """End all processes that this process or its descendants have started. Returns when none is left."""
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        for process in linux.descendants(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.001)


def _fork_twice(child: Callable[[], None]) -> int:
    """Run a function in a new process, if possible in a process namespace of its own, whose processes all end with it.

    The process between this one and the new one makes the namespace, and ends. This process adopts the new one.
    """
    ours, theirs = os.pipe()
    between = os.fork()
    if not between:
        try:
            linux.unshare(linux.NEW_PROCESSES)
            process = os.fork()
            if not process:
                child()
            os.write(theirs, process.to_bytes(8, "big"))
        finally:
            os._exit(0)
    os.close(theirs)
    os.waitpid(between, 0)
    process = int.from_bytes(os.read(ours, 8), "big")
    os.close(ours)
    if not process:
        raise OSError("the system allows no more processes")
    return process


def _run(code: Code, folder: Path, connection: socket.socket, output: int, stack: int) -> None:
    """Run the code in the new process. Never returns."""
    try:
        prepare(folder, output, {connection.fileno(), stack}, code.limits)
        run(code, folder, connection, stack)
    finally:  # the connection has ended
        os._exit(LOST)


def _folder_bytes(folder: Path) -> int:
    """Return the size of all files. Each counts as one block more, so that there cannot be too many empty ones."""
    size = 0
    with suppress(OSError, RecursionError):
        for entry in os.scandir(folder):
            size += BLOCK + entry.stat(follow_symlinks=False).st_size
            if entry.is_dir(follow_symlinks=False):
                size += _folder_bytes(Path(entry))
    return size


def _remove(folder: Path) -> None:
    """Remove a folder, also one with permissions or with a depth that Python cannot handle."""
    try:
        shutil.rmtree(folder)
    except (OSError, RecursionError):
        for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
            subprocess.run([*command, str(folder)], stderr=subprocess.DEVNULL, check=False)
