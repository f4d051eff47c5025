"""The file of a lesson: its title, its question, its exercises and its translations."""

from pathlib import Path

import pytest

from minibert.classroom.lesson_files import Lesson, lessons

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
