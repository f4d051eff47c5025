"""Watching of files: the names of those that were saved, after an editor has finished writing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

SETTLED, SETTLED_EMPTY = 2, 10
"""Number of looks without a change after which a file is complete; an empty file may be one that is being written."""
State = tuple[int, int, int]
"""Time of the last change, size, and number of the file, which changes if an editor saves by renaming a new file."""


@dataclass
class Watcher:
    """Finds saved files by looking at them repeatedly. This works on every file system, and with every editor."""

    files: Callable[[], Mapping[str, Path]]
    """Returns the files by name. They may appear and disappear."""
    _known: dict[str, State] = field(default_factory=dict)
    """States that were reported, or that files had at the beginning."""
    _waiting: dict[str, tuple[State, int]] = field(default_factory=dict)
    """States of changed files, and the number of looks at which they had it."""

    def __post_init__(self) -> None:
        self._known = self._states()

    def saved(self) -> list[str]:
        """Look at the files, and return the names of those that were saved and are complete."""
        found = []
        for name, state in self._states().items():
            if state == self._known.get(name):
                self._waiting.pop(name, None)
                continue
            before, looks = self._waiting.get(name, (state, 0))
            self._waiting[name] = state, looks = state, looks + 1 if before == state else 1
            if looks > (SETTLED if state[1] else SETTLED_EMPTY):
                self._known[name] = state
                del self._waiting[name]
                found.append(name)
        return found

    def _states(self) -> dict[str, State]:
        states = {}
        for name, path in self.files().items():
            try:
                status = path.stat()
            except OSError:  # between removal and renaming
                continue
            states[name] = status.st_mtime_ns, status.st_size, status.st_ino
        return states
