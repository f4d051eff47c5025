"""The check of a file and of a function in a notebook: it is the learner's code that is checked."""

import math

import pytest
import torch

from minibert.classroom import check, file_check
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.file_check import check_code, check_file
from minibert.classroom.hints import hints
from minibert.classroom.learner_file import LearnerFile
from minibert.classroom.report import Report, Stage, Verdict
from minibert.classroom.solution import solution
from minibert.classroom.stubs import stub
from tests.sampling import sampled

SOFTMAX = EXERCISES["softmax"]
RIGHT = "import torch\n\ndef softmax(scores):\n    return torch.softmax(scores, -1)\n"
WRONG = "def softmax(scores):\n    return scores.exp()\n"


def checked(tmp_path, source: str | bytes, exercise=SOFTMAX) -> Report:
    path = tmp_path / "01_softmax.py"
    path.write_bytes(source if isinstance(source, bytes) else source.encode())
    return check_file(exercise, path)


def test_it_is_the_file_on_disk_that_is_checked(tmp_path) -> None:
    """After each change the verdict is that of the new text, also within the same second and with the same size."""
    verdicts = [checked(tmp_path, source).verdict for source in (stub(SOFTMAX), WRONG, RIGHT, WRONG, solution(SOFTMAX))]
    assert verdicts == [Verdict.EMPTY, Verdict.WRONG, Verdict.PASSED, Verdict.WRONG, Verdict.PASSED]


def test_a_function_of_minibert_is_not_the_learners(tmp_path) -> None:
    report = checked(tmp_path, "from minibert.equations import softmax\n")
    assert not report.passed
    assert "write the function in this file" in report.reason


@pytest.mark.parametrize("name", sampled(EXERCISES, 6))
def test_no_exercise_needs_another_file(tmp_path, name) -> None:
    """An exercise passes with its own solution in a folder in which all other files are empty stubs."""
    exercise = EXERCISES[name]
    for other in EXERCISES.values():
        (tmp_path / f"{other.name}.py").write_text(stub(other), encoding="utf-8")
    (tmp_path / f"{name}.py").write_text(solution(exercise), encoding="utf-8")
    assert check_file(exercise, tmp_path / f"{name}.py").verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("source", "passed"),
    [
        (RIGHT.replace("\n", "\r\n"), True),
        (b"\xef\xbb\xbf" + RIGHT.encode(), True),
        (RIGHT.replace("    ", "\t"), True),
        (b"# coding: latin-1\n# \xe9\n" + RIGHT.encode(), True),
        (WRONG + RIGHT, True),
        (RIGHT + WRONG, False),
        ("softmax = lambda scores: (scores - scores.amax(-1, True)).softmax(-1)\n", True),
    ],
    ids=["CRLF", "BOM", "tabs", "latin-1", "the last definition is right", "the last definition is wrong", "lambda"],
)
def test_files_in_many_forms(tmp_path, source, passed) -> None:
    assert checked(tmp_path, source).passed is passed


@pytest.mark.parametrize(
    ("source", "reason", "line"),
    [
        (b"# caf\xe9\n" + RIGHT.encode(), "save it as UTF-8", 1),
        ("def softmax(scores)\n    return 1\n", "SyntaxError", 1),
        ("import torch\n\nnope\n\n" + RIGHT, "NameError: name 'nope' is not defined", 3),
        ("def soft_max(scores):\n    return scores\n", "it has soft_max. Do not rename it", None),
        ("class softmax:\n    pass\n", "softmax is a class", 1),
        ("def softmax(scores):\n    x = 1\n    return scores.nope()\n", "AttributeError", 3),
        ("def softmax(scores):\n    scores.exp()\n", "does it end with `return`", None),
        ("", "no function softmax", None),
    ],
)
def test_a_file_that_does_not_run(tmp_path, source, reason, line) -> None:
    report = checked(tmp_path, source)
    assert (report.verdict, report.failed) == (Verdict.ERROR, Stage.RUNS)
    assert reason in report.reason
    if line:
        text = (source if isinstance(source, str) else source.decode("latin-1")).split("\n")[line - 1]
        assert report.line == line
        assert report.line_text.strip() in ("", text.strip())


@pytest.mark.parametrize(
    ("source", "line", "marks"),
    [
        ("def softmax(scores)\n    return 1\n", "def softmax(scores)", "                   ^"),
        ("def softmax(scores):\nreturn 1\n", "return 1", "^"),
        ("def softmax(s):\n\tx = '中' + 3 4\n", "    x = '中' + 3 4", "                 ^"),
        ("x = 1 +\r\n", "x = 1 +", "       ^"),
    ],
)
def test_a_syntax_error_has_its_line_and_its_place(tmp_path, source, line, marks) -> None:
    shown = repr(checked(tmp_path, source)).splitlines()
    place = shown.index(f"  {line}")
    assert shown[place + 1] == f"  {marks}"


def test_the_next_hint_is_in_the_report(tmp_path) -> None:
    path = tmp_path / "softmax.py"
    path.write_text(WRONG)
    assert check_file(SOFTMAX, path).hint.startswith("Which part of the value of `exp` does your code not compute?")
    assert "____" in check_file(SOFTMAX, path, hints=9).hint
    path.write_text("def softmax(scores):\n    return scores.softmax(-1) + scores.sigmoid()\n")
    assert check_file(SOFTMAX, path).hint == SOFTMAX.questions[0]
    for without_hint in (RIGHT, "def softmax(scores)\n"):
        path.write_text(without_hint)
        assert check_file(SOFTMAX, path).hint == ""


class TestCheckInANotebook:
    def test_a_named_mistake(self) -> None:
        def scaled_dot_product_attention(query, key, value, keep=None):
            scores = query @ key.mT
            if keep is not None:
                scores = scores.masked_fill(~keep, -math.inf)
            return torch.softmax(scores, -1).nan_to_num() @ value

        report = check(scaled_dot_product_attention)
        assert not report.passed
        assert report.mistake.name == "no scale"
        assert "√d_k" in report.message
        assert "no scale" in report._repr_html_()
        assert "no scale" in repr(report)

    def test_a_right_function_with_another_name(self) -> None:
        report = check(lambda x: torch.softmax(x, -1), "softmax")
        assert report.passed
        assert report.mistake is None
        assert report.message == "softmax: passed."

    def test_a_short_name_is_enough(self) -> None:
        assert check(EXERCISES["scaled_dot_product_attention"].reference, "attention").passed

    def test_an_error_has_the_line(self) -> None:
        def softmax(scores):
            return scores.nope()

        report = check(softmax)
        assert report.line_text.strip() == "return scores.nope()"

    @pytest.mark.parametrize(
        ("name", "exercise", "call"),
        [
            ("my_softmax", None, 'check(my_softmax, "softmax")'),
            ("MySoftmax", None, 'check(MySoftmax, "softmax")'),
            ("softmax", "layernorm", 'check(softmax, "layer_norm")'),
            ("<lambda>", "gelu_new", 'check(function, "gelu_tanh")'),
            ("zzz", None, 'check(zzz, "softmax")'),
        ],
    )
    def test_an_unknown_name_says_how_to_name_the_exercise(self, name, exercise, call) -> None:
        def function(scores):
            return scores

        function.__name__ = name
        report = check(function, exercise)
        assert not report.passed
        assert f"Name the exercise: `{call}`." in report.message
        assert "similar names:" in repr(report)
        assert (exercise or name) in report._repr_html_()

    @pytest.mark.parametrize(
        ("value", "kind"), [(Report, "the class Report"), (torch.ones(1), "a Tensor"), ("softmax", "a str")]
    )
    def test_what_is_no_function_is_named(self, value, kind) -> None:
        report = check(value)
        assert not report.passed
        assert f"This is {kind}, not a function" in report.message


class FakeSandbox:
    """A sandbox in which the function is never called, and whose process has printed something."""

    printed = "printed while the file was read"

    def __init__(self, *given, **named) -> None:
        pass

    def __enter__(self) -> "FakeSandbox":
        return self

    def __exit__(self, *error) -> None:
        pass


@pytest.mark.parametrize("printed", ["", "printed by the function"])
def test_what_the_file_prints_is_shown_if_the_function_prints_nothing(tmp_path, monkeypatch, printed) -> None:
    monkeypatch.setattr(file_check, "SandboxRunner", FakeSandbox)
    monkeypatch.setattr(
        file_check, "check_function", lambda *given, **named: Report("softmax", Verdict.PASSED, printed=printed)
    )
    assert checked(tmp_path, RIGHT).printed == (printed or FakeSandbox.printed)


def test_the_first_hint_is_given_by_default(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(file_check, "check_function", lambda *given, **named: Report("softmax", Verdict.WRONG))
    (tmp_path / "a.py").write_text(WRONG)
    file = LearnerFile.read(tmp_path / "a.py")
    found = [check_code(SOFTMAX, file, FakeSandbox(), *given).hint for given in ((), (0,), (1,))]
    assert found == [str(hint) for hint in (*hints(SOFTMAX)[:1], *hints(SOFTMAX)[:2])]
    monkeypatch.setattr(file_check, "SandboxRunner", FakeSandbox)
    found = [check_file(SOFTMAX, tmp_path / "a.py", *given).hint for given in ((), (0,), (1,))]
    assert found == [str(hint) for hint in (*hints(SOFTMAX)[:1], *hints(SOFTMAX)[:2])]
