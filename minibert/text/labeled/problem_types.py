"""The type of a classification problem, inferred from the labels: one class, independent classes, or a number."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from minibert.text.labeled.column_roles import listed
from minibert.text.labeled.duplicates import finding_at
from minibert.text.labeled.findings import Finding
from minibert.text.labeled.label_reader import OTHER_SEPARATORS
from minibert.text.labeled.label_values import may_be_missing, number
from minibert.text.labeled.text_rows import TextRow

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]
DESCRIPTIONS: dict[ProblemType, str] = {
    "single_label_classification": "one class for each text",
    "multi_label_classification": "any number of classes for each text",
    "regression": "a number for each text",
}
MANY_CLASSES = 20
"""Number of classes from which it is unusual that most have a single text."""
FRACTION_WITH_UNIT = re.compile(r"[^0-9.,]*[0-9]+([.,][0-9]+)?\s*(/\s*[0-9]+|[^0-9.,]*)")
NUMBERS_WITH_COMMAS = re.compile(r"[+-]?[0-9]+(,[0-9]+)*")
BY_NAME = "for classes, write labels that are not numbers"


@dataclass(frozen=True)
class InferredProblem:
    """The type of a problem, the reason, and the labels that do not agree with it."""

    problem_type: ProblemType
    reason: str
    """A line for display."""
    findings: tuple[Finding, ...] = ()


def infer_problem(rows: Sequence[TextRow], given: ProblemType | None = None, given_by: str = "as given") -> InferredProblem:
    """Infer whether texts have one class, independent classes, or a number, from all rows with a label.

    Args:
        given: the type, if it is known.
        given_by: why it is known, for display.

    Returns: the type. Its findings contain errors if labels do not agree with it, or if the type is not clear.
    """
    labeled = [row for row in rows if row.label is not None]
    numbers = [row for row in labeled if number(row.label) is not None]
    fractions = [row for row in numbers if not str(row.label).lstrip("+-").isdigit()]
    others = [row for row in labeled if number(row.label) is None and not may_be_missing(str(row.label))]
    if given is not None:
        inferred, reason = given, given_by
    elif any(isinstance(row.label, tuple) for row in labeled):
        inferred, reason = "multi_label_classification", "labels are lists"
    elif fractions and len(numbers) > len(others):
        example = f"{fractions[0].label!r} in {fractions[0].unit} {fractions[0].line}"
        inferred, reason = "regression", f"labels are numbers with a fraction, such as {example}"
    else:
        inferred, reason = "single_label_classification", _describe_classes(labeled, len(numbers) == len(labeled))
    findings = _check_numbers(labeled) if inferred == "regression" else _check_classes(labeled, inferred, given is not None)
    return InferredProblem(inferred, f"{DESCRIPTIONS[inferred]} ({reason})", tuple(findings))


def _describe_classes(rows: Sequence[TextRow], is_numeric: bool) -> str:
    counts = Counter(str(row.label) for row in rows)
    shown = f"{len(counts):,} different labels: {listed([*counts], most=5)}"
    return f"{shown}; whole numbers are classes too, unless --regression is given" if is_numeric and len(counts) > 2 else shown


def _check_numbers(rows: Sequence[TextRow]) -> list[Finding]:
    message = "has the label {label!r}, where labels are numbers; write a finite number with a decimal point, or delete the row"
    wrong = [row for row in rows if number(row.label) is None]
    findings = [finding_at(row, message.format(label=row.label), is_error=True) for row in wrong]
    if len(rows) > 1 and len({number(row.label) for row in rows}) == 1 and not wrong:
        findings.append(finding_at(rows[0], f"all rows have the number {rows[0].label}; there is nothing to learn from them"))
    return findings


def _check_classes(rows: Sequence[TextRow], inferred: ProblemType, is_given: bool) -> list[Finding]:
    if inferred == "multi_label_classification":
        wrong = [row for row in rows if not isinstance(row.label, tuple)]
        return [
            finding_at(row, "has a single label, where labels are lists; use lists for all", is_error=True) for row in wrong
        ]
    several = [row for row in rows if isinstance(row.label, tuple)]
    findings = [finding_at(row, "has a list of labels; give --multi-label", is_error=True) for row in several]
    counts = Counter(str(row.label) for row in rows)
    if not is_given and any("," in label for label in counts) and all(map(NUMBERS_WITH_COMMAS.fullmatch, counts)):
        row = next(row for row in rows if "," in str(row.label))
        choices = "for several labels, give --multi-label; for numbers, write a decimal point"
        findings.append(finding_at(row, f"has the label {row.label!r}; {choices}; {BY_NAME}", is_error=True))
    names = [row for row in rows if number(row.label) is None]
    has_fraction = any(re.search("[.,]", label) for label in counts)
    if names and has_fraction and all(map(FRACTION_WITH_UNIT.fullmatch, counts)) and not findings:
        advice = "if the labels are scores, write only the numbers, and give --regression"
        findings.append(finding_at(rows[0], f"has the label {rows[0].label!r}; {advice}"))
    if 0 < len(names) < len(rows) and not findings:
        row = names[0] if names[0] is not rows[0] else next(row for row in rows if number(row.label) is not None)
        message = "some labels are numbers and others are not; check that all rows have the same kind of label"
        findings.append(finding_at(row, f"has the label {row.label!r}: {message}"))
    for row in rows:
        parts = re.split(f"[{OTHER_SEPARATORS}]", str(row.label))
        if parts[1:] and all(part.strip() in counts for part in parts) and not findings:
            findings.append(finding_at(row, f"has the label {row.label!r}; if these are several labels, give --multi-label"))
    if len(counts) > max(MANY_CLASSES, len(rows) / 2):
        message = (
            f"there are {len(counts):,} different labels in {len(rows):,} rows; check that the column of the label is right"
        )
        findings.append(finding_at(rows[0], message))
    return findings
