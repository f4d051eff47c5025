"""The commands of the classroom: check, hint, reveal, reset and progress."""

import errno
import io
import json
import os
import shutil
from pathlib import Path

import pytest

from minibert.classroom.exercises import EXERCISES
from minibert.classroom.folder import ExerciseFolder
from minibert.classroom.progress import Attempts, Progress
from minibert.commands import main
from minibert.commands.exercises import progress_of
from minibert.commands.learning_progress import exercise_list

RIGHT = "import torch\n\n\ndef softmax(scores):\n    return torch.softmax(scores, -1)\n"
WRONG = "def softmax(scores):\n    return scores.exp()\n"
QUICK = "--no-example"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExerciseFolder:
    """A new folder, next to the working directory's other files."""
    monkeypatch.chdir(tmp_path)
    made = ExerciseFolder(Path("exercises"))
    made.install()
    return made


def write(folder: ExerciseFolder, text: str, name: str = "softmax") -> None:
    folder.file(name).write_text(text, encoding="utf-8")


def progress(folder: ExerciseFolder) -> dict:
    return json.loads(folder.progress.read_text())["exercises"]


def test_check_prints_the_report_and_returns_0_or_1(folder, capsys) -> None:
    write(folder, WRONG)
    assert main(["check", "softmax", QUICK]) == 1
    assert "softmax: not correct" in capsys.readouterr().out
    write(folder, RIGHT)
    assert main(["check", "softmax"]) == 0
    assert capsys.readouterr().out == "✓ softmax: passed\n\n"
    assert progress(folder)["softmax"]["passed"]
    assert progress(folder)["softmax"]["checks"] == 2


@pytest.mark.parametrize("name", ["softmax", "1", "01_softmax.py", "exercises/01_softmax.py"])
def test_an_exercise_has_a_name_a_number_and_a_file(folder, capsys, name) -> None:
    write(folder, RIGHT)
    assert main(["check", name]) == 0
    assert progress(folder)["softmax"]["passed"]


def test_without_a_name_all_that_were_begun_are_checked(folder, capsys) -> None:
    assert main(["check"]) == 2
    assert "no file was changed yet" in capsys.readouterr().err
    write(folder, RIGHT)
    write(folder, "def relu(x):\n    return x\n", "relu")
    assert main(["check", QUICK]) == 1
    shown = capsys.readouterr().out
    assert "softmax: passed" in shown
    assert "relu: not correct" in shown
    assert "1 of 2 passed" in shown


def test_a_file_outside_of_a_folder_is_checked_by_its_functions(folder, capsys, tmp_path) -> None:
    (tmp_path / "homework.py").write_text(RIGHT + "\n\ndef relu(x):\n    return torch.relu(x)\n")
    assert main(["check", "homework.py"]) == 0
    assert capsys.readouterr().out.count("passed") == 3
    assert main(["check", "homework.py", "--exercise", "relu"]) == 0
    assert not folder.progress.exists()
    (tmp_path / "homework.py").write_text("def soft_max(x): pass")
    assert main(["check", "homework.py"]) == 2
    assert "it has soft_max" in capsys.readouterr().err
    (tmp_path / "homework.py").write_text("def softmax(x)")
    assert main(["check", "homework.py"]) == 2
    assert "homework.py, line 1: SyntaxError" in capsys.readouterr().err


def test_check_prints_json(folder, capsys) -> None:
    write(folder, WRONG)
    assert main(["check", "softmax", "--json", QUICK]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["passed"] is False
    assert shown["exercises"][0]["verdict"] == "not correct"


def test_code_runs_in_a_subprocess_with_a_time_limit(folder, capsys, monkeypatch) -> None:
    """It cannot change the process of the command, and an endless loop ends."""
    write(folder, "import os\nos.environ['LEARNER'] = 'here'\n" + RIGHT)
    assert main(["check", "softmax"]) == 0
    assert "LEARNER" not in os.environ
    write(folder, "def softmax(scores):\n    while True:\n        pass\n")
    assert main(["check", "softmax", "--time-limit", "0.5"]) == 1
    shown = capsys.readouterr().out
    assert "softmax: stopped" in shown
    assert "did not finish in 0.5 seconds" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "sofmax"], "similar names: softmax"),
        (["check", "0"], "no exercise is named '0'"),
        (["check", "softmax", "--exercise", "gelu"], "--exercise gelu: is for a FILE.py, and there is no file softmax"),
        (["check", "nowhere.py"], "no exercise is named 'nowhere'"),
        (["check", "softmax", "--folder", "nowhere"], "nowhere: has no exercises; `minibert learn` makes"),
        (["check", "softmax", "--time-limit", "-1"], "--time-limit -1: must be above 0"),
        (["hint", "sofmax"], "similar names: softmax"),
        (["reveal", "softmax"], "softmax is not passed: give --yes"),
        (["reset", "nothing at all"], "no exercise is named"),
        (["progress", "--merge", "nowhere.json"], "nowhere.json: no such file"),
    ],
)
def test_invalid_usage_is_exit_code_2(folder, capsys, monkeypatch, arguments, message) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(arguments) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1


def test_the_current_folder_can_be_that_of_the_exercises(folder, capsys, monkeypatch) -> None:
    write(folder, RIGHT)
    monkeypatch.chdir(folder.path)
    assert main(["check", "softmax"]) == 0


def test_hints_are_counted_and_the_last_one_has_a_blank(folder, capsys) -> None:
    shown = []
    for _ in range(4):
        assert main(["hint", "softmax"]) == 0
        shown.append(capsys.readouterr().out)
    assert "hint 1 of 3 (question)" in shown[0]
    assert "hint 2 of 3 (place)" in shown[1]
    assert "____" in shown[2]
    assert "minibert reveal softmax" in shown[2]
    assert shown[3] == shown[2]
    assert progress(folder)["softmax"]["hints"] == 3
    assert main(["hint", "--all"]) == 0
    assert capsys.readouterr().out.count("hint ") >= 3


@pytest.mark.slow
def test_a_hint_is_that_of_the_mistake(folder, capsys) -> None:
    write(
        folder,
        "import torch\n\n\ndef scaled_dot_product_attention(query, key, value, keep=None):\n"
        "    scores = query @ key.mT\n"
        "    if keep is not None:\n        scores = scores.masked_fill(~keep, -torch.inf)\n"
        "    return scores.softmax(-1).nan_to_num() @ value\n",
        "scaled_dot_product_attention",
    )
    assert main(["hint", "attention", "--all"]) == 0
    for _ in range(3):
        assert main(["hint", "attention"]) == 0
    assert "scores = dot_products ____" in capsys.readouterr().out


def test_the_solution_is_shown_after_passing_or_on_request(folder, capsys, monkeypatch) -> None:
    assert main(["reveal", "softmax", "--yes"]) == 0
    shown = capsys.readouterr().out
    assert progress(folder)["softmax"]["revealed"]
    write(folder, shown)
    assert main(["check", "softmax"]) == 0
    capsys.readouterr()
    assert main(["reveal", "softmax"]) == 0
    assert capsys.readouterr().out == shown


def test_reset_keeps_a_copy(folder, capsys) -> None:
    write(folder, WRONG)
    assert main(["reset", "softmax"]) == 0
    assert "your file is now 01_softmax.py.1.bak" in capsys.readouterr().out
    assert (folder.path / "01_softmax.py.1.bak").read_text() == WRONG
    assert not folder.is_started("softmax")


def test_reset_of_an_unchanged_file_says_so(folder, capsys) -> None:
    assert main(["reset", "softmax"]) == 0
    assert capsys.readouterr().out == "exercises/01_softmax.py: you have not changed it; there is nothing to reset\n"
    folder.file("softmax").unlink()
    assert main(["reset", "softmax"]) == 0
    assert capsys.readouterr().out == "exercises/01_softmax.py: a new empty file\n"
    assert not list(folder.path.glob("*.bak"))


def test_progress_lists_all_exercises(folder, capsys) -> None:
    write(folder, RIGHT)
    main(["check", "softmax"])
    capsys.readouterr()
    assert main(["progress"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in EXERCISES)
    assert f"1 of {len(EXERCISES)} exercises passed" in shown
    assert main(["progress", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["exercises"]["softmax"]["passed"] is True


def test_the_folder_can_be_moved_and_merged(folder, capsys, tmp_path) -> None:
    write(folder, RIGHT)
    main(["check", "softmax"])
    shutil.copytree(folder.path, tmp_path / "a copy")
    write(folder, "def relu(x):\n    return x.clamp(min=0)\n", "relu")
    main(["check", "relu", QUICK])
    capsys.readouterr()
    assert main(["progress", "--folder", "a copy", "--merge", "exercises/progress.json", "--json"]) == 0
    merged = json.loads(capsys.readouterr().out)["exercises"]
    assert merged["softmax"]["passed"]
    assert merged["relu"]["checks"] == 1
    assert json.loads((tmp_path / "a copy/progress.json").read_text())["exercises"] == merged


def test_a_damaged_progress_file_is_kept_under_another_name(folder, capsys) -> None:
    folder.progress.write_text('{"version": 1, "exer')
    write(folder, RIGHT)
    assert main(["check", "softmax"]) == 0
    shown = capsys.readouterr()
    assert "is not JSON" in shown.err
    assert "It is now progress.json.1.bak" in shown.err
    assert shown.err.count("minibert:") == 1
    assert (folder.path / "progress.json.1.bak").read_text() == '{"version": 1, "exer'
    assert progress(folder)["softmax"]["passed"]


def test_a_newer_progress_file_is_not_changed(folder, capsys) -> None:
    folder.progress.write_text('{"version": 9, "exercises": {}}')
    write(folder, RIGHT)
    assert main(["check", "softmax"]) == 2
    assert "update minibert" in capsys.readouterr().err
    assert folder.progress.read_text() == '{"version": 9, "exercises": {}}'


def test_a_file_of_another_program_is_not_changed(tmp_path, capsys, monkeypatch) -> None:
    """A file with the name of the progress, in a folder that is not that of a learner, and in one that is to be."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "progress.json").write_text('{"jobs": 3}')
    (tmp_path / "softmax.py").write_text(RIGHT)
    assert main(["check", "softmax.py"]) == 2
    assert "is not a progress file of minibert: rename it, or choose another folder" in capsys.readouterr().err
    (tmp_path / "progress.json").rename(tmp_path / "other.json")
    assert main(["check", "softmax.py"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.json", "softmax.py"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_reported(folder, capsys) -> None:
    write(folder, RIGHT)
    folder.path.chmod(0o555)
    try:
        assert main(["check", "softmax"]) == 0
        assert "the progress is not saved" in capsys.readouterr().err
        assert main(["reset", "softmax"]) == 1
    finally:
        folder.path.chmod(0o755)


def test_an_output_that_fails_is_no_folder_that_cannot_be_written(folder, capsys) -> None:
    """Errors of what is done with the progress are not taken for errors of saving it."""
    with pytest.raises(BrokenPipeError), progress_of(folder):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("number", "message"), [(errno.EACCES, "permission denied"), (errno.EROFS, "read-only"), (errno.ENOSPC, "no space left")]
)
def test_a_folder_that_cannot_be_written_is_reported(folder, capsys, monkeypatch, number, message) -> None:
    """The check is done; only the progress is missing."""
    write(folder, RIGHT)

    def refuse(path, content):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr("minibert.classroom.progress.write_atomically", refuse)
    assert main(["check", "softmax", QUICK]) == 0
    shown = capsys.readouterr()
    assert "the progress is not saved: exercises/progress.json: " in shown.err
    assert message in shown.err
    assert "softmax: passed" in shown.out


def test_a_file_in_place_of_the_folder_is_reported(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exercises").write_text("")
    assert main(["learn"]) == 1
    assert "exercises: there is a file with this name, where a folder is needed" in capsys.readouterr().err


def test_learn_without_a_terminal_checks_once(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["learn", "mine"]) == 0
    shown = capsys.readouterr().out
    assert f"mine: {len(EXERCISES)} exercises, {len(EXERCISES)} of them new" in shown
    (tmp_path / "mine/01_softmax.py").write_text(RIGHT)
    assert main(["learn", "mine"]) == 0
    shown = capsys.readouterr().out
    assert "0 of them new" in shown
    assert "softmax: passed" in shown
    assert (tmp_path / "mine/01_softmax.py").read_text() == RIGHT


@pytest.mark.parametrize("width", [80, 100])
def test_the_list_of_all_exercises_fits_into_a_small_terminal(width) -> None:
    """24 lines, of which one has the number of passed exercises, one the keys, and one is the cursor's."""
    passed = Attempts(checks=1, passed=True, verdict="passed")
    lines = list(exercise_list(Progress({"softmax": passed, "relu": Attempts(checks=2, verdict="not correct")}), "gelu", width))
    assert len(lines) <= 24 - 3
    assert max(len(line.plain.rstrip()) for line in lines) <= width
    shown = "\n".join(line.plain for line in lines)
    for number, name in enumerate(EXERCISES, start=1):
        sign = {"softmax": "✓", "relu": "✗"}.get(name, "○")
        assert f" {sign}{number:2} {name} " in shown
    gelu = f"{[*EXERCISES].index('gelu') + 1} gelu"
    assert [span.style for line in lines for span in line.spans if line.plain[span.start : span.end].strip() == gelu] == [
        "bold"
    ]


def test_a_narrow_list_has_one_exercise_in_each_line() -> None:
    lines = list(exercise_list(Progress(), "", 20))
    assert len(lines) == len(EXERCISES)
