"""The report of a class: one HTML page without scripts and outside links, which works from a folder and on paper."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from string import Template

from minibert import __version__
from minibert.classroom.mistakes import Kind
from minibert.classroom.report import Verdict
from minibert.classroom.teaching.class_report.tables import LEVELS, bar, data, heading, isolated, level, number, table
from minibert.classroom.teaching.course import Assignment, Course
from minibert.classroom.teaching.grades import days, days_late, notes
from minibert.classroom.teaching.grading import Graded, State
from minibert.classroom.teaching.mistake_groups import Group, GroupKind, groups
from minibert.classroom.teaching.release import due_text
from minibert.display import escape
from minibert.study.page.page import POLICY, content_hash

FOLDER = Path(__file__).parent
BINS = 10
"""Bars of the histogram."""
SIGNS = {State.MISSING: "–", State.FAILED: "?"}
NOT_STARTED = "○"
Results = Mapping[str, Sequence[Graded]]
Groups = Mapping[GroupKind, Sequence[Group]]


def class_report(course: Course, results: Results) -> str:
    """Return the page. `results` has the results of each student, in the order of the course."""
    found = groups(results)
    style = (FOLDER / "page.css").read_text(encoding="utf-8")
    policy = {**POLICY, "style-src": content_hash(style)}
    sections = [_facts(course, results), _points(course, results, found)]
    sections += [_mistakes(found, len(results)), _unknown(found, len(results)), _failed(found, len(results))]
    sections += [_totals(course, results), _exercises(course, results), _notes(course, results)]
    return Template((FOLDER / "page.html").read_text(encoding="utf-8")).substitute(
        policy="; ".join(f"{name} {value}" for name, value in policy.items()),
        title=escape(f"Report: {course.title}" if course.title else "Report of the class"),
        style=style,
        body="\n".join(sections),
    )


def _total(course: Course, graded: Sequence[Graded]) -> float:
    return sum(each.points(course) for each in graded)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _facts(course: Course, results: Results) -> str:
    totals = [_total(course, graded) for graded in results.values()]
    late = sum(1 for graded in results.values() if days_late(course, graded))
    facts = {
        "Students": f"{len(results)}",
        "Exercises": f"{len(course.assignments)}",
        "Mean of the totals": f"{_share(sum(totals), len(totals)):.1f} of {course.points:g} points",
        "Late": f"{late} {'student' if late == 1 else 'students'}",
        "Hidden inputs": f"{course.hidden_seeds} of each kind" if course.hidden_seeds else "none",
        "Graded with": f"minibert {__version__}",
    }
    return (
        "<dl>" + "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(fact)}</dd></div>" for name, fact in facts.items()) + "</dl>"
    )


def _section(title: str, explanation: str, content: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n<p>{explanation}</p>\n{content}\n</section>"


def _points(course: Course, results: Results, found: Groups) -> str:
    """Return the heat map: a row for each student, a column for each exercise."""
    marks: dict[tuple[str, str], dict[str, None]] = {}
    for group in (group for kind in GroupKind for group in found[kind]):
        for each in group.results:
            marks.setdefault((each.student, each.exercise), {})[group.mark] = None
    names = [f'<span class="upright">{_breakable(each.name)}</span>' for each in course.assignments]
    rows = (_student(course, student, graded, marks) for student, graded in results.items())
    scale = "".join(f'<span class="level{each}">{text}</span>' for each, text in ((0, "none"), (3, "half"), (LEVELS, "all")))
    explanation = (
        f'Color: the points, <span class="scale">{scale}</span>. The marks lead to the mistakes below: M for a known mistake, '
        f"U for an unknown one, E for a function that does not run. {SIGNS[State.MISSING]} means not submitted, "
        f"{NOT_STARTED} not started, {SIGNS[State.FAILED]} not graded."
    )
    return _section("Points", explanation, table("Points of each student", ["Student", *names, "Total", "Late"], rows, "heat"))


def _student(course: Course, student: str, graded: Sequence[Graded], marks: Mapping[tuple[str, str], Iterable[str]]) -> str:
    cells = [_cell(course, each, marks.get((student, each.exercise), ())) for each in graded]
    total = _total(course, graded)
    late = days_late(course, graded)
    last = [data(f"<b>{total:g}</b>", f"number level{level(total, course.points)}"), number(days(late) if late else "no")]
    return "".join([heading(student), *cells, *last])


def _cell(course: Course, graded: Graded, marks: Iterable[str]) -> str:
    """Return the points of an exercise, and what was wrong."""
    points, most = graded.points(course), course.assignment(graded.exercise).points
    links = " ".join(f'<a href="#{mark}">{mark}</a>' for mark in marks)
    sign, meaning = _sign(graded)
    note = f'<span aria-hidden="true">{sign}</span><span class="unseen">{meaning}</span>' if sign else ""
    return data(" ".join(filter(None, [f"{points:g}", links, note])), f"number level{level(points, most)}")


def _sign(graded: Graded) -> tuple[str, str]:
    if graded.report is not None and graded.report.verdict is Verdict.EMPTY:
        return NOT_STARTED, Verdict.EMPTY
    return SIGNS.get(graded.state, ""), graded.state


def _breakable(name: str) -> str:
    """Return a name that can be broken after an underscore."""
    return escape(name).replace("_", "_<wbr>")


NONE = "<p>None.</p>"
HEADER = ("Mark", "Students", '<span class="unseen">Share of the class</span>')


def _group(group: Group, students: int, content: str) -> str:
    """Return the row of a group. `content` is the mistake, or an example of it."""
    count = len(group.students)
    names = f"<p>{', '.join(map(isolated, group.students))}</p>"
    first = heading(group.mark, group.mark) + number(f"{count}") + bar(_share(count, students))
    return first + data(content) + data(_where(group)) + data(names)


def _paragraphs(*texts: str) -> str:
    return "".join(f"<p>{isolated(text)}</p>" for text in texts if text)


def _where(group: Group) -> str:
    """Return the exercises of a group, with the number of results if there are several."""
    counts = group.exercises
    return "<br>".join(_breakable(name) + (f" ({count})" if len(counts) > 1 else "") for name, count in counts.items())


def _groups(title: str, explanation: str, caption: str, column: str, rows: Sequence[str]) -> str:
    """Return the section of the groups of one kind, with one row for each group."""
    content = table(caption, [*HEADER, column, "Exercise", "Names"], rows) if rows else NONE
    return _section(title, explanation, content)


def _mistakes(found: Groups, students: int) -> str:
    rows = []
    for group in found[GroupKind.NAMED]:
        mistake = next(each for each in group.example.mistakes if each.name == group.title)
        kind = "" if mistake.kind == Kind.BUG else f" ({mistake.kind})"
        text = f"<b>{isolated(f'{mistake.name}{kind}')}</b>{_paragraphs(mistake.message, mistake.consequence)}"
        rows.append(_group(group, students, text))
    explanation = "The mistakes that minibert recognized, the most common first. A student can have several."
    return _groups("Mistakes", explanation, "Students with each mistake", "Mistake", rows)


def _unknown(found: Groups, students: int) -> str:
    explanation = (
        "Wrong functions that match no known mistake. Students in one group have the same wrong numbers. "
        "The code is that of one of them."
    )
    rows = [_group(group, students, _example(group)) for group in found[GroupKind.UNKNOWN]]
    return _groups("Unknown mistakes", explanation, "Students with the same wrong numbers", "Example", rows)


def _failed(found: Groups, students: int) -> str:
    explanation = "Errors, and functions that were stopped because they exceeded a limit."
    rows = [_group(group, students, _example(group)) for group in found[GroupKind.FAILED]]
    return _groups("Functions that do not run", explanation, "Students with the same error", "Example", rows)


def _example(group: Group) -> str:
    """Return the line and the numbers of one student."""
    report = group.example
    first = f"First difference: {report.first_difference}" if report.first_difference else ""
    code = f"<pre><code>{escape(report.line_text.strip())}</code></pre>" if report.line_text.strip() else ""
    line = f"<p>Line {report.line} of one of them:</p>" if report.line and code else ""
    return _paragraphs(report.reason, report.relation, first) + line + code


def _totals(course: Course, results: Results) -> str:
    """Return the histogram of the totals."""
    most = course.points
    totals = [_total(course, graded) for graded in results.values()]
    counts = [0] * BINS
    for total in totals:
        counts[min(BINS - 1, int(BINS * _share(total, most)))] += 1
    edges = [f"{most * place / BINS:g}" for place in range(BINS + 1)]
    rows = (
        heading(f"{low} to {'' if high == edges[-1] else 'below '}{high}")
        + number(f"{count}")
        + bar(_share(count, max(counts)))
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
    )
    header = ["Points", "Students", '<span class="unseen">Histogram</span>']
    return _section(
        "Totals", f"The points of all exercises together, of {most:g}.", table("Histogram of the totals", header, rows)
    )


def _exercises(course: Course, results: Results) -> str:
    rows = [
        _exercise(course, assignment, [graded[place] for graded in results.values()])
        for place, assignment in enumerate(course.assignments)
    ]
    header = ["Exercise", "Points", "Deadline", "Mean", "Correct", "Not correct", "Not started", "Not submitted"]
    return _section(
        "Exercises",
        "Number of students with each result, and the mean of their points.",
        table("Results of each exercise", header, rows),
    )


def _exercise(course: Course, assignment: Assignment, graded: Sequence[Graded]) -> str:
    reports = [each.report for each in graded if each.report]
    correct = sum(report.passed for report in reports)
    empty = sum(report.verdict is Verdict.EMPTY for report in reports)
    mean = _share(sum(each.points(course) for each in graded), len(graded))
    counts = [correct, len(reports) - correct - empty, empty, sum(each.state is State.MISSING for each in graded)]
    due = due_text(assignment) or "none"
    return "".join([heading(assignment.name), *map(number, (f"{assignment.points:g}", due, f"{mean:.2f}", *map(str, counts)))])


def _notes(course: Course, results: Results) -> str:
    rows = list(_note_rows(course, results))
    return _section(
        "Notes for the teacher",
        "What was left out, is missing, or needs a look.",
        table("Notes on each student", ["Student", "Notes"], rows) if rows else NONE,
    )


def _note_rows(course: Course, results: Results) -> Iterator[str]:
    for student, graded in results.items():
        if found := notes(course, graded):
            yield heading(student) + data(_paragraphs(*found))
