"""Collecting the findings of one file."""

from collections import defaultdict
from typing import Literal

from minibert.text.labeled.findings import Finding

MAX_LINES_NAMED = 5
"""Number of further lines that are named in a finding which concerns many lines."""


class FindingLog:
    """The findings of a file, in the order of their lines.

    Each error is a finding of its own. A repair or an oddity that occurs on several lines is one finding, which names the first
    lines and counts the others.
    """

    def __init__(self, file: str, unit: Literal["line", "row"] = "line") -> None:
        self.file = file
        self.unit: Literal["line", "row"] = unit
        self.errors: list[Finding] = []
        self.repairs: dict[str, list[int]] = defaultdict(list)
        self.oddities: dict[str, list[int]] = defaultdict(list)
        self.whole: list[Finding] = []

    def error(self, line: int | None, message: str) -> None:
        """Add a fault because of which a row cannot be used."""
        self.errors.append(Finding(self.file, line, message, is_error=True, unit=self.unit))

    def repair(self, line: int, message: str) -> None:
        """Add a fault that was repaired."""
        self.repairs[message].append(line)

    def oddity(self, line: int | None, message: str) -> None:
        """Add something unusual, of one line or of the whole file."""
        if line is None:
            self.whole.append(Finding(self.file, None, message, unit=self.unit))
        else:
            self.oddities[message].append(line)

    @property
    def findings(self) -> list[Finding]:
        """All findings: those of the whole file, then those of lines."""
        repairs = [self._grouped(message, lines, True) for message, lines in self.repairs.items()]
        oddities = [self._grouped(message, lines, False) for message, lines in self.oddities.items()]
        return self.whole + sorted(self.errors + repairs + oddities, key=lambda finding: finding.line or 0)

    def _grouped(self, message: str, lines: list[int], is_repaired: bool) -> Finding:
        first, *others = dict.fromkeys(lines)
        named = ", ".join(map(str, others[:MAX_LINES_NAMED])) + (", …" if others[MAX_LINES_NAMED:] else "")
        if others:
            message += f" (also in {f'{len(others):,} {self.unit}s:' if others[1:] else self.unit} {named})"
        return Finding(self.file, first, message, is_repaired=is_repaired, unit=self.unit)
