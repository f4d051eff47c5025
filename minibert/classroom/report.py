"""The report of a check."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from minibert.classroom.mistakes import Mistake
from minibert.display import Shown


class Verdict(StrEnum):
    """Result of a check."""

    PASSED = "passed"
    WARNING = "passed, with a warning"
    CONVENTION = "another convention"
    """Correct in other code, but not what the exercise asks for."""
    WRONG = "not correct"
    ERROR = "does not run"
    STOPPED = "stopped"
    """The code exceeded a limit, or did what it must not do."""
    EMPTY = "not started"
    UNKNOWN = "not checked"
    """It is no function, or no exercise has its name."""


class Stage(StrEnum):
    """Parts of a check, in this order."""

    RUNS = "it runs"
    SHAPE = "shape"
    DTYPE = "data type"
    FINITE = "finite numbers"
    INPUTS = "inputs not modified"
    INVARIANTS = "properties"
    VALUES = "values"
    GRADIENTS = "gradients"


@dataclass(frozen=True)
class Named:
    """A mistake that explains the learner's numbers."""

    name: str
    kind: str
    message: str
    """The mistake as a sentence to the learner, such as "You left out √d_k."."""
    consequence: str
    seen_in: str

    @classmethod
    def of(cls, mistake: Mistake) -> "Named":
        return cls(mistake.name, mistake.kind, mistake.message or mistake.description, mistake.consequence, mistake.seen_in)


@dataclass(frozen=True)
class Comparison:
    """An input, and the numbers of the learner and of the reference for it."""

    arguments: dict[str, str]
    """The arguments as text."""
    mine: str
    expected: str
    """Empty for a property: there are the results of two calls instead."""
    difference: str
    changed: dict[str, str] = field(default_factory=dict)
    """For a property: the arguments of the second call that are different."""
    again: str = ""
    """The result of the second call."""
    relation: str = ""
    """The difference of the second call and the right results, in words."""


@dataclass(repr=False)
class Report(Shown):
    """The result of a check. All texts are plain; text of the learner's code may contain anything."""

    exercise: str
    verdict: Verdict
    failed: Stage | None = None
    """The first part of the check that failed."""
    reason: str = ""
    """The problem there, in a sentence."""
    mistakes: list[Named] = field(default_factory=list)
    """The mistakes that explain the numbers: one or two, or none if they are unknown."""
    relation: str = ""
    """A relation between the learner's numbers and the expected ones, such as "Your numbers are 2 times the expected ones."."""
    first_difference: str = ""
    """The first intermediate result that differs."""
    example: Comparison | None = None
    """The smallest failing input that was found."""
    line: int | None = None
    """Line of the learner's file that probably causes it."""
    line_text: str = ""
    hint: str = ""
    """The next hint."""
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Remarks that are neither mistakes nor warnings."""
    credit: dict[str, bool] = field(default_factory=dict)
    """Parts that are correct: "shape", "forward", "gradient", "edge cases"."""
    printed: str = ""
    """The beginning of what the code printed."""
    only_hidden: bool = False
    """True if only inputs fail that the learner must not know."""
    cell: int | None = None
    """Number of the code cell that the line is counted in, for a notebook."""
    column: int | None = None
    """Place in the line, from 1, at which Python cannot go on."""
    agreement: str = ""
    """The last intermediate result that is right, if the first that differs is not sure."""
    explained: bool = False
    """True if the reason names the fault in the code, such as an input that is changed."""

    @property
    def passed(self) -> bool:
        """True if the solution is correct."""
        return self.verdict in (Verdict.PASSED, Verdict.WARNING)

    @property
    def mistake(self) -> Named | None:
        """The mistake, or the first of two."""
        return self.mistakes[0] if self.mistakes else None

    @property
    def message(self) -> str:
        """The verdict, and what is wrong, in a few sentences."""
        from minibert.classroom.report_parts import message

        return message(self)

    @property
    def summary(self) -> str:
        """The exercise and the verdict."""
        return f"{self.exercise}: {self.verdict}"

    def _text(self) -> str:
        from minibert.classroom.report_parts import plain_text

        return plain_text(self)

    def _repr_html_(self) -> str:
        from minibert.classroom.report_parts import html

        return html(self)

    def as_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {**asdict(self), "passed": self.passed}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Report":
        """Return the report of which `as_json` has made a JSON object."""
        known = {each.name: values[each.name] for each in fields(cls) if each.name in values}
        known["verdict"] = Verdict(known["verdict"])
        known["failed"] = Stage(known["failed"]) if known.get("failed") else None
        known["mistakes"] = [Named(**mistake) for mistake in known.get("mistakes", ())]
        known["example"] = Comparison(**known["example"]) if known.get("example") else None
        return cls(**known)
