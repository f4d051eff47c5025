"""A course: its exercises with points and deadlines, in one TOML file, and the hidden inputs of each student."""

import hmac
import math
import os
import secrets
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from minibert.classroom.exercise import Exercise
from minibert.classroom.exercises import EXERCISES, find_exercise
from minibert.classroom.teaching.own_exercise import load_exercise
from minibert.files import write_atomically

COURSE_FILE = "course.toml"
TITLE = "The Transformer and BERT by hand"
DEFAULT_CREDIT = {"shape": 0.1, "forward": 0.5, "gradient": 0.2, "edge cases": 0.2}
"""Shares of the points for each part of a solution. They sum to 1."""
HIDDEN_SEEDS = 2
POINTS = 10.0


@dataclass(frozen=True)
class Assignment:
    """One exercise of a course."""

    name: str
    points: float = POINTS
    due: datetime | date | None = None
    """Deadline; a date is its end. None for none."""

    @property
    def deadline(self) -> datetime | None:
        """The deadline as a time. Without a time zone it is in that of this computer."""
        if self.due is None or isinstance(self.due, datetime):
            return self.due
        return datetime.combine(self.due, time.max)


@dataclass(frozen=True)
class Course:
    """The settings of a course."""

    title: str
    secret: str = field(repr=False)
    """Key of the hidden inputs. Students must not know it."""
    assignments: tuple[Assignment, ...]
    hidden_seeds: int = HIDDEN_SEEDS
    """Number of hidden inputs of each kind for each student and exercise."""
    credit: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_CREDIT))
    files: tuple[Path, ...] = ()
    """The teacher's own exercises."""

    @property
    def points(self) -> float:
        """The points of all exercises together."""
        return sum(each.points for each in self.assignments)

    def load(self) -> None:
        """Load the teacher's own exercises, in each process that uses them. Raises: ValueError, FileNotFoundError."""
        for path in self.files:
            load_exercise(path)

    def seeds(self, student: str, exercise: str) -> list[int]:
        """Return the seeds of the hidden inputs: HMAC-SHA256 of student and exercise, so that no two students share them."""
        texts = [f"{number}\0{exercise}\0{student}" for number in range(self.hidden_seeds)]
        digests = [hmac.digest(self.secret.encode(), text.encode(errors="surrogateescape"), "sha256") for text in texts]
        return [int.from_bytes(digest[:6]) for digest in digests]

    def exercise(self, name: str) -> Exercise:
        """Return an exercise of the course."""
        return EXERCISES[name]

    def assignment(self, name: str) -> Assignment:
        """Return points and deadline of an exercise."""
        return next(each for each in self.assignments if each.name == name)

    def score(self, assignment: Assignment, credit: Mapping[str, bool]) -> float:
        """Return the points for the correct parts of a solution."""
        share = sum(weight for part, weight in self.credit.items() if credit.get(part, False))
        return round(assignment.points * share, 2)


def new_course(
    exercises: Sequence[str] = (), title: str = TITLE, points: float = POINTS, due: datetime | date | None = None
) -> Course:
    """Return a course with a new secret.

    Args:
        exercises: names of exercises, or paths of files with the teacher's own ones (.py); empty for all of minibert.

    Raises: KeyError for an unknown exercise; ValueError and FileNotFoundError for a file without one.
    """
    files = tuple(Path(name).resolve() for name in exercises if name.endswith(".py"))
    own = {path.stem: load_exercise(path).name for path in files}
    names = [own[Path(name).stem] if name.endswith(".py") else find_exercise(name).name for name in exercises] or [*EXERCISES]
    assignments = tuple(Assignment(name, points, due) for name in dict.fromkeys(names))
    return Course(title, secrets.token_hex(16), assignments, files=files)


def write_course(course: Course, path: Path) -> None:
    """Write the TOML file, with comments for the teacher. Only its owner can read it."""
    files = ", ".join(_quoted(os.path.relpath(file, path.resolve().parent)) for file in course.files)
    lines = [
        "# Points and deadlines of a course. Do not give this file to students: it has the key of the hidden inputs.",
        f"title = {_quoted(course.title)}",
        f"secret = {_quoted(course.secret)}",
        '# Your own exercises, which `minibert class new NAME` begins, such as ["my_norm.py"]',
        f"files = [{files}]",
        "# Hidden inputs of each kind, other ones for each student",
        f"hidden_seeds = {course.hidden_seeds}",
        "",
        "# Shares of the points; they sum to 1",
        "[credit]",
        *(f"{_quoted(part)} = {share:g}" for part, share in course.credit.items()),
    ]
    for assignment in course.assignments:
        lines += ["", f"[exercises.{assignment.name}]", f"points = {assignment.points:g}"]
        lines += [f"due = {assignment.due.isoformat()}"] if assignment.due else ["# due = 2030-01-31T23:59:00"]
    write_atomically(path, "\n".join(lines) + "\n")
    path.chmod(0o600)


def _quoted(text: str) -> str:
    escaped = "".join(char if char.isprintable() and char not in '"\\' else f"\\U{ord(char):08x}" for char in text)
    return f'"{escaped}"'


def read_course(path: Path) -> Course:
    """Read the TOML file. Raises: FileNotFoundError if it is missing; ValueError that names what is wrong in it."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: course file not found; `minibert class release FOLDER` writes one")
    try:
        stored = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: is not valid TOML: {error}") from error
    try:
        return _course(stored, path.resolve().parent)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path}: {error.args[0] if error.args else error}") from error


def _course(stored: Mapping[str, Any], folder: Path) -> Course:
    known = {"title", "secret", "hidden_seeds", "credit", "exercises", "files"}
    if unknown := sorted(stored.keys() - known):
        raise ValueError(f"unknown setting {unknown[0]!r}; the settings are {', '.join(sorted(known))}")
    secret, exercises = stored.get("secret"), stored.get("exercises")
    if not isinstance(secret, str) or len(secret) < 8:
        raise ValueError("secret must be a text of at least 8 characters")
    if not isinstance(exercises, dict) or not exercises:
        raise ValueError("has no exercises: add a table such as [exercises.softmax]")
    credit = stored.get("credit", DEFAULT_CREDIT)
    if not isinstance(credit, dict) or credit.keys() != DEFAULT_CREDIT.keys():
        raise ValueError(f"[credit] must have the parts {', '.join(DEFAULT_CREDIT)}")
    if not all(map(_is_number, credit.values())) or abs(sum(credit.values()) - 1) > 1e-6:
        raise ValueError("the shares in [credit] must be numbers from 0 on that sum to 1")
    seeds = stored.get("hidden_seeds", HIDDEN_SEEDS)
    if not isinstance(seeds, int) or isinstance(seeds, bool) or not 0 <= seeds <= 20:
        raise ValueError("hidden_seeds must be a whole number from 0 to 20")
    files = stored.get("files", [])
    if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
        raise ValueError('files must be a list of file names, such as ["my_norm.py"]')
    own = tuple((folder / file).resolve() for file in files)
    for file in own:
        load_exercise(file)
    assignments = tuple(_assignment(name, settings) for name, settings in exercises.items())
    return Course(str(stored.get("title", "")), secret, assignments, seeds, credit, own)


def _assignment(name: str, settings: Any) -> Assignment:
    EXERCISES[name]  # an unknown name raises
    if not isinstance(settings, dict) or settings.keys() - {"points", "due"}:
        raise ValueError(f"[exercises.{name}] may have only points and due")
    points, due = settings.get("points", POINTS), settings.get("due")
    if not _is_number(points):
        raise ValueError(f"[exercises.{name}]: points must be a number from 0 on")
    if due is not None and not isinstance(due, date):
        raise ValueError(f"[exercises.{name}]: due must be a date or a time, such as 2030-01-31T23:59:00")
    return Assignment(name, float(points), due)


def _is_number(value: Any) -> bool:
    """Return True for a finite number from 0 on."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
