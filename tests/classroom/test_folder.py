"""The folder of a learner: files are added and never overwritten."""

import re

from minibert.classroom.exercises import EXERCISES
from minibert.classroom.folder import ExerciseFolder
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
