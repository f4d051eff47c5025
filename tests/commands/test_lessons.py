"""`minibert lessons`: list, run, notebooks, page."""

import json
import tomllib
from pathlib import Path

import pytest

from minibert.classroom import lesson_files
from minibert.classroom.lesson_files import lessons
from minibert.commands import main
from minibert.docs.layout import REPOSITORY

TEXT = """# %% [markdown]
# # 7 · A tiny lesson
#
# Why?

# %% tags=["prediction"]
print("half of 3 is", 3 / 2)

# %%
exercise("softmax")
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with one lesson, installed at another place."""
    (tmp_path / "minibert" / "classroom").mkdir(parents=True)
    (tmp_path / "minibert" / "lessons").mkdir()
    path = tmp_path / "minibert" / "lessons" / "07_tiny.py"
    path.write_text(TEXT, encoding="utf-8")
    monkeypatch.setattr(lesson_files, "__file__", str(tmp_path / "minibert" / "classroom" / "lesson_files.py"))
    return path


def translate(lesson: Path) -> None:
    """Translate the only text of the lesson."""
    (lesson.parent / "zh").mkdir()
    (lesson.parent / "zh" / "07_tiny.md").write_text("# 7 · 一半\n\n是多少？\n", encoding="utf-8")


def test_the_list_has_every_lesson_with_its_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lessons"]) == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for lesson in lessons():
        assert lesson.title.split()[0] in shown


def test_a_lesson_runs_as_a_script(tiny: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tiny.write_text(TEXT.replace('exercise("softmax")', ""), encoding="utf-8")
    assert main(["lessons", "7"]) == 0
    assert capfd.readouterr().out == "half of 3 is 1.5\n"
    assert main(["lessons", "07_tiny"]) == 0


def test_a_lesson_that_fails_has_an_exit_code(tiny: Path) -> None:
    assert main(["lessons", "7"]) == 1  # the script has not imported `exercise`


@pytest.mark.slow
def test_notebooks_are_the_same_every_time_and_have_no_outputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("a", "b"):
        assert main(["lessons", "--notebooks", str(tmp_path / folder)]) == 0
    files = sorted((tmp_path / "a").iterdir())
    assert [file.stem for file in files] == [lesson.name for lesson in lessons()]
    for file in files:
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        assert len({cell["id"] for cell in cells}) == len(cells)
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


def test_a_notebook_that_was_changed_is_kept(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["lessons", "7", "--notebooks", str(tmp_path)]
    assert main(arguments) == 0
    notebook = tmp_path / "07_tiny.ipynb"
    notebook.write_text(notebook.read_text(encoding="utf-8").replace("half", "HALF"), encoding="utf-8")
    assert main(arguments) == 0
    assert "kept, because it was changed" in capsys.readouterr().out
    assert "HALF" in notebook.read_text(encoding="utf-8")


def test_a_notebook_in_another_language_has_the_same_code(tiny: Path, tmp_path: Path) -> None:
    translate(tiny)
    for arguments in ([], ["--language", "zh"]):
        assert main(["lessons", "--notebooks", str(tmp_path), *arguments]) == 0
    english, chinese = (
        json.loads((tmp_path / name).read_text(encoding="utf-8"))["cells"] for name in ("07_tiny.ipynb", "07_tiny.zh.ipynb")
    )
    assert "".join(chinese[0]["source"]).startswith("# 7 · 一半")
    assert chinese[1:] == english[1:]


def test_the_page_of_a_lesson_is_opened(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("minibert.commands.lessons.webbrowser.open", opened.append)
    monkeypatch.chdir(tmp_path)
    assert main(["lessons", "7", "--open"]) == 2
    assert "`minibert docs build` builds the site" in capsys.readouterr().err
    page = tmp_path / "docs" / "_build" / "site" / "lessons" / "07_tiny.html"
    page.parent.mkdir(parents=True)
    page.touch()
    assert main(["lessons", "7", "--open"]) == 0
    translate(tiny)
    assert main(["lessons", "7", "--open", "--language", "zh"]) == 2
    translated = page.parent / "zh" / page.name
    translated.parent.mkdir()
    translated.touch()
    assert main(["lessons", "7", "--open", "--language", "zh"]) == 0
    assert opened == [page.as_uri(), translated.as_uri()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["8"], "8: there is no such lesson; the lessons are 7"),
        (["x"], "x: there is no such lesson"),
        (["7", "--open", "--notebooks", "a"], "exclude each other"),
        (["7", "--language", "zh"], "--language needs --notebooks or --open"),
        (["--notebooks", "a", "--language", "de"], "--language de: there is no such translation; there are: zh (lesson 7)"),
        (["7", "--notebooks", "a", "--language", ".."], "--language ..: there is no such translation"),
    ],
)
def test_an_impossible_request_says_what_to_do(
    tiny: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    translate(tiny)
    assert main(["lessons", *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_the_wheel_has_the_lessons() -> None:
    """An installed package finds them inside of itself."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    assert settings["targets"]["wheel"]["force-include"] == {"lessons": "minibert/lessons"}
    assert (REPOSITORY / "lessons").is_dir()
