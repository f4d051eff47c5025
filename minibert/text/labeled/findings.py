"""Findings: faults and oddities in labeled data, with file and line."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, Literal, TypeVar

from minibert.printable import printable

RowT = TypeVar("RowT")
"""A row of labeled data: the input of one prediction and its label."""

ERRORS_LISTED = 5
"""Number of errors in the message of an exception."""
MAX_LINES_NAMED = 5
"""Number of further lines that are named in a finding which concerns many lines."""
MAX_MESSAGE, MESSAGE_END = 600, 200
"""Maximum number of characters of a message, and of its end, with the advice, if the middle is left out."""


class LabeledDataError(ValueError):
    """Labeled data that cannot be used. The message contains the file, the line and what to do."""


def check_file(path: Path) -> None:
    """Raise LabeledDataError for a folder, and for a pipe, a socket or a device, which can be read only once or never end."""
    if path.is_dir():
        raise LabeledDataError(f"{path}: is a folder; name its files, or use it with --dataset")
    if path.exists() and not path.is_file():
        raise LabeledDataError(f"{path}: is no regular file; save the data in one")


@dataclass(frozen=True)
class Finding:
    """A fault or an oddity in labeled data, and what was done about it.

    >>> print(Finding("train.tsv", 3, "has no label; label it, or delete the row", is_error=True))
    train.tsv, line 3: has no label; label it, or delete the row
    """

    file: str
    """Path of the file, or name of the dataset."""
    line: int | None
    """Number of the line, starting at 1. None: the finding concerns the whole file."""
    message: str
    """Description of the fault, and what was done about it or what to do."""
    is_error: bool = False
    """True: the row cannot be used, and no training starts. False: it was repaired, or is only unusual."""
    is_repaired: bool = False
    """True: the rows are read without the fault, and written without it by `--write-repaired`."""
    unit: Literal["line", "row"] = "line"
    """Unit of `line`. Data without lines, such as Parquet, has rows, which are counted from 1."""

    def __str__(self) -> str:
        place = "" if self.line is None else f", {self.unit} {self.line}"
        is_long = len(self.message) > MAX_MESSAGE
        message = f"{self.message[: MAX_MESSAGE - MESSAGE_END]} … {self.message[-MESSAGE_END:]}" if is_long else self.message
        return printable(f"{self.file}{place}: {message}")


@dataclass(frozen=True)
class LabeledData(Generic[RowT]):
    """The rows of a file or dataset and the findings of its reader.

    Rows that could be repaired without ambiguity are repaired. Rows that cannot be used are left out, each with a finding that
    is an error.
    """

    rows: list[RowT]
    findings: list[Finding] = field(default_factory=list)
    name: str = ""
    """Name for display."""
    digest: str = ""
    """Identifier of the contents, such as the SHA-256 of a file. Equal contents have equal digests."""
    notes: list[str] = field(default_factory=list)
    """Properties of the data that the reader inferred, such as its columns, each with the reason, for display."""

    @property
    def errors(self) -> list[Finding]:
        """The findings that prevent training."""
        return errors_in(self.findings)


def errors_in(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that prevent training."""
    return [finding for finding in findings if finding.is_error]


def group_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Join the findings that differ in their line alone. The joint one has the first line, and its message names the others.

    >>> print(*group_findings(Finding("a.tsv", line, "has no label") for line in (3, 4, 9)))
    a.tsv, line 3: has no label (also in 2 lines: 4, 9)
    """
    lines: dict[Finding, list[int]] = {}
    for finding in findings:
        lines.setdefault(replace(finding, line=None), []).extend([] if finding.line is None else [finding.line])
    return [_with_lines(finding, [*dict.fromkeys(found)]) for finding, found in lines.items()]


def _with_lines(finding: Finding, lines: Sequence[int]) -> Finding:
    if not lines:
        return finding
    first, *others = lines
    if not others:
        return replace(finding, line=first)
    named = ", ".join(map(str, others[:MAX_LINES_NAMED])) + (", …" if others[MAX_LINES_NAMED:] else "")
    count = f"{len(others):,} {finding.unit}s:" if others[1:] else finding.unit
    return replace(finding, line=first, message=f"{finding.message} (also in {count} {named})")


def refuse_errors(findings: Iterable[Finding], advice: str = "`minibert finetune … --check` lists all of them") -> None:
    """Raise an exception that lists the first errors, if there are any.

    Raises: LabeledDataError.
    """
    errors = errors_in(findings)
    if len(errors) == 1:
        raise LabeledDataError(str(errors[0]))
    if errors:
        groups = group_findings(errors)
        listed = "".join(f"\n  {error}" for error in groups[:ERRORS_LISTED])
        more = f"\n  and {len(groups) - ERRORS_LISTED:,} more; {advice}" if groups[ERRORS_LISTED:] else ""
        raise LabeledDataError(f"the labeled data has {len(errors):,} errors:{listed}{more}")
