"""The submissions of a course: one folder, Python file or notebook for each student. Nothing of them runs here."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from minibert.classroom.folder import NUMBERED
from minibert.classroom.learner_file import MAX_BYTES, NOTEBOOK, BadFile, LearnerFile
from minibert.classroom.needed_code import imported_modules
from minibert.files import reason_of

SUFFIXES = (".py", NOTEBOOK)
MAX_FILES = 300
"""Files of one student that are read."""
MAX_DEPTH = 8
"""Folders inside of folders that are searched."""
NOT_OWN = frozenset({"env", "venv", "node_modules", "site-packages"})
"""Folders with installed packages. Those whose names begin with a dot or with two underscores are left out, too."""


@dataclass(frozen=True)
class FoundFunction:
    """A function of a submission."""

    path: Path
    file: LearnerFile | None
    """The file, or None if it cannot be read."""
    problem: BadFile | None = None
    """The reason why the function cannot be checked."""
    note: str = ""
    """A remark for the teacher."""


@dataclass(frozen=True)
class Submission:
    """The files of one student."""

    student: str
    folder: Path
    """The folder that contains the files."""
    paths: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    """Remarks for the teacher, such as links that were not followed."""

    def name_of(self, path: Path) -> str:
        """Return the name of a file inside of the folder."""
        return path.relative_to(self.folder).as_posix()

    @cached_property
    def files(self) -> dict[Path, LearnerFile | BadFile]:
        """The files, or why they cannot be read."""
        return {path: _read(path) for path in self.paths}

    @property
    def unreadable(self) -> list[str]:
        """A sentence for each file that cannot be read, and for each cell of a notebook that is no Python."""
        sentences = []
        for path, file in self.files.items():
            if isinstance(file, BadFile):
                sentences.append(f"{self.name_of(path)}: {file}")
            else:
                sentences += [f"{self.name_of(path)}: code cell {cell.number} is no Python" for cell in file.broken]
        return sentences

    def find(self, name: str) -> FoundFunction | None:
        """Return the function of this name, by the syntax trees of all files; None if it was not submitted.

        Of several files, that one counts in which the function is written, can be read, and that has the name of the exercise.
        """
        found = [each for path, file in self.files.items() if (each := _find(path, file, name))]
        if not found:
            return None
        best = max(enumerate(found), key=lambda numbered: (*_preference(numbered[1], name), numbered[0]))[1]
        if others := [self.name_of(each.path) for each in found if each is not best]:
            note = f"{name} is in {len(found)} files; {self.name_of(best.path)} counts, not {', '.join(others)}"
            return FoundFunction(best.path, best.file, best.problem, note)
        return best


def _read(path: Path) -> LearnerFile | BadFile:
    try:
        return LearnerFile.read(path)
    except BadFile as bad:
        return bad
    except OSError as error:
        return BadFile(f"The file cannot be read: {reason_of(error)}")


def _find(path: Path, file: LearnerFile | BadFile, name: str) -> FoundFunction | None:
    """Return the function in a file. A damaged file has it if its text defines the name, or if its own name says so."""
    if isinstance(file, BadFile):
        named = NUMBERED.fullmatch(path.with_suffix(".py").name)
        is_meant = (named and named[1] == name) or _defines(_text_of(path), name)
        return FoundFunction(path, None, file) if is_meant else None
    try:
        file.require_function(name)
    except BadFile as bad:
        broken = [cell for cell in file.broken if _defines(cell.text, name)]
        if broken and (error := broken[-1].error):
            return FoundFunction(path, file, BadFile.of(error, file.cells[broken[-1].number - 1]))
        return FoundFunction(path, file, bad) if bad.line and not file.only_imports(name) else None
    return FoundFunction(path, file)


def _defines(text: str, name: str) -> bool:
    return bool(re.search(rf"^\s*(?:(?:async\s+)?def\s+{name}\b|{name}\s*=)", text, re.MULTILINE))


def _text_of(path: Path) -> str:
    """Return the beginning of a file as text. In a notebook, lines are JSON strings."""
    try:
        with path.open("rb") as file:
            text = file.read(1_000_000).decode(errors="replace")
    except OSError:
        return ""
    return re.sub(r'"|\\n', "\n", text) if path.suffix.lower() == NOTEBOOK else text


def _preference(found: FoundFunction, name: str) -> tuple[bool, bool, bool]:
    """Return what makes a function preferable to one of the same name in another file."""
    named = NUMBERED.fullmatch(found.path.with_suffix(".py").name)
    written = found.file is None or not found.file.is_stub(name)
    return written, found.problem is None, bool(named and named[1] == name)


def find_submissions(folder: Path, leave_out: Path | None = None) -> tuple[list[Submission], list[str]]:
    """Return the submissions in a folder, by name, and the entries that are none.

    Each folder in it, and each Python file or notebook, is one student. Links are not followed.

    Args:
        leave_out: an entry that is no submission, such as the folder of results.

    Raises: FileNotFoundError if there is no such folder; ValueError if it has no submissions.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: folder of submissions not found")
    paths: dict[str, list[Path]] = {}
    notes: dict[str, list[str]] = {}
    others = []
    for entry in sorted(folder.iterdir()):
        if _is_hidden(entry.name) or (leave_out and os.path.realpath(entry) == os.path.realpath(leave_out)):
            continue
        if entry.is_dir() and not entry.is_symlink():
            submission = read_submission(entry, entry.name)
            paths.setdefault(entry.name, []).extend(submission.paths)
            notes.setdefault(entry.name, []).extend(submission.notes)
        elif _is_code(entry):
            paths.setdefault(entry.stem, []).append(entry)
        else:
            others.append(entry.name)
    if not paths:
        raise ValueError(f"{folder}: has no submissions; expected a folder, a Python file or a notebook for each student")
    return [Submission(name, folder, tuple(paths[name]), tuple(notes.get(name, ()))) for name in sorted(paths)], others


def read_submission(folder: Path, student: str) -> Submission:
    """Return the submission of one student: all Python files and notebooks in a folder and in the folders inside of it."""
    notes: list[str] = []
    paths = sorted(_code_files(folder, MAX_DEPTH, notes))
    if len(paths) > MAX_FILES:
        notes.append(f"only {MAX_FILES} of {len(paths)} files were read")
    return Submission(student, folder, tuple(paths[:MAX_FILES]), tuple(notes))


def _code_files(folder: Path, depth: int, notes: list[str]) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        notes.append(f"{folder.name}: {reason_of(error)}")
        return
    for entry in entries:
        if _is_hidden(entry.name) or entry.name in NOT_OWN:
            continue
        if entry.is_symlink():
            notes.append(f"{entry.name}: links are not followed")
        elif entry.is_dir(follow_symlinks=False):
            if depth:
                yield from _code_files(Path(entry.path), depth - 1, notes)
            else:
                notes.append(f"{entry.name}: too many folders inside of folders")
        elif _is_code(path := Path(entry.path)):
            yield path


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__"))


def _is_code(path: Path) -> bool:
    """Return True for a Python file or notebook. Links, pipes and devices are none."""
    return path.suffix.lower() in SUFFIXES and stat.S_ISREG(path.lstat().st_mode)


def sibling_files(submission: Submission, path: Path, code: str) -> dict[str, bytes]:
    """Return the Python files in the folder of a file by name, if a piece of its code imports one of them."""
    siblings = [each for each in submission.paths if each.parent == path.parent and each.suffix == ".py"]
    imported = {name.partition(".")[0] for name in imported_modules(code)}
    if not imported & {each.stem for each in siblings}:
        return {}
    return {each.name: each.read_bytes() for each in siblings if each.stat().st_size <= MAX_BYTES}
