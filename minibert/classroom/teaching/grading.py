"""Grading of one submission: each function of the course, checked in a sandbox with visible and with hidden inputs."""

import hashlib
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import minibert
from minibert.classroom.distance import gradient_distance, value_distance
from minibert.classroom.exercise import Arguments, Exercise
from minibert.classroom.file_check import check_code, report_of_bad_file
from minibert.classroom.learner_file import BadFile
from minibert.classroom.probes import expected, probes
from minibert.classroom.report import Report
from minibert.classroom.running import Outcome
from minibert.classroom.sandbox import SandboxRunner
from minibert.classroom.teaching.course import Course
from minibert.classroom.teaching.examples import KnownExamples
from minibert.classroom.teaching.submissions import Submission, sibling_files
from minibert.sandbox import Limits

FORMAT = 1
"""Version of the stored results."""
MAX_NUMBERS = 32
"""Numbers in a fingerprint."""


class State(StrEnum):
    """State of one exercise of one student."""

    GRADED = "graded"
    MISSING = "not submitted"
    FAILED = "could not be graded"
    """An error of minibert, not of the student. The next run tries again."""


@dataclass(frozen=True)
class Fingerprint:
    """Numbers of a wrong function, to find the students who made the same unknown mistake."""

    input: int
    """Number of the first visible input with a wrong result."""
    shape: tuple[int, ...]
    numbers: tuple[float | None, ...]
    """Numbers of the result, evenly spaced, and their mean; None for infinity and NaN."""


@dataclass(frozen=True)
class Graded:
    """The result of one exercise of one student."""

    student: str
    exercise: str
    state: State
    report: Report | None = None
    fingerprint: Fingerprint | None = None
    file: str = ""
    """The file with the function, inside of the student's folder."""
    modified: float | None = None
    """Time at which this file was changed, in seconds since 1970."""
    notes: list[str] = field(default_factory=list)
    """Remarks for the teacher."""
    key: str = ""
    """Hash of all that the report depends on; empty if it must be computed again."""

    def points(self, course: Course) -> float:
        """Return the points, from 0 to those of the exercise."""
        return course.score(course.assignment(self.exercise), self.report.credit if self.report else {})

    def days_late(self, course: Course) -> int:
        """Return the begun days after the deadline; 0 if it was submitted in time, or if there is no deadline."""
        due = course.assignment(self.exercise).deadline
        if due is None or self.modified is None:
            return 0
        return max(0, math.ceil((self.modified - due.timestamp()) / 86400))

    def as_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {"format": FORMAT, **asdict(self), "report": self.report and self.report.as_json()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Graded":
        """Return the result of which `as_json` has made a JSON object. Raises: ValueError for any other object."""
        try:
            if values["format"] != FORMAT:
                raise ValueError(f"format {values['format']}, not {FORMAT}")
            known = {name: values[name] for name in cls.__dataclass_fields__}
            known["state"] = State(known["state"])
            known["report"] = known["report"] and Report.from_json(known["report"])
            if stored := known["fingerprint"]:
                known["fingerprint"] = Fingerprint(stored["input"], tuple(stored["shape"]), tuple(stored["numbers"]))
            return cls(**known)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no result of grading: {error}") from error


def grade_submission(
    course: Course,
    submission: Submission,
    limits: Limits | None = None,
    stored: Mapping[str, Graded] | None = None,
    save: Callable[[Graded], None] = lambda graded: None,
    has_crashed: bool = False,
) -> list[Graded]:
    """Grade all exercises of a course. What a student submits raises no exception.

    Args:
        stored: earlier results by exercise. One is used again if nothing has changed that it depends on.
        save: is called with each result.
        has_crashed: whether a process crashed that graded this submission. Then no function is checked again.
    """
    results = []
    for assignment in course.assignments:
        earlier = (stored or {}).get(assignment.name)
        try:
            graded = _grade(course, assignment.name, submission, limits or Limits(), earlier, has_crashed)
        except Exception as error:  # an error of minibert must not stop the rest
            what = "a file cannot be read" if isinstance(error, OSError) else "minibert could not grade it"
            note = f"{what}: {type(error).__name__}: {error}"
            graded = Graded(submission.student, assignment.name, State.FAILED, notes=[note])
        save(graded)
        results.append(graded)
    return results


def _grade(
    course: Course, name: str, submission: Submission, limits: Limits, earlier: Graded | None, has_crashed: bool
) -> Graded:
    exercise = course.exercise(name)
    found = submission.find(name)
    if found is None:
        return Graded(submission.student, name, State.MISSING, notes=[*submission.notes, *submission.unreadable])
    graded = Graded(
        submission.student,
        name,
        State.GRADED,
        file=submission.name_of(found.path),
        modified=found.path.stat().st_mtime,
        notes=[*submission.notes, *filter(None, [found.note])],
    )
    try:
        if found.problem or found.file is None:
            raise found.problem or BadFile("The file cannot be read.")
        code = found.file.needed(name)
    except BadFile as bad:
        return replace(graded, report=report_of_bad_file(exercise, bad, found.file))
    siblings = sibling_files(submission, found.path, code)
    seeds = course.seeds(submission.student, name)
    key = _key([code, *siblings.items(), seeds, limits, *(path.read_bytes() for path in course.files)])
    if earlier and earlier.key == key:
        return replace(earlier, file=graded.file, modified=graded.modified, notes=graded.notes)
    if has_crashed:
        return replace(graded, state=State.FAILED, notes=[*graded.notes, "the process that graded it crashed"])
    recorder = Recorder(exercise, SandboxRunner(exercise, code, limits=limits, siblings=siblings))
    report = check_code(exercise, found.file, recorder, hidden_seeds=seeds, find=_known_examples)
    return replace(graded, report=report, fingerprint=recorder.fingerprint(), key=key)


_known_examples = KnownExamples()


def _key(parts: list[object]) -> str:
    text = repr([FORMAT, _code_of_minibert(), torch.__version__, parts])
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def _code_of_minibert() -> str:
    """Return a hash of all code of minibert, on which every result depends."""
    digest = hashlib.sha256()
    for path in sorted(Path(minibert.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class Recorder(AbstractContextManager["Recorder"]):
    """A runner that keeps the outcomes of the visible inputs."""

    def __init__(self, exercise: Exercise, sandbox: SandboxRunner) -> None:
        self.exercise, self.sandbox = exercise, sandbox
        self.outcomes: list[Outcome] = []

    def __enter__(self) -> "Recorder":
        self.sandbox.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.sandbox.__exit__(*error)

    def __call__(self, arguments: Arguments, gradients: bool, trail: bool = False) -> Outcome:
        """Call the function. The first calls of a check are those with the visible inputs."""
        outcome = self.sandbox(arguments, gradients, trail)
        if len(self.outcomes) < len(probes(self.exercise)):
            self.outcomes.append(outcome)
        return outcome

    def fingerprint(self) -> Fingerprint | None:
        """Return numbers of the first wrong result; None if no result has wrong numbers."""
        for number, (own, other) in enumerate(zip(self.outcomes, expected(self.exercise), strict=False)):
            case = probes(self.exercise)[number].case
            if own.outputs and value_distance(own, other, case) > case.tolerance:
                return fingerprint(number, own.outputs)
            if gradient_distance(own, other, case) > case.tolerance:
                return fingerprint(number, own.gradients)
        return None


def fingerprint(number: int, outputs: Mapping[str, Tensor]) -> Fingerprint:
    """Return the fingerprint of the outputs for one input."""
    shape = tuple(size for tensor in outputs.values() for size in tensor.shape)
    flat = [torch.view_as_real(each) if each.is_complex() else each for each in outputs.values()]
    numbers = torch.cat([tensor.double().flatten() for tensor in flat])
    places = torch.linspace(0, max(0, len(numbers) - 1), min(len(numbers), MAX_NUMBERS - 1)).long()
    shown = [*numbers[places].tolist(), *([float(numbers.mean())] if len(numbers) else [])]
    return Fingerprint(number, shape, tuple(float(f"{value:.5e}") if math.isfinite(value) else None for value in shown))
