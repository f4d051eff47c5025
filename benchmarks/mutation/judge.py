"""A plugin of pytest that runs the tests against mutants, each in a copy of this process, instead of running them once.

The process has collected the tests and imported minibert, and has run nothing: no cache is filled. A copy gives the functions
their changed code, and runs the tests that reach the changed line until one fails.
"""

import ast
import gc
import importlib
import json
import os
import pkgutil
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import zip_longest
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import Phase, settings

import minibert
from benchmarks.mutation.copies import processes_are_copies
from benchmarks.mutation.guard import stay_in
from benchmarks.mutation.mutants import ROOT, Mutant, defaults_of, functions_in
from benchmarks.mutation.reach import FOLDER, ReachMap

KNOWN_SECONDS, FIRST_SECONDS, ALL_SECONDS = 1.0, 2.0, 5.0
"""Seconds for the tests of a mutant, as they take without it: if there is a reason why none can notice it; else for the first,
fastest tests, and for all."""
FAST = 0.3
"""A test that takes fewer seconds can run before the others."""
LIMIT, LONGER = 2.0, 20
"""A test that takes so many seconds and so many times its usual time counts as failed."""
DEFAULTS = "test_defaults.py"
"""Name of the files whose tests look at default values without a call."""
IN_OTHER_PROCESSES = ("minibert/sandbox/session.py", "tests/processes.py")
"""Files that start processes. Their tests may reach lines that no test reaches in its own process."""


class Judge:
    """The tests, the functions with the code that can be changed, and which tests reach which line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reach = ReachMap(folder)
        self.items: dict[str, pytest.Item] = {}
        self.functions: dict[tuple[str, str], list[FunctionType]] = defaultdict(list)
        self.lines: dict[str, dict[int, set[str]]] = {}
        self.sound: dict[str, bool] = {}
        """Whether a test passes without a mutant, so that its failure says something."""
        self.killers: dict[str, list[str]] = defaultdict(list)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for module in pkgutil.walk_packages(minibert.__path__, "minibert."):
            if not module.name.endswith(("__main__", "triton_attention")):  # Triton compiles functions from their files
                importlib.import_module(module.name)
        for each in gc.get_objects():
            if isinstance(each, FunctionType) and each.__code__.co_filename.startswith(str(ROOT / "minibert")):
                file = str(Path(each.__code__.co_filename).relative_to(ROOT))
                self.functions[file, each.__code__.co_qualname].append(each)
        self.items = {item.nodeid: item for item in session.items}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        asked = json.loads((self.folder / "mutants.json").read_text(encoding="utf-8"))
        parts: dict[str, list[int]] = defaultdict(list)
        for number, each in enumerate(asked):
            parts[f"{each['mutant']['file']} {number // 40}"].append(number)
        waiting, more = os.pipe()  # the numbers of the parts: each lane takes the next one
        os.write(more, bytes(number for part in range(len(parts)) for number in part.to_bytes(4, "big")))
        os.close(more)
        gc.freeze()
        lanes = []
        for _ in range(int(os.environ["MINIBERT_JOBS"])):
            if (lane := os.fork()) == 0:
                with ending_the_process():
                    while part := os.read(waiting, 4):
                        self._judge([*parts.values()][int.from_bytes(part, "big")], asked)
            lanes.append(lane)
        if any(os.waitpid(lane, 0)[1] for lane in lanes):
            pytest.exit("a process of the mutation test has failed", returncode=3)
        return True

    def _judge(self, numbers: list[int], asked: list[dict[str, Any]]) -> None:
        for number in numbers:
            each = asked[number]
            mutant = Mutant(**each["mutant"])
            result = self.judged(mutant, tuple(f"{folder}/" for folder in each["without"]), each["is_known"])
            self._note("results.jsonl", {"number": number} | result)
            if result["test"]:
                self._note("noticed.jsonl", [mutant.key(), result])

    def _note(self, name: str, result: object) -> None:
        with (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")

    def judged(self, mutant: Mutant, without: tuple[str, ...], is_known: bool) -> dict[str, Any]:
        """Return which test notices a mutant, how many tests ran, and how long it took.

        Args:
            without: beginnings of the names of tests that do not run.
            is_known: whether there is a reason why no test can notice it, so that the first tests are enough.
        """
        began, ran = time.monotonic(), 0
        tests = [test for test in self.tests_of(mutant) if not test.startswith(without)]
        first = KNOWN_SECONDS if is_known else FIRST_SECONDS
        for some in _first_and_rest(tests, self.reach.cost, first)[: 1 if is_known else 2]:
            while some:
                failed, count, how = self.in_copy(mutant, some)
                ran += count
                if failed is None:
                    break
                if self.is_sound(some[: some.index(failed) + 1]):
                    if failed in self.killers[mutant.file]:
                        self.killers[mutant.file].remove(failed)
                    self.killers[mutant.file].insert(0, failed)
                    return {"test": failed, "how": how, "ran": ran, "seconds": round(time.monotonic() - began, 3)}
                some = [test for test in some[some.index(failed) :] if test != failed]
        return {"test": None, "how": "", "ran": ran, "reaching": len(tests), "seconds": round(time.monotonic() - began, 3)}

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Return the tests that reach the changed statement.

        First come those that noticed the last mutants, then fast ones of files whose names begin with that of the module, then
        the fastest of each other file, then the second of each: many kinds of tests in little time.
        """
        if mutant.file not in self.lines:
            self.lines[mutant.file] = self.reach.lines(ROOT / mutant.file)
        lines = self.lines[mutant.file]
        reaching: set[str] = set().union(*(lines.get(line, ()) for line in range(mutant.line, mutant.last_line + 1)))
        if mutant.kind == "default":  # a test may look at a default value without a call, next to tests that call the function
            files = {test.partition("::")[0] for test in reaching}
            reaching = {test for test in self.items if (file := test.partition("::")[0]) in files or file.endswith(DEFAULTS)}
        if not reaching:  # it runs in another process, or in a trace function, whose lines nothing can note
            reaching = self.starting_processes().union(*lines.values())
        fast = [test for test in self.killers[mutant.file] if test in reaching and self.reach.cost(test) < FAST]
        known = fast[:5]
        others = sorted((each for each in reaching if each in self.items and each not in known), key=self.reach.cost)
        places: dict[str, int] = Counter()
        order: dict[str, int] = {}
        for test in others:
            places[file := test.partition("::")[0]] += 1
            is_near = Path(file).name.startswith(f"test_{Path(mutant.file).stem}") and self.reach.cost(test) < FAST
            order[test] = 0 if is_near else places[file]
        others.sort(key=order.__getitem__)
        return [test for test in (*known, *others) if self.sound.get(test, True)]

    def starting_processes(self) -> set[str]:
        """Return the tests that start copies of the process."""
        for file in IN_OTHER_PROCESSES:
            if file not in self.lines:
                self.lines[file] = self.reach.lines(ROOT / file)
        found = (set().union(*self.lines[file].values()) for file in IN_OTHER_PROCESSES)
        return set().union(*found)

    def is_sound(self, tests: list[str]) -> bool:
        """Return True if the last of some tests passes without a mutant, after the others."""
        if tests[-1] not in self.sound:
            self.sound[tests[-1]] = self.in_copy(None, tests)[0] is None
        return self.sound[tests[-1]]

    def in_copy(self, mutant: Mutant | None, tests: list[str]) -> tuple[str | None, int, str]:
        """Run tests in a copy of this process. Return the one that fails, how many ran, and how it failed."""
        temporary = tempfile.mkdtemp(prefix="minibert-mutation-")
        reading, writing = os.pipe()
        process = os.fork()
        if process == 0:
            with ending_the_process():
                os.close(reading)
                os.setsid()
                self._run(mutant, tests, writing, Path(temporary))
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as answers:
            answer = answers.read().split("\n")
        _, status = os.waitpid(process, 0)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process, signal.SIGKILL)
        shutil.rmtree(temporary, ignore_errors=True)
        started = answer[:-1]
        if started and started[-1] in ("failed", "passed"):
            *started, last = started
            return (started[-1] if last == "failed" else None), len(started), last
        if not started:
            raise RuntimeError(f"no test could be started for {mutant}")
        is_slow = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM
        return started[-1], len(started), "takes too long" if is_slow else "ends the process"

    def _run(self, mutant: Mutant | None, tests: list[str], writing: int, temporary: Path) -> None:
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
        os.environ["MINIBERT_CACHE"] = str(temporary / "cache")
        os.environ["HF_HOME"] = str(temporary / "huggingface")
        os.chdir(ROOT)
        processes_are_copies()
        stay_in(temporary)
        if mutant:
            install(mutant, self.functions)
        failed = False
        for test, following in zip_longest(tests, tests[1:]):
            os.write(writing, f"{test}\n".encode())
            item = self.items[test]
            item.config._tmp_path_factory._basetemp = temporary  # type: ignore[attr-defined]
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, LIMIT + LONGER * self.reach.cost(test))
            reports = runtestprotocol(item, log=False, nextitem=self.items.get(following))
            signal.setitimer(signal.ITIMER_REAL, 0)
            if failed := any(report.failed for report in reports):
                break
        os.write(writing, b"failed\n" if failed else b"passed\n")


@contextmanager
def ending_the_process() -> Iterator[None]:
    """End this process after what is inside, with exit code 1 if it raises an exception, and run nothing else."""
    try:
        yield
    except BaseException:
        os._exit(1)
    os._exit(0)


def install(mutant: Mutant, functions: dict[tuple[str, str], list[FunctionType]]) -> None:
    """Give the functions of this process the code of a mutant."""
    tree = ast.parse(mutant.source())
    changed = functions.get((mutant.file, mutant.function), ())
    if used := {name for function in changed for name in function.__code__.co_freevars}:
        _keep_names(dict(functions_in(tree))[mutant.function], used)
    for code in _codes(compile(tree, str(ROOT / mutant.file), "exec", dont_inherit=True)):
        if code.co_qualname == mutant.function or code.co_qualname.startswith(f"{mutant.function}.<locals>."):
            for function in functions.get((mutant.file, code.co_qualname), ()):
                if len(function.__code__.co_freevars) == len(code.co_freevars):
                    function.__code__ = code
    if mutant.kind == "default":
        _install_defaults(mutant, functions)
    definition = dict(functions_in(tree))[mutant.function]
    if any(ast.unparse(decorator).startswith("triton.jit") for decorator in definition.decorator_list):
        _install_kernel(mutant, definition, changed)


def _install_kernel(mutant: Mutant, definition: ast.FunctionDef, kernels: Sequence[FunctionType]) -> None:
    """Give Triton's interpreter the code of a mutant. It keeps its own version of a kernel, made of the source in the file."""
    from triton.runtime.interpreter import FunctionRewriter, InterpretedFunction

    definition.decorator_list = []
    for kernel in kernels:
        rewriter = FunctionRewriter(kernel)
        rewriter.filename = str(ROOT / mutant.file)
        new = rewriter._compile_and_exec(rewriter._transform_ast(ast.unparse(definition)))
        InterpretedFunction.rewritten_fn[kernel] = new


def _keep_names(definition: ast.FunctionDef, names: set[str]) -> None:
    """Use names of the code around a function in a line that never runs: a function keeps its number of such names."""
    uses: list[ast.stmt] = [ast.Expr(ast.Name(name, ast.Load())) for name in sorted(names)]
    definition.body.append(ast.If(ast.Constant(False), uses, []))
    ast.fix_missing_locations(definition)


def _install_defaults(mutant: Mutant, functions: dict[tuple[str, str], list[FunctionType]]) -> None:
    positional, named = defaults_of(mutant)
    for function in functions.get((mutant.file, mutant.function), ()):
        names = function.__globals__
        function.__defaults__ = tuple(eval(each, names) for each in positional) or None
        function.__kwdefaults__ = {name: eval(each, names) for name, each in named.items()} or None


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _first_and_rest(tests: Iterable[str], cost: Any, first_seconds: float) -> list[list[str]]:
    """Return the tests that fit into the first seconds, and those that fit into the rest of the time."""
    first: list[str] = []
    rest: list[str] = []
    total = 0.0
    for test in tests:
        if total + cost(test) <= first_seconds or not first:
            first.append(test)
        elif total + cost(test) <= ALL_SECONDS:
            rest.append(test)
        else:
            break
        total += cost(test)
    return [first, rest]


def pytest_configure(config: pytest.Config) -> None:
    """Random tests have few examples, the same every time, and look for no simpler ones."""
    phases = [Phase.explicit, Phase.generate]
    settings.register_profile("mutation", deadline=None, max_examples=30, derandomize=True, database=None, phases=phases)
    settings.load_profile("mutation")
    sys.setrecursionlimit(3000)
    config.pluginmanager.register(Judge(Path(os.environ[FOLDER])), "judge")
