"""The files of the lessons, and the notebooks that are made from them.

A lesson is a Python script in percent format: cells of code, and cells of Markdown in comments. A cell `exercise("softmax")`
stands for three cells of a notebook: the stub, the solution, and the check. A student's notebook has no solution.

A translation is a file in a folder with the code of its language, such as `zh/01_softmax.md`. It has the Markdown cells of the
lesson in their order, with a line `+++` between two cells. The code is that of the lesson.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from minibert.classroom.exercises import find_exercise
from minibert.classroom.solution import solution
from minibert.classroom.stubs import stub

EXERCISE = re.compile(r'^exercise\("(\w+)"\)$')
"""A cell of a lesson that is an exercise."""
BLOCK_BREAK = re.compile(r"^\+\+\+ *$", re.MULTILINE)
"""A line between two cells of a translation, as in MyST."""


@dataclass(frozen=True)
class Lesson:
    """A lesson."""

    path: Path

    @property
    def name(self) -> str:
        """Name of the file, such as "02_scaled_dot_product_attention"."""
        return self.path.stem

    @property
    def number(self) -> int:
        """Number in the order of the lessons, from 1."""
        return int(self.name.partition("_")[0])

    @property
    def title(self) -> str:
        """Title of the lesson, such as "Scaled dot-product attention"."""
        return self._heading[2]

    @property
    def question(self) -> str:
        """The question that the lesson answers: its first paragraph."""
        return " ".join(re.sub(r"^# ?", "", self._heading[3], flags=re.MULTILINE).split()).strip("*")

    @property
    def languages(self) -> list[str]:
        """Codes of the languages that it is translated to, such as "zh" for Chinese."""
        return sorted(file.parent.name for file in self.path.parent.glob(f"*/{self.name}.md"))

    def translation(self, language: str) -> Path:
        """Return the file of a translation.

        Raises: ValueError if there is none.
        """
        if language not in self.languages:
            known = ", ".join(self.languages) or "none"
            raise ValueError(f"{self.path}: there is no translation to {language!r}; its translations: {known}")
        return self.path.parent / language / f"{self.name}.md"

    def translated_cells(self, language: str) -> list[str]:
        """Return the Markdown cells of a translation. The first one has the title, an empty line, and the question.

        Raises: ValueError if there is no such translation.
        """
        text = self.translation(language).read_text(encoding="utf-8")
        return [cell.strip() for cell in BLOCK_BREAK.split(text)]

    @cached_property
    def source(self) -> str:
        """The text of the file."""
        return self.path.read_text(encoding="utf-8")

    @property
    def exercises(self) -> list[str]:
        """Names of its exercises."""
        return re.findall(EXERCISE.pattern, self.source, re.MULTILINE)

    @property
    def _heading(self) -> re.Match[str]:
        if match := re.search(r"^# # (\d+) · (.+)\n#\n((?:# .+\n)+)", self.source, re.MULTILINE):
            return match
        raise ValueError(
            f"{self.path}: a lesson begins with a title such as '# 2 · Attention' and the question that it answers"
        )


def lessons() -> list[Lesson]:
    """Return all lessons in their order. They lie beside the package in a clone, and inside of it where it is installed."""
    package = Path(__file__).parents[1]
    folder = next((path for path in (package / "lessons", package.parent / "lessons") if path.is_dir()), package / "lessons")
    return [Lesson(path) for path in sorted(folder.glob("[0-9][0-9]_*.py"))]


def notebook(lesson: Lesson, solutions: bool = False, language: str = "") -> Any:
    """Return a lesson as a notebook without outputs. The same lesson gives the same notebook.

    Args:
        lesson: the lesson.
        solutions: include the solutions of the exercises, in cells that a page shows after a click.
        language: code of the language of its text, one of `lesson.languages`. Default: English.

    Raises: ImportError if jupytext is not installed; ValueError if there is no such translation, or it does not have as many
        cells of text as the lesson.
    """
    import jupytext  # type: ignore[import-untyped]

    document = jupytext.reads(lesson.source, fmt="py:percent")
    document.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
    }
    if language:
        _translate(document.cells, lesson, language)
    cells = []
    for cell in document.cells:
        if found := EXERCISE.match(cell.source):
            cells += [_code_cell(text, tags) for text, tags in _exercise_cells(found[1], solutions)]
        else:
            cells.append(cell)
    for position, cell in enumerate(cells):
        cell.id = f"cell-{position}"
    document.cells = cells
    return document


def _translate(cells: list[Any], lesson: Lesson, language: str) -> None:
    originals = [cell for cell in cells if cell.cell_type == "markdown"]
    texts = lesson.translated_cells(language)
    if len(texts) != len(originals):
        raise ValueError(
            f"{lesson.translation(language)}: has {len(texts)} cells, and {lesson.path.name} has {len(originals)} cells of "
            "Markdown: translate each of them, with a line +++ between two cells"
        )
    for cell, text in zip(originals, texts, strict=True):
        cell.source = text


def _code_cell(text: str, tags: list[str]) -> Any:
    from nbformat.v4 import new_code_cell

    return new_code_cell(text, metadata={"tags": tags})  # type: ignore[no-untyped-call]


def _exercise_cells(name: str, solutions: bool) -> Iterator[tuple[str, list[str]]]:
    exercise = find_exercise(name)
    yield stub(exercise, in_notebook=True).strip(), ["exercise"]
    if solutions:
        yield solution(exercise).strip(), ["solution"]
    yield f"from minibert.classroom import check\n\ncheck({exercise.name})", []
