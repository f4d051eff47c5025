"""Grading of all submissions: results that are kept, processes that crash, and an early end."""

import os
import signal
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch

from minibert.classroom.report import Report, Verdict
from minibert.classroom.teaching import parallel
from minibert.classroom.teaching.course import Course, new_course
from minibert.classroom.teaching.grading import Graded, State
from minibert.classroom.teaching.parallel import Canceled, Grading, grade_all
from minibert.classroom.teaching.results import Results
from minibert.classroom.teaching.submissions import Submission, find_submissions, read_submission
from minibert.sandbox import Limits

CRASHED = ["the process that graded it crashed"]


def named(name: str) -> Submission:
    return Submission(name, Path(), ())


@dataclass(frozen=True)
class ToyGrading(Grading):
    """Grading without a check. A student called "crash" ends the process."""

    course: Course = field(default_factory=lambda: new_course(["softmax"]))
    results: Results = field(default_factory=lambda: Results(Path()))
    limits: Limits = field(default_factory=Limits)
    names: list[str] = field(default_factory=list)
    """Names of the students in the order of grading."""

    def grade(self, submission: Submission, check: Callable[[], None]) -> list[Graded]:
        self.names.append(submission.student)
        if submission.student == "crash":
            raise BrokenProcessPool
        check()
        return [Graded(submission.student, "softmax", State.GRADED)]

    def failed(self, submission: Submission) -> list[Graded]:
        return [Graded(submission.student, "softmax", State.FAILED)]


@dataclass
class ToyPool:
    """`ProcessPoolExecutor`, with this process as its only one. After a crash, every later task fails."""

    jobs: int
    context: Any
    initializer: Callable[..., None]
    arguments: tuple[Any, ...]
    is_broken: bool = False

    def __post_init__(self) -> None:
        pools.append(self)
        self.initializer(*self.arguments)

    def submit(self, function: Callable[..., object], *arguments: object) -> Future[object]:
        future: Future[object] = Future()
        try:
            if self.is_broken:
                raise BrokenProcessPool
            future.set_result(function(*arguments))
        except BrokenProcessPool as error:
            self.is_broken = True
            future.set_exception(error)
        return future

    def shutdown(self, *, cancel_futures: bool) -> None:
        self.end = (cancel_futures, self.arguments[1].is_set())


pools: list[ToyPool] = []


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Pools of this process. Returns what each of their processes does when it begins."""
    calls: list[object] = []
    pools.clear()
    monkeypatch.setattr(parallel, "ProcessPoolExecutor", ToyPool)
    monkeypatch.setattr(parallel, "_state", {})
    monkeypatch.setattr(signal, "signal", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(parallel.linux, "end_with_parent", lambda: calls.append("end with parent"))
    monkeypatch.setattr(torch, "set_num_threads", lambda count: calls.append(("threads", count)))
    monkeypatch.setattr(Course, "load", lambda self: calls.append("load"))
    return calls


def graded_names(grading: ToyGrading, names: list[str], *arguments: Any) -> list[tuple[str, str]]:
    submissions = [named(name) for name in names]
    results = [each for (each,) in grade_all(grading, submissions, *arguments)]
    assert [each.student for each in submissions] == names  # the list is the caller's
    return sorted((each.student, each.state.name) for each in results)


def test_one_job_needs_no_other_process(begun: list[object]) -> None:
    """The submissions are graded in their order, and a crash is one of this process."""
    grading, checks = ToyGrading(), []
    found = graded_names(grading, ["b", "a", "c"], 1, lambda: checks.append(1))
    assert graded_names(grading, ["d"]) == [("d", "GRADED")]
    assert found == [("a", "GRADED"), ("b", "GRADED"), ("c", "GRADED")]
    assert (grading.names, len(checks), pools, begun) == (["b", "a", "c", "d"], 3, [], [])
    with pytest.raises(BrokenProcessPool):
        graded_names(grading, ["crash"], 1)


def test_beginning_of_a_process_of_the_pool(begun: list[object]) -> None:
    """Ctrl-C ends the main process, whose end is the end of the others. Each of them has one thread and the exercises."""
    assert graded_names(ToyGrading(), ["a", "b"], 3) == [("a", "GRADED"), ("b", "GRADED")]
    assert begun == [(signal.SIGINT, signal.SIG_IGN), "end with parent", ("threads", 1), "load"]
    (pool,) = pools
    assert (pool.jobs, pool.context.get_start_method(), pool.end) == (3, "spawn", (True, True))


@pytest.mark.parametrize("place", range(4))
def test_a_crash_ends_one_submission(begun: list[object], place: int) -> None:
    """After a crash of the pool, all that wait are graded by one process, in which the first that waits has crashed."""
    names = ["a", "b", "c"]
    names.insert(place, "crash")
    expected = [("a", "GRADED"), ("b", "GRADED"), ("c", "GRADED"), ("crash", "FAILED")]
    grading = ToyGrading()
    assert graded_names(grading, names, 2) == expected
    assert grading.names.count("crash") == 2
    assert [pool.jobs for pool in pools][:2] == [2, 1]
    assert {pool.jobs for pool in pools[1:]} == {1}


def test_the_main_process_can_stop_the_pool(begun: list[object]) -> None:
    """The check is called after the results that are known, and its exception ends the pool."""

    def stop() -> None:
        raise Canceled

    found = grade_all(ToyGrading(), [named("a"), named("b")], 2, stop)
    assert sorted(results[0].student for results in (next(found), next(found))) == ["a", "b"]
    with pytest.raises(Canceled):
        next(found)
    assert pools[0].end == (True, True)


def test_a_process_of_the_pool_ends_after_the_current_check(monkeypatch: pytest.MonkeyPatch) -> None:
    canceled = Event()
    monkeypatch.setattr(parallel, "_state", {"grading": ToyGrading(), "canceled": canceled})
    assert [each.student for each in parallel._work(named("a"))] == ["a"]
    canceled.set()
    with pytest.raises(Canceled):
        parallel._work(named("a"))


def test_results_of_a_submission_that_crashed(tmp_path: Path) -> None:
    """What needed a check has failed, and results of another version of the code are not used."""
    grading = Grading(new_course(["softmax", "gelu"]), Results(tmp_path / "out"), Limits())
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "a.py").write_text("def softmax(scores):\n    return scores\n")
    submission = read_submission(tmp_path / "ada", "ada")
    grading.results.save(Graded("ada", "softmax", State.GRADED, Report("softmax", Verdict.PASSED), key="of another version"))
    softmax, gelu = grading.failed(submission)
    assert (softmax.state, softmax.report, softmax.notes, softmax.file) == (State.FAILED, None, CRASHED, "a.py")
    assert gelu == Graded("ada", "gelu", State.MISSING)
    assert grading.results.read(grading.course, "ada") == {"softmax": softmax, "gelu": gelu}


class Deadly(tuple[str, ...]):
    """Notes that end the process that receives them."""

    def __reduce__(self) -> object:
        return os._exit, (1,)


def submissions_of(tmp_path, count: int):
    for number in range(count):
        (tmp_path / "in" / f"student{number}").mkdir(parents=True)
        (tmp_path / "in" / f"student{number}" / "a.py").write_text("def softmax(scores\n")
    return find_submissions(tmp_path / "in")[0]


def test_all_are_graded(tmp_path) -> None:
    grading_ = Grading(new_course(["softmax", "gelu"]), Results(tmp_path / "out"), Limits())
    found = {each[0].student: each for each in grade_all(grading_, submissions_of(tmp_path, 3))}
    assert sorted(found) == ["student0", "student1", "student2"]
    assert all([each.state for each in results] == [State.GRADED, State.MISSING] for results in found.values())
    for student, results in found.items():
        assert list(grading_.results.read(grading_.course, student).values()) == results


@pytest.mark.slow
def test_a_process_that_crashes_ends_one_submission(tmp_path) -> None:
    """Of several processes, one ends. Its submission is reported, and the others are graded."""
    submissions = submissions_of(tmp_path, 3)
    submissions[1].paths[0].write_text("def softmax(scores):\n    return scores\n")
    object.__setattr__(submissions[1], "notes", Deadly())
    grading_ = Grading(new_course(["softmax"]), Results(tmp_path / "out"), Limits())
    found = {each[0].student: each[0] for each in grade_all(grading_, submissions, 2)}
    assert {student: graded.state for student, graded in found.items()} == {
        "student0": State.GRADED,
        "student1": State.FAILED,
        "student2": State.GRADED,
    }
    assert found["student1"].notes == CRASHED


def test_grading_can_be_stopped(tmp_path) -> None:
    """What was graded is stored."""
    calls = []

    def check() -> None:
        calls.append(1)
        if len(calls) > 2:
            raise Canceled

    grading_ = Grading(new_course(["softmax", "gelu"]), Results(tmp_path / "out"), Limits())
    with pytest.raises(Canceled):
        list(grade_all(grading_, submissions_of(tmp_path, 3), check=check))
    assert len(list((tmp_path / "out").rglob("*.json"))) == 3


def test_everything_can_be_graded_again(tmp_path, monkeypatch) -> None:
    stored = []
    monkeypatch.setattr("minibert.classroom.teaching.parallel.grade_submission", lambda *args: stored.append(args[3]) or [])
    course, results = new_course(["softmax"]), Results(tmp_path / "out")
    results.save(Graded("student0", "softmax", State.GRADED, Report("softmax", Verdict.PASSED)))
    submissions = submissions_of(tmp_path, 1)
    for again in (False, True):
        list(grade_all(Grading(course, results, Limits(), again), submissions))
    assert [len(each) for each in stored] == [1, 0]
