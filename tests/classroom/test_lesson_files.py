"""The file of a lesson: its title, its question, its exercises and its translations."""

from pathlib import Path

import pytest

from minibert.classroom import lesson_files
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.lesson_files import Lesson, lessons, notebook
from minibert.classroom.solution import solution
from minibert.classroom.stubs import stub

TEXT = """# %% [markdown]
# # 12 · Attention to all
#
# *What does it
# compute?*
#
# More text.

# %% [markdown]
# Another cell.

# %%
exercise("softmax")

# %%
exercise("gelu")
"""


@pytest.fixture
def lesson(tmp_path: Path) -> Lesson:
    path = tmp_path / "12_attention.py"
    path.write_text(TEXT, encoding="utf-8")
    for language in ("zh", "de"):
        (tmp_path / language).mkdir()
        (tmp_path / language / "12_attention.md").write_text(f"# Titel {language}\n\n+++ \nZwei\n", encoding="utf-8")
    return Lesson(path)


def test_the_beginning_of_a_lesson(lesson: Lesson) -> None:
    found = (lesson.name, lesson.number, lesson.title, lesson.question)
    assert found == ("12_attention", 12, "Attention to all", "What does it compute?")
    assert lesson.source == TEXT
    assert lesson.exercises == ["softmax", "gelu"]


def test_the_translations_of_a_lesson(lesson: Lesson) -> None:
    """Their codes are in alphabetical order."""
    assert lesson.languages == ["de", "zh"]
    assert lesson.translation("zh") == lesson.path.parent / "zh" / "12_attention.md"
    assert lesson.translated_cells("de") == ["# Titel de", "Zwei"]
    with pytest.raises(ValueError, match=r"there is no translation to 'fr'; its translations: de, zh$"):
        lesson.translation("fr")


def test_a_lesson_without_a_title_says_how_one_begins(tmp_path: Path) -> None:
    path = tmp_path / "01_nothing.py"
    path.write_text("# %%\nx = 1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"01_nothing.py: a lesson begins with a title such as '# 2 · Attention'"):
        _ = Lesson(path).title
    with pytest.raises(ValueError, match=r"its translations: none$"):
        Lesson(path).translation("de")


def test_the_lessons_are_numbered_from_1() -> None:
    assert [each.number for each in lessons()] == [*range(1, len(lessons()) + 1)]


def test_the_lessons_lie_in_the_installed_package_or_next_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other files are no lessons."""
    package = tmp_path / "minibert"
    monkeypatch.setattr(lesson_files, "__file__", str(package / "classroom" / "lesson_files.py"))
    assert lessons() == []
    for folder in (tmp_path / "lessons", package / "lessons"):
        folder.mkdir(parents=True)
        for name in ("02_b.py", "01_a.py", "02_b.md", "1_c.py", "make.py"):
            (folder / name).touch()
        assert lessons() == [Lesson(folder / "01_a.py"), Lesson(folder / "02_b.py")]


def cells(*arguments: object) -> list[tuple[str, str, list[str] | None]]:
    """Return kind, text and tags of the cells of a notebook."""
    return [(cell.cell_type, cell.source, cell.metadata.get("tags")) for cell in notebook(*arguments).cells]


def exercise_cells(name: str, solutions: bool) -> list[tuple[str, str, list[str]]]:
    exercise = EXERCISES[name]
    right = [("code", solution(exercise).strip(), ["solution"])] if solutions else []
    check = ("code", f"from minibert.classroom import check\n\ncheck({name})", [])
    return [("code", stub(exercise, in_notebook=True).strip(), ["exercise"]), *right, check]


@pytest.mark.parametrize("solutions", [False, True])
def test_each_exercise_of_a_notebook_is_a_stub_and_a_check(lesson: Lesson, solutions: bool) -> None:
    """With the solution between them, unless it is for students."""
    first = "# 12 · Attention to all\n\n*What does it\ncompute?*\n\nMore text."
    exercises = [cell for name in ("softmax", "gelu") for cell in exercise_cells(name, solutions)]
    expected = [("markdown", first, None), ("markdown", "Another cell.", None), *exercises]
    assert cells(lesson, solutions) == expected
    assert cells(lesson) == cells(lesson, False)


def test_a_notebook_is_the_same_each_time(lesson: Lesson) -> None:
    """Its cells are numbered, and its kernel is Python, wherever it is made."""
    first, second = notebook(lesson), notebook(lesson)
    assert first == second
    assert [cell.id for cell in first.cells] == [f"cell-{number}" for number in range(6)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    assert first.metadata == {"kernelspec": kernel, "language_info": {"name": "python"}}


def test_a_translated_notebook_has_the_same_code(lesson: Lesson) -> None:
    assert cells(lesson, False, "de") == [
        ("markdown", "# Titel de", None),
        ("markdown", "Zwei", None),
        *cells(lesson)[2:],
    ]
    file = lesson.translation("de")
    file.write_text("# Titel\n", encoding="utf-8")
    with pytest.raises(ValueError, match="cells of Markdown") as error:
        notebook(lesson, language="de")
    assert str(error.value) == (
        f"{file}: has 1 cells, and 12_attention.py has 2 cells of Markdown: translate each of them, with a line +++ between "
        "two cells"
    )
