"""The progress of a learner: a JSON file in the folder of the exercises. It has no absolute paths, so that it can be moved."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minibert.files import read_json, write_atomically

if TYPE_CHECKING:
    from minibert.classroom.report import Report

FILE = "progress.json"
VERSION = 1


@dataclass
class Attempts:
    """The progress of one exercise."""

    checks: int = 0
    """Number of checks."""
    passed: bool = False
    """True if a check was passed, also if the file was changed afterwards."""
    verdict: str = ""
    """Verdict of the last check."""
    hints: int = 0
    """Number of hints that were shown."""
    revealed: bool = False
    """True if the solution was shown before the exercise was passed."""
    mistakes: list[str] = field(default_factory=list)
    """Names of the mistakes that were made, in the order of their first occurrence."""

    def add(self, report: "Report") -> None:
        """Enter the result of a check."""
        self.checks += 1
        self.passed |= report.passed
        self.verdict = str(report.verdict)
        self.mistakes = list(dict.fromkeys([*self.mistakes, *(mistake.name for mistake in report.mistakes)]))

    @classmethod
    def read(cls, stored: object, where: str) -> "Attempts":
        """Convert a JSON object. Unknown fields are ignored. Raises: ValueError for a value of another type."""
        if not isinstance(stored, dict):
            raise ValueError(f"{where} must be an object, not {type(stored).__name__}")
        found = cls()
        for each in fields(cls):
            value = stored.get(each.name, getattr(found, each.name))
            if type(value) is not type(getattr(found, each.name)) or (each.name == "mistakes" and not _are_texts(value)):
                raise ValueError(f"{where}: {each.name} is {json.dumps(value)[:60]}")
            if isinstance(value, int) and value < 0:
                raise ValueError(f"{where}: {each.name} is {value}")
            setattr(found, each.name, value)
        return found

    def merged(self, other: "Attempts") -> "Attempts":
        """Return the progress of two copies of a folder together: what was reached in one of them."""
        return Attempts(
            checks=max(self.checks, other.checks),
            passed=self.passed or other.passed,
            verdict=self.verdict if self.checks >= other.checks else other.verdict,
            hints=max(self.hints, other.hints),
            revealed=self.revealed or other.revealed,
            mistakes=list(dict.fromkeys([*self.mistakes, *other.mistakes])),
        )


def _are_texts(value: Any) -> bool:
    return all(isinstance(each, str) for each in value)


@dataclass
class Progress:
    """The progress with all exercises by name. Exercises without an entry were not checked."""

    exercises: dict[str, Attempts] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Attempts:
        return self.exercises.get(name, Attempts())

    def entry(self, name: str) -> Attempts:
        """Return the entry of an exercise, to change it."""
        return self.exercises.setdefault(name, Attempts())

    def merged(self, other: "Progress") -> "Progress":
        """Return the progress of both together."""
        return Progress({name: self[name].merged(other[name]) for name in self.exercises | other.exercises})

    def as_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        return {"version": VERSION, "exercises": {name: asdict(entry) for name, entry in self.exercises.items()}}


class DamagedProgress(ValueError):
    """A progress file that cannot be read, as after a full disk or a merge conflict."""


def read_progress(path: Path) -> Progress:
    """Read a progress file; a file that does not exist is an empty one.

    Raises: DamagedProgress that names the file; ValueError for a newer format, or for a file of another program.
    """
    if not path.exists():
        return Progress()
    try:
        stored = read_json(path)
    except ValueError as error:
        raise DamagedProgress(error) from None
    version, entries = stored.get("version"), stored.get("exercises")
    if not isinstance(version, int) or not isinstance(entries, dict):
        raise ValueError(f"{path}: is not a progress file of minibert: rename it, or choose another folder")
    if version > VERSION:
        raise ValueError(f"{path}: has version {version} of the format, newer than {VERSION}: update minibert")
    try:
        return Progress({name: Attempts.read(entry, name) for name, entry in entries.items()})
    except ValueError as error:
        raise DamagedProgress(f"{path}: {error}") from None


@contextmanager
def changed_progress(path: Path) -> Iterator[Progress]:
    """Read a progress file, and write it at the end of the block if something has changed."""
    progress = read_progress(path)
    before = _text(progress.as_json())
    yield progress
    if (after := _text(progress.as_json())) != before:
        write_atomically(path, after)


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
