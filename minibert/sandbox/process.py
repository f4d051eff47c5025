"""The process that runs a learner's code: it loads the code, and answers messages with the help of its function."""

import faulthandler
import inspect
import os
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

from minibert.sandbox import guard, linux
from minibert.sandbox.code import Code
from minibert.sandbox.errors import describe
from minibert.sandbox.limits import Limits, Stopped
from minibert.sandbox.messages import SECONDS, Tag, receive, send

MODULE = "learner_code"
Loaded = Callable[..., Any] | Exception | None
"""The function, or the exception that its import has raised."""


def run(code: Code, folder: Path, connection: socket.socket, stack: int) -> NoReturn:
    """Load the code and answer every message, until the connection ends.

    Args:
        folder: an empty folder, which is the working directory.
        stack: a file descriptor for the line at which the time ended.
    """
    for name, content in code.files.items():
        (folder / name).write_bytes(content)
    code.work.begin(folder)
    loaded: Loaded = None
    while True:
        tag, body = receive(connection)
        linux.end_with_parent()
        faulthandler.dump_traceback_later(SECONDS.unpack(body[: SECONDS.size])[0], file=stack)
        try:
            if tag is Tag.OPEN:
                loaded, answer = load(code, folder), b""
            else:
                answer = _answer(code, loaded, body[SECONDS.size :], folder / code.file)
            if guard.violations:
                raise Stopped(guard.violations[0])
            reply = Tag.DONE, answer
        except Stopped as stopped:
            reply = Tag.STOPPED, stopped.reason.encode()
        except MemoryError:
            reply = Tag.STOPPED, code.limits.too_much_memory.encode()
        except BaseException as error:  # SystemExit, KeyboardInterrupt, and those that the code defines
            reply = Tag.STOPPED, f"The code ends Python with {describe(error)[:200]}".encode()
        faulthandler.cancel_dump_traceback_later()
        send(connection, *reply)


def _answer(code: Code, loaded: Loaded, message: bytes, file: Path) -> bytes:
    """Return the answer to a message.

    Raises: Stopped if the code did what it must not do, or if a limit caused its exception.
    """
    try:
        if callable(loaded):
            return code.work.call(loaded, message)
        error = loaded
    except (Stopped, MemoryError):
        raise
    except Exception as raised:
        error = raised
    assert error is not None
    if reason := code.limits.exceeded_in(describe(error)):
        raise Stopped(reason) from error
    return code.work.failed(error, file)


def load(code: Code, folder: Path) -> Loaded:
    """Import the learner's function. Returns the exception if it cannot be imported."""
    path = folder / code.file
    module = sys.modules[MODULE] = ModuleType(MODULE)
    module.__file__ = str(path)
    try:
        exec(compile(code.files[code.file], path, "exec"), vars(module))
    except Exception as error:
        return error
    function: Callable[..., Any] | None = vars(module).get(code.function)
    if callable(function):
        return function
    own = [name for name, value in vars(module).items() if inspect.isfunction(value) and value.__module__ == MODULE]
    return NameError(f"{code.file} has no function named {code.function}; it has {', '.join(own) or 'none'}")


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
