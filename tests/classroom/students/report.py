"""Write how each answer was judged: python -m tests.classroom.students.report docs/students.md."""

import sys
from collections.abc import Sequence
from pathlib import Path

from minibert.classroom.checking import check_function
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.report import Report, Verdict
from minibert.classroom.running import LocalRunner
from tests.classroom.students.agreement import DISAGREEMENTS, name_agrees, verdict_agrees
from tests.classroom.students.expected import ANSWERS, Answer, Kind

Judged = tuple[Answer, Report]

HEAD = """# Answers of students

Each function in `tests/classroom/students` is one answer to an exercise, written without a look at the catalogue of
mistakes. `expected.py` there says in words what a teacher would say about it. This page compares the words with what
`minibert check` says. When the answers were first judged, 81 of 110 single mistakes and 8 of 22 double ones had the right
name. The catalogue was extended afterwards, so the rates below say little about answers that it has never met.
To make the page again:

```sh
python -m tests.classroom.students.report docs/students.md
```
"""
SECOND = """
The second set is by another author, who saw only the stubs. Before anything was mended, 119 of 126 wrong answers failed
(6 of the others passed with a warning), 109 had the right name, and none of 55 right answers was accused. One answer that
passed ignored `pre_norm`, which the stub listed although no input used it; the stub no longer lists it, and the answer counts
as right. The rates below are those after the catalogue was mended with these answers, so they are no longer blind:
"""
THIRD = """
The third set is by two more authors, who saw only the stubs too, and who wrote one mistake into each wrong answer. Before
anything was mended, 291 of 311 wrong answers failed (4 of the others passed with a warning), 237 were named, or described by a
sentence, and 4 of 80 right answers were accused. The rates below are those after mending, so they are no longer blind:
"""
FOURTH = """
The fourth set is by another author, who saw only the stubs. Before anything was mended, 73 of 75 wrong answers failed, and the
other 2 passed with a warning that says what is wrong. Of the 73, 71 were named, or described by a clear sentence, no name was
false, and none of 36 right answers was accused unjustly. One answer that was meant to be right did not put the model into
training mode, so it counts as wrong; the stub says more clearly now that it is part of the task. The rates below are those
after mending, so they are no longer blind:
"""


def judge(answer: Answer) -> Report:
    """Check an answer."""
    exercise = EXERCISES[answer.exercise]
    return check_function(exercise, LocalRunner(exercise, answer.function), find=None)


def markdown(judged: Sequence[Judged]) -> str:
    """Return the page."""
    sets: dict[str, list[Judged]] = {"first": [], "second": [], "third": [], "fourth": []}
    for pair in judged:
        name = pair[0].name.partition(".")[0]
        sets[name if name in sets else "first"].append(pair)
    parts = [HEAD, "## Rates\n", _rates(sets["first"])]
    for name, text in (("second", SECOND), ("third", THIRD), ("fourth", FOURTH)):
        if sets[name]:
            parts += [text, _rates(sets[name])]
    parts.append("\n## Disagreements\n")
    rows = [[f"`{name}`", *texts] for name, texts in DISAGREEMENTS.items()]
    parts.append(_table(["answer", "the check", "a teacher"], rows) if rows else "None.")
    parts += ["\n## All answers\n", _table(["exercise", "answer", "teacher", "check", "named", "agree"], map(_row, judged))]
    return "\n".join(parts) + "\n"


def _rates(judged: Sequence[Judged]) -> str:
    mistaken = [pair for pair in judged if pair[0].mistakes]
    single = [pair for pair in mistaken if pair[0].mistakes == 1]
    double = [pair for pair in mistaken if pair[0].mistakes > 1]
    accepted = [pair for pair in judged if not pair[0].mistakes]
    right = [pair for pair in judged if pair[0].kind is Kind.RIGHT]
    passed = (Verdict.PASSED, Verdict.WARNING)
    rows = [
        ("answers with a mistake or another convention that fail", mistaken, lambda pair: pair[1].verdict not in passed),
        ("single mistakes with the right name", single, lambda pair: bool(pair[1].mistakes) and name_agrees(*pair)),
        ("single mistakes with the right name or description", single, lambda pair: name_agrees(*pair)),
        ("two or three mistakes, all with the right names", double, lambda pair: name_agrees(*pair)),
        ("right and unsafe answers that pass", accepted, lambda pair: pair[1].verdict in passed),
        ("right answers with an unjustified warning", right, lambda pair: not verdict_agrees(*pair)),
    ]
    counted = [(text, sum(map(test, pairs)), len(pairs)) for text, pairs, test in rows]
    return _table(
        ["", "answers", "of", "%"], [[text, str(n), str(all_), f"{100 * n / max(1, all_):.0f}"] for text, n, all_ in counted]
    )


def _row(pair: Judged) -> list[str]:
    answer, report = pair
    named = "; ".join(mistake.name for mistake in report.mistakes) or report.relation
    if report.verdict is Verdict.WARNING:
        named = named or "; ".join(report.warnings)
    name = "yes" if name_agrees(answer, report) else "no" if named else "no name"
    agree = "yes" if verdict_agrees(answer, report) else "no: verdict"
    if agree == "yes" and answer.mistakes:
        agree = name
    return [f"`{answer.exercise}`", f"`{answer.name}`", answer.words or str(answer.kind), str(report.verdict), named, agree]


def _table(head: Sequence[str], rows) -> str:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in [list(head), ["---"] * len(head), *rows]]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(markdown([(answer, judge(answer)) for answer in ANSWERS]))
