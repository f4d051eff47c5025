"""A teacher's own exercise: the file that `minibert class new` writes, and the checks of it."""

from pathlib import Path

import pytest

from minibert.classroom.checking import check_function
from minibert.classroom.report import Verdict
from minibert.classroom.sandbox import SandboxRunner
from minibert.classroom.teaching.exercise_checks import problems
from minibert.classroom.teaching.own_exercise import load_exercise, write_template
from minibert.commands import main

pytestmark = pytest.mark.usefixtures("without_shape_checks")


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def changed(name: str, *changes: tuple[str, str]) -> Path:
    """Write a new exercise with some changes of the template."""
    path = Path(f"{name}.py")
    write_template(path)
    text = path.read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    path.write_text(text)
    return path


def test_the_template_is_a_complete_exercise(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["class", "new", "my_norm"]) == 0
    assert main(["class", "new", "my_norm"]) == 0
    assert (
        "✓ my_norm is ready: the empty stub fails, the reference passes, and 2 mistakes are named." in capsys.readouterr().out
    )


def test_learners_code_is_checked_against_it_in_the_sandbox() -> None:
    exercise = load_exercise(changed("norm_a"))
    for code, verdict in (
        ("x / torch.sqrt(x.square().mean(-1, keepdim=True) + eps)", Verdict.PASSED),
        ("x / (x.square().mean(-1, keepdim=True).sqrt() + eps)", Verdict.WRONG),
    ):
        with SandboxRunner(exercise, f"import torch\ndef norm_a(x, eps=1e-6):\n    return {code}\n") as runner:
            report = check_function(exercise, runner, find=None)
        assert (report.verdict, bool(report.mistakes)) == (verdict, verdict is Verdict.WRONG)
    with SandboxRunner(exercise, "from norm_a import norm_a\n") as runner:
        assert check_function(exercise, runner, find=None).verdict is Verdict.STOPPED


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('"mean(dim", "sum(dim"', '"mean(dim", "mean( dim"', "changes no number: choose inputs that show it"),
        ('"mean(dim", "sum(dim"', '"median(dim", "sum(dim"', "occurs 0 times in the source"),
        (
            '(("mean(dim", "sum(dim"),)',
            '(("torch.sqrt(mean_square + eps)", "(torch.sqrt(mean_square) + eps)"),)',
            "compute the same",
        ),
        ("Kind.EQUIVALENT,", 'Kind.UNSAFE, message="You did it.",', "changes no number"),
        ("torch.rsqrt(mean_square + eps)", "torch.rsqrt(mean_square - eps)", "The equivalent form"),
        ('        message="You added eps after the root.",\n', "", "has no message"),
        ('questions=("Over which axis is the mean computed?", "What happens to a vector of zeros?"),', "", "no question"),
        ('"tokens", inputs)', '"tokens", inputs, Role.EDGE)', "no typical case"),
        ('{"x": draw', '{"y": draw', "The reference fails on the case"),
        ("draw.size(2), draw.size(4)", "draw.size(2), 0 * draw.size(4)", "changes no number"),
        ("1e-3 * draw", "1e3 * draw", "changes no number"),
    ],
)
def test_what_is_wrong_is_said(before: str, after: str, message: str) -> None:
    found = list(problems(load_exercise(changed("norm_c", (before, after)))))
    assert any(message in problem for problem in found), found


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("softmax", None, "the name softmax is in use"),
        ("json", None, "the name json is in use"),
        ("my-norm", None, "must be that of a Python function"),
        ("broken", "def f(:", "line 1: SyntaxError"),
        ("raises", "\n1 / 0", "line 2: ZeroDivisionError"),
        ("nothing", "", "has no EXERCISE"),
        ("other", "from norm_b import EXERCISE", "the exercise is named 'norm_b', expected 'other'"),
    ],
)
def test_a_file_that_is_no_exercise_is_refused(
    name: str, text: str | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changed("norm_b")
    if text is not None:
        Path(f"{name}.py").write_text(text)
    assert main(["class", "new", name]) == 2
    assert message in capsys.readouterr().err


def test_a_file_is_not_written_over_and_a_name_in_use_is_refused() -> None:
    write_template(Path("an_own_norm.py"))
    with pytest.raises(FileExistsError, match=r"^an_own_norm\.py: exists already$"):
        write_template(Path("an_own_norm.py"))
    Path("softmax.py").touch()
    with pytest.raises(ValueError, match=r"softmax\.py: the name softmax is in use; choose another$"):
        load_exercise(Path("softmax.py"))
