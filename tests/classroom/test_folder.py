"""The folder of a learner: files are added and never overwritten."""

import re

from minibert.classroom.exercises import EXERCISES
from minibert.classroom.folder import README, ExerciseFolder, backup_name
from minibert.classroom.stubs import stub


def test_the_folder_has_a_numbered_file_for_each_exercise_and_instructions(tmp_path) -> None:
    folder = ExerciseFolder(tmp_path / "a" / "b")
    assert len(folder.install()) == len(EXERCISES)
    assert list(folder.files()) == list(EXERCISES)
    names = sorted(path.name for path in folder.path.iterdir())
    assert names[:2] == [f"{number:02}_{name}.py" for number, name in enumerate(EXERCISES, start=1)][:2]
    assert "minibert learn" in (folder.path / "README.md").read_text()


def test_existing_files_are_not_changed(tmp_path) -> None:
    folder = ExerciseFolder(tmp_path)
    for name, text in (("07_softmax.py", "mine"), ("README.md", "my readme"), ("relu.py", "mine too")):
        (tmp_path / name).write_text(text)
    (tmp_path / folder.new_file(EXERCISES["layer_norm"]).name).symlink_to("nowhere")
    created = [path.name for path in folder.install()]
    assert not any(re.fullmatch(r"(\d+_)?(softmax|relu|layer_norm)\.py", name) for name in created)
    assert (tmp_path / "07_softmax.py").read_text() == "mine"
    assert (tmp_path / "README.md").read_text() == "my readme"
    assert folder.file("softmax").name == "07_softmax.py"
    assert folder.install() == []


def test_a_file_is_begun_when_its_function_has_code(tmp_path) -> None:
    """The empty file of another version, whose text differs, is not begun."""
    folder = ExerciseFolder(tmp_path)
    folder.install()
    path = folder.file("softmax")
    written = path.read_bytes()
    for empty in (written, written.replace(b"\n", b"\r\n"), written.replace(b"Formula", b"Equation") + b"# a note\n"):
        path.write_bytes(empty)
        assert not folder.is_started("softmax")
    for begun in (written.replace(b"    raise", b"    x = 1\n    raise"), b"def softmax(", b"", b"\xff"):
        path.write_bytes(begun)
        assert folder.is_started("softmax")


def test_a_reset_keeps_every_copy(tmp_path) -> None:
    folder = ExerciseFolder(tmp_path)
    folder.install()
    kept = []
    for text in ("first", "second"):
        folder.file("softmax").write_text(text)
        kept.append(folder.reset("softmax"))
    assert [path.read_text() for path in kept] == ["first", "second"]
    assert folder.file("softmax").read_text(encoding="utf-8") == stub(EXERCISES["softmax"])
    folder.file("softmax").unlink()
    assert folder.reset("softmax") is None


def test_a_reset_of_an_empty_file_makes_no_copy(tmp_path) -> None:
    """What the learner has written is kept also if it is only a comment."""
    folder = ExerciseFolder(tmp_path)
    folder.install()
    assert folder.reset("softmax") is None
    assert not list(tmp_path.glob("*.bak"))
    with folder.file("softmax").open("a") as file:
        file.write("# a note\n")
    assert folder.reset("softmax") is not None


def test_every_new_file_is_a_stub_and_they_are_in_the_order_of_the_exercises(tmp_path) -> None:
    folder = ExerciseFolder(tmp_path)
    assert folder.files() == ExerciseFolder(tmp_path / "none").files() == {}
    created = folder.install()
    assert [path.name for path in created] == [f"{number:02}_{name}.py" for number, name in enumerate(EXERCISES, start=1)]
    assert all(path.read_text("utf-8") == stub(exercise) for path, exercise in zip(created, EXERCISES.values(), strict=True))
    assert (tmp_path / "README.md").read_text("utf-8") == README
    assert [folder.file(name) for name in EXERCISES] == list(folder.files().values()) == created
    assert folder.files().keys() == EXERCISES.keys()


def test_files_with_other_names_are_none_of_an_exercise(tmp_path) -> None:
    for name in ("notes.py", "01_unknown.py", "softmax.txt", "x_softmax.py", "softmax.py.bak"):
        (tmp_path / name).write_text("")
    (tmp_path / "01_relu.py").mkdir()
    folder = ExerciseFolder(tmp_path)
    assert folder.files() == {}
    assert folder.file("softmax") == folder.new_file(EXERCISES["softmax"])
    for name in ("gelu.py", *(f"{number}_softmax.py" for number in range(2, 10))):
        (tmp_path / name).write_text("")
    assert {name: path.name for name, path in folder.files().items()} == {"softmax": "2_softmax.py", "gelu": "gelu.py"}
    assert folder.file("softmax") == tmp_path / "2_softmax.py"


def test_a_missing_file_is_neither_begun_nor_empty(tmp_path) -> None:
    folder = ExerciseFolder(tmp_path)
    assert (folder.is_started("softmax"), folder.is_empty("softmax")) == (False, False)
    assert folder.reset("softmax") is None
    assert folder.is_empty("softmax")
    folder.file("softmax").write_bytes(folder.file("softmax").read_bytes().replace(b"\n", b"\r\n"))
    assert folder.is_empty("softmax")


def test_a_copy_has_the_first_number_that_is_free(tmp_path) -> None:
    path = tmp_path / "a.py"
    for number in (1, 2, 4):
        assert backup_name(path).name == f"a.py.{min(number, 3)}.bak"
        (tmp_path / f"a.py.{number}.bak").write_text("")
    assert backup_name(path).name == "a.py.3.bak"


def test_a_folder_with_progress_or_with_two_exercises_is_in_use(tmp_path) -> None:
    folder = ExerciseFolder(tmp_path)
    assert folder.progress == tmp_path / "progress.json"
    assert not folder.is_in_use
    (tmp_path / "softmax.py").write_text("")
    assert not folder.is_in_use
    folder.progress.write_text("")
    assert folder.is_in_use
    folder.progress.unlink()
    (tmp_path / "relu.py").write_text("")
    assert folder.is_in_use
