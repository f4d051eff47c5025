"""Code that does not end, uses too much, or looks for the solution gets a clear verdict, and nothing of it is left."""

import subprocess
import textwrap
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch

import minibert.equations.attention
from minibert.classroom.checking import check_function
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.report import Report, Verdict
from minibert.classroom.sandbox import SandboxRunner
from minibert.sandbox import Limits, linux
from minibert.sandbox import session as sandbox

LIMITS = Limits(seconds=6, memory=2**30, files=4 * 2**20, printed=2**20, answer=2**20, processes=4)
RIGHT = "return softmax_of(scores)"
SCORES = torch.tensor([[1.0, 2.0, 4.0], [0.0, -1.0, 3.0]])
PRELUDE = """
import ctypes, gc, importlib, inspect, io, linecache, os, pickle, resource, signal, socket, subprocess, sys, threading, time
from pathlib import Path
import numpy as np
import torch
import minibert

def softmax_of(scores):
    exponentials = (scores - scores.max(dim=-1, keepdim=True).values).exp()
    return exponentials / exponentials.sum(dim=-1, keepdim=True)
"""


def softmax_with(body: str, before: str = "") -> str:
    """Return the code of a softmax with this body."""
    return f"{PRELUDE}\n{textwrap.dedent(before)}\ndef softmax(scores):\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"


def caught(body: str) -> str:
    """Return a body that catches all exceptions of `body`, and then returns the right result."""
    return f"try:\n{textwrap.indent(textwrap.dedent(body), '    ')}\nexcept BaseException: pass\n{RIGHT}"


def reason_of(code: str, limits: Limits = LIMITS) -> str:
    """Call a softmax once, and return the reason why it was stopped."""
    with SandboxRunner(EXERCISES["softmax"], code, limits=limits) as runner:
        reason = runner({"scores": SCORES}, gradients=True).stopped
        assert runner({"scores": SCORES}, gradients=True).stopped == reason
    return reason


def printed_by(body: str) -> str:
    """Return what a softmax with this body prints in one call."""
    with SandboxRunner(EXERCISES["softmax"], softmax_with(body)) as runner:
        return runner({"scores": SCORES}, gradients=False).printed


def check(body: str, limits: Limits = LIMITS) -> Report:
    """Check a softmax with this body."""
    with SandboxRunner(EXERCISES["softmax"], softmax_with(body), limits=limits) as runner:
        return check_function(EXERCISES["softmax"], runner)


QUICK = {
    "a loop", "a loop with ignored signals", "os._exit", "KeyboardInterrupt", "abort", "a stack overflow",
    "all files closed", "garbage in all files", "memory of torch", "memory of bytes", "os.write", "a large file",
    "a large result", "processes", "daemons", "os.fork", "subprocess", "its parent", "ctypes", "the reference",
    "its code", "another function that calls it", "inspect and exec", "a link to the folder", "reload",
    "a new start", "torch.allclose", "the module of the check", "input", "an object",
    "a tensor with a torch function", "a secret", "replaced standard output", "a removed folder", "a check",
    "a thread that goes on and is no daemon", "a traceback through minibert", "its own source",
    "other functions of minibert",
}  # fmt: skip
"""The cases that are not slow tests: one of each kind."""


def cases(table: dict[str, Any]) -> list[Any]:
    """Return the cases of a table as parameters of a test."""
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), id=name, marks=[] if name in QUICK else pytest.mark.slow)
        for name, case in table.items()
    ]


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """After every test: no process, no folder, and the server still works."""
    yield
    for server in chain(*sandbox._idle.values()):
        assert linux.descendants(server.process.pid) == []
        assert not list(Path(server.folder).glob("check-*"))
        assert server.alive


def fork_exec(times: int, child: str) -> str:
    """Code that starts processes in a way that the audit hook does not see."""
    return f"""
        import _posixsubprocess
        def start(code):
            read, write = os.pipe()
            return _posixsubprocess.fork_exec([sys.executable.encode(), b"-c", code], [sys.executable.encode()], True, (), None,
                None, -1, -1, -1, -1, -1, -1, read, write, False, True, -1, None, None, None, -1, None, True)
        for _ in range({times}):
            start({child!r}.encode())
    """


SLEEP = "import time; time.sleep(600)"
DAEMON = "import os, time; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0); time.sleep(600)"
SLOW = Limits(seconds=0.5)

ENDLESS = {
    "a loop": "while True: pass",
    "a loop that catches everything": """
        while True:
            try:
                while True: pass
            except BaseException:
                pass
    """,
    "sleep": "time.sleep(600)",
    "print": "while True: print('x' * 1000)",
    "a loop with ignored signals": """
        for number in range(1, 32):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        while True: pass
    """,
    "a thread that is waited for": "threading.Thread(target=time.sleep, args=(600,)).start(); threading._shutdown()",
    "a deadlock": "lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "a read of a pipe": "os.read(os.pipe()[0], 1)",
    "a large product": "a = torch.ones(4000, 4000)\nwhile True: a @ a",
}


@pytest.mark.parametrize("body", cases(ENDLESS))
def test_code_that_does_not_end_is_stopped(body: str) -> None:
    assert reason_of(softmax_with(body), SLOW) == "The code did not finish in 0.5 seconds. Is there an endless loop?"


def test_the_report_has_the_line_that_did_not_end() -> None:
    code = "import torch\ndef softmax(scores):\n    while True:\n        pass\n"
    with SandboxRunner(EXERCISES["softmax"], code, limits=Limits(seconds=1)) as runner:
        report = check_function(EXERCISES["softmax"], runner)
    assert (report.verdict, report.passed) == (Verdict.STOPPED, False)
    assert report.line in (3, 4)


def test_an_import_that_does_not_end_is_stopped() -> None:
    assert "did not finish" in reason_of(softmax_with("return 1", before="time.sleep(600)"), SLOW)


ENDS = {
    "os._exit": ("os._exit(0)", "ends its process, with exit code 0"),
    "os._exit with a code": ("os._exit(3)", "ends its process, with exit code 3"),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", "ends Python with KeyboardInterrupt"),
    "BaseException": ("class Mine(BaseException): pass\nraise Mine('x')", "ends Python with"),
    "GeneratorExit": ("raise GeneratorExit", "ends Python with GeneratorExit"),
    "abort": ("os.abort()", "crashes its process"),
    "a crash": ("import _ctypes; _ctypes.PyObj_FromPtr(1)", "crashes its process (SIGSEGV)"),
    "a stack overflow": (
        "sys.setrecursionlimit(10**9)\nclass A:\n    def __getattr__(self, name): return getattr(self, name)\nA().x",
        "crashes its process",
    ),
    "a null pointer": ("ctypes.string_at(0)", "uses memory directly"),
    "all files closed": ("os.closerange(0, 1000)\n" + RIGHT, "lost its connection"),
    "garbage in all files": (
        """
        for file in range(3, 1000):
            try: os.write(file, b"garbage" * 100)
            except OSError: pass
        """,
        "wrote to a file descriptor",
    ),
    "a message of its own": (
        """
        for file in range(3, 1000):
            try: os.write(file, b"mini\\x04" + (2**40).to_bytes(8, "big"))
            except OSError: pass
        """,
        "returned more than 1 MB",
    ),
}


@pytest.mark.parametrize(("body", "reason"), cases(ENDS))
def test_code_that_ends_its_process_is_described(body: str, reason: str) -> None:
    assert reason in reason_of(softmax_with(body))


TOO_MUCH = {
    "memory of torch": ("torch.ones(10 * 2**30, dtype=torch.uint8)", "more than 1 GB of memory"),
    "memory of torch, not used": ("torch.empty(10 * 2**30, dtype=torch.uint8)", "more than 1 GB of memory"),
    "memory of numpy": ("np.ones(10 * 2**30, dtype=np.uint8)", "more than 1 GB of memory"),
    "memory of bytes": ("bytes(10 * 2**30)", "more than 1 GB of memory"),
    "memory of a list": ("[0] * 2 * 2**30", "more than 1 GB of memory"),
    "standard error": ("while True: sys.stderr.write('x' * 1000)", "printed more than 1 MB"),
    "original output": ("while True: print('x' * 1000, file=sys.__stdout__)", "printed more than 1 MB"),
    "os.write": ("while True: os.write(1, b'x' * 1000)", "printed more than 1 MB"),
    "a large file": ("Path('x').write_bytes(bytes(5 * 2**20))", "wrote more than 4 MB to files"),
    "many empty files": (
        "for number in range(2000): Path(str(number)).touch()\ntime.sleep(1)\n" + RIGHT,
        "wrote more than 4 MB to files",
    ),
    "many files": (
        "for number in range(8): Path(str(number)).write_bytes(bytes(2**20))\ntime.sleep(1)\n" + RIGHT,
        "wrote more than 4 MB to files",
    ),
    "a large result": ("return torch.ones(2**20)", "returned more than 1 MB"),
    "a large result without memory": ("return torch.ones(1).expand(2**40)", "more than 1 GB of memory"),
    "processes": (fork_exec(64, SLEEP) + "\n        time.sleep(60)", "started more than 4 processes"),
    "daemons": (fork_exec(8, DAEMON) + "\n        time.sleep(60)", "started more than 4 processes"),
}


@pytest.mark.parametrize(("body", "reason"), cases(TOO_MUCH))
def test_code_that_uses_too_much_is_stopped(body: str, reason: str) -> None:
    assert reason in reason_of(softmax_with(body))


def test_the_beginning_of_a_flood_is_kept() -> None:
    code = softmax_with(RIGHT, before="print('first')\nfor _ in range(1000): print('x' * 100)")
    with SandboxRunner(EXERCISES["softmax"], code) as runner:
        pass
    assert runner.printed.startswith("first\nxxx")
    assert len(runner.printed) == 10_000


def test_processes_that_the_code_leaves_are_ended() -> None:
    """Also a daemon with a session of its own. (See `_nothing_is_left`.)"""
    with SandboxRunner(EXERCISES["softmax"], softmax_with(fork_exec(1, DAEMON) + f"\n        {RIGHT}")) as runner:
        assert runner({"scores": SCORES}, gradients=False).error is None


ACTIONS = {
    "os.fork": ("os.fork()", "starts a process"),
    "a fork bomb": ("for _ in range(64): os.fork()", "starts a process"),
    "os.system": ("os.system('true')", "starts a process"),
    "subprocess": ("subprocess.run(['true'])", "starts a process"),
    "multiprocessing": (
        "import multiprocessing; multiprocessing.get_context('fork').Process(target=print).start()",
        "starts a process",
    ),
    "a thread that forks": ("t = threading.Thread(target=os.fork); t.start(); t.join()", "starts a process"),
    "its parent": ("os.kill(os.getppid(), 9)", "sends a signal"),
    "all processes": ("os.kill(-1, 9)", "sends a signal"),
    "its group": ("os.killpg(0, 9)", "sends a signal"),
    "ctypes": ("ctypes.CDLL(None).fork()", "uses memory directly"),
    "ctypes.pythonapi": ("ctypes.pythonapi.fork()", "uses memory directly"),
}


@pytest.mark.parametrize(("body", "reason"), cases(ACTIONS))
def test_actions_that_no_exercise_needs_are_stopped(body: str, reason: str) -> None:
    """Also if the code catches the exception."""
    assert reason in reason_of(softmax_with(caught(body)))


SOLUTION = repr(minibert.equations.attention.__file__)
CALLS, READS = "calls the function of minibert", "uses a file of minibert"
CHEATS = {
    "the reference": ("return minibert.equations.softmax(scores)", CALLS),
    "its module": ("from minibert.equations.attention import softmax as s\nreturn s(scores)", CALLS),
    "without its decorators": ("return inspect.unwrap(minibert.equations.softmax)(scores)", CALLS),
    "its code": (
        "code = inspect.unwrap(minibert.equations.softmax).__code__\nreturn type(softmax)(code, vars(torch))(scores)",
        CALLS,
    ),
    "another function that calls it": (
        "one = torch.eye(scores.shape[-1])\nreturn minibert.equations.scaled_dot_product_attention(scores, one, one)",
        CALLS,
    ),
    "the table of exercises": (
        "from minibert.classroom.exercises import EXERCISES\nreturn EXERCISES['softmax'].reference(scores)",
        CALLS,
    ),
    "inspect": ("inspect.getsource(minibert.equations.attention)", READS),
    "inspect and exec": (
        "exec(inspect.getsource(minibert.equations.attention), space := {})\nreturn space['softmax'](scores)",
        READS,
    ),
    "linecache": ("linecache.getlines({file})\nraise ValueError", READS),
    "open": ("open({file}).read()", READS),
    "os.open": ("os.read(os.open({file}, os.O_RDONLY), 10)", READS),
    "bytes": ("io.FileIO({file}.encode())", READS),
    "a path": ("Path({file}).read_text()", READS),
    "a relative path": ("Path(os.path.relpath({file})).read_text()", READS),
    "a link": ("Path('x').symlink_to({file})\nPath('x').read_text()", READS),
    "a link to the folder": ("Path('x').symlink_to(Path({file}).parent)\nPath('x/attention.py').read_text()", READS),
    "reload": ("importlib.reload(minibert.equations.attention)", READS),
    "another name": (
        "spec = importlib.util.spec_from_file_location('x', {file})\nspec.loader.exec_module(type(os)('x'))",
        READS,
    ),
    "runpy": ("import runpy; runpy.run_path({file})", READS),
    "numpy": ("np.fromfile({file}, dtype=np.uint8)", READS),
    "a new start": (
        "for name in [n for n in sys.modules if 'minibert' in n]: del sys.modules[name]\nimport minibert.equations",
        READS,
    ),
    "code that is executed": ("exec('open({file})')".replace("{file}", "{quoted}"), READS),
}


@pytest.mark.parametrize(("body", "reason"), cases(CHEATS))
def test_the_reference_is_neither_called_nor_read(body: str, reason: str) -> None:
    """Also if the code catches the exception and then computes the right result."""
    body = body.replace("{file}", SOLUTION).replace("{quoted}", SOLUTION.replace("'", '"'))
    assert reason in reason_of(softmax_with(caught(body)))


def test_libraries_cannot_read_the_reference_where_the_kernel_can_hide_it() -> None:
    printed = printed_by(caught(f"torch.from_file({SOLUTION}, size=10, dtype=torch.uint8)\nprint('read')"))
    if "read" in printed and subprocess.run(["unshare", "--user", "--mount", "true"], check=False).returncode:
        pytest.skip("namespaces are not allowed here")
    assert "read" not in printed


def test_lines_of_the_mistakes_are_not_there() -> None:
    assert printed_by(f"from minibert.classroom.mistakes import MISTAKES\nprint(len(MISTAKES))\n{RIGHT}") == "0\n"


@pytest.mark.slow
def test_folders_too_deep_for_python_are_removed() -> None:
    """(See `_nothing_is_left`.)"""
    assert reason_of(softmax_with("for _ in range(2000): os.mkdir('d'); os.chdir('d')\ntime.sleep(600)"))


HARMLESS = {
    "sys.exit": "sys.exit(0)",
    "torch.allclose": "torch.allclose = torch.equal = torch.Tensor.__eq__ = lambda *a, **k: True\nreturn scores * 2",
    "distances": "torch.Tensor.abs = torch.Tensor.max = lambda self, *a, **k: torch.zeros(())\nreturn scores * 2",
    "the module of the check": (
        "import minibert.classroom.distance as d\nd.distance = d.relative_difference = lambda *a, **k: 0.0\nreturn scores * 2"
    ),
    "json": "import json; json.dumps = lambda *a, **k: '{}'\nreturn scores * 2",
    "safetensors": "import safetensors.torch as s; s.save = lambda *a, **k: b''\nreturn scores * 2",
    "encoder": "import minibert.classroom.sandbox.work as c; c.encode = lambda *a, **k: b'x'\nreturn scores * 2",
    "an object": "class A:\n    def __reduce__(self): return os._exit, (0,)\nreturn A()",
    "a tensor with a torch function": """
        class Lying(torch.Tensor):
            @classmethod
            def __torch_function__(cls, function, types, args=(), kwargs=None): return torch.zeros(2, 4)
        return scores.as_subclass(Lying)
    """,
    "a tensor that equals everything": """
        class Lying(torch.Tensor):
            def __eq__(self, other): return True
            def allclose(self, *a, **k): return True
        return (scores * 2).as_subclass(Lying)
    """,
    "a tensor without numbers": "return torch.ones(2, 4, device='meta')",
    "input": "return float(input())",
    "the seed": "torch.manual_seed(3)\nreturn torch.rand_like(scores)",
    "the network": "socket.create_connection(('1.1.1.1', 80), timeout=0.2)\nreturn scores",
    "recursion": "def f(x): return f(x)\nreturn f(scores)",
    "an error whose text fails": "class E(Exception):\n    def __str__(self): raise ValueError\nraise E",
    "a secret": "return torch.tensor(float(os.environ['MINIBERT_TEST_SECRET']))",
    "a closed output": "sys.stdout.close()\nsys.stderr = None\nprint(3)",
}


@pytest.mark.parametrize("body", cases(HARMLESS))
def test_tricks_do_not_pass(body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIBERT_TEST_SECRET", "1")
    report = check(body)
    assert not report.passed
    assert report.reason


HONEST = {
    "replaced standard output": "sys.stdout = io.StringIO()\nprint('x')",
    "a thread that goes on": "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
    "a thread that goes on and is no daemon": "threading.Thread(target=time.sleep, args=(600,)).start()",
    "a removed folder": "import shutil; shutil.rmtree(Path(__file__).parent, ignore_errors=True)",
    "a folder without permissions": "Path('x/y').mkdir(parents=True, exist_ok=True); Path('x').chmod(0)",
    "a changed folder": "os.chdir('/')",
    "signals": "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "an alarm": "signal.signal(signal.SIGALRM, lambda *a: None); signal.setitimer(signal.ITIMER_REAL, 0.01)",
    "a traceback through minibert": "import traceback\ntry: minibert.equations.relu(3)\nexcept: traceback.print_exc()",
    "a warning": "import warnings; warnings.warn('x', stacklevel=2)",
    "its own source": "assert 'softmax_of' in inspect.getsource(softmax)",
    "a default data type": "torch.set_default_dtype(torch.float64)",
    "threads of torch": "torch.set_num_threads(4)",
    "a library": "import scipy.special",
    "the limit of recursion": "sys.setrecursionlimit(100_000)",
    "exec": "exec('x = 1')",
    "other functions of minibert": "minibert.equations.gelu(scores)",
    "a check": "from minibert.classroom import check; print(check(softmax).message)",
    "an unused import of the reference": "from minibert.equations import softmax as unused",
}


@pytest.mark.parametrize("body", cases(HONEST))
def test_right_code_passes_with_unusual_actions(body: str) -> None:
    with SandboxRunner(EXERCISES["softmax"], softmax_with(f"{body}\n{RIGHT}"), limits=LIMITS) as runner:
        for _ in range(2):
            outcome = runner({"scores": SCORES}, gradients=True)
            assert outcome.error is None
            torch.testing.assert_close(outcome.outputs["output"], torch.softmax(SCORES, dim=-1), check_dtype=False)
            assert outcome.gradients["scores"].shape == SCORES.shape
