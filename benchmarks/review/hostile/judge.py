"""Run a case in a copy of this process, and judge what the command printed, wrote and returned."""

import contextlib
import importlib
import os
import re
import resource
import signal
import sys
import time
import unicodedata
from html.parser import HTMLParser
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.review.hostile.case import Case

CANARY = "CANARY"
"""A file in the folder of a case, which code in its inputs would write."""
MEMORY = 6 * 2**30
"""Bytes that a case may use in addition to those of its start."""
PRELOADED = ("torch._dynamo", "datasets", "matplotlib.pyplot", "minibert.training.pretraining", "minibert.study.figures")
"""Modules that take long to import."""
BIDI = ["LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"]
LIBRARY = re.compile(r"site-packages|panicked at|\w+Warning: |object at 0x|torch\.\w+Error")
"""Parts of messages that are not for users of minibert."""


class Verdict(NamedTuple):
    """The class of the result ("equal", "refused", "differing" or "crashed"), and why."""

    result: str
    why: str
    output: str
    seconds: float


def preload() -> None:
    """Import the slow modules once, so that the commands in copies of this process start fast."""
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def run(case: Case, here: Path) -> Verdict:
    """Write the files, run the command and judge it."""
    here.mkdir()
    case.files(here)
    before = snapshot(here)
    log = here.with_suffix(".log")
    began = time.monotonic()
    child = os.fork()
    if not child:
        become(case, here, log)
    code = _wait(child, case.seconds)
    seconds = time.monotonic() - began
    output = log.read_bytes().decode("utf-8", "backslashreplace")
    result, why = judge(case, code, output, before, here)
    return Verdict(result, why, output, seconds)


def become(case: Case, here: Path, log: Path) -> None:
    """Become the command, with limits, its own session, and its output in a file."""
    code = 70
    try:
        os.setsid()
        os.chdir(here)
        streams = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for target, source in ((0, streams[0]), (1, streams[1]), (2, streams[1])):
            os.dup2(source, target)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape", write_through=True)  # type: ignore[union-attr]
        from minibert.commands import main

        code = main(case.words)
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
    except BaseException as error:
        print("Traceback: not handled by main", repr(error), file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(child: int, seconds: float) -> int | None:
    """Return the exit code of a process, or None if it takes too long. Ends its session."""
    ends, status = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def snapshot(here: Path) -> set[str]:
    """List the files and folders of a case."""
    return {str(Path(folder, name).relative_to(here)) for folder, *names in os.walk(here) for name in chain(*names)}


def judge(case: Case, code: int | None, output: str, before: set[str], here: Path) -> tuple[str, str]:
    """Return the class of the result, and why."""
    if found := list(here.parent.rglob(CANARY)):
        for file in found:
            file.unlink()
        return "crashed", "code of the input was executed"
    if code is None:
        return "crashed", f"no end after {case.seconds:g} seconds"
    if "Traceback" in output or code not in (0, 1, 2):
        return "crashed", f"traceback, exit code {code}"
    if unsafe := [char for char in output if is_unsafe(char)]:
        return "crashed", f"raw {sorted({hex(ord(char)) for char in unsafe})}"
    new = snapshot(here) - before
    if pages := [name for name in new if name.endswith(".html") and (here / name).is_file() and runs_code(here / name)]:
        return "crashed", f"code in {pages[0]}"
    if left := [name for name in new if re.search(r"(^|/)\.[^/]+\.[a-z0-9_]{8}$|\.tmp", name)]:
        return "crashed", f"half-written {left[0]}"
    if found_library := LIBRARY.search(output):
        return "differing", f"not for users: {found_library[0]!r}"
    if code == 0:
        return ("equal", "") if case.reason is None or case.may_pass else ("differing", "accepted")
    if case.reason is None:
        return "differing", f"refused with exit code {code}"
    if code != case.code and case.code is not None:
        return "differing", f"exit code {code} instead of {case.code}"
    if not re.search(case.reason, output, re.DOTALL):
        return "differing", f"no {case.reason!r} in the message"
    return "refused", ""


def is_unsafe(char: str) -> bool:
    """Return whether a terminal may obey a character."""
    return (unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") and char not in "\n\t") or unicodedata.bidirectional(
        char
    ) in BIDI


class _Page(HTMLParser):
    """A search for canaries that a browser would run."""

    def __init__(self) -> None:
        super().__init__()
        self.in_script = self.found = False

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.in_script = tag == "script"
        self.found |= any(
            "canary" in (value or "") and (name.startswith("on") or name in ("href", "src", "srcdoc")) for name, value in attrs
        )

    def handle_endtag(self, tag: str) -> None:
        self.in_script = False

    def handle_data(self, data: str) -> None:
        self.found |= self.in_script and data.lstrip().startswith("canary()")


def runs_code(page: Path) -> bool:
    """Return whether a browser would run a canary in a page."""
    parser = _Page()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser.found
