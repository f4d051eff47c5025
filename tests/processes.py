"""Python in new processes, and in copies of a process that has imported torch and minibert, which takes seconds."""

import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerContext
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from signal import SIGKILL
from typing import IO, Any

import pytest

ROOT = Path(__file__).parents[1]
IMPORTED = [
    *("torch._dynamo", "datasets", "matplotlib.pyplot", "minibert.training.pretraining", "minibert.training.finetuning"),
    *("minibert.study.figures", "minibert.study.verify.stages", "minibert.study.evaluation.two_processes"),
]


def start(command: list[str], processes: int = 1, stdin: int | None = None) -> subprocess.Popen[str]:
    """Start `minibert` in one process, or in several processes with torchrun."""
    launcher = [] if processes == 1 else ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", *launcher, "minibert", *command]
    return subprocess.Popen(words, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def fork_server() -> ForkServerContext:
    """Return the source of the copies. Each worker of pytest has its own."""
    context = multiprocessing.get_context("forkserver")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setenv("PYTHONPATH", str(ROOT))
        context.set_forkserver_preload(IMPORTED)
        ensure_running()
    return context


class ForkedPython:
    """`subprocess.Popen` for the commands `python -m MODULE …` and `python -c CODE …`, with the output in a file."""

    def __init__(
        self, command: Sequence[str], *, stdout: IO[Any], env: Mapping[str, str], start_new_session: bool = False, **_: int
    ) -> None:
        program = [word for word in command[1:] if word != "-u"]
        arguments = (program, stdout.name, dict(env), str(Path.cwd()), start_new_session)
        self._process = fork_server().Process(target=_run, args=arguments)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return code


def _run(program: list[str], output: str, environment: dict[str, str], folder: str, new_session: bool) -> None:
    """Become the program that `python -u` runs."""
    if new_session:
        os.setsid()
    with Path(output).open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace", write_through=True)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    option, name, *_ = program
    sys.argv[:] = program[1:]
    if option == "-m":
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    else:
        exec(name, {"__name__": "__main__"})


class ForkedJob:
    """A Python program in one copy, or in several with the environment of torchrun, which makes them one job.

    Args:
        program: the words after `python`: -m MODULE … or -c CODE ….
    """

    def __init__(self, program: list[str], processes: int = 1) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            job = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": str(processes)}
        self._output = tempfile.NamedTemporaryFile("r", encoding="utf-8")  # noqa: SIM115 - removed together with this object
        words = [sys.executable, *program]
        self._ranks = [
            ForkedPython(words, stdout=self._output, env=os.environ | job | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
            for rank in range(processes)
        ]

    @property
    def returncode(self) -> int | None:
        """The exit code of the first process that failed; 0 if none did; None while one of them is running."""
        codes = [rank.poll() for rank in self._ranks]
        return None if None in codes else next(filter(None, codes), 0)

    @property
    def failed(self) -> bool:
        """True if a process has ended with an error or a signal, also while others are running."""
        return any(rank.poll() for rank in self._ranks)

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal to every process that is still running."""
        for rank in self._ranks:
            if rank.poll() is None:
                os.kill(rank.pid, number)

    def kill(self) -> None:
        self.send_signal(SIGKILL)

    def communicate(self, timeout: float = 300) -> tuple[str, None]:
        """Wait for the end, and return what the processes have printed."""
        try:
            for rank in self._ranks:
                rank.wait(timeout)
        finally:
            self.kill()
        return self._output.read(), None


class ForkedCommand(ForkedJob):
    """`minibert` in one copy or in several. The code of `setup` runs before it."""

    def __init__(self, command: list[str], processes: int = 1, setup: str = "") -> None:
        code = f"{setup}\nimport sys\nfrom minibert.commands import main\nsys.exit(main())"
        super().__init__([*(["-c", code] if setup else ["-m", "minibert"]), *command], processes)


def run_forked(code: str) -> tuple[int, str]:
    """Run Python code in a copy, and return the exit code and the output."""
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as output:
        process = ForkedPython([sys.executable, "-c", code], stdout=output, env=os.environ)
        return process.wait(), output.read()
