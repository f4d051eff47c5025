"""Grading of all submissions, in several processes. A process that crashes ends one submission, not the rest."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

import torch

from minibert.classroom.teaching.course import Course
from minibert.classroom.teaching.grading import Graded, grade_submission
from minibert.classroom.teaching.results import Results
from minibert.classroom.teaching.submissions import Submission
from minibert.sandbox import Limits, linux

INTERVAL = 0.2
"""Seconds between two looks at signals."""


class Canceled(BaseException):
    """The end of grading after the current check."""


@dataclass(frozen=True)
class Grading:
    """All that the grading of a submission needs."""

    course: Course
    results: Results
    limits: Limits
    again: bool = False
    """True to use no stored results."""

    def grade(self, submission: Submission, check: Callable[[], None]) -> list[Graded]:
        """Grade one submission, and save the result of each exercise as soon as it is known."""

        def save(graded: Graded) -> None:
            self.results.save(graded)
            check()

        stored = {} if self.again else self.results.read(self.course, submission.student)
        return grade_submission(self.course, submission, self.limits, stored, save)

    def failed(self, submission: Submission) -> list[Graded]:
        """Save that a submission could not be graded, except for exercises with a result of the same code."""
        stored = self.results.read(self.course, submission.student)
        return grade_submission(self.course, submission, self.limits, stored, self.results.save, has_crashed=True)


def grade_all(
    grading: Grading, submissions: Sequence[Submission], jobs: int = 1, check: Callable[[], None] = lambda: None
) -> Iterator[list[Graded]]:
    """Grade all submissions and yield the results of each one, in any order.

    Args:
        jobs: number of processes; 1 grades in this process.
        check: is called often, and may raise an exception to stop.
    """
    if jobs == 1:
        for submission in submissions:
            yield grading.grade(submission, check)
        return
    waiting = list(submissions)
    while waiting:
        try:
            for submission, graded in _in_pool(grading, waiting, jobs, check):
                waiting.remove(submission)
                yield graded
        except BrokenProcessPool:
            if jobs == 1:  # the first one of those that wait has ended the process
                yield grading.failed(waiting.pop(0))
            jobs = 1


def _in_pool(
    grading: Grading, submissions: Sequence[Submission], jobs: int, check: Callable[[], None]
) -> Iterator[tuple[Submission, list[Graded]]]:
    """Grade in a pool of processes. Raises: BrokenProcessPool if one of them crashes."""
    context = multiprocessing.get_context("spawn")
    canceled = context.Event()
    pool = ProcessPoolExecutor(jobs, context, _begin, (grading, canceled))
    try:
        futures: dict[Future[list[Graded]], Submission] = {pool.submit(_work, each): each for each in submissions}
        running = set(futures)
        while running:
            done, running = wait(running, INTERVAL, FIRST_COMPLETED)
            for future in sorted(done, key=lambda each: each.exception() is not None):  # a crash must lose no results
                yield futures[future], future.result()
            check()
    finally:
        canceled.set()
        pool.shutdown(cancel_futures=True)


_state: dict[str, Any] = {}
"""The grading and the event of this process, if it is one of a pool."""


def _begin(grading: Grading, canceled: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process cancels
    linux.end_with_parent()
    torch.set_num_threads(1)
    grading.course.load()
    _state.update(grading=grading, canceled=canceled)


def _work(submission: Submission) -> list[Graded]:
    def check() -> None:
        if _state["canceled"].is_set():
            raise Canceled

    graded: list[Graded] = _state["grading"].grade(submission, check)
    return graded
