"""Collecting the findings of one file."""

from collections import defaultdict
from typing import Literal

from minibert.text.labeled.findings import Finding, group_findings


class FindingLog:
    """The findings of a file, in the order of their lines.

    Each error is a finding of its own. A repair or an oddity that occurs on several lines is one finding, which names the first
    lines and counts the others.
    """

    def __init__(self, file: str, unit: Literal["line", "row"] = "line") -> None:
        self.file = file
        self.unit: Literal["line", "row"] = unit
        self.errors: list[Finding] = []
        self.repairs: dict[str, list[int | None]] = defaultdict(list)
        self.oddities: dict[str, list[int | None]] = defaultdict(list)

    def error(self, line: int | None, message: str) -> None:
        """Add a fault because of which a row cannot be used."""
        self.errors.append(Finding(self.file, line, message, is_error=True, unit=self.unit))

    def repair(self, line: int, message: str) -> None:
        """Add a fault that was repaired."""
        self.repairs[message].append(line)

    def oddity(self, line: int | None, message: str) -> None:
        """Add something unusual, of one line or of the whole file."""
        self.oddities[message].append(line)

    @property
    def findings(self) -> list[Finding]:
        """All findings: those of the whole file, then those of lines."""
        located = [
            Finding(self.file, line, message, is_repaired=is_repaired, unit=self.unit)
            for messages, is_repaired in ((self.repairs, True), (self.oddities, False))
            for message, lines in messages.items()
            for line in lines
        ]
        return sorted(self.errors + group_findings(located), key=lambda finding: finding.line or 0)
