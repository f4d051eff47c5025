"""Translations of the lessons have the same cells, formulas, code and numbers as the lesson."""

import re
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("jupytext", reason="jupytext is not installed (pip install minibert[lessons])")
from minibert.classroom.lesson_files import Lesson, lessons, notebook

TRANSLATIONS = [(lesson, language) for lesson in lessons() for language in lesson.languages]
CHINESE = re.compile(r"[\u4e00-\u9fff]")
KEPT = {
    "formula": re.compile(r"\$\$.*?\$\$|\$[^$]+\$", re.DOTALL),
    "code": re.compile(r"`[^`]+`"),
    "number": re.compile(r"\d+(?:[.,]\d+)*"),
    "heading": re.compile(r"^#+(?= )", re.MULTILINE),
    "item of a list": re.compile(r"^(?:-|\d+\.) ", re.MULTILINE),
    "tag": re.compile(r"<[^>]+>"),
    "bold": re.compile(r"\*\*"),
}
"""What a translation does not change."""

every_translation = pytest.mark.parametrize(
    ("lesson", "language"), [pytest.param(*pair, id=f"{pair[1]}/{pair[0].name}") for pair in TRANSLATIONS]
)


def texts(lesson: Lesson, language: str = "") -> list[str]:
    return [cell.source for cell in notebook(lesson, language=language).cells if cell.cell_type == "markdown"]


def changes(original: str, translated: str) -> list[str]:
    """Name what a translation has lost or added."""
    found = []
    for kind, pattern in KEPT.items():
        before, after = (Counter(pattern.findall(text)) for text in (original, translated))
        found += [f"{kind} is missing: {text}" for text in (before - after).elements()]
        found += [f"{kind} is new: {text}" for text in (after - before).elements()]
    return found


@every_translation
def test_a_translation_has_the_formulas_the_code_and_the_numbers_of_each_cell(lesson: Lesson, language: str) -> None:
    for position, (original, translated) in enumerate(zip(texts(lesson), texts(lesson, language), strict=True), start=1):
        assert changes(original, translated) == [], f"cell {position} of {lesson.translation(language)}"


@every_translation
def test_a_chinese_translation_is_chinese_in_every_cell(lesson: Lesson, language: str) -> None:
    assert language == "zh"
    for original, translated in zip(texts(lesson), texts(lesson, language), strict=True):
        assert len(CHINESE.findall(translated)) > len(original) / 10, translated


@every_translation
def test_bold_text_is_bold(lesson: Lesson, language: str) -> None:
    """Markdown does not end bold text between a Chinese full stop and a character: it shows the stars."""
    markdown_it = pytest.importorskip("markdown_it", reason="markdown-it-py is not installed (pip install minibert[lessons])")
    for text in texts(lesson, language):
        page = markdown_it.MarkdownIt().render(KEPT["formula"].sub("$x$", text))
        assert "*" not in re.sub(r"<code>.*?</code>", "", page)


def test_only_the_text_is_translated() -> None:
    lesson, language = TRANSLATIONS[0]
    originals, translated = notebook(lesson).cells, notebook(lesson, language=language).cells
    for original, cell in zip(originals, translated, strict=True):
        assert (original.cell_type, original.id, original.metadata) == (cell.cell_type, cell.id, cell.metadata)
        assert (original.source == cell.source) == (cell.cell_type == "code")


def test_a_translation_of_another_lesson_is_refused(tmp_path: Path) -> None:
    """The message names the file and both numbers of cells."""
    (tmp_path / "zh").mkdir()
    (tmp_path / "07_tiny.py").write_text("# %% [markdown]\n# # 7 · Tiny\n\n# %% [markdown]\n# Two.\n", encoding="utf-8")
    (tmp_path / "zh" / "07_tiny.md").write_text("# 7 · 小\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"07_tiny\.md: has 1 cells, and 07_tiny\.py has 2 cells of Markdown"):
        notebook(Lesson(tmp_path / "07_tiny.py"), language="zh")
    with pytest.raises(ValueError, match="no translation to 'de'; its translations: zh"):
        notebook(Lesson(tmp_path / "07_tiny.py"), language="de")


@pytest.mark.parametrize(
    ("original", "translated", "change"),
    [
        ("About 0.2 of it.", "约 0.3。", ["number is missing: 0.2", "number is new: 0.3"]),
        ("It is $x$.", "是 $y$。", ["formula is missing: $x$", "formula is new: $y$"]),
        ("See `amax`.", "见最大值。", ["code is missing: `amax`"]),
        ("## Exercises", "# 练习", ["heading is missing: ##", "heading is new: #"]),
        ("A **token**", "词元", ["bold is missing: **", "bold is missing: **"]),
        ("lesson 2", "第 2 课", []),
    ],
)
def test_a_change_is_named(original: str, translated: str, change: list[str]) -> None:
    assert changes(original, translated) == change
