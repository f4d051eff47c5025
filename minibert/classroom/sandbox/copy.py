"""The process that runs a learner's code: it loads the code, calls the function, and sends back numbers and texts."""

import faulthandler
import os
import pickle
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import torch

from minibert.classroom.running import LocalRunner, Outcome, describe, line_of
from minibert.classroom.sandbox import linux, reference
from minibert.classroom.sandbox.frames import SECONDS, Tag, encode, receive, send
from minibert.classroom.sandbox.learner_code import LearnerCode
from minibert.classroom.sandbox.limits import Limits, Stopped

MODULE = "learner_code"


def run(learner_code: LearnerCode, folder: Path, connection: socket.socket, stack: int) -> NoReturn:
    """Load the code and call its function for every message, until the connection ends.

    Args:
        folder: an empty folder, which is the working directory.
        stack: a file descriptor for the line at which the time ended.
    """
    limits = learner_code.limits
    for name, content in learner_code.files.items():
        (folder / name).write_bytes(content)
    reference.protect(learner_code.reference, folder)
    loaded: Callable[..., Any] | Outcome | None = None
    while True:
        tag, body = receive(connection)
        linux.end_with_parent()
        faulthandler.dump_traceback_later(SECONDS.unpack(body[: SECONDS.size])[0], file=stack)
        try:
            if tag is Tag.OPEN:
                loaded = load(learner_code, folder)
                outcome = Outcome()
            elif callable(loaded):
                outcome = LocalRunner(learner_code.form, loaded)(*pickle.loads(body[SECONDS.size :]))
            else:
                assert isinstance(loaded, Outcome)
                outcome = loaded
            answer = Tag.DONE, encode(_checked(outcome, limits), limits)
        except Stopped as stopped:
            answer = Tag.STOPPED, stopped.reason.encode()
        except MemoryError:
            answer = Tag.STOPPED, limits.too_much_memory.encode()
        except BaseException as error:  # SystemExit, KeyboardInterrupt, and those that the code defines
            answer = Tag.STOPPED, f"The code ends Python with {describe(error)[:200]}".encode()
        faulthandler.cancel_dump_traceback_later()
        send(connection, *answer)


def _checked(outcome: Outcome, limits: Limits) -> Outcome:
    """Return an outcome.

    Raises: Stopped if the code did what it must not do, or if a limit caused its exception.
    """
    if reference.violations:
        raise Stopped(reference.violations[0])
    for error in filter(None, (outcome.error, outcome.gradient_error)):
        if reason := limits.exceeded_in(error):
            raise Stopped(reason)
    return outcome


def load(learner_code: LearnerCode, folder: Path) -> Callable[..., Any] | Outcome:
    """Import the learner's function. Returns the outcome of all calls if there is none."""
    path = folder / learner_code.file
    module = sys.modules[MODULE] = ModuleType(MODULE)
    module.__file__ = str(path)
    try:
        exec(compile(learner_code.files[learner_code.file], path, "exec"), vars(module))
    except Exception as error:
        return Outcome(error=describe(error), line=line_of(error, str(path)))
    function: Callable[..., Any] | None = vars(module).get(learner_code.function)
    if callable(function):
        return function
    return Outcome(error=f"NameError: {learner_code.file} has no function named {learner_code.function}")


def prepare(folder: Path, printed: int, kept: set[int], limits: Limits) -> None:
    """Give this process its own session, standard files, folder and limits. Close all other files."""
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDONLY)
    for number, file in enumerate((nowhere, printed, printed)):
        os.dup2(file, number)
    for file in [int(path.name) for path in Path("/dev/fd").iterdir()]:
        if file > 2 and file not in kept:
            with suppress(OSError):
                os.close(file)
    os.chdir(folder)
    os.environ.update(HOME=str(folder), TMPDIR=str(folder))
    sys.path.insert(0, str(folder))
    sys.argv[:] = [str(folder)]
    sys.dont_write_bytecode = True
    tempfile.tempdir = None  # chosen again
    sys.stdin = os.fdopen(0)
    sys.stdout, sys.stderr = (os.fdopen(file, "w", 1, "utf-8", "backslashreplace") for file in (1, 2))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    limits.apply()
