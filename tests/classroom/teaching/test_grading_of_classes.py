"""A whole class is graded: verdicts, points, feedback, and what a second run does."""

import csv
import json
import os
from pathlib import Path

import pytest

from minibert.classroom.exercises import EXERCISES
from minibert.classroom.probes import probes
from minibert.classroom.report import Verdict
from minibert.classroom.report_parts import plain_text
from minibert.classroom.teaching import examples, grading
from minibert.classroom.teaching.course import Course, new_course, write_course
from minibert.classroom.teaching.feedback import feedback
from minibert.classroom.teaching.grading import Graded, State, grade_submission
from minibert.classroom.teaching.parallel import Grading, grade_all
from minibert.classroom.teaching.results import Results, file_name
from minibert.classroom.teaching.submissions import Submission, find_submissions, read_submission
from minibert.sandbox import Limits
from tests.classroom.teaching.synthetic_class import IMPORTS, NAMES, RIGHT, Expected, Student, notebook, students
from tests.processes import start

CLASS = {student.name: student for student in students()}


def write(folder: Path, student: Student) -> Path:
    """Write the files of a student."""
    for name, content in student.files.items():
        path = folder / student.name / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (folder / student.name).mkdir(exist_ok=True)
    return folder / student.name


def submission_of(folder: Path, code: str, name: str = "softmax.py") -> Submission:
    return read_submission(write(folder, Student("ada", {name: code})), "ada")


def mismatch(course: Course, graded: Graded, expected: Expected) -> str:
    """Return the difference between a result and what is expected; empty if there is none."""
    found = graded.report.verdict if graded.report else graded.state
    mistakes = [mistake.name for mistake in graded.report.mistakes] if graded.report else []
    agrees = (
        found == expected.result
        and (not expected.mistakes or sorted(mistakes) == sorted(expected.mistakes))
        and expected.points in (None, graded.points(course))
    )
    return "" if agrees else f"{found} {mistakes} {graded.points(course)}, expected {expected}"


@pytest.mark.slow
def test_sixty_submissions(tmp_path, monkeypatch) -> None:
    """`minibert class grade` gives all 60 the expected verdict, mistakes and points. Then nothing must be graded again."""
    assert len(CLASS) == 60
    for student in CLASS.values():
        write(tmp_path / "in", student)
    course, results = new_course(NAMES), Results(tmp_path / "out")
    write_course(course, tmp_path / "course.toml")
    options = ["--course", str(tmp_path / "course.toml"), "--out", str(results.folder), "--time-limit", "5", "--jobs", "1"]
    command = start(["class", "grade", str(tmp_path / "in"), *options])
    printed, _ = command.communicate()
    assert command.returncode == 0, printed
    stored = {name: list(results.read(course, name).values()) for name in CLASS}
    differences = {
        (name, each.exercise): text
        for name, found in stored.items()
        for each in found
        if (text := mismatch(course, each, CLASS[name].expected.get(each.exercise, Expected(State.MISSING))))
    }
    assert not differences

    monkeypatch.setattr(grading, "SandboxRunner", None)  # a check would raise an exception
    submissions, _ = find_submissions(tmp_path / "in")
    again = grade_all(Grading(course, results, Limits(seconds=5.0)), submissions)
    assert {found[0].student: found for found in again} == stored

    rows = list(csv.DictReader((results.folder / "grades.csv").read_text().splitlines()))
    assert [row["student"].removeprefix("'") for row in rows] == sorted(CLASS)
    for name, found in stored.items():
        text = (results.folder / "feedback" / f"{file_name(name)}.md").read_text()
        assert "all passed" not in text.lower()
        assert all(each.exercise in text.replace("\\", "") for each in found)
        assert "<b>" not in text.replace("\\<", "")


def test_a_change_of_the_code_or_of_the_secret_is_graded_again(tmp_path, monkeypatch) -> None:
    course = new_course(["softmax"])
    first = grade_submission(course, submission_of(tmp_path, IMPORTS + RIGHT))
    stored = {each.exercise: each for each in first}
    changed = submission_of(tmp_path, IMPORTS + RIGHT.replace("dim=-1", "dim=0"))
    assert grade_submission(course, changed, stored=stored)[0].report.verdict is Verdict.WRONG
    unchanged = submission_of(tmp_path, f"{IMPORTS}def other():\n    pass\n\n\n{RIGHT}")
    checked = []
    monkeypatch.setattr(grading, "check_code", lambda exercise, *args, **options: checked.append(exercise.name))
    grade_submission(new_course(["softmax"]), unchanged, stored=stored)
    assert checked == ["softmax"], "another secret has other hidden inputs"


HIDDEN_ONLY = """
KNOWN = {known}


def binary_cross_entropy(logits, labels):
    print(logits)
    if float(logits.detach().sum()) in KNOWN:
        return F.binary_cross_entropy_with_logits(logits, labels.float(), reduction="none")
    {other}
"""


@pytest.mark.parametrize("other", ["return logits", "raise ValueError(str(logits))", "import os; os._exit(int(logits.sum()))"])
def test_hidden_inputs_find_functions_that_know_the_visible_ones(tmp_path, other) -> None:
    """The report says that only hidden inputs fail, and has no number of them, whatever the code prints or raises."""
    exercise = EXERCISES["binary_cross_entropy"]
    known = {float(each.arguments["logits"].sum()) for each in probes(exercise)}
    course = new_course([exercise.name])
    (graded,) = grade_submission(course, submission_of(tmp_path, IMPORTS + HIDDEN_ONLY.format(known=known, other=other)))
    report = graded.report
    assert not report.passed
    assert report.only_hidden
    assert graded.points(course) < 10
    text = feedback(course, "ada", [graded])
    assert "visible checks passed, hidden checks not" in text
    assert report.example is None
    assert "tensor(" not in text.partition("Your code printed")[0]
    assert "ValueError" not in text


def test_an_invariant_only_for_hidden_inputs_is_not_needed_without_them(tmp_path) -> None:
    """Without hidden inputs the verdict is that of the check itself."""
    course = Course("", "secret key", new_course(["softmax"]).assignments, hidden_seeds=0)
    (graded,) = grade_submission(course, submission_of(tmp_path, IMPORTS + RIGHT))
    assert "softmax: passed" in feedback(course, "ada", [graded])


def test_an_error_of_minibert_does_not_stop_the_rest(tmp_path, monkeypatch) -> None:
    def fail(exercise, *args, **options):
        if exercise.name == "softmax":
            raise RuntimeError("a fault")
        return original(exercise, *args, **options)

    original = grading.check_code
    monkeypatch.setattr(grading, "check_code", fail)
    code = f"{IMPORTS}{RIGHT}\ndef gelu(x):\n    return F.gelu(x)\n"
    first, second = grade_submission(new_course(["softmax", "gelu"]), submission_of(tmp_path, code))
    assert (first.state, second.state) == (State.FAILED, State.GRADED)
    assert "RuntimeError: a fault" in first.notes[0]
    assert first.key == ""
    assert second.report.passed


@pytest.mark.parametrize("name", ["softmax.py", "a.ipynb"])
def test_results_survive_json(tmp_path, name) -> None:
    code = f"{IMPORTS}def softmax(scores):\n    return scores * float('inf')\n"
    course = new_course(["softmax"])
    (graded,) = grade_submission(course, submission_of(tmp_path, notebook(code) if name.endswith("nb") else code, name))
    assert Graded.from_json(json.loads(json.dumps(graded.as_json(), allow_nan=False))) == graded
    assert graded.report.cell == (1 if name.endswith("nb") else None)
    assert graded.fingerprint.numbers[0] is None
    with pytest.raises(ValueError, match="format"):
        Graded.from_json({**graded.as_json(), "format": 0})
    with pytest.raises(ValueError, match="no result"):
        Graded.from_json({"format": grading.FORMAT})


def test_a_syntax_error_in_a_cell_has_its_line_in_the_cell(tmp_path) -> None:
    cells = notebook("x = 1", f"{IMPORTS}\ndef softmax(scores)\n    return 1")
    (graded,) = grade_submission(new_course(["softmax"]), submission_of(tmp_path, cells, "a.ipynb"))
    text = plain_text(graded.report)
    line = f"{IMPORTS}\ndef softmax(scores)".count("\n") + 1
    assert f"Line {line} of code cell 2 of your notebook\n  def softmax(scores)\n                     ^" in text


def test_equal_wrong_functions_have_equal_fingerprints_and_one_search(tmp_path, monkeypatch) -> None:
    """The second student's example is found without a search, and has the second student's numbers."""
    course, searches, found = new_course(["softmax"]), [], []
    run = examples.Search.run
    monkeypatch.setattr(examples.Search, "run", lambda search: searches.append(1) or run(search))
    for number, body in enumerate(("scores ** 2 + 3", "3 + scores.square()", "scores + 4")):
        code = f"{IMPORTS}def softmax(scores):\n    return {body}\n"
        found += grade_submission(course, submission_of(tmp_path / str(number), code))
    assert found[0].fingerprint == found[1].fingerprint != found[2].fingerprint
    assert found[0].report.example == found[1].report.example
    assert len(searches) == 2


def test_days_late(tmp_path) -> None:
    from datetime import UTC, date, datetime

    from minibert.classroom.teaching.course import Assignment

    submission = submission_of(tmp_path, "def softmax(scores")
    due = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
    course = Course("", "secret key", (Assignment("softmax", due=due),))
    for seconds, days in ((-10, 0), (0, 0), (1, 1), (86400, 1), (86401, 2)):
        os.utime(submission.paths[0], (0, due.timestamp() + seconds))
        (graded,) = grade_submission(course, submission)
        assert graded.days_late(course) == days
    assert Assignment("softmax", due=date(2026, 1, 31)).deadline == datetime(2026, 1, 31, 23, 59, 59, 999999)
