"""Students with the same mistake: named mistakes, unknown mistakes with equal numbers, and functions that do not run."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from minibert.classroom.report import Report, Verdict
from minibert.classroom.teaching.grading import Fingerprint, Graded

SAME = 1e-4
"""Largest difference of equal fingerprints, relative to their largest number."""


class GroupKind(StrEnum):
    """GroupKind of a group. The letter is the first one of its mark."""

    NAMED = "M"
    """A mistake of the catalogue, or another convention, or unsafe numerics."""
    UNKNOWN = "U"
    """A wrong function whose numbers match no known mistake."""
    FAILED = "E"
    """A function that does not run, or was stopped."""


@dataclass(frozen=True)
class Group:
    """Results with the same mistake."""

    mark: str
    """The name of the group, such as "M1"."""
    title: str
    results: tuple[Graded, ...]

    @property
    def students(self) -> list[str]:
        """The students, each once."""
        return list(dict.fromkeys(each.student for each in self.results))

    @property
    def exercises(self) -> dict[str, int]:
        """The exercises, with the number of results."""
        names = [each.exercise for each in self.results]
        return {name: names.count(name) for name in sorted(names)}

    @property
    def example(self) -> Report:
        """The report that says most: the first one with a line of code, or the first one."""
        reports = [each.report for each in self.results if each.report]
        return next((report for report in reports if report.line_text), reports[0])


def groups(results: Mapping[str, Sequence[Graded]]) -> dict[GroupKind, list[Group]]:
    """Return the groups of each kind, the most common first."""
    graded = [each for student in results.values() for each in student if each.report]
    return {kind: _numbered(kind, _FINDERS[kind](graded)) for kind in GroupKind}


def _numbered(kind: GroupKind, found: Iterable[tuple[str, list[Graded]]]) -> list[Group]:
    unnumbered = [Group("", title, tuple(members)) for title, members in found]
    ordered = sorted(unnumbered, key=lambda group: (-len(group.students), group.title, group.students))
    return [Group(f"{kind}{number}", group.title, group.results) for number, group in enumerate(ordered, start=1)]


def _named(graded: Sequence[Graded]) -> list[tuple[str, list[Graded]]]:
    found = defaultdict(list)
    for each in graded:
        for mistake in _report(each).mistakes:
            found[mistake.name].append(each)
    return list(found.items())


def _unknown(graded: Sequence[Graded]) -> list[tuple[str, list[Graded]]]:
    """Group by fingerprint. Each one is compared with the first one of a group, so that no group is wider than allowed."""
    found: list[tuple[str, list[Graded]]] = []
    for each in graded:
        report = _report(each)
        if report.passed or report.mistakes or report.verdict not in (Verdict.WRONG, Verdict.CONVENTION):
            continue
        same = next((members for _, members in found if _same(members[0], each)), None)
        if same is None:
            found.append((report.relation or report.reason, [each]))
        else:
            same.append(each)
    return found


def _failed(graded: Sequence[Graded]) -> list[tuple[str, list[Graded]]]:
    found = defaultdict(list)
    for each in graded:
        report = _report(each)
        if report.verdict in (Verdict.ERROR, Verdict.STOPPED):
            found[each.exercise, report.reason].append(each)
    return [(reason, members) for (_, reason), members in found.items()]


_FINDERS = {GroupKind.NAMED: _named, GroupKind.UNKNOWN: _unknown, GroupKind.FAILED: _failed}


def _report(graded: Graded) -> Report:
    assert graded.report is not None
    return graded.report


def _same(one: Graded, other: Graded) -> bool:
    """Return True for equal fingerprints of one exercise. Results without one are equal if the same check fails."""
    if one.exercise != other.exercise:
        return False
    if one.fingerprint and other.fingerprint:
        return same_fingerprint(one.fingerprint, other.fingerprint)
    first, second = _report(one), _report(other)
    return one.fingerprint is other.fingerprint and (first.failed, first.reason) == (second.failed, second.reason)


def same_fingerprint(one: Fingerprint, other: Fingerprint) -> bool:
    """Return True if two fingerprints differ by at most `SAME`. Infinity and NaN must be at the same places."""
    pairs = list(zip(one.numbers, other.numbers, strict=False))
    if (one.input, one.shape, len(one.numbers)) != (other.input, other.shape, len(other.numbers)):
        return False
    if any((a is None) != (b is None) for a, b in pairs):
        return False
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    scale = max((abs(number) for pair in known for number in pair), default=0.0)
    return all(abs(a - b) <= SAME * scale for a, b in known)
