"""Feedback for a student as Markdown. It has no solutions and no numbers of hidden inputs."""

from collections.abc import Iterator, Sequence

from minibert.classroom.report import Verdict
from minibert.classroom.report_parts import Part, escaped_markdown, markdown_of, parts
from minibert.classroom.teaching.course import Course
from minibert.classroom.teaching.grades import days
from minibert.classroom.teaching.grading import Graded, State

NO_FUNCTION = "The submission has no function with this name. Write it, and do not import or rename it."
NOT_GRADED = "This could not be graded. Ask your teacher, who can grade it again."


def feedback(course: Course, student: str, results: Sequence[Graded]) -> str:
    """Return the feedback for all exercises of a student."""
    total = sum(each.points(course) for each in results)
    heading = [f"# Feedback for {escaped_markdown(student)}", escaped_markdown(course.title)]
    table = ["| exercise | result | points |", "|---|---|---:|"]
    table += [f"| {_cell(each.exercise)} | {_cell(result_of(course, each))} | {points(course, each)} |" for each in results]
    table.append(f"| total | | {total:g} / {course.points:g} |")
    return "\n\n".join([*filter(None, heading), "\n".join(table), *(section(course, each) for each in results)])


def _cell(text: str) -> str:
    return escaped_markdown(text).replace("|", r"\|")


def points(course: Course, graded: Graded) -> str:
    """Return the points as text, such as "7.5 / 10"."""
    return f"{graded.points(course):g} / {course.assignment(graded.exercise).points:g}"


def result_of(course: Course, graded: Graded) -> str:
    """Return the result in a few words. What passes is said to pass the visible checks if there are hidden ones."""
    if graded.report is None:
        return str(graded.state)
    verdict = graded.report.verdict
    if graded.report.only_hidden:
        return "visible checks passed, hidden checks not"
    if graded.report.passed and course.hidden_seeds:
        return "visible checks passed" + (", with a warning" if verdict is Verdict.WARNING else "")
    return str(verdict)


def section(course: Course, graded: Graded) -> str:
    """Return the feedback for one exercise."""
    return markdown_of(_parts(course, graded), 2)


def _parts(course: Course, graded: Graded) -> Iterator[Part]:
    title = f"{graded.exercise}: {result_of(course, graded)} ({points(course, graded)} points)"
    late = graded.days_late(course)
    lines = [f"{days(late)} after the deadline"] if late else []
    if graded.report is None:
        yield Part(title, (NO_FUNCTION if graded.state is State.MISSING else NOT_GRADED, *lines))
        return
    first, *others = parts(graded.report)
    yield Part(title, (*first.lines, *lines))
    yield from others
    if graded.report.credit and not graded.report.passed:
        yield Part(
            "Points", (", ".join(f"{part}: {'yes' if right else 'no'}" for part, right in graded.report.credit.items()),)
        )
