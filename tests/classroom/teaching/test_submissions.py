"""Submissions: which files are read, and in which of them a function counts."""

import json
import os
from pathlib import Path

import pytest

from minibert.classroom.learner_file import LearnerFile
from minibert.classroom.teaching import submissions
from minibert.classroom.teaching.submissions import MAX_DEPTH, MAX_FILES, find_submissions, read_submission, sibling_files
from minibert.files import reason_of
from tests.classroom.teaching.synthetic_class import notebook

CODE = "def softmax(scores):\n    return scores\n"
STUB = 'def softmax(scores):\n    """Text."""\n    raise NotImplementedError\n'


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def found_in(folder: Path, files: dict[str, str | bytes]) -> str | None:
    submission = read_submission(write(folder, files), "ada")
    found = submission.find("softmax")
    return submission.name_of(found.path) if found else None


def test_each_folder_file_and_notebook_is_one_student(tmp_path) -> None:
    names = {
        "ada/a.py": CODE,
        "bob.py": CODE,
        "bob.ipynb": notebook(CODE),
        "李/b.ipynb": "",
        "eve/x.txt": "",
        ".git/a.py": CODE,
    }
    submissions, others = find_submissions(write(tmp_path, {**names, "roster.csv": "", "__MACOSX/ada/a.py": CODE}))
    assert {each.student: len(each.paths) for each in submissions} == {"ada": 1, "bob": 2, "李": 1, "eve": 0}
    assert others == ["roster.csv"]


def test_folders_without_submissions_are_refused(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="folder of submissions not found"):
        find_submissions(tmp_path / "missing")
    with pytest.raises(ValueError, match="has no submissions"):
        find_submissions(write(tmp_path, {"notes.txt": ""}))


def test_results_inside_of_the_folder_are_no_student(tmp_path) -> None:
    write(tmp_path, {"ada.py": CODE, "results/reports/x.py": CODE})
    assert [each.student for each in find_submissions(tmp_path, leave_out=tmp_path / "results")[0]] == ["ada"]


def test_nothing_outside_of_the_folder_is_read(tmp_path) -> None:
    """Links are not followed: of files, of folders, of students, and to devices; pipes are not opened."""
    outside = write(tmp_path / "outside", {"softmax.py": CODE})
    folder = write(tmp_path / "in", {"ada/a.txt": ""})
    for name, target in (("softmax.py", outside / "softmax.py"), ("folder", outside), ("null.py", "/dev/zero"), ("up", "..")):
        (folder / "ada" / name).symlink_to(target)
    os.mkfifo(folder / "ada" / "pipe.py")
    (folder / "bob").symlink_to(outside)
    (folder / "carl.py").symlink_to(outside / "softmax.py")
    (folder / "dora.py").symlink_to("dora.py")
    submissions, others = find_submissions(folder, leave_out=folder / "results")
    assert [(each.student, each.paths) for each in submissions] == [("ada", ())]
    assert others == ["bob", "carl.py", "dora.py"]
    assert len(submissions[0].notes) == 4


def test_very_deep_and_very_full_folders_end(tmp_path) -> None:
    write(tmp_path, {f"{'d/' * (MAX_DEPTH + 3)}a.py": CODE, "venv/lib/b.py": CODE, "site-packages/c.py": CODE})
    submission = read_submission(tmp_path, "ada")
    assert submission.paths == ()
    assert "too many folders" in submission.notes[0]
    write(tmp_path, {f"{number}.py": "" for number in range(MAX_FILES)})
    submission = read_submission(tmp_path, "ada")
    assert (len(submission.paths), len(submission.notes)) == (MAX_FILES, 1)
    write(tmp_path, {"z.py": ""})
    submission = read_submission(tmp_path, "ada")
    assert len(submission.paths) == MAX_FILES
    assert submission.notes[1:] == (f"only {MAX_FILES} of {MAX_FILES + 1} files were read",)


def test_what_the_system_does_not_open_is_a_remark(tmp_path, monkeypatch) -> None:
    """A folder for the teacher, and a file with a function, which counts as damaged."""

    def refuse(path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    submission = read_submission(write(tmp_path / "ada", {"softmax.py": CODE}), "ada")
    monkeypatch.setattr(LearnerFile, "read", refuse)
    reason = reason_of(PermissionError(13, ""))
    assert str(submission.find("softmax").problem) == f"The file cannot be read: {reason}"
    monkeypatch.setattr(os, "scandir", refuse)
    assert read_submission(tmp_path / "ada", "ada").notes == (f"ada: {reason}",)


@pytest.mark.parametrize(
    ("files", "file"),
    [
        ({"a.py": CODE, "01_softmax.py": STUB}, "a.py"),
        ({"a.py": STUB, "01_softmax.py": CODE}, "01_softmax.py"),
        ({"a.py": CODE, "softmax.py": CODE, "z.py": CODE}, "softmax.py"),
        ({"softmax.py": "def softmax(:", "z.py": CODE}, "z.py"),
        ({"softmax.py": STUB, "z.py": "def softmax(:"}, "z.py"),
        ({"a.py": "from torch import softmax", "b.py": CODE}, "b.py"),
        ({"a.py": "from torch import softmax"}, None),
        ({"a.py": "def other(x): pass"}, None),
        ({"a.py": "def other(:"}, None),
        ({"a.py": "class A:\n    def softmax(self): pass"}, None),
        ({"a.py": "class softmax: pass"}, "a.py"),
        ({"A.PY": CODE}, "A.PY"),
        ({"my homework.py": CODE, "b.py": STUB}, "my homework.py"),
        ({"a.ipynb": notebook("x = 1", "def softmax(x):\n  return (")}, "a.ipynb"),
        ({"deep/er/b.ipynb": notebook(CODE)}, "deep/er/b.ipynb"),
        ({"a.ipynb": notebook(CODE)[:110]}, "a.ipynb"),
        ({"a.ipynb": json.dumps({"metadata": "softmax"})}, None),
    ],
)
def test_the_file_that_counts(tmp_path, files, file) -> None:
    assert found_in(tmp_path, files) == file


def test_the_teacher_sees_which_of_two_files_counts_and_what_is_damaged(tmp_path) -> None:
    submission = read_submission(write(tmp_path, {"a.py": CODE, "b.py": CODE, "c.py": "(", "d.ipynb": notebook("(")}), "ada")
    assert submission.find("softmax").note == "softmax is in 2 files; b.py counts, not a.py"
    assert submission.unreadable == ["c.py: SyntaxError: '(' was never closed", "d.ipynb: code cell 1 is no Python"]


def test_a_line_of_a_notebook_is_counted_in_its_cell(tmp_path) -> None:
    found = read_submission(write(tmp_path, {"a.ipynb": notebook("x = 1\ny = 2", "z = 3", CODE)}), "ada").find("softmax")
    assert [found.file.place(number) for number in (1, 2, 3, 4, 5)] == [(1, 1), (1, 2), (2, 1), (3, 1), (3, 2)]


def test_of_cells_that_are_no_python_the_last_one_with_the_function_counts(tmp_path) -> None:
    cells = ["x = 1\ny = 2", "def softmax(a:", "z = (", "\ndef softmax(b:", "w ="]
    found = read_submission(write(tmp_path, {"a.ipynb": notebook(*cells)}), "ada").find("softmax")
    assert found.file.place(found.problem.line) == (4, 2)


def test_files_beside_are_given_if_they_are_imported(tmp_path) -> None:
    submission = read_submission(write(tmp_path, {"a.py": CODE, "helper.py": "x = 1", "other/b.py": ""}), "ada")
    path = tmp_path / "a.py"
    assert sibling_files(submission, path, "import torch") == {}
    assert sibling_files(submission, path, "from helper import x") == {"a.py": CODE.encode(), "helper.py": b"x = 1"}


def test_large_files_beside_are_not_given(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(submissions, "MAX_BYTES", 5)
    submission = read_submission(write(tmp_path, {"a.py": "", "b.py": "55555", "c.py": "666666"}), "ada")
    assert sibling_files(submission, tmp_path / "a.py", "import b, c") == {"a.py": b"", "b.py": b"55555"}
